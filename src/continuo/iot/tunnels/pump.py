"""Bytes between a TCP connection and a WebSocket: in both directions, no faster than the slower end takes them."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress

from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed

from continuo.iot.tunnels.wire import CHUNK, END, OURS, RESET

IDLE = 7440.0
"""Seconds without a byte either way after which a connection is ended: as long as NATs have to keep one (RFC 5382)."""
DEAD = (30, 10, 3)
"""When TCP asks a silent peer for a sign of life, how often, and after how many it gives up: seconds, seconds, number."""


def keep_alive(end: socket.socket | None) -> None:
    """Let the kernel notice a peer that went away without a word; one that is away already has left no socket.

    WebSocket pings would not do: their answers stand in line behind bytes that a slow reader has not taken yet.
    """
    if end is None:
        return
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, DEAD[0])
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, DEAD[1])
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, DEAD[2])
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a TCP connection so that its peer knows that bytes may be missing."""
    end = writer.get_extra_info("socket")
    if end is not None:
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Pump:
    """One connection. Which end is which does not matter."""

    def __init__(
        self, web: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle: float = IDLE
    ) -> None:
        self._web, self._reader, self._writer, self._idle = web, reader, writer, idle
        self._ours = web.subprotocol == OURS
        self._sent_end = self._got_end = False
        self._moved = 0

    async def run(self) -> None:
        """Until both directions have ended, either end is lost, or nothing has moved for long."""
        tasks = [asyncio.create_task(each) for each in (self._out(), self._in(), self._watch())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0] in done and tasks[0].exception() is None and not done & set(tasks[1:]):
                done, _ = await asyncio.wait(tasks[1:], return_when=asyncio.FIRST_COMPLETED)
            await self._end(next((error for task in done if (error := task.exception()) is not None), None))
        except asyncio.CancelledError:
            await self._web.close(RESET if self._ours else 1011)
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if not self._writer.is_closing():
                reset(self._writer)

    async def _end(self, error: BaseException | None) -> None:
        """Both ends learn how it ended: as one end did, or as if reset."""
        if error is None:
            self._writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(self._idle):  # what is written already goes out, however slowly
                    await self._writer.wait_closed()
            return
        reset(self._writer)
        await self._web.close(RESET if self._ours else 1011)
        if not isinstance(error, OSError | TimeoutError | ConnectionClosed):
            raise error

    async def _out(self) -> None:
        """TCP to WebSocket."""
        while data := await self._reader.read(CHUNK):
            self._moved += 1
            await self._web.send(data)
        self._sent_end = True
        if self._ours and not self._got_end:
            await self._web.send(END)
        else:
            await self._web.close()

    async def _in(self) -> None:
        """WebSocket to TCP, until the WebSocket is closed; raises ConnectionClosed where that was no good end."""
        async for frame in self._web:
            self._moved += 1
            if isinstance(frame, bytes) and not self._got_end:
                self._writer.write(frame)
                await self._writer.drain()
            elif frame == END and self._ours:
                self._got_end = True
                if self._sent_end:
                    await self._web.close()
                elif self._writer.can_write_eof():
                    self._writer.write_eof()

    async def _watch(self) -> None:
        """Raises TimeoutError where nothing moves."""
        while True:
            before = self._moved
            await asyncio.sleep(self._idle)
            if self._moved == before:
                raise TimeoutError
