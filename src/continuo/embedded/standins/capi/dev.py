"""The development provider with its in-memory backend: a made-up server per machine.

The real one also makes up the cluster's API, which understands little more than Cluster API's own requests. Here the
cluster gets an API like any other; nothing must rest on that.
"""

from __future__ import annotations

import re

from continuo.embedded.standins.capi.infrastructure import DEV
from continuo.embedded.standins.capi.servers import deployment_of, never_up
from continuo.embedded.standins.capi.world import World, cluster_key, paused, paused_condition
from continuo.embedded.standins.objects import cond
from continuo.resources.kinds import MACHINE
from continuo.resources.meta import Key, Object, deleting, labels_of

_FIRST_PORT = 20000
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def reconcile_cluster(world: World, key: Key) -> None:
    """One step for a DevCluster."""
    found = world.find(DEV.cluster, key)
    if found is None:
        return
    cluster = world.cluster_of(found)
    if deleting(found):
        left = [e for e in world.infrastructure.of_cluster(cluster_key(found)) if e["kind"] == DEV.machine.kind]
        if not left:  # else their end brings us back
            world.release(found, DEV.cluster_finalizer)
        return
    if cluster is None or not found["metadata"].get("ownerReferences") or paused(cluster, found):
        return
    found = _endpoint(world, world.hold(found, DEV.cluster_finalizer))
    world.report(found, {"initialization": {"provisioned": True}}, [paused_condition(False)])


def _endpoint(world: World, found: Object) -> Object:
    if (found["spec"].get("controlPlaneEndpoint") or {}).get("host"):
        return found
    taken = ((entry["spec"].get("controlPlaneEndpoint") or {}).get("port", 0) for entry in world.api.list(DEV.cluster))
    endpoint = {"host": "127.0.0.1", "port": max(_FIRST_PORT, max(taken, default=0) + 1)}
    return world.save({**found, "spec": {**found["spec"], "controlPlaneEndpoint": endpoint}}, found)


def reconcile_machine(world: World, key: Key) -> None:
    """One step for a DevMachine."""
    found = world.find(DEV.machine, key)
    if found is None:
        return
    if deleting(found):
        world.release(found, DEV.machine_finalizer)
        world.forget(found, "boot")
        return
    machine, cluster = world.find(MACHINE, key), world.cluster_of(found)
    if machine is None or paused(cluster, found):
        return
    found = world.hold(found, DEV.machine_finalizer)
    if not (machine["spec"].get("bootstrap") or {}).get("dataSecretName"):
        _report(world, found, "WaitingForBootstrapData")
        return
    deployment = deployment_of(world, machine)
    up = bool(found["spec"].get("providerID"))
    seconds = _startup(found)
    stuck = never_up(machine, deployment, cluster)
    if stuck or not (
        up or world.waited(found, "boot", world.settings.vm_boot if seconds is None else seconds, machine, cluster)
    ):
        _report(world, found, "WaitingForStartupTimeout")
        return
    if not up:
        spec = {**found["spec"], "providerID": f"in-memory://{key[1]}"}
        found = world.save({**found, "spec": spec}, found)
    _report(world, found, "")


def _startup(found: Object) -> float | None:
    """The seconds that the machine is said to take; None where nothing is said."""
    vm = ((found["spec"].get("backend") or {}).get("inMemory") or {}).get("vm") or {}
    text = (vm.get("provisioning") or {}).get("startupDuration")
    if text is None:
        return None
    return sum(float(amount) * _UNITS[unit] for amount, unit in re.findall(r"([\d.]+)(ms|h|m|s)", text))


def _report(world: World, found: Object, reason: str) -> None:
    status: Object = {} if reason else {"initialization": {"provisioned": True}}
    later = ("NodeProvisioned", *(("EtcdProvisioned", "APIServerProvisioned") if _is_control_plane(found) else ()))
    why = {"VMProvisioned": reason, **dict.fromkeys(later, "WaitingForVMProvisioned" if reason else "")}
    message = "\n".join(f"* {name}: {text}" for name, text in why.items()) if reason else ""
    world.report(found, status, [
        *(cond(name, not text, text or "Provisioned") for name, text in why.items()),
        cond("Ready", not reason, "NotReady" if reason else "Ready", message),
        paused_condition(False),
    ])  # fmt: skip


def _is_control_plane(found: Object) -> bool:
    return "cluster.x-k8s.io/control-plane" in labels_of(found)
