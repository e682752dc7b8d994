"""The relay's figures for Prometheus. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from continuo.edge.relay.figures import BOUNDS
from continuo.edge.relay.path import Path
from continuo.edge.relay.relay import Relay

_PATHS: tuple[tuple[str, str, str, Callable[[Path], float]], ...] = (
    ("readings_delivered_total", "counter", "Readings that the target took.", lambda path: path.figures.delivered),
    ("bytes_delivered_total", "counter", "Bytes of payload that the target took.", lambda path: path.figures.bytes),
    ("attempts_failed_total", "counter", "Attempts that did not succeed.", lambda path: path.figures.failed),
    ("readings_dead_total", "counter", "Readings that were given up.", lambda path: path.figures.dead),
    (
        "readings_dropped_total",
        "counter",
        "Readings that the queue had no room for.",
        lambda path: path.figures.dropped,
    ),
    ("queue_readings", "gauge", "Readings that wait.", lambda path: len(path.lanes)),
    ("queue_bytes", "gauge", "Bytes of payload that wait.", lambda path: path.lanes.bytes),
)


def exposition(relay: Relay) -> str:
    """All of it, as Prometheus' text format."""
    totals = relay.totals
    lines = list(_single("readings_total", "counter", "Readings that came and were bought.", totals.readings))
    lines += _single("bytes_total", "counter", "Their bytes.", totals.bytes)
    lines += _single("readings_doubled_total", "counter", "Readings that had come before.", totals.doubled)
    lines += _single("readings_unsold_total", "counter", "Readings that nobody has bought.", totals.unsold)
    lines += _single("readings_thinned_total", "counter", "Readings beyond the rate of a flow.", totals.thinned)
    lines += _single("readings_unproven_total", "counter", "Readings of devices for which no gateway had proved itself.",
                     totals.unproven)  # fmt: skip
    lines += _single("delegations", "gauge", "Devices for which a gateway has proved itself.", len(relay.gate))
    lines += _single("memory_bytes", "gauge", "Memory of all readings that wait.", relay.memory.bytes)
    lines += _single("routes", "gauge", "Routes.", len(relay.routes))
    paths = [
        (f'route="{_label(live.route.name)}",target="{_label(path.shown)}",number="{number}"', path)
        for live in relay.routes.values()
        for number, path in enumerate(live.paths.values())  # two targets may differ in what is not shown
    ]
    for name, kind, about, value in _PATHS:
        lines += _head(name, kind, about)
        lines += [f"continuo_relay_{name}{{{labels}}} {value(path)}" for labels, path in paths]
    lines += _head("latency_seconds", "histogram", "From when a reading came until the target had taken it.")
    for labels, path in paths:
        lines += _histogram(labels, path)
    return "\n".join(lines) + "\n"


def _histogram(labels: str, path: Path) -> Iterable[str]:
    count = 0
    latencies = path.figures.latencies
    for bound, number in zip((*BOUNDS, None), latencies.buckets, strict=True):
        count += number
        until = "+Inf" if bound is None else f"{bound / 1000:g}"
        yield f'continuo_relay_latency_seconds_bucket{{{labels},le="{until}"}} {count}'
    yield f"continuo_relay_latency_seconds_sum{{{labels}}} {latencies.sum / 1000:.6f}"
    yield f"continuo_relay_latency_seconds_count{{{labels}}} {count}"


def _head(name: str, kind: str, about: str) -> Iterable[str]:
    yield f"# HELP continuo_relay_{name} {about}"
    yield f"# TYPE continuo_relay_{name} {kind}"


def _single(name: str, kind: str, about: str, value: int) -> Iterable[str]:
    yield from _head(name, kind, about)
    yield f"continuo_relay_{name} {value}"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
