"""What is carried out: the declaration with its Adjustment laid over it.

Pure. Nobody writes a declaration but its writer, and that one wins: what an Adjustment says of something that is no longer
declared, or that was declared anew since, does not count. Without an Adjustment the result is the declaration itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import replace

from continuo.orchestrator import naming
from continuo.resources.loop import (
    AdjustmentSpec,
    HomeAdjustment,
    PlaceAdjustment,
    ReplicasAdjustment,
    RollbackAdjustment,
)
from continuo.resources.meta import Object
from continuo.resources.orchestration import AppSpec, ClusterSpec, ComponentSpec, Spec, encode

Revisions = Mapping[str, AppSpec]
"""How applications last ran well: by the name of the ControllerRevision that holds it."""


def effective(spec: Spec, adjustment: AdjustmentSpec, revisions: Revisions | None = None, generation: int = 0) -> Spec:
    """The declaration, of that `metadata.generation`, as it is carried out; the last two are about rollbacks alone."""
    if adjustment == AdjustmentSpec():
        return spec
    clusters = _clusters(spec, adjustment)
    names = {cluster.name for cluster in clusters}
    declared = {cluster.name: cluster for cluster in spec.clusters}
    ground = _Ground(
        {entry.component: entry for entry in adjustment.places if entry.cluster in names},
        {entry.component: entry for entry in adjustment.replicas},
        {entry.app: entry for entry in adjustment.homes if entry.cluster in names},
        declared, frozenset(names - declared.keys()),
    )  # fmt: skip
    apps = tuple(_app(app, ground) for app in rolled_back(spec, adjustment, revisions or {}, generation).apps)
    return replace(spec, clusters=clusters, links=_links(spec, adjustment, names), apps=apps)


def rolled_back(spec: Spec, adjustment: AdjustmentSpec, revisions: Revisions, generation: int) -> Spec:
    """The declaration with those applications as they last ran well that failed as they are declared."""
    if not adjustment.rollbacks:
        return spec
    entries: dict[str, list[RollbackAdjustment]] = {}
    for entry in adjustment.rollbacks:
        entries.setdefault(entry.app, []).append(entry)
    return replace(
        spec, apps=tuple(_rolled_back(app, entries.get(app.name, ()), revisions, generation) for app in spec.apps)
    )


def default_place(app: AppSpec, component: ComponentSpec, declared: Mapping[str, ClusterSpec]) -> str | None:
    """The cluster that a declaration means: its selector, else a cluster of the hinted tier, else the home cluster.

    Among several clusters of the tier the home cluster comes first, then the alphabetical order. None: the scheduler chooses.
    """
    if component.cluster_selector:
        return component.cluster_selector
    if component.placement is not None:
        return None
    if component.placement_hint:
        tier = str(component.placement_hint).lower()
        fitting = sorted(n for n, spec in declared.items() if str(spec.tier or "") == tier and not spec.simulated)
        if fitting and app.cluster not in fitting:
            return fitting[0]
    return app.cluster


def declaration_digest(item: AppSpec | ComponentSpec, generation: int) -> str:
    """What tells one declaration of an application (or component) from another; replicas that loops change included.

    It stands where more people read than may read Secrets, and a fast hash of a secret value lets them try values. So those
    are no part of it: where there are any, the orchestration's `metadata.generation` stands for them all.
    """
    bare = _bare(item) if isinstance(item, ComponentSpec) else _bare_app(item)
    return naming.digest(encode(item) if bare is item else [encode(bare), generation], 16)


def _bare_app(app: AppSpec) -> AppSpec:
    components = tuple(_bare(component) for component in app.components)
    same = all(bare is component for bare, component in zip(components, app.components, strict=True))
    return app if same else replace(app, components=components)


def _bare(component: ComponentSpec) -> ComponentSpec:
    """The component without secret values of its own; itself where it has none."""
    env = component.env
    if env is None or not env.is_secret or all(variable.value is None for variable in env.variables):
        return component
    return replace(component, env=replace(env, variables=tuple(replace(v, value=None) for v in env.variables)))


def revision_app(revision: Object) -> AppSpec | None:
    """The application that a ControllerRevision holds; None where it holds none that can be read."""
    try:
        return msgspec.convert(revision.get("data"), AppSpec)
    except msgspec.ValidationError:
        return None


# --- clusters and links ------------------------------------------------------------------------------------------------


def _clusters(spec: Spec, adjustment: AdjustmentSpec) -> tuple[ClusterSpec, ...]:
    declared = {cluster.name for cluster in spec.clusters}
    demanded = [entry.cluster for entry in adjustment.clusters if entry.cluster.name not in declared]
    found = {cluster.name: cluster for cluster in (*spec.clusters, *demanded)}
    for entry in adjustment.workers:
        cluster = found.get(entry.cluster)
        if cluster is None or cluster.existing:
            continue
        if entry.declared is None or entry.declared == cluster.worker_machine_count:
            found[entry.cluster] = replace(cluster, worker_machine_count=entry.workers)
    return tuple(found.values())


def _links(spec: Spec, adjustment: AdjustmentSpec, names: set[str]) -> tuple[tuple[str, str], ...]:
    removed = {naming.pair(*entry.clusters) for entry in adjustment.links if entry.removed}
    declared = {naming.pair(*link) for link in spec.links}
    added = dict.fromkeys(
        naming.pair(*entry.clusters)
        for entry in adjustment.links
        if not entry.removed and set(entry.clusters) <= names and naming.pair(*entry.clusters) not in declared
    )
    return (*(link for link in spec.links if naming.pair(*link) not in removed), *added)


# --- applications ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ground:
    """What is laid over applications, by what it speaks of."""

    places: Mapping[str, PlaceAdjustment]
    replicas: Mapping[str, ReplicasAdjustment]
    homes: Mapping[str, HomeAdjustment]
    declared: Mapping[str, ClusterSpec]
    """Clusters on demand are nobody's default place: that they come and go moves nothing."""
    demanded: frozenset[str]


def _app(app: AppSpec, ground: _Ground) -> AppSpec:
    components = []
    for component in app.components:
        path = f"{app.name}/{component.name}"
        entry, count = ground.places.get(path), ground.replicas.get(path)
        if entry is not None and place_counts(entry, app, component, ground.declared):
            component = replace(component, cluster_selector=entry.cluster)
        elif ground.demanded and component.placement_hint:
            component = _stay(app, component, ground.declared)
        if count is not None and count.declared in (None, component.replicas):
            component = replace(component, replicas=count.replicas)
        components.append(component)
    home = ground.homes.get(app.name)
    if home is None or home.home != app.cluster:
        return replace(app, components=tuple(components))
    return replace(
        app, components=tuple(_stay(app, component, ground.declared) for component in components), cluster=home.cluster
    )


def _stay(app: AppSpec, component: ComponentSpec, clusters: Mapping[str, ClusterSpec]) -> ComponentSpec:
    """A component whose place follows from its tier keeps it whatever comes; those at home move with it."""
    place = default_place(app, component, clusters)
    if component.cluster_selector or place is None or place == app.cluster:
        return component
    return replace(component, cluster_selector=place)


def place_counts(
    entry: PlaceAdjustment, app: AppSpec, component: ComponentSpec, clusters: Mapping[str, ClusterSpec]
) -> bool:
    """Whether a place still counts: a component whose declaration says where it is may only be away from there."""
    declared = default_place(app, component, clusters)
    return declared is None or (entry.home is not None and entry.home == declared)


def _rolled_back(app: AppSpec, entries: Iterable[RollbackAdjustment], revisions: Revisions, generation: int) -> AppSpec:
    """The application, or components of it, as they last ran well, while the declaration is still the one that failed."""
    for entry in entries:
        before = revisions.get(entry.revision)
        if before is None or before.name != app.name:
            continue
        if entry.component is None:
            if entry.failed == declaration_digest(app, generation):
                return replace(before, cluster=app.cluster, owner=app.owner, rollback_policy=app.rollback_policy)
            continue
        app = _with_component(app, entry, before, generation)
    return app


def _with_component(app: AppSpec, entry: RollbackAdjustment, before: AppSpec, generation: int) -> AppSpec:
    well: dict[str | None, Any] = {component.name: component for component in before.components}
    old = well.get(entry.component)
    components = tuple(
        old
        if old is not None and c.name == entry.component and declaration_digest(c, generation) == entry.failed
        else c
        for c in app.components
    )
    return replace(app, components=components)
