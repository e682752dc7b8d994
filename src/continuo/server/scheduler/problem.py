"""From what the management cluster tells of an orchestration to what guards and placement look at. Pure.

What runs in the workload clusters is known here by the orchestration's status alone, so what is free is rather too little
than too much: of a component's pods those that are ready are known to be counted in what a cluster's pods asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

from continuo.orchestrator.capacity import amounts
from continuo.orchestrator.effective import effective
from continuo.orchestrator.linkable import Linking
from continuo.orchestrator.loops.laying import Carried, lay
from continuo.orchestrator.loops.model import Amounts
from continuo.orchestrator.measuring.figures import figures_of_status
from continuo.orchestrator.placing.problem import Ground, asks, problem_of, room
from continuo.placement.guards import State
from continuo.resources.loop import AdjustmentSpec, DecidedAction
from continuo.resources.meta import deleting
from continuo.resources.orchestration import (
    ClusterPhase,
    ClusterSpec,
    ClusterStatus,
    LowLevelOrchestration,
    Spec,
)
from continuo.server.scheduler.items import components, statuses

_USABLE = (ClusterPhase.READY, ClusterPhase.SCALING, ClusterPhase.UPGRADING)


def state_of(
    orchestration: LowLevelOrchestration,
    adjustment: AdjustmentSpec,
    promised: Iterable[DecidedAction] = (),
    opened: Iterable[DecidedAction] = (),
    now: float | None = None,
) -> State:
    """The state for guards. `promised` counts as if it were carried out already; `opened` is nobody else's to decide.

    `now` (seconds since 1970) says how old measurements are; without it none of bandwidth counts.
    """
    declared = orchestration.spec
    adjustment = lay(adjustment, promised, Carried(declared, "-", "-"))
    carried = effective(declared, adjustment)
    key = orchestration.namespace, orchestration.name
    figures = figures_of_status(orchestration.status.links, now)
    return State(
        namespace=orchestration.namespace,
        name=orchestration.name,
        declared=declared,
        carried=carried,
        adjustment=adjustment,
        status=orchestration.status,
        problem=problem_of(key, carried, adjustment, grounds_of(orchestration, carried), figures, movable=()),
        pods={path: room(asks(component)) for path, _, component in components(carried)},
        deleting=deleting({"metadata": orchestration.metadata}),
        opened=tuple(opened),
    )


def grounds_of(orchestration: LowLevelOrchestration, carried: Spec) -> dict[str, Ground]:
    """What the status tells of every cluster."""
    told = {status.name: status for status in orchestration.status.clusters}
    running = _running(orchestration, carried)
    return {
        spec.name: _ground(spec, told.get(spec.name), running.get(spec.name, Amounts())) for spec in carried.clusters
    }


def _running(orchestration: LowLevelOrchestration, carried: Spec) -> dict[str, Amounts]:
    """What ready pods of components ask for, by cluster."""
    found: dict[str, Amounts] = {}
    needs = {path: asks(component) for path, _, component in components(carried)}
    for path, status in statuses(orchestration).items():
        ready = (status.ready or "0").partition("/")[0]
        if status.cluster and ready.isdigit() and path in needs:
            found[status.cluster] = found.get(status.cluster, Amounts()) + needs[path].times(int(ready))
    return found


def _ground(spec: ClusterSpec, status: ClusterStatus | None, running: Amounts) -> Ground:
    if status is None:
        return Ground(reason="nothing was seen of it yet")
    size = amounts(status.allocatable)
    free = size - amounts(status.requested) + running
    linking = Linking(status.unlinkable or "", status.shared_liqo_id or "")
    return Ground(size, _smaller(free, size), _unavailable(spec, status), linking)


def _smaller(one: Amounts, other: Amounts) -> Amounts:
    return Amounts(
        min(one.cpu_millis, other.cpu_millis), min(one.memory_bytes, other.memory_bytes), min(one.gpus, other.gpus)
    )


def _unavailable(spec: ClusterSpec, status: ClusterStatus) -> str:
    """Why a cluster takes nothing; empty where it does."""
    if spec.simulated:
        return "its machines are simulated, nothing runs there"
    if status.lost_since is not None:
        return f"it has not answered since {status.lost_since}"
    if status.cordoned:
        return "all of its nodes are cordoned"
    if status.phase not in _USABLE:
        return f"it is {status.phase}"
    return "" if status.allocatable else "what its nodes can take is not known yet"
