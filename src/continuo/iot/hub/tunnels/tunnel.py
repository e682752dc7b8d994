"""One public port: who may open its board's end, that end, and the connections in it."""

from __future__ import annotations

import asyncio
import hmac
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from continuo.iot.tunnels.pump import IDLE, Pump, keep_alive, reset
from continuo.iot.tunnels.wire import CLOSED, REPLACED, opened, told

log = logging.getLogger(__name__)


def same(shown: str, expected: str) -> bool:
    """Whether two secrets are equal, in a time that does not say where they differ."""
    return hmac.compare_digest(shown.encode(errors="surrogatepass"), expected.encode())


@dataclass(frozen=True, slots=True)
class Limits:
    """What one tunnel, and all of them, may hold."""

    connections: int = 256
    """At once in one tunnel."""
    everything: int = 8192
    """WebSockets at once in all tunnels."""
    answer: float = 15.0
    """Seconds in which a board answers a connection."""
    idle: float = IDLE
    reserved: float = 120.0
    """Seconds for which a reserved port may be opened by a board without a token, and opened again after it was lost."""


@dataclass(slots=True)
class Tunnel:
    """A public port that is one board's."""

    board: str
    port: int
    token: str
    limits: Limits
    clock: Callable[[], float]
    heard: Callable[[int, bool], None]
    """Told when the board's end comes (True) and goes."""
    waiting: dict[str, Tunnel]
    """The hub's: in which tunnel a connection waits for the data connection with an id."""
    listener: asyncio.Server | None = None
    control: ServerConnection | None = None
    proved: bool = False
    """That end has shown the token, so its data connections have to, and whoever follows it."""
    reserved_until: float = 0.0
    awaited: dict[str, asyncio.Future[ServerConnection]] = field(default_factory=dict)
    """Connections that the board has not answered yet, by their data connections' ids."""
    live: set[asyncio.Task[None]] = field(default_factory=set)

    def admits(self, token: str | None, board: str | None, lightning_rod: bool) -> bool:
        """Whether somebody may open the board's end: by the token; or, where allowed, soon after the port was reserved."""
        if token is not None:
            return same(token, self.token)
        if not lightning_rod or self.proved or board is None:
            return False
        return same(board, self.board) and self.clock() < self.reserved_until

    def answers(self, identifier: str, token: str | None) -> bool:
        """Whether a data connection is the answer to one that waits here, from whom it was asked of."""
        if identifier not in self.awaited:
            return False
        return token is not None and same(token, self.token) if self.proved else token is None

    async def serve(self, control: ServerConnection, proved: bool) -> None:
        """Be at the disposal of the board's end until it goes. A newer one replaces an older."""
        older, self.control, self.proved = self.control, control, proved
        if older is not None:
            closing = asyncio.create_task(older.close(REPLACED))
        else:
            self.heard(self.port, True)
        try:
            async for text in control:
                said = told(text)
                if said is not None and said[0] == "NO" and (waiting := self.awaited.pop(said[1], None)) is not None:
                    waiting.cancel()
        except ConnectionClosed:
            pass
        finally:
            if older is not None:
                await closing
            if self.control is control:
                self.control = None
                self.reserved_until = self.clock() + self.limits.reserved
                self.heard(self.port, False)

    async def answer(self, identifier: str, data: ServerConnection) -> None:
        """Give a data connection to the connection that waits for it; returns when that is over."""
        waiting = self.awaited.pop(identifier, None)
        if waiting is None or waiting.done():
            return  # somebody was quicker
        waiting.set_result(data)
        await data.wait_closed()

    def accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Somebody has connected to the public port."""
        task = asyncio.create_task(self._connected(reader, writer))
        self.live.add(task)
        task.add_done_callback(self.live.discard)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            data = await self._ask() if len(self.live) <= self.limits.connections else None
            if data is None:
                return
            for end in (data.transport.get_extra_info("socket"), writer.get_extra_info("socket")):
                keep_alive(end)
            try:
                await Pump(data, reader, writer, self.limits.idle).run()
            finally:
                await data.close()
        except (OSError, ConnectionClosed) as error:
            log.info("port %d of board %s: a connection was lost: %s", self.port, self.board, error)
        except Exception:
            log.exception("port %d of board %s: a connection failed", self.port, self.board)
        finally:
            if not writer.is_closing():
                reset(writer)

    async def _ask(self) -> ServerConnection | None:
        """The board's data connection for a new connection; None: it gave none."""
        control, identifier = self.control, str(uuid.uuid4())
        if control is None:
            return None
        answered = self.awaited[identifier] = asyncio.get_running_loop().create_future()
        self.waiting[identifier] = self
        try:
            async with asyncio.timeout(self.limits.answer):
                await control.send(opened(identifier))
                await asyncio.wait([answered])
        except (TimeoutError, ConnectionClosed):
            log.info("port %d: board %s did not answer a connection", self.port, self.board)
        finally:
            self.awaited.pop(identifier, None)
            self.waiting.pop(identifier, None)
            if not answered.done():
                answered.cancel()
        return None if answered.cancelled() else answered.result()

    def unbind(self) -> None:
        """Nobody comes any more, and the port is free."""
        if self.listener is not None:
            self.listener.close()

    async def close(self) -> None:
        """End the port and everything in it."""
        self.unbind()
        if self.control is not None:
            await self.control.close(CLOSED)
        for task in list(self.live):
            task.cancel()
        await asyncio.gather(*self.live, return_exceptions=True)
