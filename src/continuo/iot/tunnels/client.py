"""The board's end of a reverse tunnel: one control connection, and one data connection for each that comes."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from continuo.iot.tunnels.pump import IDLE, Pump, keep_alive
from continuo.iot.tunnels.wire import (
    CHUNK,
    CLOSED,
    LARGEST,
    OFFERED,
    OURS,
    REPLACED,
    bearer,
    control_path,
    data_path,
    refused,
    told,
)

log = logging.getLogger(__name__)

OPEN = 10.0
"""Seconds in which a connection is open, or is not."""
PING = 20.0
"""Seconds between pings on a control connection, and for their answers."""


def _nothing() -> None:
    return None


class NotOpen(Exception):
    """The tunnel is not there: a sentence that says why."""


@dataclass(slots=True)
class Reverse:
    """A tunnel from a public port of a server to a port here."""

    url: str
    """`ws://` or `wss://`, host and port of the server."""
    public_port: int
    target: tuple[str, int]
    token: str | None = None
    board: str | None = None
    """What unmodified servers know boards by."""
    tls: ssl.SSLContext | None = None
    largest: int = 256
    """Connections at once."""
    changed: Callable[[], None] = _nothing
    """Called when `unreachable` has changed."""
    idle: float = IDLE
    _ends: set[asyncio.Task[None]] = field(default_factory=set)
    unreachable: str = ""
    """Why the service took no connection lately."""

    async def run(self, opened: Callable[[], None]) -> None:
        """Be the board's end until cancelled or until it breaks; tells when it is open. Raises NotOpen."""
        try:
            async with self._connect(control_path(self.public_port, self.board), PING) as control:
                opened()
                with suppress(ConnectionClosed):
                    await self._serve(control)
                raise NotOpen(self._why_closed(control))
        except NotOpen:
            raise
        except InvalidStatus as error:
            code, body = error.response.status_code, error.response.body or b""
            said = body.decode(errors="replace").strip()[:200]
            raise NotOpen(f"{self.url} refused the tunnel to port {self.public_port}: {said or code}") from None
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI, ConnectionClosed) as error:
            raise NotOpen(f"{self.url} cannot be reached: {error or type(error).__name__}") from None
        finally:
            await self._end()

    def _connect(self, path: str, ping: float | None) -> connect:
        base = urlsplit(self.url)
        return connect(
            f"{base.scheme}://{base.netloc}{path}",
            ssl=self.tls if base.scheme == "wss" else None,
            subprotocols=[Subprotocol(name) for name in OFFERED],
            additional_headers=bearer(self.token) if self.token else None,
            compression=None,
            proxy=None,
            open_timeout=OPEN,
            ping_interval=ping,
            ping_timeout=ping,
            close_timeout=5.0,
            max_size=LARGEST,
            max_queue=4,
            write_limit=2 * CHUNK,
        )

    def _why_closed(self, control: ClientConnection) -> str:
        reasons = {
            REPLACED: "another process has opened the board's end of this tunnel",
            CLOSED: "the tunnel was closed at the hub",
            1001: "the hub is stopping",
        }
        return reasons.get(control.close_code or 0, f"the connection to {self.url} was lost")

    async def _serve(self, control: ClientConnection) -> None:
        async for text in control:
            said = told(text)
            if said is None or said[0] != "NC":
                continue
            if len(self._ends) >= self.largest:
                await self._refuse(control, said[1], f"{self.largest} connections at once are all that it takes")
                continue
            task = asyncio.create_task(self._answer(control, said[1]))
            self._ends.add(task)
            task.add_done_callback(self._ends.discard)

    async def _refuse(self, control: ClientConnection, identifier: str, why: str) -> None:
        self._reach(why)
        if control.subprotocol == OURS:
            await control.send(refused(identifier))
            return
        async with self._connect(data_path(identifier), None):
            pass  # wstun has no other word for it

    def _reach(self, why: str) -> None:
        if why != self.unreachable:
            self.unreachable = why
            self.changed()

    async def _answer(self, control: ClientConnection, identifier: str) -> None:
        host, port = self.target
        try:
            try:
                async with asyncio.timeout(OPEN):
                    reader, writer = await asyncio.open_connection(host, port, limit=CHUNK)
            except (OSError, TimeoutError) as error:
                log.info("tunnel of port %d: %s:%d took no connection: %s", self.public_port, host, port, error)
                await self._refuse(control, identifier, f"nothing answers on {host}:{port}")
                return
            self._reach("")
            try:
                await self._join(identifier, reader, writer)
            finally:
                writer.close()
        except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as error:
            log.info("tunnel of port %d: a connection was lost: %s", self.public_port, error)
        except Exception:
            log.exception("tunnel of port %d: a connection failed", self.public_port)

    async def _join(self, identifier: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._connect(data_path(identifier), None) as data:
            for end in (data.transport.get_extra_info("socket"), writer.get_extra_info("socket")):
                keep_alive(end)
            await Pump(data, reader, writer, self.idle).run()

    async def _end(self) -> None:
        for task in list(self._ends):
            task.cancel()
        await asyncio.gather(*self._ends, return_exceptions=True)
