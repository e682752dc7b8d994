"""The hub's figures for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from prometheus_client.core import Metric

from continuo.telemetry import families as f
from continuo.telemetry.metrics import Tally

if TYPE_CHECKING:
    from continuo.cli.hub_serve import Parts


def figures(parts: Parts, asked: Mapping[tuple[str, str], int]) -> list[Metric]:
    """All of them. `asked`: REST requests by method and route."""
    from continuo.iot.hub.model import Board, Request
    from continuo.iot.hub.networks.metrics import metrics

    router, registry = parts.router, parts.core.registry
    counts = router.counts
    told = Tally((
        f.HUB_BOARDS, f.HUB_ONLINE, f.HUB_SESSIONS, f.HUB_SESSIONS_BEGUN, f.HUB_REFUSED, f.HUB_CALLS, f.HUB_PENDING,
        f.HUB_NETWORK_REFUSED, f.HUB_REST,
    ))  # fmt: skip
    for family, value in (
        (f.HUB_BOARDS, len(registry.table(Board))), (f.HUB_ONLINE, router.online), (f.HUB_SESSIONS, router.sessions),
        (f.HUB_SESSIONS_BEGUN, counts["sessions"]), (f.HUB_REFUSED, counts["refused"]), (f.HUB_CALLS, counts["calls"]),
        (f.HUB_PENDING, registry.table(Request).count("done", False)), (f.HUB_NETWORK_REFUSED, parts.networks.refused),
    ):  # fmt: skip
        told.put(family, (), value)
    for labels, count in sorted(asked.items()):
        told.put(f.HUB_REST, labels, count)
    return [*told.metrics(), *metrics(parts.networks)]
