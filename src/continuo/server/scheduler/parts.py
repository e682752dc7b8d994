"""What the scheduler's interface is made of, once per process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from continuo.kube.port import Cluster
from continuo.placement.guards import Limits
from continuo.server.orchestrations import Orchestrations
from continuo.server.scheduler.decisions import Decisions
from continuo.server.scheduler.following import Infrastructure
from continuo.server.scheduler.pending import PendingPlacements
from continuo.server.scheduler.stream import Streams
from continuo.server.subjects import Gate
from continuo.trust.holder import utc_now

SCHEDULERS = "continuo:schedulers"
"""The group whose members may use the interface, where no other is named."""


@dataclass(frozen=True, slots=True)
class SchedulerParts:
    """The interface's services, and who may use them."""

    infrastructure: Infrastructure
    streams: Streams
    pending: PendingPlacements
    decisions: Decisions
    gate: Gate


def make_scheduler(
    cluster: Cluster,
    orchestrations: Orchestrations,
    gate: Gate,
    *,
    groups: frozenset[str] = frozenset((SCHEDULERS,)),
    default: str | None = None,
    limits: Limits | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> SchedulerParts:
    """The services over one management cluster's namespace; `orchestrations` brings the watch that is shared."""
    infrastructure = Infrastructure(orchestrations.informer, cluster, clock=clock)
    decisions = Decisions(infrastructure, cluster, limits, default)
    pending = PendingPlacements(infrastructure)
    return SchedulerParts(infrastructure, Streams(infrastructure), pending, decisions, gate.narrowed(groups))
