"""Ports' counters as metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from continuo.iot.hub.networks.server import NetworkServer
from continuo.telemetry import families as f
from continuo.telemetry.metrics import Tally

_WAYS = (("in", "received"), ("out", "sent"))


def metrics(networks: NetworkServer) -> Iterator[Metric]:
    """Which ports are connected, what each carried, and what was dropped and why."""
    told = Tally((f.HUB_PORT_CONNECTED, f.HUB_PORT_FRAMES, f.HUB_PORT_BYTES, f.HUB_PORT_DROPPED))
    for network, port, counters in networks.all_counters():
        told.put(f.HUB_PORT_CONNECTED, (network, port), int(networks.connected(port)))
        for way, counter in _WAYS:
            told.put(f.HUB_PORT_FRAMES, (network, port, way), counters.get(counter, 0))
            told.put(f.HUB_PORT_BYTES, (network, port, way), counters.get(f"{counter}_bytes", 0))
        for counter, count in sorted(counters.items()):
            if counter.startswith("dropped "):
                told.put(f.HUB_PORT_DROPPED, (network, port, counter.removeprefix("dropped ")), count)
    return told.metrics()
