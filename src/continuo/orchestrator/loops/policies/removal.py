"""When a cluster on demand goes: once nothing has been placed on it for long enough, or could live elsewhere for as long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from continuo.orchestrator.loops.model import ClusterView, ComponentView, LoopInput
from continuo.orchestrator.loops.policies import room
from continuo.resources.loop import DecidedAction, Operation
from continuo.resources.orchestration_policies import ProvisionCluster

IDLE, MOVING = "idle:", "moving:"


@dataclass(frozen=True, slots=True)
class Removal:
    """What goes, or when to look again."""

    actions: tuple[DecidedAction, ...] = ()
    reason: str = ""
    message: str = ""
    next_look: datetime | None = None
    since: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def deletes(self) -> bool:
        return any(action.op is Operation.DELETE_CLUSTER for action in self.actions)


@dataclass(frozen=True, slots=True)
class Busy:
    """Clusters that have to stay although they are empty."""

    reserved: frozenset[str]
    """On their way for a component: they do not even count as empty."""
    offered: Mapping[str, datetime]
    """There for a component that placement may still put on them: until when."""


def removal(given: LoopInput, loop: ProvisionCluster, own: list[ClusterView], busy: Busy) -> Removal:
    """Clusters that have been empty for `remove-after`, else the components of one that could be."""
    since = _moving(given)
    idle: dict[str, list[DecidedAction]] = {}
    for cluster in own:
        if cluster.spec is None or cluster.name in busy.reserved:
            continue
        emptied = _emptied(given, loop, cluster, own)
        if emptied is not None:
            idle[cluster.name] = emptied
            since[f"{IDLE}{cluster.name}"] = given.memory.since.get(f"{IDLE}{cluster.name}", given.now)
    wait = timedelta(seconds=loop.remove_after)
    over = {name for name in idle if given.now - since[f"{IDLE}{name}"] >= wait}
    due = {name: moves for name, moves in idle.items() if name in over and name not in busy.offered}
    later = [since[f"{IDLE}{name}"] + wait for name in idle if name not in over]
    later += [busy.offered[name] for name in over & busy.offered.keys()]
    found = _due(given, due, loop.remove_after, since)
    return Removal(found.actions, found.reason, found.message, min(later, default=None), since)


def _due(
    given: LoopInput, due: Mapping[str, list[DecidedAction]], seconds: int, since: Mapping[str, datetime]
) -> Removal:
    empty = [name for name, moves in due.items() if not moves]
    if empty and (moving := _unsettled(given, since)):
        return Removal(message=f"{', '.join(empty)} may go once {', '.join(moving)} runs where it is placed now")
    if empty:
        actions = tuple(DecidedAction(op=Operation.DELETE_CLUSTER, cluster=name) for name in empty)
        told = f"{', '.join(empty)} {'has' if len(empty) == 1 else 'have'} not been needed for {seconds} s"
        return Removal(actions, told)
    for name, moves in due.items():
        paths = ", ".join(str(action.component) for action in moves[:3]) + (" and more" if len(moves) > 3 else "")
        return Removal(tuple(moves), f"{paths} could have lived elsewhere than on {name} for {seconds} s")
    return Removal()


def _emptied(
    given: LoopInput, loop: ProvisionCluster, cluster: ClusterView, own: list[ClusterView]
) -> list[DecidedAction] | None:
    """The moves that empty a cluster: none where it is empty; None where it has to stay."""
    if any(app.cluster == cluster.name for app in {c.app.name: c.app for c in given.components.values()}.values()):
        return None
    here = sorted((c for c in given.components.values() if c.cluster == cluster.name), key=lambda c: c.path)
    if not here:
        return []
    if not loop.consolidate or not room.well(cluster) or any(not _may_leave(c) for c in here):
        return None
    avoid = {c.name for c in own} | {c.name for c in given.clusters.values() if not room.well(c)}
    found = given.place([c.path for c in here], frozenset(avoid))
    if any(c.path not in found.places for c in here):
        return None
    return [
        DecidedAction(
            op=Operation.MIGRATE_COMPONENT, component=c.path, cluster=found.places[c.path], other=cluster.name
        )
        for c in here
    ]


def _may_leave(component: ComponentView) -> bool:
    """Whether its place is the scheduler's choice, and it is no guest that goes home by itself."""
    return component.spec.placement is not None and component.declared.cluster_selector is None and component.settled


def _moving(given: LoopInput) -> dict[str, datetime]:
    keys = [f"{MOVING}{c.path}" for c in given.components.values() if not c.settled]
    return {key: given.memory.since.get(key, given.now) for key in keys}


def _unsettled(given: LoopInput, since: Mapping[str, datetime]) -> list[str]:
    """Components that are on their way; one that does not get there in time holds nobody up."""
    return [
        c.path
        for c in given.components.values()
        if not c.settled and given.now - since[f"{MOVING}{c.path}"] < timedelta(seconds=c.app.deploy_within)
    ]
