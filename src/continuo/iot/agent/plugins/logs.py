"""What a program prints: the end of it is kept, and whoever prints without end has to wait."""

from __future__ import annotations

import asyncio
from collections import deque

CHUNK = 4096
RATE = 64 * 1024
"""Bytes in a second that are taken from one program; more stays in its pipe, which blocks it."""
KEPT = 16 * 1024
"""Bytes that are kept."""


class Tail:
    """The last bytes."""

    def __init__(self, most: int = KEPT) -> None:
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._most = most

    def add(self, data: bytes) -> None:
        """Keep it, and forget what is too old."""
        self._parts.append(data)
        self._size += len(data)
        while self._size - len(self._parts[0]) >= self._most:
            self._size -= len(self._parts.popleft())

    def text(self) -> str:
        """What is kept."""
        return b"".join(self._parts)[-self._most :].decode("utf-8", "replace")


async def collect(stream: asyncio.StreamReader, tail: Tail) -> None:
    """Until the program closes its output."""
    while data := await stream.read(CHUNK):
        tail.add(data)
        await asyncio.sleep(len(data) / RATE)
