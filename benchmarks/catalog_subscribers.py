"""A process of subscribers for the benchmark `catalog`: as little as possible for each frame, so that the server is measured.

python -m benchmarks.catalog_subscribers URL COUNT full|deltas
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import sys
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import uvloop

_AT = re.compile(rb'"at":"(\d+)"')


class Totals:
    """What all subscribers received since the last time."""

    def __init__(self) -> None:
        self.bytes = self.deltas = 0
        self.histogram: Counter[int] = Counter()
        self._known: tuple[int, list[int]] = (0, [])

    def frame(self, data: bytes, deltas: bool) -> None:
        """One text frame. The same frame comes to all: its times are read once."""
        if not deltas or b'"op":"delta"' not in data[:40]:
            return
        key = hash(data)
        if self._known[0] != key:
            self._known = key, [int(at) for at in _AT.findall(data)]
        now = time.monotonic_ns()
        for at in self._known[1]:
            self.histogram[(now - at) // 1_000_000] += 1
        self.deltas += len(self._known[1])


class Subscriber(asyncio.Protocol):
    """One WebSocket, by hand: a handshake, a subscription, then frames."""

    def __init__(self, host: str, path: str, deltas: bool, totals: Totals, first: asyncio.Future[None]) -> None:
        self._host, self._path, self._deltas, self._totals, self._first = host, path, deltas, totals, first
        self._buffer = bytearray()
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for an upgrade."""
        self._transport: Any = transport
        key = base64.b64encode(os.urandom(16)).decode()
        protocol = "Sec-WebSocket-Protocol: catalog.v2+json\r\n" if self._deltas else ""
        self._write(
            f"GET {self._path} HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{protocol}\r\n".encode()
        )

    def _write(self, data: bytes) -> None:
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Count, and take whole frames."""
        self._totals.bytes += len(data)
        self._buffer += data
        if not self._open:
            head, mark, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not mark:
                return
            assert b" 101 " in head.split(b"\r\n")[0], head
            self._open, self._buffer = True, bytearray(rest)
            if self._deltas:
                text = b'{"op":"subscribe"}'
                self._write(bytes((0x81, 0x80 | len(text))) + b"\0\0\0\0" + text)
        self._frames()

    def _frames(self) -> None:
        at, buffer = 0, self._buffer
        while len(buffer) - at >= 2:
            size, begin = buffer[at + 1], at + 2
            if size >= 126:
                wide = 2 if size == 126 else 8
                if len(buffer) < begin + wide:
                    break
                size, begin = int.from_bytes(buffer[begin : begin + wide], "big"), begin + wide
            if len(buffer) < begin + size:
                break
            self._frame(buffer[at] & 15, bytes(buffer[begin : begin + size]))
            at = begin + size
        del buffer[:at]

    def _frame(self, opcode: int, data: bytes) -> None:
        if opcode == 9:
            self._write(bytes((0x8A, 0x80 | len(data))) + b"\0\0\0\0" + data)
        elif opcode == 1:
            self._totals.frame(data, self._deltas)
            if not self._first.done() and (not self._deltas or b'"more":false' in data[:60]):
                self._first.set_result(None)


async def main(url: str, count: int, mode: str) -> None:
    """Connect all, then answer `take` until the input ends."""
    loop, totals, deltas = asyncio.get_running_loop(), Totals(), mode == "deltas"
    place = urlsplit(url)
    path = "/api/v1/events" if deltas else "/offers"
    for start in range(0, count, 20):
        firsts = []
        for _ in range(min(20, count - start)):
            first: asyncio.Future[None] = loop.create_future()
            firsts.append(first)
            made = (place.netloc, path, deltas, totals, first)
            await loop.create_connection(lambda made=made: Subscriber(*made), place.hostname, place.port)  # type: ignore[misc]
        await asyncio.gather(*firsts)
    print("ready", flush=True)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        found = {"bytes": totals.bytes, "deltas": totals.deltas, "histogram": totals.histogram}
        print(json.dumps(found), flush=True)
        totals.bytes = totals.deltas = 0
        totals.histogram = Counter()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
