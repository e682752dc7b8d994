"""A long-running command's health, for kubelet probes: `/healthz` while its loop turns, `/readyz` once it can work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from continuo.cli.failures import Failed


@asynccontextmanager
async def health_served(port: int | None, trouble: Callable[[], str]) -> AsyncIterator[None]:
    """Serve probes on that port while the block runs; nothing when it is None.

    `trouble` says in one sentence why the process cannot work, or nothing.
    """
    if port is None:
        yield
        return
    runner = web.AppRunner(_application(trouble), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "0.0.0.0", port).start()
    except OSError as error:
        await runner.cleanup()
        raise Failed(f"--health-port {port} cannot be used: {error.strerror}; choose another") from error
    try:
        yield
    finally:
        await runner.cleanup()


def _application(trouble: Callable[[], str]) -> web.Application:
    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        said = trouble()
        return web.Response(text=f"{said or 'ok'}\n", status=503 if said else 200)

    application = web.Application()
    application.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz)])
    return application
