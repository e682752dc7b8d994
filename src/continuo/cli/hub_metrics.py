"""The hub's figures for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from prometheus_client.core import Metric

from continuo.telemetry.metrics import Family, Tally

if TYPE_CHECKING:
    from continuo.cli.hub_serve import Parts

BOARDS = Family("continuo_hub_boards", "gauge", "Boards that there are.")
ONLINE = Family("continuo_hub_boards_online", "gauge", "Boards that have a session.")
SESSIONS = Family("continuo_hub_sessions_open", "gauge", "Sessions, of newcomers too.")
SESSIONS_BEGUN = Family("continuo_hub_sessions_total", "counter", "Sessions that began.")
REFUSED = Family("continuo_hub_refused_total", "counter", "Peers that were turned away.")
CALLS = Family("continuo_hub_calls_total", "counter", "Calls to boards.")
PENDING = Family("continuo_hub_requests_pending", "gauge", "Requests that go on.")
NETWORK_REFUSED = Family("continuo_hub_network_refused_total", "counter", "Ends of ports that were not let in.")
REST = Family("continuo_hub_rest_requests_total", "counter", "REST requests that ended.", ("method", "route"))


def figures(parts: Parts, asked: Mapping[tuple[str, str], int]) -> list[Metric]:
    """All of them. `asked`: REST requests by method and route."""
    from continuo.iot.hub.model import Board, Request
    from continuo.iot.hub.networks.metrics import metrics

    router, registry = parts.router, parts.core.registry
    counts = router.counts
    told = Tally((BOARDS, ONLINE, SESSIONS, SESSIONS_BEGUN, REFUSED, CALLS, PENDING, NETWORK_REFUSED, REST))
    for family, value in (
        (BOARDS, len(registry.table(Board))), (ONLINE, router.online), (SESSIONS, router.sessions),
        (SESSIONS_BEGUN, counts["sessions"]), (REFUSED, counts["refused"]), (CALLS, counts["calls"]),
        (PENDING, registry.table(Request).count("done", False)), (NETWORK_REFUSED, parts.networks.refused),
    ):  # fmt: skip
        told.put(family, (), value)
    for labels, count in sorted(asked.items()):
        told.put(REST, labels, count)
    return [*told.metrics(), *metrics(parts.networks)]
