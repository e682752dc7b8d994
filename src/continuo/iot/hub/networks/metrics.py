"""Ports' counters as metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from continuo.iot.hub.networks.server import NetworkServer
from continuo.telemetry.metrics import Family, Tally

_PORT = ("network", "port")
CONNECTED = Family("continuo_hub_port_connected", "gauge", "Whether the port's board end is there.", _PORT)
FRAMES = Family(
    "continuo_hub_port_frames_total", "counter", "Frames from the board (in) and to it (out).", (*_PORT, "direction")
)
BYTES = Family(
    "continuo_hub_port_bytes_total", "counter", "Bytes from the board (in) and to it (out).", (*_PORT, "direction")
)
DROPPED = Family(
    "continuo_hub_port_dropped_total", "counter", "Frames that were dropped, by reason.", (*_PORT, "reason")
)
_WAYS = (("in", "received"), ("out", "sent"))


def metrics(networks: NetworkServer) -> Iterator[Metric]:
    """Which ports are connected, what each carried, and what was dropped and why."""
    told = Tally((CONNECTED, FRAMES, BYTES, DROPPED))
    for network, port, counters in networks.all_counters():
        told.put(CONNECTED, (network, port), int(networks.connected(port)))
        for way, counter in _WAYS:
            told.put(FRAMES, (network, port, way), counters.get(counter, 0))
            told.put(BYTES, (network, port, way), counters.get(f"{counter}_bytes", 0))
        for counter, count in sorted(counters.items()):
            if counter.startswith("dropped "):
                told.put(DROPPED, (network, port, counter.removeprefix("dropped ")), count)
    return told.metrics()
