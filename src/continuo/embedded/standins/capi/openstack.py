"""The OpenStack provider: networks and a floating IP per cluster, a server per machine.

Credentials are checked first: without the Secret that `identityRef` names, authentication fails and the cluster waits;
it goes on by itself when the Secret appears. Floating IPs come from 172.24.0.0/16, unless one is asked for.
"""

from __future__ import annotations

import ipaddress
import uuid

from continuo.embedded.standins.capi import finalizers
from continuo.embedded.standins.capi.servers import deployment_of, internal_address, never_up
from continuo.embedded.standins.capi.world import World, cluster_key, paused
from continuo.embedded.standins.objects import cond
from continuo.resources.kinds import (
    MACHINE,
    OPENSTACK_CLUSTER,
    OPENSTACK_MACHINE,
    SECRET,
)
from continuo.resources.meta import Key, Object, deleting

CLUSTER_FINALIZER = finalizers.OPENSTACK_CLUSTER
MACHINE_FINALIZER = finalizers.OPENSTACK_MACHINE
_PUBLIC = int(ipaddress.IPv4Address("172.24.0.0"))


# --- OpenStackCluster -------------------------------------------------------------------------------------------------


def reconcile_cluster(world: World, key: Key) -> None:
    """One step for an OpenStackCluster."""
    found = world.find(OPENSTACK_CLUSTER, key)
    if found is None:
        return
    _note_identity(world, key, found)
    cluster = world.cluster_of(found)
    if deleting(found):
        _delete_cluster(world, key, found)
        return
    if cluster is None or not found["metadata"].get("ownerReferences") or paused(cluster, found):
        return
    found = world.hold(found, CLUSTER_FINALIZER)
    problem = _credentials_problem(world, found)
    status = dict(found.get("status") or {})
    if problem:
        failed = cond(
            "OpenStackAuthenticationSucceeded",
            False,
            "OpenStackAuthenticationFailed",
            problem,
            severity="Error",
        )
        ready = cond("Ready", False, "OpenStackAuthenticationFailed", problem, severity="Error")
        world.report(found, {"ready": False, **status}, [failed, ready])
        return
    good = cond("OpenStackAuthenticationSucceeded", True)
    if not status.get("ready"):
        if not world.waited(found, "network", world.settings.infrastructure, cluster, found):
            waiting = cond(
                "Ready",
                False,
                "NetworkReconciling",
                "Network, router and security groups are being created.",
                severity="Info",
            )
            world.report(found, {"ready": False, **status}, [good, waiting])
            return
        found = _endpoint(world, key, found)
        status = {**status, **_network_status(found)}
    names = ("NetworkReady", "RouterReady", "SecurityGroupsReady", "APIEndpointReady", "Ready")
    world.report(found, {**status, "ready": True}, [good, *(cond(name, True) for name in names)])


def _note_identity(world: World, key: Key, found: Object) -> None:
    identity = found["spec"].get("identityRef") or {}
    world.identities.setdefault((key[0], identity.get("name", "")), set()).add(key)
    host = ((found["spec"].get("controlPlaneEndpoint")) or {}).get("host")
    if host:
        world.addresses.setdefault(host, key)


def _credentials_problem(world: World, found: Object) -> str:
    identity = found["spec"].get("identityRef") or {}
    name, cloud = identity.get("name", ""), identity.get("cloudName", "")
    namespace = found["metadata"]["namespace"]
    if identity.get("type", "Secret") != "Secret":
        return f"identityRef.type {identity['type']} is not available here; use a Secret."
    secret = world.api.find(SECRET, name, namespace)
    if secret is None:
        return (
            f'secret "{name}" not found: create it in namespace {namespace} with a clouds.yaml that has cloud "{cloud}"'
        )
    if "clouds.yaml" not in (secret.get("data") or {}):
        return f'secret "{name}" has no key clouds.yaml'
    return ""


def _endpoint(world: World, key: Key, found: Object) -> Object:
    if (found["spec"].get("controlPlaneEndpoint") or {}).get("host"):
        return found
    host = found["spec"].get("apiServerFloatingIP") or _free_address(world)
    world.addresses[host] = key
    endpoint = {"host": host, "port": found["spec"].get("apiServerPort", 6443)}
    return world.save({**found, "spec": {**found["spec"], "controlPlaneEndpoint": endpoint}}, found)


def _free_address(world: World) -> str:
    number = len(world.addresses) + 10
    while (address := str(ipaddress.IPv4Address(_PUBLIC + number))) in world.addresses:
        number += 1
    return address


def _network_status(found: Object) -> Object:
    name = f"k8s-clusterapi-cluster-{found['metadata']['namespace']}-{found['metadata']['name']}"
    cidr = next((entry["cidr"] for entry in found["spec"].get("managedSubnets") or ()), "10.6.0.0/24")

    def identify(what: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{found['metadata']['uid']}/{what}"))

    return {
        "network": {
            "id": identify("network"),
            "name": name,
            "subnets": [{"id": identify("subnet"), "name": name, "cidr": cidr}],
        },
        "router": {"id": identify("router"), "name": name, "ips": []},
        "controlPlaneSecurityGroup": {"id": identify("cp"), "name": f"{name}-secgroup-controlplane"},
        "workerSecurityGroup": {"id": identify("worker"), "name": f"{name}-secgroup-worker"},
        "failureDomains": {"nova": {"controlPlane": True}},
    }


def _delete_cluster(world: World, key: Key, found: Object) -> None:
    left = [
        entry for entry in world.infrastructure.of_cluster(cluster_key(found)) if entry["kind"] == "OpenStackMachine"
    ]
    if left:
        return  # the network cannot go while servers use it; their end brings us back
    if world.waited(found, "teardown", world.settings.vm_delete):
        for address in [entry for entry, holder in world.addresses.items() if holder == key]:
            del world.addresses[address]
        identity = found["spec"].get("identityRef") or {}
        world.identities.get((key[0], identity.get("name", "")), set()).discard(key)
        world.release(found, CLUSTER_FINALIZER)
        world.forget(found, "network", "teardown")


# --- OpenStackMachine -------------------------------------------------------------------------------------------------


def reconcile_machine(world: World, key: Key) -> None:
    """One step for an OpenStackMachine: BUILD, ACTIVE, gone."""
    found = world.find(OPENSTACK_MACHINE, key)
    if found is None:
        return
    if deleting(found):
        if world.waited(found, "delete", world.settings.vm_delete):
            world.release(found, MACHINE_FINALIZER)
            world.forget(found, "boot", "delete")
        return
    machine = world.find(MACHINE, key)
    cluster = world.cluster_of(found)
    if machine is None or paused(cluster, found):
        return
    found = world.hold(found, MACHINE_FINALIZER)
    if not ((machine["spec"].get("bootstrap")) or {}).get("dataSecretName"):
        _report(world, found, "", "WaitingForBootstrapData", "The machine's bootstrap data is not there yet.")
        return
    deployment = deployment_of(world, machine)
    if never_up(machine, deployment, cluster):
        _report(world, found, "BUILD", "InstanceNotReady", "Instance is not ready: the server stays in BUILD.")
        return
    active = (found.get("status") or {}).get("instanceState") == "ACTIVE"
    if not active and not world.waited(found, "boot", world.settings.vm_boot, machine, deployment, cluster):
        _report(world, found, "BUILD", "InstanceNotReady", "Instance is being built.")
        return
    instance = str(uuid.uuid5(uuid.NAMESPACE_OID, found["metadata"]["uid"]))
    if not found["spec"].get("providerID"):
        spec = {**found["spec"], "providerID": f"openstack:///{instance}", "instanceID": instance}
        found = world.save({**found, "spec": spec}, found)
    _report(world, found, "ACTIVE", "", "", instance)


def _report(world: World, found: Object, state: str, reason: str, message: str, instance: str = "") -> None:
    status: Object = {"ready": bool(instance)}
    if state:
        status["instanceState"] = state
    if instance:
        address = internal_address(found)
        status.update(instanceID=instance, addresses=[
            {"type": "InternalIP", "address": address}, {"type": "InternalDNS", "address": found["metadata"]["name"]},
        ])  # fmt: skip
    good = not reason
    world.report(found, status, [
        cond("InstanceReady", good, reason, message, **({} if good else {"severity": "Info"})),
        cond("Ready", good, reason, message, **({} if good else {"severity": "Info"})),
    ])  # fmt: skip
