"""Ports' counters as text for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable

from continuo.iot.hub.networks.server import NetworkServer

_WAYS = (("in", "received"), ("out", "sent"))


def lines(networks: NetworkServer) -> Iterable[str]:
    """Which ports are connected, what each carried, and what was dropped and why."""
    ports = [
        (f'network="{network}",port="{port}"', port, counters) for network, port, counters in networks.all_counters()
    ]
    yield _head("continuo_hub_port_connected", "gauge", "Whether the port's board end is there.")
    for labels, port, _ in ports:
        yield f"continuo_hub_port_connected{{{labels}}} {int(networks.connected(port))}\n"
    for unit, suffix in (("frames", ""), ("bytes", "_bytes")):
        name = f"continuo_hub_port_{unit}_total"
        yield _head(name, "counter", f"{unit.capitalize()} from the board (in) and to it (out).")
        for labels, _, counters in ports:
            for way, counter in _WAYS:
                yield f'{name}{{{labels},direction="{way}"}} {counters.get(counter + suffix, 0)}\n'
    name = "continuo_hub_port_dropped_total"
    yield _head(name, "counter", "Frames that were dropped, by reason.")
    for labels, _, counters in ports:
        for counter, count in sorted(counters.items()):
            if counter.startswith("dropped "):
                yield f'{name}{{{labels},reason="{counter.removeprefix("dropped ")}"}} {count}\n'


def _head(name: str, kind: str, about: str) -> str:
    return f"# HELP {name} {about}\n# TYPE {name} {kind}\n"
