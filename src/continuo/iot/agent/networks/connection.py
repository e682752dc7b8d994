"""One connection from a port to the hub: a request, then frames both ways between it and the TAP."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from typing import cast

from continuo.iot.agent.networks.desired import Port
from continuo.iot.frames import ETHERNET, KEEPALIVE, UPGRADE, Closing, Decoder, Malformed, encode

BATCH = 64
"""Frames that are read before they are written in one piece, and before others have their turn."""
BUFFER = 128 * 1024
UNSENT = 128 * 1024
ALIVE, SILENCE = 10.0, 30.0
"""Seconds after which we say that we are there, and after which a silent hub is taken for gone."""
TCP_NOTSENT_LOWAT = 25
LONGEST_ANSWER = 8192

CLOSED = {
    Closing.REPLACED: "another connection took this port's place: its token is used by another agent",
    Closing.REMOVED: "the hub has removed this port",
    Closing.CHANGED: "the hub has changed this port",
}


class Ended(Exception):
    """The connection is over, and why."""

    def __init__(self, sentence: str, replaced: bool = False, tap: bool = False) -> None:
        super().__init__(sentence)
        self.replaced = replaced
        self.tap = tap
        """It is the TAP that is gone."""


class Connection(asyncio.Protocol):
    """The board's end. `opened` is done when frames flow, `ended` when it is over; each may raise Ended."""

    def __init__(self, port: Port, fd: int) -> None:
        self._port, self._fd = port, fd
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[Ended] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._decoder: Decoder | None = None
        self._heard = self._loop.time()
        self._ticking: asyncio.TimerHandle | None = None
        self.dropped = 0
        """Frames that the kernel did not take."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.ended.done():
            self._transport.abort()  # nobody waits for it any more
            return
        self._transport.set_write_buffer_limits(high=BUFFER)
        with contextlib.suppress(OSError, AttributeError):  # a matter of latency only
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT)
        lines = (
            f"GET {self._port.path} HTTP/1.1",
            f"Host: {self._port.host}:{self._port.hub_port}",
            "Connection: Upgrade",
            f"Upgrade: {UPGRADE}",
            f"Authorization: Bearer {self._port.token}",
        )
        self._transport.write("\r\n".join(lines).encode("ascii") + b"\r\n\r\n")

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        if self._decoder is None:
            self._answer(data)
        else:
            self._frames(data)

    def _answer(self, data: bytes) -> None:
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            if len(self._head) > LONGEST_ANSWER:
                self._end(Ended("what answers there is no hub"))
            return
        if not head.startswith(b"HTTP/1.1 101 "):
            self._end(Ended(_refusal(head, rest)))
            return
        self._decoder = Decoder(self._port.mtu)
        self._discard()
        self._loop.add_reader(self._fd, self._readable)
        self._ticking = self._loop.call_later(ALIVE, self._tick)
        self.opened.set_result(None)
        if rest:
            self._frames(rest)

    def _frames(self, data: bytes) -> None:
        if self._decoder is None or self.ended.done():
            return
        try:
            frames = self._decoder.feed(data)
        except Malformed:
            self._end(Ended("the hub sent a frame that is longer than this port's MTU"))
            return
        for frame in frames:
            if len(frame) >= ETHERNET:
                self._deliver(frame)
            elif frame:
                self._closing(frame[0])

    def _deliver(self, frame: bytes) -> None:
        try:
            os.write(self._fd, frame)
        except OSError as error:
            self.dropped += 1
            if error.errno == errno.EBADFD:
                self._end(Ended("the interface was removed by somebody else", tap=True))

    def _closing(self, code: int) -> None:
        with contextlib.suppress(ValueError):  # a reason that a newer hub may have
            why = Closing(code)
            self._end(Ended(CLOSED[why], replaced=why is Closing.REPLACED))

    def _readable(self) -> None:
        """Frames came out of the kernel: read those that are there, and send them in one piece."""
        frames = []
        try:
            for _ in range(BATCH):
                frames.append(os.read(self._fd, self._port.mtu + ETHERNET + 4))
        except BlockingIOError:
            pass
        except OSError:
            self._end(Ended("the interface was removed by somebody else", tap=True))
        if frames and self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(frames))

    def _discard(self) -> None:
        """What waited while there was no connection is too old."""
        with contextlib.suppress(OSError):
            while True:
                os.read(self._fd, 65536)

    def _tick(self) -> None:
        if self._loop.time() - self._heard > SILENCE:
            self._end(Ended(f"the hub was silent for {SILENCE:g} s"))
            return
        self._ticking = self._loop.call_later(ALIVE, self._tick)
        if self._transport is not None:
            self._transport.write(encode([KEEPALIVE]))

    def pause_writing(self) -> None:
        """The hub is slow: what comes meanwhile waits in the kernel, which drops what is too much."""
        self._loop.remove_reader(self._fd)

    def resume_writing(self) -> None:
        if not self.ended.done() and self._decoder is not None:
            self._loop.add_reader(self._fd, self._readable)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(Ended(f"the connection was lost: {exc}" if exc else "the hub closed the connection"))

    def close(self) -> None:
        """End it."""
        self._end(Ended("closed"))

    def _end(self, why: Ended) -> None:
        if self.ended.done():
            return
        self.ended.set_result(why)
        if not self.opened.done():
            self.opened.set_exception(why)
            self.opened.exception()  # whoever waits gets it; nobody waiting is no fault
        self._loop.remove_reader(self._fd)
        if self._ticking is not None:
            self._ticking.cancel()
        if self._transport is not None:
            self._transport.abort()


def _refusal(head: bytes, body: bytes) -> str:
    status = head.split(b"\r\n", 1)[0].decode(errors="replace")[:80]
    if not status.startswith("HTTP/1.1 4") and not status.startswith("HTTP/1.1 503"):
        return f"what answers there is no hub: {status!r}"
    return f"the hub refused this port: {body.decode(errors='replace').strip()[:200] or status}"
