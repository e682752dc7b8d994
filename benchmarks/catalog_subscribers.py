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
from array import array
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import uvloop

_AT = re.compile(rb'"at":"(\d+)"')


_HEAD = 96
"""So many bytes tell a frame from every other: the revision that it leads to, and that of its first change."""


class Totals:
    """What all subscribers received since the last time."""

    def __init__(self) -> None:
        self.bytes = 0
        self._times: dict[bytes, list[int]] = {}
        self._arrivals: dict[bytes, array[int]] = {}

    def frame(self, data: memoryview) -> None:
        """One text frame. The same one comes to all: its times are read once, and what arrived when is counted later."""
        head = bytes(data[:_HEAD])
        arrivals = self._arrivals.get(head)
        if arrivals is None:
            delta = head.startswith(b'{"op":"delta"')
            self._times[head] = [int(at) for at in _AT.findall(data)] if delta else []
            arrivals = self._arrivals[head] = array("q")
        arrivals.append(time.monotonic_ns())

    def take(self) -> dict[str, Any]:
        """Bytes, deltas, and how many milliseconds each delta took; begins anew."""
        histogram: Counter[int] = Counter()
        for head, arrivals in self._arrivals.items():
            for at in self._times[head]:
                histogram.update((now - at) // 1_000_000 for now in arrivals)
        found = {"bytes": self.bytes, "deltas": histogram.total(), "histogram": histogram}
        self.bytes, self._times, self._arrivals = 0, {}, {}
        return found


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
        if self._buffer:
            self._buffer += data
            data = bytes(self._buffer)
            self._buffer.clear()
        if not self._open:
            head, mark, rest = data.partition(b"\r\n\r\n")
            if not mark:
                self._buffer += data
                return
            assert b" 101 " in head.split(b"\r\n")[0], head
            self._open, data = True, rest
            if self._deltas:
                text = b'{"op":"subscribe"}'
                self._write(bytes((0x81, 0x80 | len(text))) + b"\0\0\0\0" + text)
        self._buffer += data[self._frames(memoryview(data)) :]

    def _frames(self, data: memoryview) -> int:
        """Take the whole frames at the beginning; how long they are."""
        at = 0
        while len(data) - at >= 2:
            size, begin = data[at + 1], at + 2
            if size >= 126:
                wide = 2 if size == 126 else 8
                if len(data) < begin + wide:
                    break
                size, begin = int.from_bytes(data[begin : begin + wide], "big"), begin + wide
            if len(data) < begin + size:
                break
            self._frame(data[at] & 15, data[begin : begin + size])
            at = begin + size
        return at

    def _frame(self, opcode: int, data: memoryview) -> None:
        if opcode == 9:
            self._write(bytes((0x8A, 0x80 | len(data))) + b"\0\0\0\0" + data)
        elif opcode == 1:
            if self._deltas:
                self._totals.frame(data)
            if not self._first.done() and (not self._deltas or b'"more":false' in bytes(data[:60])):
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
        print(json.dumps(totals.take()), flush=True)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
