"""Placing, moving and scaling components: may it be done at all. Whether it fits is `fitting`'s."""

from __future__ import annotations

from continuo.placement.guards.model import Code, Rejection, State
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
