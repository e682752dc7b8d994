"""What is said of boards' networks, by a real Prometheus that scrapes a hub between whose boards packets go.

Boards and hub are network namespaces; a scrape goes into the hub's by a process that is started there.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from continuo.telemetry.grafana import expressions
from continuo.telemetry.scraping import configuration
from iot.networks.bed import Bed, bed, impossible
from iot.networks.test_whole import Whole

from .prometheus import Prometheus, running
from .test_prometheus import filled, quick

WHY_NOT = impossible()
pytestmark = [pytest.mark.anyio, pytest.mark.long, pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))]

METRICS = "127.0.0.1:8813"
HEADERS = 14 + 20 + 8
"""Bytes of Ethernet, IPv4 and ICMP in each packet of a ping."""
FETCH = "import sys, urllib.request\nsys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1], timeout=20).read())"


@asynccontextmanager
async def reached(made: Bed) -> AsyncIterator[str]:
    """An address of ours at which the hub's metrics are."""

    async def metrics(_: web.Request) -> web.Response:
        process = await asyncio.create_subprocess_exec(
            "ip", "netns", "exec", made.hub_space, sys.executable, "-S", "-c", FETCH, f"http://{METRICS}/metrics",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _nothing = await process.communicate()
        return web.Response(body=said, headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def connected(made: Bed) -> Whole:
    """A hub, two boards, and a network of both."""
    whole = Whole(made, "--metrics", METRICS)
    for board in made.boards:
        whole.agent(board)
    whole.until_online(2)
    whole.ask("POST", "/v1/networks", {"name": "green", "cidr": "10.5.0.0/24"})
    for board in made.boards:
        whole.ask("PUT", f"/v1/boards/board{board.number}/ports", {"network": "green", "ip": board.ip})
    return whole


async def test_expressions_about_boards_networks(prometheus_folder: Path, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        made = stack.enter_context(bed(tmp_path, 2))
        whole = await asyncio.to_thread(connected, made)
        config = quick(configuration({"continuo-hub": [await stack.enter_async_context(reached(made))]}, [], ()))
        main = await stack.enter_async_context(running(prometheus_folder, tmp_path / "main", config))
        await main.until("count(continuo_hub_port_connected == 1) == 2")
        one, other = made.boards
        assert await asyncio.to_thread(made.ping, one, other)
        await _carried(main)
        asked = [(panel, expr) for panel, expr in expressions() if "hub_port" in expr]
        assert asked
        for panel, expr in asked:
            await main.until(f"({filled(expr)}) > 0", f"for the panel {panel!r}")
        port = (await asyncio.to_thread(whole.ask, "GET", "/v1/ports"))["ports"][0]["uuid"]
        await asyncio.to_thread(whole.ask, "DELETE", f"/v1/ports/{port}")
        await main.until(f'absent(continuo_hub_port_connected{{port="{port}"}})')


async def _carried(main: Prometheus) -> None:
    """Three questions and three answers crossed the hub, whatever else the boards said."""
    for family, least in (("frames", 6), ("bytes", 6 * HEADERS)):
        for way in ("in", "out"):
            await main.until(f'sum(continuo_hub_port_{family}_total{{direction="{way}"}}) >= {least}', f"of {way}")
