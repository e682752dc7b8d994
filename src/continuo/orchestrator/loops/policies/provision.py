"""Create a cluster when a component fits nowhere, and remove it once it is empty.

A cluster is created for components, not for events: what is on its way already is counted first, so that the same
component never gets a second one. A component that a new cluster did not help is not given another for an hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import msgspec

from continuo.orchestrator.loops.model import Amounts, ClusterView, ComponentView, LoopInput, LoopOutput, Memory
from continuo.orchestrator.loops.policies import room
from continuo.orchestrator.loops.policies.removal import Busy, Removal, removal
from continuo.orchestrator.loops.policies.suits import unsuitable
from continuo.resources.loop import DecidedAction, Operation
from continuo.resources.orchestration import ClusterPhase, ClusterSpec, LoopStage
from continuo.resources.orchestration_policies import Policy, ProvisionCluster
from continuo.resources.quantities import quantity

FUTILE_FOR = timedelta(hours=1)
FUTILE, OFFERED = "futile:", "offered:"
COMING = frozenset({ClusterPhase.PENDING, ClusterPhase.PROVISIONING, ClusterPhase.INSTALLING_PACKAGES})


@dataclass(slots=True)
class Bin:
    """Room that there is, or that is on its way."""

    name: str
    free: Amounts | None
    """None: not known, so anything may fit."""
    coming: bool
    """Not usable yet."""
    taken: list[ComponentView] = field(default_factory=list)

    def take(self, component: ComponentView) -> bool:
        if self.free is not None:
            if room.lacking(component.total, self.free):
                return False
            self.free -= component.total
        self.taken.append(component)
        return True


def provision(given: LoopInput, loop: ProvisionCluster) -> LoopOutput:
    """Clusters for what fits nowhere; none for what another cluster will take, and none that would not help."""
    own = sorted((c for c in given.clusters.values() if c.policy == given.policy.name), key=lambda c: c.name)
    asking, excused = _asking(given, loop)
    size = _size(loop, own)
    bins = _bins(own, given, size)
    told, created = _fill(asking, bins, size, loop, given)
    offered = _offered(given, bins)
    going = removal(given, loop, own, _busy(bins, offered, given.now, timedelta(seconds=loop.remove_after)))
    memory = _memory(given.memory, given.now, going, offered)
    text = _observation(len(given.unplaced), len(own), loop)
    if created:
        actions = tuple(_create(loop, bin_) for bin_ in created)
        return LoopOutput(
            LoopStage.DECIDE, text, actions, _why(created), message="; ".join(told + excused), memory=memory,
            explanation={"fitNowhere": {entry.component: entry.reason for entry in given.unplaced}},
        )  # fmt: skip
    if going.actions:
        return LoopOutput(
            LoopStage.DECIDE, text, going.actions, going.reason, going.next_look, "; ".join(told), {}, memory
        )
    coming = [bin_.name for bin_ in bins if bin_.coming]
    if coming:
        told = [f"{', '.join(coming)} {'is' if len(coming) == 1 else 'are'} on the way", *told]
    stage = LoopStage.ACT if coming else LoopStage.ORIENT
    return LoopOutput(stage, text, (), "", going.next_look, "; ".join(told + excused) or going.message, {}, memory)


def _observation(unplaced: int, own: int, loop: ProvisionCluster) -> str:
    fit = (
        "every component has a place"
        if not unplaced
        else f"{unplaced} component{'s fit' if unplaced > 1 else ' fits'} nowhere"
    )
    return f"{fit}; {own} of at most {loop.max} {loop.template.name}"


def _asking(given: LoopInput, loop: ProvisionCluster) -> tuple[list[ComponentView], list[str]]:
    """The components that a new cluster could help, largest first; and why the others are not helped by one."""
    asking, excused = [], []
    for entry in given.unplaced:
        component = given.components.get(entry.component)
        if component is None:
            continue
        why = unsuitable(component, loop.template) or _cut_off(given, component, loop.template)
        if why := why or _elsewhere(given, component) or _futile(given, component):
            excused.append(f"{component.path}: {why}")
        else:
            asking.append(component)
    return sorted(asking, key=lambda c: (-c.total.cpu_millis, -c.total.memory_bytes, c.path)), excused


def _cut_off(given: LoopInput, component: ComponentView, cluster: ClusterSpec) -> str:
    """Whether a new cluster could not be linked with the home of the component's application."""
    home = given.clusters.get(component.app.cluster)
    if home is not None and home.unlinkable:
        return f"no cluster can be linked with {home.name}, the home of {component.app.name}: it {home.unlinkable}"
    if "liqo" not in cluster.package_set:
        return f"a cluster without Liqo cannot be linked with {component.app.cluster}, the home of {component.app.name}"
    return ""


def _elsewhere(given: LoopInput, component: ComponentView) -> str:
    """Whether another cluster is about to have room: still coming up, or grown by a loop of its own."""
    growing = {
        p.scale_cluster.cluster: p for p in given.declared.policies if p.scale_cluster is not None and not p.hold
    }
    for cluster in given.clusters.values():
        if cluster.policy is not None or cluster.spec is None or unsuitable(component, cluster.spec):
            continue
        if cluster.phase in COMING and not cluster.usable and cluster.lost_since is None:
            return f"cluster {cluster.name} is still coming up"
        if not cluster.spec.existing and room.well(cluster) and _grows(cluster, component, growing.get(cluster.name)):
            return f"cluster {cluster.name} gets more workers"
    return ""


def _grows(cluster: ClusterView, component: ComponentView, policy: Policy | None) -> bool:
    capacity, spec = cluster.capacity, cluster.spec
    if capacity is None or spec is None or not capacity.usable_nodes:
        return False
    most = max(policy.scale_cluster.max, spec.worker_machine_count) if policy and policy.scale_cluster else 0
    more = max(most, spec.worker_machine_count) - cluster.workers_ready
    need = room.nodes_for(capacity.requested + capacity.pending + component.total, capacity)
    return 0 < need - capacity.usable_nodes <= more


def _futile(given: LoopInput, component: ComponentView) -> str:
    since = given.memory.since.get(f"{FUTILE}{component.path}")
    if since is None or given.now - since >= FUTILE_FOR:
        return ""
    return (
        f"a cluster was there for it and it was not placed on it; no other is made before {_clock(since + FUTILE_FOR)}"
    )


def _clock(at: datetime) -> str:
    return at.strftime("%H:%M UTC")


def _size(loop: ProvisionCluster, own: list[ClusterView]) -> Amounts | None:
    """What one such cluster takes: as the policy says, else as one that is there says."""
    if loop.capacity:
        said = {name: quantity(text) for name, text in loop.capacity.items()}
        gpus = sum((int(value) for name, value in said.items() if name.endswith("/gpu")), 0)
        return Amounts(int(said.get("cpu", 0) * 1000), int(said.get("memory", 1 << 62)), gpus)
    return next((c.capacity.allocatable for c in own if room.well(c) and c.capacity is not None), None)


def _bins(own: list[ClusterView], given: LoopInput, size: Amounts | None) -> list[Bin]:
    found = []
    for cluster in own:
        if cluster.spec is None or cluster.lost_since is not None:
            continue
        if room.well(cluster) and cluster.capacity is not None:
            found.append(Bin(cluster.name, room.free(cluster.capacity), coming=False))
        else:
            placed = room.total(c for c in given.components.values() if c.cluster == cluster.name)
            found.append(Bin(cluster.name, None if size is None else size - placed, coming=True))
    return found


def _fill(
    asking: list[ComponentView], bins: list[Bin], size: Amounts | None, loop: ProvisionCluster, given: LoopInput
) -> tuple[list[str], list[Bin]]:
    """First fit, largest first: into what is there or on its way, then into new clusters."""
    told: list[str] = []
    created: list[Bin] = []
    names = _names(given, loop)
    for component in asking:
        if (found := next((bin_ for bin_ in (*bins, *created) if bin_.take(component)), None)) is not None:
            if not found.coming:
                told.append(f"{component.path}: {found.name} has room for it, and placement does not take it")
        elif size is not None and (lack := room.lacking(component.total, size)):
            told.append(f"{component.path} would not fit an empty {loop.template.name} either: {lack}")
        elif len(own := [*_alive(given), *created]) >= loop.max:
            told.append(f"{component.path}: there are {len(own)} of at most {loop.max} {loop.template.name} already")
        else:
            created.append(Bin(next(names), size, coming=True))
            created[-1].take(component)
    return told, created


def _alive(given: LoopInput) -> list[ClusterView]:
    return [c for c in given.clusters.values() if c.policy == given.policy.name]


def _names(given: LoopInput, loop: ProvisionCluster) -> Iterator[str]:
    """Free names, lowest number first."""
    taken = {*given.clusters, *(spec.name for spec in given.declared.clusters)}
    taken |= {entry.cluster.name for entry in given.adjustment.clusters}
    number = 0
    while True:
        number += 1
        if (name := f"{loop.template.name}-{number}") not in taken:
            yield name


def _create(loop: ProvisionCluster, bin_: Bin) -> DecidedAction:
    template = msgspec.structs.replace(loop.template, name=bin_.name)
    return DecidedAction(op=Operation.CREATE_CLUSTER, cluster=bin_.name, template=template)


def _why(created: list[Bin]) -> str:
    parts = []
    for bin_ in created:
        paths = [component.path for component in bin_.taken]
        named = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
        verb, them = ("fits", "it") if len(paths) == 1 else ("fit", "them")
        parts.append(f"{named} {verb} nowhere: {bin_.name} for {them}")
    return "; ".join(parts)


def _offered(given: LoopInput, bins: list[Bin]) -> dict[str, datetime]:
    """Since when components could be on a cluster that is there for them, and are not."""
    paths = [component.path for bin_ in bins if not bin_.coming for component in bin_.taken]
    return {path: given.memory.since.get(f"{OFFERED}{path}", given.now) for path in paths}


def _busy(bins: list[Bin], offered: dict[str, datetime], now: datetime, patience: timedelta) -> Busy:
    """The clusters that are still to be taken by somebody; not for ever, if nobody does."""
    ends = {
        bin_.name: max(offered[c.path] for c in bin_.taken) + patience
        for bin_ in bins
        if bin_.taken and not bin_.coming
    }
    return Busy(
        frozenset(bin_.name for bin_ in bins if bin_.coming and bin_.taken),
        {name: end for name, end in ends.items() if end > now},
    )


def _memory(memory: Memory, now: datetime, going: Removal, offered: dict[str, datetime]) -> Memory:
    """Since when clusters are empty; and for what a cluster that is removed was of no use."""
    since = {key: at for key, at in memory.since.items() if key.startswith(FUTILE) and now - at < FUTILE_FOR}
    if going.deletes:
        since |= {f"{FUTILE}{path}": now for path in offered if f"{FUTILE}{path}" not in since}
    since |= {**going.since, **{f"{OFFERED}{path}": at for path, at in offered.items()}}
    return replace(memory, started=memory.started or now, since=since)
