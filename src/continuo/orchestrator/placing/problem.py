"""An orchestration as a placement problem: its clusters are the sites, all of its components the parts. Pure.

Pinned components are parts too: others want to be beside them, near them or away from them, and they take room.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import replace as with_
from typing import TYPE_CHECKING

from msgspec.structs import replace

from continuo.orchestrator import naming
from continuo.orchestrator.capacity import NOTHING, amounts
from continuo.orchestrator.effective import default_place
from continuo.orchestrator.linkable import FREE, Linking
from continuo.orchestrator.loops.model import Amounts, Capacity
from continuo.orchestrator.measuring.figures import Figures
from continuo.orchestrator.observe import ClusterSeen, Reach, Snapshot
from continuo.placement.model import Budget, Part, Path, Problem, Room, Site, Talk
from continuo.resources.loop import AdjustmentSpec
from continuo.resources.orchestration import AppSpec, ClusterPhase, ClusterSpec, ComponentSpec, PlacementSpec, Spec
from continuo.resources.orchestration_places import ComponentPlacement, Domain, Geolocation

if TYPE_CHECKING:
    from continuo.orchestrator.assess import Assessment
    from continuo.orchestrator.states import ClusterState


@dataclass(frozen=True, slots=True)
class Ground:
    """What is known of one cluster."""

    size: Amounts = NOTHING
    free: Amounts = NOTHING
    """Without what the orchestration's own components asked for."""
    reason: str = ""
    """Why it takes nothing; empty where it does."""
    linking: Linking = FREE


def part_id(key: tuple[str, str], path: str) -> str:
    """The part of a component (APPLICATION/COMPONENT) of the orchestration (namespace, name)."""
    return f"{key[0]}/{key[1]}/{path}"


def path_of(part: str) -> str:
    """The component of a part: APPLICATION/COMPONENT."""
    return "/".join(part.split("/")[2:])


def problem_of(
    key: tuple[str, str],
    spec: Spec,
    adjustment: AdjustmentSpec,
    grounds: Mapping[str, Ground],
    figures: Figures,
    *,
    movable: Iterable[str] | None = None,
    avoid: frozenset[str] = frozenset(),
    homes: Mapping[str, str] | None = None,
    exact: bool = False,
) -> Problem:
    """The problem of an orchestration as it is carried out (`spec`).

    `movable` names the components that may change their place (None: all that leave the choice); those among them that
    their declaration pins are taken as free, for a while away from home. Clusters of `avoid` take nothing. `homes`
    are those to come, by application whose home moves; empty where nobody knows yet which.
    """
    how = spec.placement or PlacementSpec()
    freed = frozenset(movable or ())
    left = {entry.component: entry.home for entry in adjustment.places}
    clusters = {cluster.name: cluster for cluster in spec.clusters}
    parts = [_part(key, clusters, left, app, component, freed) for app in spec.apps for component in app.components]
    if any(ground.linking != FREE for ground in grounds.values()):  # else every cluster can be linked with every other
        roots = [_root(app, homes or {}) for app in spec.apps for _ in app.components]
        parts = [replace(part, root=root) for part, root in zip(parts, roots, strict=True)]
    return Problem(
        sites=tuple(_site(cluster, grounds.get(cluster.name, Ground(reason="nothing is known of it")), avoid)
                    for cluster in spec.clusters),
        parts=tuple(parts),
        paths=tuple(_paths(figures)),
        talks=tuple(_talk(key, app, n) for app in spec.apps for n in range(len(app.link_requirements))),
        budgets=tuple(Budget(owner=b.owner, cost=b.cost, carbon=b.carbon) for b in how.budgets),
        weights=how.weights,
        movable=None if movable is None else frozenset(part_id(key, path) for path in freed),
        exact_within=float(how.exact_within) if exact else 0.0,
    )  # fmt: skip


def _root(app: AppSpec, homes: Mapping[str, str]) -> str | None:
    """The home that an application has, or will have."""
    return homes.get(app.name, app.cluster) or None


def _site(cluster: ClusterSpec, ground: Ground, avoid: frozenset[str]) -> Site:
    reason = "it is to be left" if cluster.name in avoid and not ground.reason else ground.reason
    cost, where = cluster.cost, cluster.location or Geolocation()
    return Site(
        name=cluster.name, tier=cluster.tier, provider=str(cluster.provider), datacenter=cluster.datacenter,
        region=where.region, country=where.country, city=where.city,
        latitude=_degrees(where.latitude), longitude=_degrees(where.longitude), labels=cluster.labels,
        free=room(ground.free), size=room(ground.size),
        cost_cpu=cost.cpu if cost else 0.0, cost_memory=cost.memory if cost else 0.0,
        cost_gpu=cost.gpu if cost else 0.0, carbon_cpu=cost.carbon if cost else 0.0,
        available=not reason, reason=reason,
        unlinkable=ground.linking.unlinkable, shared_id=ground.linking.shared_id,
    )  # fmt: skip


def room(amount: Amounts) -> Room:
    """Amounts as placement writes them; what is overdrawn is nothing."""
    return Room(
        cpu_millis=max(0, amount.cpu_millis), memory_bytes=max(0, amount.memory_bytes), gpus=max(0, amount.gpus)
    )


def _degrees(text: str | None) -> float | None:
    return float(text) if text is not None else None


def asks(component: ComponentSpec) -> Amounts:
    """What one pod of a component asks for."""
    return amounts(component.resources.requests) if component.resources else Amounts()


def _part(
    key: tuple[str, str], clusters: Mapping[str, ClusterSpec], homes: Mapping[str, str | None], app: AppSpec,
    component: ComponentSpec, freed: frozenset[str],
) -> Part:  # fmt: skip
    path = f"{app.name}/{component.name}"
    place = default_place(app, component, clusters)
    bounds = component.placement
    part = Part(
        id=part_id(key, path), owner=app.owner, room=room(asks(component).times(component.replicas)),
        pinned=place if bounds is None and path not in freed else None,
        current=place, home=homes.get(path),
    )  # fmt: skip
    return part if bounds is None else _bounded(part, key, app, component, bounds)


def _bounded(
    part: Part, key: tuple[str, str], app: AppSpec, component: ComponentSpec, bounds: ComponentPlacement
) -> Part:
    named = bounds.beside or bounds.apart_from  # else the others need not be looked at, for each of them in turn
    own = {other.name: part_id(key, f"{app.name}/{other.name}") for other in app.components} if named else {}
    spread = bounds.spread
    return replace(
        part,
        hint=component.placement_hint, labels=bounds.clusters, locations=bounds.locations,
        beside=tuple(own[name] for name in bounds.beside if name in own),
        apart_from=tuple(own[name] for name in bounds.apart_from if name in own),
        spread_group=f"{app.name}/{spread.group}" if spread else None,
        spread_across=spread.across if spread else Domain.CLUSTER,
        max_skew=spread.max_skew if spread else 1,
    )  # fmt: skip


def _talk(key: tuple[str, str], app: AppSpec, number: int) -> Talk:
    asked = app.link_requirements[number]
    return Talk(
        name=f"{app.name}/{asked.name}", members=tuple(part_id(key, f"{app.name}/{m}") for m in asked.members),
        latency_ms=asked.latency_ms, jitter_ms=asked.jitter_ms, bandwidth_bps=asked.bandwidth_bps,
    )  # fmt: skip


def _paths(figures: Figures) -> Iterable[Path]:
    """What was measured of links. A bandwidth that was measured too long ago is none."""
    for pair, found in sorted(figures.items()):
        first, second = naming.pair(*pair)
        if found.latency_ms is not None or found.fresh_bps is not None:
            yield Path(
                a=first, b=second, latency_ms=found.latency_ms, jitter_ms=found.jitter_ms,
                bandwidth_bps=found.fresh_bps, measured=True,
                bandwidth_age_seconds=found.bandwidth_age if found.fresh_bps is not None else None,
            )  # fmt: skip


# --- from a round ------------------------------------------------------------------------------------------------------


def grounds_of(snapshot: Snapshot, assessment: Assessment) -> dict[str, Ground]:
    """What a round shows of every cluster."""
    found = {
        spec.name: _ground(snapshot, spec, snapshot.clusters.get(spec.name), assessment)
        for spec in snapshot.orchestration.spec.clusters
    }
    linking = ((name, each) for name, each in assessment.linking.items() if name in found)
    return found | {name: with_(found[name], linking=each) for name, each in linking}


def _ground(snapshot: Snapshot, spec: ClusterSpec, seen: ClusterSeen | None, assessment: Assessment) -> Ground:
    if spec.simulated:
        return Ground(reason="its machines are simulated, nothing runs there")
    state = assessment.clusters.get(spec.name)
    if seen is None or state is None:
        return Ground(reason="it does not exist yet")
    capacity = seen.workload.capacity
    if capacity is None:
        lost = seen.workload.reach is Reach.LOST
        return Ground(reason="it does not answer" if lost else _how(state))
    free = capacity.allocatable - capacity.requested + seen.workload.ours(snapshot.key)
    return Ground(capacity.allocatable, free, _closed(seen, state, capacity))


def _how(state: ClusterState) -> str:
    return f"it is {state.phase}" + (f" ({state.message})" if state.message else "")


def _closed(seen: ClusterSeen, state: ClusterState, capacity: Capacity) -> str:
    """Why a cluster whose nodes are known takes nothing now; empty where it does."""
    if seen.workload.reach is Reach.LOST:
        return "it does not answer"
    if not state.usable:
        return _how(state)
    if capacity.cordoned:
        return "all of its nodes are cordoned"
    if not capacity.usable_nodes:
        return "none of its nodes is ready and takes pods"
    installing = state.phase is ClusterPhase.INSTALLING_PACKAGES
    return f"its packages are being installed ({state.message})" if installing else ""
