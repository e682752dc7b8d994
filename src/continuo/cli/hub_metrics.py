"""The hub's figures as text for Prometheus, and its health for probes; plain HTTP, where the operator says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from continuo.cli.failures import Failed

if TYPE_CHECKING:
    from continuo.cli.hub_serve import Parts
    from continuo.edge.listening import Place


@asynccontextmanager
async def metrics_served(
    at: Place | None, parts: Parts, asked: Mapping[tuple[str, str], int], trouble: Callable[[], str]
) -> AsyncIterator[None]:  # fmt: skip
    """Serve while the block runs; nothing where `at` is None. `trouble` says why the hub cannot work, or nothing."""
    if at is None:
        yield
        return

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        said = trouble()
        return web.Response(text=f"{said or 'ok'}\n", status=503 if said else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text="".join(lines(parts, asked)), headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, at.host, at.port).start()
    except OSError as error:
        await runner.cleanup()
        raise Failed(f"--metrics {at.host}:{at.port} cannot be used: {error.strerror}; choose another") from error
    try:
        yield
    finally:
        await runner.cleanup()


def lines(parts: Parts, asked: Mapping[tuple[str, str], int]) -> Iterable[str]:
    """The figures, in the text format of Prometheus. `asked`: REST requests by method and route."""
    from continuo.iot.hub.model import Board, Request
    from continuo.iot.hub.networks.metrics import lines as port_lines

    router, registry = parts.router, parts.core.registry
    boards = registry.table(Board)
    yield from _metric("continuo_hub_boards", "gauge", "Boards that there are.", len(boards))
    yield from _metric("continuo_hub_boards_online", "gauge", "Boards that have a session.", router.online)
    yield from _metric("continuo_hub_sessions", "gauge", "Sessions, of newcomers too.", router.sessions)
    counts = router.counts
    yield from _metric("continuo_hub_sessions_total", "counter", "Sessions that began.", counts["sessions"])
    yield from _metric("continuo_hub_refused_total", "counter", "Peers that were turned away.", counts["refused"])
    yield from _metric("continuo_hub_calls_total", "counter", "Calls to boards.", counts["calls"])
    pending = registry.table(Request).count("done", False)
    yield from _metric("continuo_hub_requests_pending", "gauge", "Requests that go on.", pending)
    refused = parts.networks.refused
    yield from _metric("continuo_hub_network_refused_total", "counter", "Ends of ports that were not let in.", refused)
    yield from port_lines(parts.networks)
    name = "continuo_hub_rest_requests_total"
    yield f"# HELP {name} REST requests that ended.\n# TYPE {name} counter\n"
    for (method, route), count in sorted(asked.items()):
        yield f'{name}{{method="{method}",route="{route}"}} {count}\n'


def _metric(name: str, kind: str, help: str, value: float) -> Iterable[str]:
    yield f"# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
