"""A tunnel server, a board's end and a service behind it, all on loopback."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from continuo.iot.agent.tunnels import Services
from continuo.iot.hub.strangers import Strangers
from continuo.iot.hub.tunnels import Limits, TunnelServer, serve
from ports import free_ports

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Give back all that comes, and end when it ends."""
    with suppress(ConnectionError):  # a test's tunnel may end in the middle
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def service(handler: Handler = echo) -> AsyncIterator[int]:
    """Something that listens on a port of a board."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0, limit=2**16)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@dataclass
class Changes:
    """Waits until something that is told of in passing holds."""

    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, *_: object) -> None:
        self._news.set()

    async def until(self, holds: Callable[[], bool], seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not holds():
                self._news.clear()
                await self._news.wait()


@dataclass
class Bed:
    """One hub, perhaps one board."""

    server: TunnelServer
    changes: Changes
    scheme: str = "ws"

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.server.address[1]}"

    def wanted(self, port: int, public: int, token: str) -> dict[str, object]:
        return {"name": "ssh", "port": port, "public_port": public, "url": self.url, "token": token}


@asynccontextmanager
async def hub(
    *, ports: list[int] | None = None, listen: int = 0, tls: object = None, scheme: str = "ws",
    strangers: Strangers | None = None, **options: object,
) -> AsyncIterator[Bed]:  # fmt: skip
    """A tunnel server."""
    changes = Changes()
    made = TunnelServer(ports or free_ports(4), public="127.0.0.1", rng=random.Random(1), **options)  # type: ignore[arg-type]
    made.on_change(changes)
    async with serve(made, "127.0.0.1", listen, tls, strangers=strangers) as server:  # type: ignore[arg-type]
        yield Bed(server, changes, scheme)


@asynccontextmanager
async def board(changed: Callable[[], None], **options: object) -> AsyncIterator[Services]:
    """The agent's part."""
    made = Services(changed, rng=random.Random(2), pauses=(0.01, 0.05), **options)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def exposed(
    handler: Handler = echo, limits: Limits | None = None, **options: object
) -> AsyncIterator[tuple[Bed, Services, int]]:
    """A service of a board, reached at a public port of a hub."""
    async with (
        hub(limits=limits, **options) as bed,
        service(handler) as port,
        board(bed.changes) as services,
    ):
        public, token = await bed.server.open("b-1")
        await services.set({"s-1": bed.wanted(port, public, token)})
        await bed.changes.until(lambda: bed.server.alive(public) and services.status()["s-1"]["up"])
        yield bed, services, public
