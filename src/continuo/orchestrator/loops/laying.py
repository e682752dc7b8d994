"""What a decision's actions make of an Adjustment. Pure: laying the same twice is laying it once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

from msgspec.structs import replace

from continuo.orchestrator import naming
from continuo.orchestrator.effective import declaration_digest, default_place, place_counts
from continuo.resources.loop import (
    AdjustmentSpec,
    ClusterAdjustment,
    DecidedAction,
    HomeAdjustment,
    LinkAdjustment,
    Operation,
    PlaceAdjustment,
    ReplicasAdjustment,
    RollbackAdjustment,
    WorkersAdjustment,
)
from continuo.resources.orchestration import AppSpec, ComponentSpec, Spec

_Entry = TypeVar("_Entry")


@dataclass(frozen=True, slots=True)
class Carried:
    """On whose word something is laid down."""

    declared: Spec
    decision: str
    since: str
    policy: str = ""
    """The loop that decided; empty for others."""
    generation: int = 0
    """Of the declaration; rollbacks alone need it."""
    base: Spec | None = None
    """The declaration with what was rolled back as it runs instead; none where nothing was."""

    def component(self, path: str) -> tuple[AppSpec, ComponentSpec] | None:
        """A component as it would be carried out if nothing but rollbacks were laid over it, with its application."""
        app_name, _, name = path.partition("/")
        base = self.base or self.declared
        found = ((app, c) for app in base.apps if app.name == app_name for c in app.components)
        return next(((app, c) for app, c in found if c.name == name), None)

    def home(self, path: str) -> str | None:
        """Where the declaration says that a component is; None where it leaves the choice."""
        found = self.component(path)
        clusters = {cluster.name: cluster for cluster in self.declared.clusters}
        return default_place(*found, clusters) if found is not None else None


def lay(adjustment: AdjustmentSpec, actions: Iterable[DecidedAction], carried: Carried) -> AdjustmentSpec:
    """The Adjustment with the actions laid down in it, without what nobody declares any more."""
    for placing, several in groupby(actions, lambda action: action.op in _PLACING):
        if placing:  # there may be hundreds among thousands
            adjustment = _placed(adjustment, several, carried)
            continue
        for action in several:
            adjustment = _LAYERS[action.op](adjustment, action, carried)
    return pruned(adjustment, carried.declared, carried.base)


def in_effect(adjustment: AdjustmentSpec, actions: Iterable[DecidedAction], carried: Carried) -> bool:
    """Whether an Adjustment says what the actions say, on whoever's word."""
    return _bare(lay(adjustment, actions, carried)) == _bare(pruned(adjustment, carried.declared, carried.base))


def names(adjustment: AdjustmentSpec) -> frozenset[str]:
    """The Decisions that an Adjustment names."""
    lists = (getattr(adjustment, field) for field in adjustment.__struct_fields__)
    return frozenset(entry.decision for entries in lists for entry in entries)


def _bare(adjustment: AdjustmentSpec) -> AdjustmentSpec:
    """What is said, whoever said it and whenever."""

    def bare(entry: Any) -> Any:
        unsaid = {"decision": "-", "since": "-", "policy": "-"}
        return replace(entry, **{field: unsaid[field] for field in unsaid if field in entry.__struct_fields__})

    fields = {
        field: tuple(sorted((bare(entry) for entry in getattr(adjustment, field)), key=repr))
        for field in adjustment.__struct_fields__
    }
    return AdjustmentSpec(**fields)


def pruned(adjustment: AdjustmentSpec, declared: Spec, base: Spec | None = None) -> AdjustmentSpec:
    """Without what speaks of something that is no longer declared, nor made on demand."""
    clusters = {cluster.name for cluster in declared.clusters}
    demanded = tuple(entry for entry in adjustment.clusters if entry.cluster.name not in clusters)
    known = clusters | {entry.cluster.name for entry in demanded}
    components = {f"{app.name}/{c.name}" for app in (base or declared).apps for c in app.components}
    apps = {app.name for app in declared.apps}
    return AdjustmentSpec(
        places=tuple(e for e in adjustment.places if e.component in components and e.cluster in known),
        replicas=tuple(e for e in adjustment.replicas if e.component in components),
        workers=tuple(e for e in adjustment.workers if e.cluster in known),
        homes=tuple(e for e in adjustment.homes if e.app in apps and e.cluster in known),
        clusters=demanded,
        links=tuple(e for e in adjustment.links if set(e.clusters) <= known),
        rollbacks=tuple(e for e in adjustment.rollbacks if e.app in apps),
    )


def counting(adjustment: AdjustmentSpec, declared: Spec, base: Spec | None = None) -> AdjustmentSpec:
    """Only what counts: neither of what is no longer declared, nor of what was declared anew.

    The rest has to go: it would count again when the declaration is one day what it was.
    """
    left = pruned(adjustment, declared, base)
    clusters = {cluster.name: cluster for cluster in declared.clusters}
    known = {entry.cluster.name: entry.cluster for entry in left.clusters} | clusters
    parts = {f"{app.name}/{c.name}": (app, c) for app in (base or declared).apps for c in app.components}
    homes = {app.name: app.cluster for app in declared.apps}
    return replace(
        left,
        places=tuple(e for e in left.places if place_counts(e, *parts[e.component], clusters)),
        replicas=tuple(e for e in left.replicas if e.declared in (None, parts[e.component][1].replicas)),
        workers=tuple(e for e in left.workers if e.declared in (None, known[e.cluster].worker_machine_count)),
        homes=tuple(e for e in left.homes if homes[e.app] == e.home),
    )


# --- one action --------------------------------------------------------------------------------------------------------


def _put(entries: tuple[_Entry, ...], same: Callable[[_Entry], bool], new: _Entry | None) -> tuple[_Entry, ...]:
    """The entries with one replaced, appended or (None) taken out."""
    kept = tuple(entry for entry in entries if not same(entry))
    return kept if new is None else (*kept, new)


def _placed(adjustment: AdjustmentSpec, actions: Iterable[DecidedAction], carried: Carried) -> AdjustmentSpec:
    places = {entry.component: entry for entry in adjustment.places}
    for action in actions:
        path, cluster = action.component, action.cluster
        if path is None or cluster is None:
            continue
        places.pop(path, None)
        if carried.home(path) != cluster:  # else it is where its declaration says: nothing is to be laid over that
            places[path] = PlaceAdjustment(
                component=path, cluster=cluster, home=action.home if action.home != cluster else None,
                decision=carried.decision, since=carried.since, policy=carried.policy or None,
            )  # fmt: skip
    return replace(adjustment, places=tuple(places.values()))


def _scale(adjustment: AdjustmentSpec, action: DecidedAction, carried: Carried) -> AdjustmentSpec:
    path = action.component
    found = carried.component(path) if path is not None else None
    if path is None or action.replicas is None or found is None:
        return adjustment
    entry = ReplicasAdjustment(
        component=path, replicas=action.replicas, declared=found[1].replicas,
        decision=carried.decision, since=carried.since, policy=carried.policy or None,
    )  # fmt: skip
    wanted = entry if entry.replicas != entry.declared else None
    return replace(adjustment, replicas=_put(adjustment.replicas, lambda e: e.component == path, wanted))


def _create(adjustment: AdjustmentSpec, action: DecidedAction, carried: Carried) -> AdjustmentSpec:
    if action.template is None:
        return adjustment
    name = action.cluster or action.template.name
    entry = ClusterAdjustment(
        cluster=replace(action.template, name=name), policy=carried.policy or "external",
        decision=carried.decision, since=carried.since,
    )  # fmt: skip
    return replace(adjustment, clusters=_put(adjustment.clusters, lambda e: e.cluster.name == name, entry))


def _workers(adjustment: AdjustmentSpec, action: DecidedAction, carried: Carried) -> AdjustmentSpec:
    name = action.cluster
    declared = {cluster.name: cluster.worker_machine_count for cluster in carried.declared.clusters}
    declared |= {e.cluster.name: e.cluster.worker_machine_count for e in adjustment.clusters}
    if name is None or action.workers is None or name not in declared:
        return adjustment
    entry = WorkersAdjustment(
        cluster=name, workers=action.workers, declared=declared[name],
        decision=carried.decision, since=carried.since, policy=carried.policy or None,
    )  # fmt: skip
    wanted = entry if entry.workers != entry.declared else None
    return replace(adjustment, workers=_put(adjustment.workers, lambda e: e.cluster == name, wanted))


def _delete(adjustment: AdjustmentSpec, action: DecidedAction, _: Carried) -> AdjustmentSpec:
    return replace(
        adjustment,
        clusters=_put(adjustment.clusters, lambda e: e.cluster.name == action.cluster, None),
        workers=_put(adjustment.workers, lambda e: e.cluster == action.cluster, None),
    )


def _link(adjustment: AdjustmentSpec, action: DecidedAction, carried: Carried) -> AdjustmentSpec:
    return _linked(adjustment, action, carried, wanted=True)


def _unlink(adjustment: AdjustmentSpec, action: DecidedAction, carried: Carried) -> AdjustmentSpec:
    return _linked(adjustment, action, carried, wanted=False)


def _linked(adjustment: AdjustmentSpec, action: DecidedAction, carried: Carried, *, wanted: bool) -> AdjustmentSpec:
    if action.cluster is None or action.other is None:
        return adjustment
    pair = naming.pair(action.cluster, action.other)
    declared = any(naming.pair(*link) == pair for link in carried.declared.links)
    entry = LinkAdjustment(clusters=pair, removed=not wanted, decision=carried.decision, since=carried.since)
    links = _put(adjustment.links, lambda e: naming.pair(*e.clusters) == pair, entry if declared != wanted else None)
    return replace(adjustment, links=links)


def _home(adjustment: AdjustmentSpec, action: DecidedAction, carried: Carried) -> AdjustmentSpec:
    app = next((app for app in carried.declared.apps if app.name == action.app), None)
    if app is None or action.cluster is None:
        return adjustment
    entry = HomeAdjustment(
        app=app.name, cluster=action.cluster, home=app.cluster, decision=carried.decision, since=carried.since,
        policy=carried.policy or None,
    )  # fmt: skip
    wanted = entry if action.cluster != app.cluster else None
    return replace(adjustment, homes=_put(adjustment.homes, lambda e: e.app == action.app, wanted))


def _roll_back(adjustment: AdjustmentSpec, action: DecidedAction, carried: Carried) -> AdjustmentSpec:
    component = action.component.partition("/")[2] if action.component else None
    app_name = action.app or (action.component or "").partition("/")[0]
    app = next((app for app in carried.declared.apps if app.name == app_name), None)
    part = next((c for c in app.components if c.name == component), None) if app is not None and component else None
    item = part if component else app
    if app is None or item is None or action.revision is None:
        return adjustment
    entry = RollbackAdjustment(
        app=app.name, component=component, revision=action.revision,
        failed=declaration_digest(item, carried.generation), decision=carried.decision, since=carried.since,
    )  # fmt: skip
    same: Callable[[RollbackAdjustment], bool] = lambda e: (e.app, e.component) == (app.name, component)  # noqa: E731
    return replace(adjustment, rollbacks=_put(adjustment.rollbacks, same, entry))


_PLACING = frozenset({Operation.PLACE_COMPONENT, Operation.MIGRATE_COMPONENT})
_LAYERS: Mapping[Operation, Callable[[AdjustmentSpec, DecidedAction, Carried], AdjustmentSpec]] = {
    Operation.SCALE_COMPONENT: _scale,
    Operation.CREATE_CLUSTER: _create,
    Operation.SCALE_CLUSTER: _workers,
    Operation.DELETE_CLUSTER: _delete,
    Operation.LINK_CLUSTERS: _link,
    Operation.UNLINK_CLUSTERS: _unlink,
    Operation.MOVE_HOME: _home,
    Operation.ROLL_BACK: _roll_back,
}
