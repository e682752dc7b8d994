"""Probes and metrics of a long-running process, in plain HTTP: `/healthz`, `/readyz`, `/metrics`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from continuo.telemetry.metrics import Metrics


@asynccontextmanager
async def served(
    host: str, port: int, trouble: Callable[[], str], metrics: Metrics | None = None, *, probes: bool = True
) -> AsyncIterator[int]:
    """Serve while the block runs, and say on which port. Raises OSError when that cannot be.

    `trouble` says in one sentence why the process cannot work, or nothing. Without `metrics` there are probes alone.
    """
    runner = web.AppRunner(application(trouble, metrics, probes=probes), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def application(trouble: Callable[[], str], metrics: Metrics | None, *, probes: bool = True) -> web.Application:
    """The aiohttp application."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        said = trouble()
        return web.Response(text=f"{said or 'ok'}\n", status=503 if said else 200)

    app = web.Application()
    if probes:
        app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz)])
    if metrics is not None:
        told = metrics

        async def answer(request: web.Request) -> web.Response:
            body, content_type = await told.told(request.headers.get("Accept", ""))
            return web.Response(body=body, headers={"Content-Type": content_type})

        app.add_routes([web.get("/metrics", answer)])
    return app
