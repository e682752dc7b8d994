"""Cluster: owns everything else, sums up its state, and takes it down in order."""

from __future__ import annotations

from collections.abc import Sequence

from continuo.embedded.standins.capi import finalizers, machines
from continuo.embedded.standins.capi.boot import engine_name
from continuo.embedded.standins.capi.flavors import BY_CONTROL_PLANE
from continuo.embedded.standins.capi.infrastructure import BY_CLUSTER, provisioned
from continuo.embedded.standins.capi.world import (
    ENGINE_CLUSTER,
    World,
    initialization,
    paused,
    paused_condition,
)
from continuo.embedded.standins.faults import API_OUTAGE, fault, set_outage
from continuo.embedded.standins.objects import cond
from continuo.resources.errors import NotFound
from continuo.resources.kinds import CLUSTER, MACHINE, MACHINE_DEPLOYMENT, MACHINE_SET
from continuo.resources.meta import Key, Object, annotations_of, condition, deleting, is_true

FINALIZER = finalizers.CLUSTER


def infrastructure_of(world: World, cluster: Object) -> Object | None:
    """The infrastructure cluster that the Cluster refers to."""
    reference = cluster["spec"].get("infrastructureRef") or {}
    provider = BY_CLUSTER.get(reference.get("kind", ""))
    if provider is None:
        return None
    return world.find(provider.cluster, (cluster["metadata"]["namespace"], reference["name"]))


def control_plane_of(world: World, cluster: Object) -> Object | None:
    """The control plane object that the Cluster refers to."""
    reference = cluster["spec"].get("controlPlaneRef") or {}
    distribution = BY_CONTROL_PLANE.get(reference.get("kind", ""))
    if distribution is None:
        return None
    return world.find(distribution.control_plane, (cluster["metadata"]["namespace"], reference["name"]))


def reconcile(world: World, key: Key) -> None:
    """One step for a Cluster."""
    cluster = world.find(CLUSTER, key)
    if cluster is None:
        return
    if ENGINE_CLUSTER in annotations_of(cluster):
        world.engine_names[annotations_of(cluster)[ENGINE_CLUSTER]] = key
    _outage(world, cluster)
    if paused(cluster, cluster):
        _report(world, cluster, "", is_paused=True)
        return
    if deleting(cluster):
        _delete(world, key, cluster)
        return
    cluster = engine_name(world, world.hold(cluster, FINALIZER))
    infrastructure = infrastructure_of(world, cluster)
    if infrastructure is not None:
        infrastructure = world.adopt(infrastructure, cluster)
        cluster = _copy_endpoint(world, cluster, infrastructure)
    plane = control_plane_of(world, cluster)
    if plane is not None:
        world.adopt(plane, cluster)
    _report(world, cluster, "")


def _outage(world: World, cluster: Object) -> None:
    api = world.remote(cluster)
    if api is not None:
        argument = fault(cluster, API_OUTAGE)
        set_outage(api, None if argument is None else argument if argument not in ("", "true") else "drop")


def _copy_endpoint(world: World, cluster: Object, infrastructure: Object) -> Object:
    endpoint = infrastructure["spec"].get("controlPlaneEndpoint") or {}
    if (
        not provisioned(infrastructure)
        or not endpoint.get("host")
        or (cluster["spec"].get("controlPlaneEndpoint") or {}).get("host")
    ):
        return cluster
    return world.save({**cluster, "spec": {**cluster["spec"], "controlPlaneEndpoint": endpoint}}, cluster)


# --- deletion ---------------------------------------------------------------------------------------------------------


def _names(objects: Sequence[Object]) -> str:
    return ", ".join(sorted(entry["metadata"]["name"] for entry in objects))


def _delete(world: World, key: Key, cluster: Object) -> None:
    """Workers, control plane, infrastructure, the served API; each waits for the one before."""
    deployments = world.machine_deployments.of_cluster(key)
    sets = [entry for entry in world.machine_sets.of_cluster(key)]
    everyone = world.machines.of_cluster(key)
    workers = [entry for entry in everyone if not machines.is_control_plane(entry)]
    world.delete(MACHINE_DEPLOYMENT, deployments)
    world.delete(MACHINE_SET, [entry for entry in sets if not entry["metadata"].get("ownerReferences")])
    world.delete(MACHINE, [entry for entry in workers if not entry["metadata"].get("ownerReferences")])
    if deployments or sets or workers:
        what = f"* MachineDeployments: {_names(deployments)}" if deployments else f"* Machines: {_names(workers)}"
        _report(world, cluster, "WaitingForWorkersDeletion", message=what)
        return
    plane = control_plane_of(world, cluster)
    if plane is not None:
        world.delete(BY_CONTROL_PLANE[plane["kind"]].control_plane, [plane])
        what = f"* Control plane: {plane['metadata']['name']} ({len(everyone)} Machines)"
        _report(world, cluster, "WaitingForControlPlaneDeletion", message=what)
        return
    infrastructure = infrastructure_of(world, cluster)
    if infrastructure is not None:
        world.delete(BY_CLUSTER[infrastructure["kind"]].cluster, [infrastructure])
        what = f"* {infrastructure['kind']}: {infrastructure['metadata']['name']}"
        _report(world, cluster, "WaitingForInfrastructureDeletion", message=what)
        return
    _remove_api(world, cluster)
    world.release(world.api.get(CLUSTER, key[1], key[0]), FINALIZER)


def _remove_api(world: World, cluster: Object) -> None:
    name = annotations_of(cluster).get(ENGINE_CLUSTER)
    if name:
        world.engine_names.pop(name, None)
        try:
            world.engine.remove_cluster(name)
        except NotFound:
            return  # its first node never came up


# --- status -----------------------------------------------------------------------------------------------------------


def _counters(objects: Sequence[Object]) -> Object:
    made: Object = {"desiredReplicas": sum(entry["spec"].get("replicas", 1) for entry in objects)}
    for name, older in (
        ("replicas", ""), ("readyReplicas", ""), ("availableReplicas", "readyReplicas"),
        ("upToDateReplicas", "updatedReplicas"),
    ):  # fmt: skip
        made[name] = sum(
            (entry.get("status") or {}).get(name, (entry.get("status") or {}).get(older, 0)) for entry in objects
        )
    return made


def _report(world: World, cluster: Object, reason: str, *, message: str = "", is_paused: bool = False) -> None:
    key = (cluster["metadata"]["namespace"], cluster["metadata"]["name"])
    infrastructure, plane = infrastructure_of(world, cluster), control_plane_of(world, cluster)
    deployments = world.machine_deployments.of_cluster(key)
    there = initialization(cluster, "infrastructureProvisioned") or provisioned(infrastructure)
    initialized = initialization(cluster, "controlPlaneInitialized") or _initialized(plane)
    flags = (("infrastructureProvisioned", there), ("controlPlaneInitialized", initialized))
    status: Object = {
        "phase": _phase(cluster, infrastructure, there),
        "controlPlane": _counters([plane] if plane is not None else []),
        "workers": _counters(deployments),
    }
    if there or initialized:
        status["initialization"] = {name: True for name, good in flags if good}
    if there and infrastructure is not None:
        domains = (infrastructure.get("status") or {}).get("failureDomains") or {}
        if domains:
            status["failureDomains"] = [{"name": name, **value} for name, value in domains.items()]
    fresh = _conditions(world, cluster, infrastructure, plane, deployments, there, initialized)
    going = deleting(cluster)
    fresh.append(cond("Deleting", going, (reason or "DeletionInProgress") if going else "NotDeleting", message))
    world.report(cluster, status, [_available(fresh), *fresh, paused_condition(is_paused)])


def _phase(cluster: Object, infrastructure: Object | None, there: bool) -> str:
    if deleting(cluster):
        return "Deleting"
    if there and (cluster["spec"].get("controlPlaneEndpoint") or {}).get("host"):
        return "Provisioned"
    return "Provisioning" if infrastructure is not None else "Pending"


def _initialized(plane: Object | None) -> bool:
    if plane is None:
        return False
    return initialization(plane, "controlPlaneInitialized") or bool((plane.get("status") or {}).get("initialized"))


_NEEDED = ("RemoteConnectionProbe", "InfrastructureReady", "ControlPlaneAvailable", "WorkersAvailable")


def _available(fresh: Sequence[Object]) -> Object:
    bad = [entry for entry in fresh if entry["type"] in _NEEDED and entry["status"] != "True"]
    bad += [entry for entry in fresh if entry["type"] == "Deleting" and entry["status"] == "True"]
    if not bad:
        return cond("Available", True, "Available")
    note = "\n".join(f"* {entry['type']}: {entry['message'] or entry['reason']}" for entry in bad)
    return cond("Available", False, "NotAvailable", note)


def _conditions(
    world: World, cluster: Object, infrastructure: Object | None, plane: Object | None, deployments: Sequence[Object],
    there: bool, initialized: bool,
) -> list[Object]:  # fmt: skip
    silent = fault(cluster, API_OUTAGE) is not None
    probed = initialized and not silent and world.remote(cluster) is not None
    reached = cond(
        "RemoteConnectionProbe",
        probed,
        "ProbeSucceeded" if probed else "ProbeFailed",
        "" if probed else "Remote connection not established yet",
    )
    return [
        _infrastructure_ready(cluster, infrastructure, there),
        cond(
            "ControlPlaneInitialized",
            initialized,
            "Initialized" if initialized else "NotInitialized",
            "" if initialized else "Control plane not yet initialized",
        ),
        reached,
        _mirrored(
            "ControlPlaneAvailable",
            [plane] if plane is not None else [],
            "Available",
            "Control plane object does not exist",
        ),
        _mirrored(
            "ControlPlaneMachinesReady",
            [plane] if plane is not None else [],
            "MachinesReady",
            "Control plane object does not exist",
        ),
        _mirrored(
            "ControlPlaneMachinesUpToDate",
            [plane] if plane is not None else [],
            "MachinesUpToDate",
            "Control plane object does not exist",
        ),
        _mirrored("WorkersAvailable", deployments, "Available"),
        _mirrored("WorkerMachinesReady", deployments, "MachinesReady"),
        _mirrored("WorkerMachinesUpToDate", deployments, "MachinesUpToDate"),
        *(
            _busy(name, [*([plane] if plane is not None else []), *deployments])
            for name in ("RollingOut", "ScalingUp", "ScalingDown")
        ),
        cond("Remediating", False, "NotRemediating"),
    ]


def _infrastructure_ready(cluster: Object, infrastructure: Object | None, there: bool) -> Object:
    if infrastructure is not None:
        entry = condition(infrastructure, "Ready")
        if entry is not None and entry["status"] == "True":
            return cond("InfrastructureReady", True, "Ready")
        if entry is None and provisioned(infrastructure):
            return cond("InfrastructureReady", True, "Ready")
        note = entry["message"] if entry is not None else f"{infrastructure['kind']} has no status yet"
        return cond("InfrastructureReady", False, "NotReady", note)
    reference = cluster["spec"].get("infrastructureRef") or {}
    if reference.get("kind", "OpenStackCluster") not in BY_CLUSTER:
        note = f"{reference['kind']} is not available here; use {' or '.join(BY_CLUSTER)}"
    else:
        note = f"{reference.get('kind', 'OpenStackCluster')} {reference.get('name', '')} does not exist"
    return cond("InfrastructureReady", False, "Deleted" if there else "DoesNotExist", note)


_GOOD = {"Available": "Available", "MachinesReady": "Ready", "MachinesUpToDate": "UpToDate"}


def _mirrored(name: str, objects: Sequence[Object], theirs: str, missing: str = "") -> Object:
    """True when all of them say so."""
    if not objects and missing:
        return cond(name, "Unknown", "DoesNotExist", missing)
    bad = [entry for entry in objects if not is_true(entry, theirs)]
    if not bad:
        return cond(name, True, _GOOD[theirs])
    notes = []
    for entry in bad:
        found = condition(entry, theirs)
        text = (found or {}).get("message") or (found or {}).get("reason") or f"condition {theirs} not yet reported"
        notes.append(f"* {entry['kind']} {entry['metadata']['name']}: {text}")
    return cond(name, False, f"Not{_GOOD[theirs]}", "\n".join(notes))


def _busy(name: str, objects: Sequence[Object]) -> Object:
    busy = [entry for entry in objects if is_true(entry, name)]
    notes = [f"* {entry['kind']} {entry['metadata']['name']}" for entry in busy]
    return cond(name, bool(busy), name if busy else f"Not{name}", "\n".join(notes))
