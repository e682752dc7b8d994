"""What waits for one board: bounded, so that a slow board costs itself frames, and nobody else anything."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from continuo.iot.frames import encode

LIMIT = 256 * 1024
"""Bytes that wait for one board."""


class Outbox:
    """A connection's queue: frames are written many at once; when the connection is full the oldest go."""

    def __init__(self, transport: asyncio.Transport, due: Callable[[Outbox], None], limit: int = LIMIT) -> None:
        self._transport, self._due, self._limit = transport, due, limit
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._full = False

    def put(self, frame: bytes) -> int:
        """Queue a frame; how many older ones it pushed out."""
        if not self._frames:
            self._due(self)
        self._frames.append(frame)
        self._bytes += len(frame)
        pushed = 0
        while self._bytes > self._limit:
            self._bytes -= len(self._frames.popleft())
            pushed += 1
        return pushed

    def flush(self) -> None:
        """Write what waits, unless the connection is full."""
        if self._full or not self._frames or self._transport.is_closing():
            return
        whole = encode(self._frames)
        self._frames.clear()
        self._bytes = 0
        self._transport.write(whole)

    def pause(self) -> None:
        """The connection is full."""
        self._full = True

    def resume(self) -> None:
        """It has room again."""
        self._full = False
        self.flush()
