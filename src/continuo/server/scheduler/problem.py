"""From what the management cluster tells of an orchestration to what guards and placement look at. Pure.

What runs in the workload clusters is known here by the orchestration's status alone, so what is free is rather too little
than too much: of a component's pods those that are ready are known to be counted in what a cluster's pods asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from continuo.orchestrator.capacity import amounts
from continuo.orchestrator.effective import default_place, effective
from continuo.orchestrator.loops.model import Amounts
from continuo.placement.guards import State
from continuo.placement.model import Budget, Part, Path, Problem, Room, Site, Talk
from continuo.resources.loop import AdjustmentSpec, DecidedAction, Operation
from continuo.resources.meta import deleting
from continuo.resources.orchestration import (
    AppSpec,
    ClusterPhase,
    ClusterSpec,
    ClusterStatus,
    ComponentPlacement,
    ComponentSpec,
    LinkPhase,
    LowLevelOrchestration,
    Spec,
)
from continuo.resources.orchestration_places import Domain
from continuo.resources.orchestration_policies import PlacementSpec
from continuo.server.scheduler.items import millis, statuses

_USABLE = (ClusterPhase.READY, ClusterPhase.SCALING, ClusterPhase.UPGRADING)
_PLACING = (Operation.PLACE_COMPONENT, Operation.MIGRATE_COMPONENT)


def state_of(
    orchestration: LowLevelOrchestration,
    adjustment: AdjustmentSpec,
    promised: Iterable[DecidedAction] = (),
    opened: Iterable[DecidedAction] = (),
) -> State:
    """The state for guards. `promised` is not carried out yet and takes room already; `opened` is nobody else's to decide."""
    carried = effective(orchestration.spec, adjustment)
    return State(
        namespace=orchestration.namespace,
        name=orchestration.name,
        declared=orchestration.spec,
        carried=carried,
        adjustment=adjustment,
        status=orchestration.status,
        problem=problem_of(orchestration, carried, promised),
        pods={path: _room(asks, 1) for path, asks in _asks(carried)},
        deleting=deleting({"metadata": orchestration.metadata}),
        opened=tuple(opened),
    )


def problem_of(orchestration: LowLevelOrchestration, carried: Spec, promised: Iterable[DecidedAction] = ()) -> Problem:
    """Every component and every cluster on which something can run; nothing moves but what has no place."""
    rules = carried.placement or PlacementSpec()
    prefix = f"{orchestration.namespace}/{orchestration.name}"
    places, replicas = _promises(promised)
    clusters = {cluster.name: cluster for cluster in carried.clusters}
    parts = tuple(
        _part(prefix, app, component, clusters, places, replicas)
        for app in carried.apps
        for component in app.components
    )
    return Problem(
        sites=tuple(_sites(orchestration, carried)),
        parts=parts,
        paths=tuple(_paths(orchestration)),
        talks=tuple(_talks(prefix, carried)),
        budgets=tuple(Budget(owner=b.owner, cost=b.cost, carbon=b.carbon) for b in rules.budgets),
        weights=rules.weights,
        movable=frozenset(),
    )


def _promises(promised: Iterable[DecidedAction]) -> tuple[dict[str, str], dict[str, int]]:
    places: dict[str, str] = {}
    replicas: dict[str, int] = {}
    for action in promised:
        if action.op in _PLACING:
            places[str(action.component)] = str(action.cluster)
        elif action.op is Operation.SCALE_COMPONENT:
            replicas[str(action.component)] = action.replicas or 0
    return places, replicas


def _asks(spec: Spec) -> Iterator[tuple[str, Amounts]]:
    for app in spec.apps:
        for component in app.components:
            requests = component.resources.requests if component.resources is not None else {}
            yield f"{app.name}/{component.name}", amounts(requests)


def _room(asks: Amounts, count: int) -> Room:
    total = asks.times(count)
    return Room(cpu_millis=total.cpu_millis, memory_bytes=total.memory_bytes, gpus=total.gpus)


# --- sites ------------------------------------------------------------------------------------------------------------
def _sites(orchestration: LowLevelOrchestration, carried: Spec) -> Iterator[Site]:
    told = {status.name: status for status in orchestration.status.clusters}
    running = _running(orchestration, carried)
    for spec in carried.clusters:
        if not spec.simulated:
            yield _site(spec, told.get(spec.name), running.get(spec.name, Amounts()))


def _running(orchestration: LowLevelOrchestration, carried: Spec) -> dict[str, Amounts]:
    """What ready pods of components ask for, by cluster."""
    found: dict[str, Amounts] = {}
    asks = dict(_asks(carried))
    for path, status in statuses(orchestration).items():
        ready = (status.ready or "0").partition("/")[0]
        if status.cluster and ready.isdigit() and path in asks:
            found[status.cluster] = found.get(status.cluster, Amounts()) + asks[path].times(int(ready))
    return found


def _site(spec: ClusterSpec, status: ClusterStatus | None, running: Amounts) -> Site:
    place, cost = spec.location, spec.cost
    size = amounts(status.allocatable if status is not None else {})
    free = size - amounts(status.requested if status is not None else {}) + running
    trouble = unavailable(spec, status)
    return Site(
        name=spec.name,
        tier=spec.tier,
        provider=spec.provider.value,
        datacenter=spec.datacenter,
        region=place.region if place is not None else None,
        country=place.country if place is not None else None,
        city=place.city if place is not None else None,
        latitude=float(place.latitude) if place is not None and place.latitude else None,
        longitude=float(place.longitude) if place is not None and place.longitude else None,
        labels=spec.labels,
        size=_room(size, 1),
        free=_room(_at_most(free, size), 1),
        cost_cpu=cost.cpu if cost is not None else 0.0,
        cost_memory=cost.memory if cost is not None else 0.0,
        cost_gpu=cost.gpu if cost is not None else 0.0,
        carbon_cpu=cost.carbon if cost is not None else 0.0,
        available=not trouble,
        reason=trouble,
    )


def _at_most(free: Amounts, size: Amounts) -> Amounts:
    return Amounts(
        max(0, min(free.cpu_millis, size.cpu_millis)),
        max(0, min(free.memory_bytes, size.memory_bytes)),
        max(0, min(free.gpus, size.gpus)),
    )


def unavailable(spec: ClusterSpec, status: ClusterStatus | None) -> str:
    """Why a cluster takes nothing; empty where it does."""
    if spec.simulated:
        return "it has machines in name only"
    if status is None:
        return "nothing was seen of it yet"
    if status.lost_since is not None:
        return f"it has not answered since {status.lost_since}"
    if status.cordoned:
        return "no node of it takes pods: it is cordoned"
    if status.phase not in _USABLE:
        return f"it is {status.phase}"
    return "" if status.allocatable else "what its nodes can take is not known yet"


# --- parts ------------------------------------------------------------------------------------------------------------
def _part(
    prefix: str,
    app: AppSpec,
    component: ComponentSpec,
    clusters: dict[str, ClusterSpec],
    places: dict[str, str],
    replicas: dict[str, int],
) -> Part:
    path = f"{app.name}/{component.name}"
    here = places.get(path, default_place(app, component, clusters))
    requests = component.resources.requests if component.resources is not None else {}
    rules = component.placement
    free, limits = rules is not None, rules or ComponentPlacement()
    beside = tuple(f"{prefix}/{app.name}/{name}" for name in limits.beside)
    apart = tuple(f"{prefix}/{app.name}/{name}" for name in limits.apart_from)
    return Part(
        id=f"{prefix}/{path}",
        owner=app.owner,
        room=_room(amounts(requests), replicas.get(path, component.replicas)),
        hint=component.placement_hint if free else None,
        labels=limits.clusters,
        locations=limits.locations,
        pinned=None if free else here,
        current=here,
        beside=beside,
        apart_from=apart,
        spread_group=f"{prefix}/{app.name}/{limits.spread.group}" if limits.spread is not None else None,
        spread_across=limits.spread.across if limits.spread is not None else Domain.CLUSTER,
        max_skew=limits.spread.max_skew if limits.spread is not None else 1,
    )


def _paths(orchestration: LowLevelOrchestration) -> Iterator[Path]:
    for link in orchestration.status.links:
        latency = millis(link.latency)
        if link.phase is LinkPhase.CONNECTED and latency is not None:
            yield Path(a=link.clusters[0], b=link.clusters[1], latency_ms=latency, measured=True)


def _talks(prefix: str, spec: Spec) -> Iterator[Talk]:
    for app in spec.apps:
        for link in app.link_requirements:
            yield Talk(
                name=f"{app.name}/{link.name}",
                members=tuple(f"{prefix}/{app.name}/{member}" for member in link.members),
                latency_ms=link.latency_ms,
                jitter_ms=link.jitter_ms,
                bandwidth_bps=link.bandwidth_bps,
            )
