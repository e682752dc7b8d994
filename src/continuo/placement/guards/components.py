"""Placing, moving and scaling components."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace as changed

from continuo.placement.guards.model import OF_CAUSE, Code, Judged, Rejection, State
from continuo.placement.model import Part, Problem, Room
from continuo.placement.reasons import Cause, Refusal
from continuo.placement.tally import Tally
from continuo.resources.loop import DecidedAction, Operation
from continuo.resources.orchestration import ClusterPhase, ClusterSpec, ClusterStatus

MOST_REPLICAS = 100
PLACING = (Operation.PLACE_COMPONENT, Operation.MIGRATE_COMPONENT)


# --- may it be done at all --------------------------------------------------------------------------------------------
def may_place(state: State, action: DecidedAction) -> Rejection | None:
    """Whether the component may be placed (or moved) by somebody, and the cluster may take anything."""
    path, target = str(action.component), str(action.cluster)
    if path not in state.components:
        return unknown_component(state, path)
    if target not in state.clusters:
        return unknown_cluster(state, target)
    return _movable(state, action, path) or _takes(state.clusters[target], state.told.get(target))


def _movable(state: State, action: DecidedAction, path: str) -> Rejection | None:
    _, written = state.written.get(path) or state.components[path]
    if written.cluster_selector is not None:
        said = f"its writer pinned {path} to {written.cluster_selector} by cluster-selector, and a pin wins"
        return Rejection(Code.PINNED, said)
    if written.placement is None:
        said = f"{path} has no placement, so its writer says where it runs: only components with one are placed"
        return Rejection(Code.PLACE_DECLARED, said)
    here = state.places.get(state.part(path))
    if action.op is Operation.PLACE_COMPONENT and here is not None:
        return Rejection(Code.PLACED, f"{path} is placed on {here} already: move it with migrateComponent")
    if action.op is Operation.MIGRATE_COMPONENT and here is None:
        return Rejection(Code.UNPLACED, f"{path} has no place that it could leave: give it one with placeComponent")
    if here == action.cluster:
        return Rejection(Code.UNCHANGED, f"{path} is on {here} already")
    return None


def _takes(spec: ClusterSpec, status: ClusterStatus | None) -> Rejection | None:
    """Whether a cluster takes components at all."""
    name = spec.name
    if spec.simulated:
        return Rejection(Code.CLUSTER_SIMULATED, f"{name} has machines in name only: nothing runs on it")
    if status is None:
        return Rejection(Code.CLUSTER_NOT_READY, f"nothing was seen of {name} yet")
    if status.lost_since is not None:
        return Rejection(Code.CLUSTER_LOST, f"{name} has not answered since {status.lost_since}")
    if status.cordoned:
        return Rejection(Code.CLUSTER_CORDONED, f"no node of {name} takes pods: it is cordoned")
    if status.phase in (ClusterPhase.READY, ClusterPhase.SCALING, ClusterPhase.UPGRADING):
        return None
    code = {ClusterPhase.FAILED: Code.CLUSTER_FAILED, ClusterPhase.DELETING: Code.CLUSTER_DELETING}
    why = f": {status.message}" if status.message else ""
    return Rejection(code.get(status.phase, Code.CLUSTER_NOT_READY), f"{name} is {status.phase}{why}")


def unknown_component(state: State, path: str) -> Rejection:
    """Nobody has heard of it."""
    said = f"orchestration {state.name} has no component {path[:128]!r}"
    return Rejection(Code.COMPONENT_UNKNOWN, f"{said}: say APPLICATION/COMPONENT, such as shop/web")


def unknown_cluster(state: State, name: str) -> Rejection:
    """Nobody has heard of it."""
    known = ", ".join(sorted(state.clusters)) or "none at all"
    return Rejection(Code.CLUSTER_UNKNOWN, f"orchestration {state.name} has no cluster {name[:64]!r}, it has {known}")


# --- how many pods ----------------------------------------------------------------------------------------------------
def may_scale(state: State, action: DecidedAction) -> Rejection | None:
    """Whether a component may have so many pods."""
    path, wanted = str(action.component), action.replicas or 0
    if path not in state.components:
        return unknown_component(state, path)
    if wanted < 0:
        return Rejection(Code.NEGATIVE, f"replicas is {wanted}: there are no fewer than 0 pods")
    if wanted > MOST_REPLICAS:
        return Rejection(Code.OUT_OF_BOUNDS, f"replicas is {wanted}: a component has at most {MOST_REPLICAS}")
    for policy in state.policies(component=path):
        scale = policy.scale_component
        if scale is not None and not scale.min <= wanted <= scale.max:
            said = (
                f"policy {policy.name} keeps {path} between {scale.min} and {scale.max} pods, and {wanted} is outside"
            )
            return Rejection(Code.OUT_OF_BOUNDS, said)
    if state.components[path][1].replicas == wanted:
        return Rejection(Code.UNCHANGED, f"{path} has {wanted} pods already")
    return None


# --- does it fit, all together ----------------------------------------------------------------------------------------
def judge_room(judged: Judged) -> None:
    """Refuse what does not fit where it is to go. All are looked at together; of two that do not both fit the later goes."""
    while True:
        wrong = list(_misfits(judged))
        if not wrong:
            return
        number, rejection = wrong[-1]
        judged.refused[number] = rejection


def _misfits(judged: Judged) -> Iterator[tuple[int, Rejection]]:
    state = judged.state
    actions = [(number, a) for number, a in judged.open() if a.op in (*PLACING, Operation.SCALE_COMPONENT)]
    if not actions:
        return
    tally = Tally(_grown(state, [action for _, action in actions]), {})
    places = {part: site for part, site in state.places.items() if part in tally.parts and site in tally.sites}
    places.update({state.part(str(a.component)): str(a.cluster) for _, a in actions if a.op in PLACING})
    for part_id in sorted(places):
        if part_id in tally.parts and places[part_id] in tally.sites:
            tally.put(part_id, places[part_id])
    for number, action in actions:
        refusal = _refusal(state, tally, action)
        if refusal is not None:
            where = tally.places.get(state.part(str(action.component)), action.cluster)
            said = f"{action.component} on {where}: {refusal.message}"
            yield number, Rejection(OF_CAUSE.get(refusal.cause, Code.INFEASIBLE), said)


def _refusal(state: State, tally: Tally, action: DecidedAction) -> Refusal | None:
    """What speaks against a component where it would be; for one that only grows, the room alone."""
    part_id = state.part(str(action.component))
    site = tally.places.get(part_id)
    if site is None:
        return None
    tally.take(part_id)
    found = list(tally.refusals(part_id, site))
    tally.put(part_id, site)
    if action.op in PLACING:
        return found[0] if found else _left_behind(tally, part_id, site)
    if tally.parts[part_id].room == _room_before(state, part_id):
        return None
    return next((each for each in found if OF_CAUSE.get(each.cause) in _OF_SIZE), None)


_OF_SIZE = (Code.NO_CPU, Code.NO_MEMORY, Code.NO_GPU, Code.COST_BUDGET, Code.CARBON_BUDGET)


def _left_behind(tally: Tally, part_id: str, site: str) -> Refusal | None:
    """Whether another part that has to be beside it would be elsewhere."""
    for other in tally.parts.values():
        if part_id in other.beside and tally.places.get(other.id, site) != site:
            elsewhere = tally.places[other.id]
            return Refusal(Cause.BESIDE, f"{other.id} shares a cluster with it, and is on {elsewhere}")
    return None


def _room_before(state: State, part_id: str) -> Room | None:
    return next((part.room for part in state.problem.parts if part.id == part_id), None)


def _grown(state: State, actions: list[DecidedAction]) -> Problem:
    """The problem with the pods that the actions ask for; nothing in it is too many already where it only shrinks."""
    wanted = {state.part(str(a.component)): a.replicas or 0 for a in actions if a.op is Operation.SCALE_COMPONENT}
    if not wanted:
        return state.problem
    parts = tuple(_sized(state, part, wanted[part.id]) if part.id in wanted else part for part in state.problem.parts)
    return changed(state.problem, parts=parts)


def _sized(state: State, part: Part, replicas: int) -> Part:
    path = part.id.removeprefix(state.part(""))
    if replicas <= state.components[path][1].replicas:
        return part
    pod = state.pods.get(path, Room())
    cpu, memory, gpus = pod.cpu_millis * replicas, pod.memory_bytes * replicas, pod.gpus * replicas
    return changed(part, room=Room(cpu_millis=cpu, memory_bytes=memory, gpus=gpus))
