"""All tunnels of a hub: one address for boards, and a public port for each service that is exposed.

A public port is bound for as long as it is reserved, so that nobody else takes it; while the board's end is away, whoever
connects is reset. Tunnels are not stored: whoever knows which port is whose opens them at each start, with new tokens.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import websockets.asyncio.server as sockets
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from continuo.iot.hub.strangers import Strangers
from continuo.iot.hub.tunnels.tunnel import Limits, Tunnel
from continuo.iot.tunnels.wire import CHUNK, LARGEST, OURS, WSTUN, Control, Data, asked

log = logging.getLogger(__name__)
_handshakes = logging.getLogger(f"{__name__}.handshakes")
_handshakes.setLevel(logging.CRITICAL)  # strangers' bad handshakes are no errors of ours

PING = 20.0
REFUSED = "This tunnel is not yours: the port is not reserved for this board, or the token is wrong.\n"


def _nobody(_port: int, _alive: bool) -> None:
    return None


class TunnelServer:
    """Implements `Tunnels`. `lightning_rod`: which boards may come without a token, as wstun does; or all, or none."""

    def __init__(
        self,
        ports: Sequence[int],
        *,
        public: str = "0.0.0.0",
        lightning_rod: Callable[[str], bool] | bool = False,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._ports, self._public = ports, public
        self._lightning_rod = lightning_rod if callable(lightning_rod) else lambda _board: lightning_rod
        self._limits, self._clock, self._rng = limits or Limits(), clock, rng or random.SystemRandom()
        self._tunnels: dict[int, Tunnel] = {}
        self._waiting: dict[str, Tunnel] = {}
        self._opening = asyncio.Lock()
        self._sockets = 0
        self._heard: Callable[[int, bool], None] = _nobody
        self.address: tuple[str, int] = ("", 0)
        """Where boards connect to, once it is served."""

    def on_change(self, heard: Callable[[int, bool], None]) -> None:
        """Be told of ports whose board's end comes (True) or goes."""
        self._heard = heard

    async def open(self, board: str, port: int | None = None) -> tuple[int, str]:
        """Reserve a public port for a board, or the named one; again: the same token. Raises OSError with a sentence."""
        async with self._opening:
            known = self._tunnels.get(port) if port is not None else None
            if known is None:
                known = await self._reserve(board, port)
            elif known.board != board:
                raise OSError(f"port {port} is another board's")
            known.reserved_until = self._clock() + self._limits.reserved
            return known.port, known.token

    async def _reserve(self, board: str, port: int | None) -> Tunnel:
        candidates = [each for each in self._ports if each not in self._tunnels] if port is None else [port]
        self._rng.shuffle(candidates)
        told = "all of them are reserved"
        for each in candidates:
            tunnel = Tunnel(
                board, each, secrets.token_urlsafe(32), self._limits, self._clock, self._change, self._waiting
            )
            try:
                tunnel.listener = await asyncio.start_server(
                    tunnel.accepted, self._public, each, limit=CHUNK, backlog=128, reuse_address=True
                )
            except OSError as error:
                told = f"port {each}: {error.strerror or error}"
                continue
            self._tunnels[each] = tunnel
            return tunnel
        where = f"port {port}" if port is not None else f"a port of {self._ports[0]}-{self._ports[-1]}"
        raise OSError(f"{where} cannot be reserved on {self._public}: {told}")

    def _change(self, port: int, alive: bool) -> None:
        self._heard(port, alive)

    async def close(self, port: int) -> None:
        """Close a public port and everything in it; nothing where there is none."""
        async with self._opening:
            tunnel = self._tunnels.pop(port, None)
            if tunnel is not None:
                tunnel.unbind()
        if tunnel is not None:
            await tunnel.close()

    def alive(self, port: int) -> bool:
        """Whether the board's end is there."""
        tunnel = self._tunnels.get(port)
        return tunnel is not None and tunnel.control is not None

    def connections(self, port: int) -> int:
        """How many connections are in a tunnel now."""
        tunnel = self._tunnels.get(port)
        return len(tunnel.live) if tunnel is not None else 0

    async def end(self) -> None:
        """Close all."""
        await asyncio.gather(*(self.close(port) for port in list(self._tunnels)))

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse who asks for something that is not theirs; None: go on."""
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return connection.respond(HTTPStatus.OK, "Reverse tunnels of boards.\n")
        try:
            what = asked(request.path)
        except ValueError as error:
            return connection.respond(HTTPStatus.BAD_REQUEST, f"{error}\n")
        if what is None:
            return connection.respond(HTTPStatus.BAD_REQUEST, "Ask for ?dst=HOST:PORT or for ?id=ID.\n")
        if self._find(request, what) is None:
            log.info(
                "refused a board's end: %s", "a data connection" if isinstance(what, Data) else f"port {what.port}"
            )
            return connection.respond(HTTPStatus.UNAUTHORIZED, REFUSED)
        if self._sockets >= self._limits.everything:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "Too many tunnels are open; try again later.\n")
        if isinstance(what, Data):
            connection.ping_interval = None  # TCP's own signs of life do not wait behind bytes that nobody takes
        return None

    def _find(self, request: Request, what: Control | Data) -> Tunnel | None:
        token = _token(request)
        if isinstance(what, Control):
            tunnel = self._tunnels.get(what.port)
            known = tunnel is not None and tunnel.admits(token, what.board, self._lightning_rod(tunnel.board))
            return tunnel if known else None
        tunnel = self._waiting.get(what.id)
        return tunnel if tunnel is not None and tunnel.answers(what.id, token) else None

    async def handle(self, connection: ServerConnection) -> None:
        """A board's WebSocket that `check` let pass."""
        request = connection.request
        what = asked(request.path) if request is not None else None
        tunnel = self._find(request, what) if request is not None and what is not None else None
        if tunnel is None or request is None:
            return
        self._sockets += 1
        try:
            if isinstance(what, Control):
                await tunnel.serve(connection, proved=_token(request) is not None)
            elif isinstance(what, Data):
                await tunnel.answer(what.id, connection)
        finally:
            self._sockets -= 1


def _token(request: Request) -> str | None:
    shown = request.headers.get_all("Authorization")
    return shown[0].removeprefix("Bearer ") if len(shown) == 1 else "" if shown else None


def _chosen(_connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((Subprotocol(each) for each in (OURS, WSTUN) if each in offered), None)


def _entrance(strangers: Strangers) -> type[ServerConnection]:
    """Connections of which only so many may be open that have not been admitted."""

    class Entering(ServerConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            if not strangers.come(self, transport.get_extra_info("peername")):
                self.transport.abort()

        async def handshake(self, *arguments: Any, **options: Any) -> None:
            try:
                await super().handshake(*arguments, **options)
            finally:
                strangers.gone(self)

    return Entering


@asynccontextmanager
async def serve(
    tunnels: TunnelServer, host: str, port: int, tls: ssl.SSLContext | None, *, strangers: Strangers | None = None
) -> AsyncIterator[TunnelServer]:
    """Take boards' ends on an address until the block ends; then all tunnels are closed. `port` 0: any."""
    server = await sockets.serve(
        tunnels.handle,
        host,
        port,
        ssl=tls,
        process_request=tunnels.check,
        select_subprotocol=_chosen,
        compression=None,
        server_header=None,
        create_connection=_entrance(strangers or Strangers()),
        open_timeout=10.0,
        ssl_handshake_timeout=10.0 if tls else None,
        close_timeout=5.0,
        ping_interval=PING,
        ping_timeout=PING,
        max_size=LARGEST,
        max_queue=4,
        write_limit=2 * CHUNK,
        logger=_handshakes,
    )
    tunnels.address = next(iter(server.sockets)).getsockname()[:2]
    try:
        yield tunnels
    finally:
        server.close()
        await tunnels.end()
        await server.wait_closed()
