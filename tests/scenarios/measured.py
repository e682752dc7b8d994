"""A figure for loops that every engine has: what a real Prometheus measures of something that the scenario says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from telemetry.prometheus import prometheus_folder, running

__all__ = ["Work", "measured", "prometheus_folder"]


class Work:
    """What the pods have to do together, as somebody measures it; a real Prometheus asks for it once a second."""

    def __init__(self) -> None:
        self.requests = 0.0

    async def page(self, _: web.Request) -> web.Response:
        return web.Response(text=f"shop_requests_per_second {self.requests}\n")


@asynccontextmanager
async def measured(work: Work, programs: Path, home: Path) -> AsyncIterator[str]:
    """The URL of a Prometheus that knows it."""
    pages = web.Application()
    pages.router.add_get("/metrics", work.page)
    server = TestServer(pages)
    await server.start_server()
    job = {"job_name": "shop", "scrape_interval": "1s", "static_configs": [{"targets": [f"127.0.0.1:{server.port}"]}]}
    try:
        async with running(programs, home, {"scrape_configs": [job]}) as prometheus:
            yield prometheus.url
    finally:
        await server.close()
