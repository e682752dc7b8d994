"""Creating, resizing and deleting clusters."""

from __future__ import annotations

from continuo.placement.guards.components import unknown_cluster
from continuo.placement.guards.model import Code, Limits, Rejection, State
from continuo.resources.loop import DecidedAction
from continuo.resources.orchestration import Bootstrap, CloudSpec, ClusterSpec, Provider
from continuo.resources.quantities import quantity

_SECRETIVE = ("kubeconfig", "ssh_key", "cloud", "public_ip")
"""Fields of a template that name credentials or addresses, which are for the orchestration's writer to give."""


def may_create(state: State, action: DecidedAction, limits: Limits) -> Rejection | None:
    """Whether such a cluster may be created."""
    spec, name = action.template, str(action.cluster)
    if spec is None:
        return Rejection(Code.TEMPLATE_MISSING, "createCluster needs a template: the cluster, as in spec.clusters")
    if name in state.clusters:
        whose = "declared" if name in state.owned else "created on demand"
        return Rejection(Code.NAME_TAKEN, f"cluster {name} exists, it was {whose}: choose another name")
    if name in state.told:
        said = f"cluster {name} is still being removed: choose another name, or wait until it is gone"
        return Rejection(Code.NAME_TAKEN, said)
    extra = len(state.clusters) - len(state.owned)
    if extra >= limits.on_demand:
        said = f"{extra} clusters were created on demand, the most there may be: delete one that is not used"
        return Rejection(Code.TOO_MANY_CLUSTERS, said)
    return _forbidden(spec) or _sized(spec, limits)


def _forbidden(spec: ClusterSpec) -> Rejection | None:
    if spec.provider is Provider.EXISTING:
        said = "provider existing adopts a cluster by its credentials, which is for the orchestration's writer to do"
        return Rejection(Code.TEMPLATE_FORBIDDEN, f"{said}: say one that creates it")
    for name in _SECRETIVE:
        if getattr(spec, name) not in (None, CloudSpec()):
            said = f"template.{name.replace('_', '-')} is for the orchestration's writer to give: leave it out"
            return Rejection(Code.TEMPLATE_FORBIDDEN, said)
    return None


def _sized(spec: ClusterSpec, limits: Limits) -> Rejection | None:
    if spec.control_plane_count % 2 == 0:
        said = f"template.control-plane-count is {spec.control_plane_count}: it must be odd, for etcd needs a majority"
        return Rejection(Code.TEMPLATE_INVALID, said)
    if spec.bootstrap is Bootstrap.MICROK8S and spec.control_plane_count + spec.worker_machine_count != 1:
        return Rejection(Code.TEMPLATE_INVALID, "a microk8s cluster has one node: say worker-machine-count 0")
    if spec.worker_machine_count > limits.workers:
        said = f"template.worker-machine-count is {spec.worker_machine_count}, and {limits.workers} is the most"
        return Rejection(Code.BEYOND_QUOTA, said)
    return None


def may_resize(state: State, action: DecidedAction, limits: Limits) -> Rejection | None:
    """Whether a cluster may have so many workers."""
    name, wanted = str(action.cluster), action.workers or 0
    spec = state.clusters.get(name)
    if spec is None:
        return unknown_cluster(state, name)
    if wanted < 0:
        return Rejection(Code.NEGATIVE, f"workers is {wanted}: there are no fewer than 0 machines")
    if spec.existing:
        return Rejection(
            Code.CLUSTER_ADOPTED, f"{name} exists and was only adopted: its machines are not ours to count"
        )
    if spec.bootstrap is Bootstrap.MICROK8S:
        return Rejection(Code.CLUSTER_FIXED, f"{name} is a microk8s cluster, which has one node")
    if spec.worker_machine_count == wanted:
        return Rejection(Code.UNCHANGED, f"{name} has {wanted} workers already")
    return _bounds(state, name, wanted, limits) or _needed(state, spec, wanted)


def _bounds(state: State, name: str, wanted: int, limits: Limits) -> Rejection | None:
    bounded = False
    for policy in state.policies(cluster=name):
        scale = policy.scale_cluster
        if scale is not None and not scale.min <= wanted <= scale.max:
            said = f"policy {policy.name} keeps {name} between {scale.min} and {scale.max} workers, not {wanted}"
            return Rejection(Code.OUT_OF_BOUNDS, said)
        bounded = True
    if not bounded and wanted > limits.workers:
        said = f"workers is {wanted}, and {limits.workers} is the most where no policy says otherwise"
        return Rejection(Code.BEYOND_QUOTA, said)
    return None


def _needed(state: State, spec: ClusterSpec, wanted: int) -> Rejection | None:
    """Whether what its pods ask for would still fit, all workers being alike."""
    told, before = state.told.get(spec.name), spec.worker_machine_count
    if told is None or wanted >= before:
        return None
    for resource, asked in told.requested.items():
        has = quantity(told.allocatable.get(resource, "0"))
        if quantity(asked) * before > has * wanted:
            said = f"the pods of {spec.name} ask for {resource} {asked} of {told.allocatable.get(resource, '0')}"
            return Rejection(Code.TOO_SMALL, f"{said}, which {wanted} workers instead of {before} would not have")
    return None


def may_delete(state: State, action: DecidedAction) -> Rejection | None:
    """Whether a cluster may go: only one that nobody declared, and that nothing needs."""
    name = str(action.cluster)
    if name not in state.clusters:
        return unknown_cluster(state, name)
    if name in state.owned:
        said = (
            f"{name} was declared, so it is its writer's to delete: only clusters created on demand are a scheduler's"
        )
        return Rejection(Code.CLUSTER_DECLARED, said)
    there = [*state.on(name), *(f"application {app.name}" for app in state.carried.apps if app.cluster == name)]
    if there:
        more = f" and {len(there) - 3} more" if len(there) > 3 else ""
        return Rejection(Code.CLUSTER_IN_USE, f"{name} is used by {', '.join(there[:3])}{more}: move them first")
    return None
