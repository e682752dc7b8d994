"""How far Cluster API is with a change of machines: count, readiness, newest template."""

from __future__ import annotations

from continuo.orchestrator.observe import ClusterSeen
from continuo.orchestrator.render import clusters
from continuo.resources import kinds
from continuo.resources.meta import Object, condition, deleting, labels_of

_CONTROL_PLANE = "cluster.x-k8s.io/control-plane"
_DEPLOYMENT = "cluster.x-k8s.io/deployment-name"


def control_plane_of(seen: ClusterSeen) -> Object | None:
    """The control plane object, of whichever bootstrap provider."""
    for kind in clusters.CONTROL_PLANES.values():
        found = seen.made.get((kind.kind, f"{seen.full_name}-cp"))
        if found is not None:
            return found
    return None


def parts(seen: ClusterSeen) -> tuple[Object | None, Object | None]:
    """The control plane and the workers."""
    return control_plane_of(seen), seen.made.get((kinds.MACHINE_DEPLOYMENT.kind, f"{seen.full_name}-md-0"))


def rolled_out(part: Object | None) -> bool:
    """Whether a control plane or MachineDeployment has become what its spec says: count, readiness, newest template."""
    if part is None:
        return False
    if not _observed(part):
        return False
    status = part.get("status") or {}
    desired = int((part.get("spec") or {}).get("replicas") or 0)
    newest = status.get("upToDateReplicas", status.get("updatedReplicas"))
    return (
        int(status.get("replicas") or 0) == desired
        and int(status.get("readyReplicas") or 0) == desired
        and (newest is None or int(newest) == desired)
    )


_ROLLED = ("version", "infrastructureRef", "bootstrap", "failureDomain")
"""What of a machine's template cannot change in place."""


def workers_rolled_out(seen: ClusterSeen) -> bool:
    """Whether all workers are there and of the newest template."""
    workers = parts(seen)[1]
    return rolled_out(workers) and not (workers is not None and _outdated_sets(seen, workers))


def _outdated_sets(seen: ClusterSeen, workers: Object) -> bool:
    """Whether machines of an older template are left.

    Cluster API counts machines as up to date until somebody looked at each of them, which is after it says that it
    observed the new template: for a moment a rollout that was only just asked for looks done. The sets tell at once.
    """
    name = workers["metadata"]["name"]
    wanted = _rolled(workers)
    return any(
        _rolled(found) != wanted and (found["spec"].get("replicas") or (found.get("status") or {}).get("replicas"))
        for found in seen.machine_sets
        if labels_of(found).get(_DEPLOYMENT) == name and not deleting(found)
    )


def _rolled(part: Object) -> list[object]:
    spec = ((part.get("spec") or {}).get("template") or {}).get("spec") or {}
    return [spec.get(field) for field in _ROLLED]


def _observed(part: Object) -> bool:
    """Whether Cluster API has looked at the newest declaration of this part."""
    observed = (part.get("status") or {}).get("observedGeneration")
    return observed is None or bool(observed >= part["metadata"].get("generation", 0))


def rolling(seen: ClusterSeen) -> str | None:
    """Which machines of an older template are being replaced, in words; None when there are none."""
    control_plane, workers = parts(seen)
    for name, part, controls in (("control plane", control_plane, True), ("workers", workers, False)):
        if part is None:
            continue
        newest, total = _newest(seen, part, controls)
        if newest < total:
            return f"{name}: {newest} of {total} machines at {_version(part)}"
    if workers is not None and _outdated_sets(seen, workers):
        return "workers: machines of the older template are left"
    return None


def _version(part: Object) -> str | None:
    spec = part.get("spec") or {}
    return spec.get("version") or ((spec.get("template") or {}).get("spec") or {}).get("version")


def unseen(seen: ClusterSeen) -> str | None:
    """Which part Cluster API has yet to look at, in words; until then it still tells of what was declared before."""
    for name, part in zip(("control plane", "workers"), parts(seen), strict=True):
        if part is not None and not _observed(part):
            return f"{name}: Cluster API has yet to look at what is declared now"
    return None


def _newest(seen: ClusterSeen, part: Object, controls: bool) -> tuple[int, int]:
    """How many of a part's machines are not known to be of an older template, and how many there are.

    Cluster API's counts miss machines that nobody has judged yet, so more machines would look like a rollout. Where the
    machines themselves say it, they are asked; those of older providers do not.
    """
    machines = [m for m in seen.machines if (_CONTROL_PLANE in labels_of(m)) is controls]
    said = [(condition(machine, "UpToDate") or {}).get("status") for machine in machines]
    if "True" in said or "False" in said:
        return len(said) - said.count("False"), len(said)
    status = part.get("status") or {}
    total = int(status.get("replicas") or 0)
    newest = status.get("upToDateReplicas", status.get("updatedReplicas"))
    return (total if newest is None else int(newest)), total
