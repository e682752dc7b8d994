"""What runs in the places of a data path: small HTTP servers, echoes, and relays where the kernel passes nothing on."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from typing import cast

_LONGEST_HEAD = 16_384
_END = b"\r\n\r\n"


class Page(asyncio.Protocol):
    """Answers every GET with today's date, and says who it is and as whom it saw the caller."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by class
        peer = transport.get_extra_info("peername")
        self._head = (
            f"Content-Type: text/plain\r\nServed-By: {self._who}\r\nSeen-From: {peer[0] if peer else ''}\r\n"
        ).encode()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        while (end := buffer.find(_END)) >= 0:
            self._respond(buffer[:end])
            buffer = buffer[end + len(_END) :]
        self._buffer = buffer
        if len(buffer) > _LONGEST_HEAD:
            self._send(b"431 Request Header Fields Too Large", b"the request's head is too long\n", last=True)

    def _respond(self, head: bytes) -> None:
        if not head.startswith(b"GET "):
            self._send(b"405 Method Not Allowed", b"this server answers GET only\n", last=True)
            return
        self._send(
            b"200 OK", f"NOW: {formatdate(usegmt=True)}\n".encode(), last=b"\r\nconnection: close" in head.lower()
        )

    def _send(self, status: bytes, body: bytes, last: bool) -> None:
        if self._transport.is_closing():
            return
        closing = b"Connection: close\r\n" if last else b""
        self._transport.write(
            b"HTTP/1.1 %b\r\n%b%bContent-Length: %d\r\n\r\n%b" % (status, self._head, closing, len(body), body)
        )
        if last:
            self._transport.close()


class Echo(asyncio.Protocol):
    """Sends back what it gets: a round trip of the network, with as little besides as a process can do."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by class

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


class Relay(asyncio.Protocol):
    """One side of a connection that is passed on; it makes the other side when it is connected itself."""

    def __init__(self, host: str, port: int) -> None:
        self._beyond = (host, port)
        self._other: asyncio.Transport | None = None
        self._waiting: list[bytes] = []
        self._ended = False
        self._transport: asyncio.Transport
        self._dialling: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by class
        self._dialling = asyncio.get_running_loop().create_task(self._dial())

    async def _dial(self) -> None:
        try:
            other, _ = await asyncio.get_running_loop().create_connection(lambda: _Back(self._transport), *self._beyond)
        except OSError:
            self._transport.abort()  # nobody is there, and the caller sees just that
            return
        self._other = other
        for data in self._waiting:
            other.write(data)
        self._waiting.clear()
        if self._ended:
            other.write_eof()
        if self._transport.is_closing():
            other.close()

    def data_received(self, data: bytes) -> None:
        if self._other is None:
            self._waiting.append(data)
        else:
            self._other.write(data)

    def eof_received(self) -> bool:
        self._ended = True
        if self._other is not None:
            self._other.write_eof()
        return True  # the answer may still be on its way

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._other is not None:
            self._other.close()

    def pause_writing(self) -> None:
        """The caller reads slowly: read no more from beyond."""
        if self._other is not None:
            self._other.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None:
            self._other.resume_reading()


class _Back(asyncio.Protocol):
    """The side towards the pod."""

    def __init__(self, caller: asyncio.Transport) -> None:
        self._caller = caller

    def data_received(self, data: bytes) -> None:
        self._caller.write(data)

    def eof_received(self) -> bool:
        self._caller.write_eof()
        return True

    def connection_lost(self, _exc: Exception | None) -> None:
        self._caller.close()

    def pause_writing(self) -> None:
        self._caller.pause_reading()

    def resume_writing(self) -> None:
        self._caller.resume_reading()
