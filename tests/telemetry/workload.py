"""What a workload cluster's own exporters say: Liqo's gateway, node-exporter, kube-state-metrics, in a few lines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


class Exporter:
    """Counts up at every scrape, so that there are rates."""

    def __init__(self, peer: str) -> None:
        self._peer, self._scrapes = peer, 0

    async def answer(self, _: web.Request) -> web.Response:
        self._scrapes += 1
        liqo = f'driver="geneve",cluster_id="{self._peer}"'
        return web.Response(
            text=f"""\
# TYPE liqo_peer_receive_bytes_total counter
liqo_peer_receive_bytes_total{{{liqo}}} {self._scrapes * 1000}
# TYPE liqo_peer_transmit_bytes_total counter
liqo_peer_transmit_bytes_total{{{liqo}}} {self._scrapes * 500}
# TYPE liqo_peer_latency_us gauge
liqo_peer_latency_us{{{liqo}}} 2500
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{{cpu="0",mode="idle"}} {self._scrapes * 3}
node_cpu_seconds_total{{cpu="0",mode="user"}} {self._scrapes}
# TYPE node_memory_MemTotal_bytes gauge
node_memory_MemTotal_bytes 8e9
# TYPE node_memory_MemAvailable_bytes gauge
node_memory_MemAvailable_bytes 6e9
# TYPE kube_pod_status_phase gauge
kube_pod_status_phase{{namespace="shop",pod="web-1",phase="Running"}} 1
kube_pod_status_phase{{namespace="shop",pod="web-1",phase="Pending"}} 0
"""
        )


@asynccontextmanager
async def exporting(peer: str) -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes([web.get("/metrics", Exporter(peer).answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
