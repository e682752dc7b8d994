"""The relay's figures for Prometheus. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import Metric

from continuo.edge.relay.path import Path
from continuo.edge.relay.relay import Relay
from continuo.telemetry import families as f
from continuo.telemetry.metrics import Family, Tally

_PATHS: tuple[tuple[Family, Callable[[Path], float]], ...] = (
    (f.RELAY_DELIVERED, lambda path: path.figures.delivered),
    (f.RELAY_DELIVERED_BYTES, lambda path: path.figures.bytes),
    (f.RELAY_FAILED, lambda path: path.figures.failed),
    (f.RELAY_DEAD, lambda path: path.figures.dead),
    (f.RELAY_DROPPED, lambda path: path.figures.dropped),
    (f.RELAY_QUEUE, lambda path: len(path.lanes)),
    (f.RELAY_QUEUE_BYTES, lambda path: path.lanes.bytes),
)


def figures(relay: Relay) -> Iterator[Metric]:
    """What came, what became of it on the way to each target, and how long that took."""
    told, totals = Tally(f.RELAY), relay.totals
    for family, value in (
        (f.RELAY_READINGS, totals.readings), (f.RELAY_BYTES, totals.bytes), (f.RELAY_DOUBLED, totals.doubled),
        (f.RELAY_UNSOLD, totals.unsold), (f.RELAY_THINNED, totals.thinned), (f.RELAY_UNPROVEN, totals.unproven),
        (f.RELAY_DELEGATIONS, len(relay.gate)), (f.RELAY_MEMORY, relay.memory.bytes),
        (f.RELAY_ROUTES, len(relay.routes)),
    ):  # fmt: skip
        told.put(family, (), value)
    for live in relay.routes.values():
        for number, path in enumerate(live.paths.values()):  # two targets may differ in what is not shown
            labels = (live.route.name, path.shown, str(number))
            for family, of in _PATHS:
                told.put(family, labels, of(path))
            latencies = path.figures.latencies
            told.histogram(f.RELAY_LATENCY, labels, latencies.buckets, latencies.sum / 1000)
    return told.metrics()
