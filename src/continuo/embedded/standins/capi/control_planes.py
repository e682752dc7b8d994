"""Control planes (kubeadm, K3s, MicroK8s): machines one at a time, certificates, kubeconfig, status."""

from __future__ import annotations

import re
from collections.abc import Sequence

from continuo.embedded.standins.capi import machines, secrets
from continuo.embedded.standins.capi.admission import CLUSTER_NAME
from continuo.embedded.standins.capi.decide import Member, next_step
from continuo.embedded.standins.capi.flavors import Distribution
from continuo.embedded.standins.capi.infrastructure import BY_TEMPLATE, template_of
from continuo.embedded.standins.capi.world import World, initialization, paused, paused_condition
from continuo.embedded.standins.objects import cond, suffix
from continuo.resources.kinds import MACHINE
from continuo.resources.meta import Key, Object, annotations_of, deleting, is_true, key_of

DELETE_MACHINE = "cluster.x-k8s.io/delete-machine"
_ROLLOUT = "embedded.continuo.dev/rollout-after"


def reconcile(world: World, distribution: Distribution, key: Key) -> None:
    """One step for a control plane."""
    plane = world.find(distribution.control_plane, key)
    if plane is None:
        return
    cluster = world.cluster_of(plane)
    if deleting(plane):
        _delete(world, distribution, plane, cluster)
        return
    if cluster is None or not plane["metadata"].get("ownerReferences"):
        return
    if paused(cluster, plane):
        _report(world, distribution, plane, cluster, is_paused=True)
        return
    plane = world.hold(plane, distribution.finalizer)
    if initialization(cluster, "infrastructureProvisioned"):
        secrets.ensure_certificates(world, cluster, plane)
        secrets.ensure_kubeconfig(world, cluster, plane)
        _own_template(world, plane, cluster)
        _step(world, distribution, plane, cluster)
    _report(world, distribution, plane, cluster)


def _own_template(world: World, plane: Object, cluster: Object) -> None:
    reference = template_of(plane)
    provider = BY_TEMPLATE.get(reference.get("kind", ""))
    if provider is None:
        return
    template = world.find(provider.template, (plane["metadata"]["namespace"], reference["name"]))
    if template is not None:
        world.own(template, cluster)


def is_current(plane: Object, machine: Object) -> bool:
    """Whether the machine is what the control plane asks for now."""
    after = ((plane["spec"].get("rollout") or {}).get("after")) or plane["spec"].get("rolloutAfter") or ""
    return (
        machine["spec"].get("version") == plane["spec"]["version"]
        and annotations_of(machine).get(machines.TEMPLATE) == template_of(plane).get("name", "")
        and annotations_of(machine).get(_ROLLOUT, "") >= after
    )


def _surge(plane: Object) -> int:
    strategy = (plane["spec"].get("rollout") or {}).get("strategy") or plane["spec"].get("rolloutStrategy") or {}
    value = (strategy.get("rollingUpdate") or {}).get("maxSurge", 1)
    return 0 if str(value) == "0" and plane["spec"].get("replicas", 1) >= 3 else 1


def _members(plane: Object, owned: Sequence[Object]) -> list[Member]:
    return [
        Member(
            entry["metadata"]["name"], is_current(plane, entry), machines.has_node(entry), deleting(entry),
            DELETE_MACHINE in annotations_of(entry),
        )
        for entry in owned
    ]  # fmt: skip


def _step(world: World, distribution: Distribution, plane: Object, cluster: Object) -> None:
    step = next_step(plane["spec"].get("replicas", 1), _members(plane, world.machines.owned(plane)), _surge(plane))
    if step is None:
        return
    if step.action == "delete":
        world.api.delete(MACHINE, step.name, plane["metadata"]["namespace"])
        return
    metadata = plane["metadata"]
    labels = (((plane["spec"].get("machineTemplate") or {}).get("metadata")) or {}).get("labels") or {}
    after = ((plane["spec"].get("rollout") or {}).get("after")) or plane["spec"].get("rolloutAfter") or ""
    machines.new_machine(
        world, f"{metadata['name']}-{suffix(world.rng)}", plane, cluster,
        version=plane["spec"]["version"], distribution=distribution, template=template_of(plane),
        deletion=((plane["spec"].get("machineTemplate") or {}).get("spec") or {}).get("deletion"),
        labels={**labels, machines.CONTROL_PLANE: "", "cluster.x-k8s.io/control-plane-name": metadata["name"]},
        annotations={_ROLLOUT: after} if after else {},
    )  # fmt: skip


def _delete(world: World, distribution: Distribution, plane: Object, cluster: Object | None) -> None:
    workers = []
    if cluster is not None:
        everyone = world.machines.of_cluster(key_of(cluster))
        workers = [entry for entry in everyone if not machines.is_control_plane(entry)]
    left = world.machines.owned(plane)
    if workers:
        _report(world, distribution, plane, cluster)
        return  # their end brings us back
    if world.delete(MACHINE, left):
        _report(world, distribution, plane, cluster)
        return
    world.release(plane, distribution.finalizer)


# --- status -----------------------------------------------------------------------------------------------------------


def _report(
    world: World,
    distribution: Distribution,
    plane: Object,
    cluster: Object | None,
    *,
    is_paused: bool = False,
) -> None:
    owned = world.machines.owned(plane)
    ready = sum(is_true(entry, "Ready") for entry in owned)
    current = sum(is_current(plane, entry) for entry in owned)
    joined = [entry for entry in owned if machines.has_node(entry)]
    was = plane.get("status") or {}
    known = initialization(plane, "controlPlaneInitialized") or bool(was.get("initialized"))
    initialized = known or bool(joined)
    versions = sorted(entry["spec"].get("version", "") for entry in owned if not deleting(entry))
    status: Object = {
        "replicas": len(owned), "readyReplicas": ready,
        "selector": f"{CLUSTER_NAME}={(cluster or plane)['metadata']['name']},{machines.CONTROL_PLANE}",
    }  # fmt: skip
    if versions:
        status["version"] = versions[0]
    fresh = _conditions(plane, owned, len(joined), ready, current)
    if distribution.current_contract:
        status.update(availableReplicas=ready, upToDateReplicas=current)
        if initialized:
            status["initialization"] = {"controlPlaneInitialized": True}
        fresh = [
            *fresh,
            cond("Initialized", initialized, "Initialized" if initialized else "NotInitialized"),
            paused_condition(is_paused),
        ]
    else:
        status.update(
            initialized=initialized, ready=bool(ready), updatedReplicas=current,
            unavailableReplicas=max(0, plane["spec"].get("replicas", 1) - ready),
        )  # fmt: skip
        if distribution.name == "microk8s":
            status["bootstrapped"] = initialized
        fresh = _older_contract(plane, fresh, owned, ready)
    world.report(plane, status, fresh)
    _let_the_api_follow(world, cluster, joined)


def _let_the_api_follow(world: World, cluster: Object | None, joined: Sequence[Object]) -> None:
    """The workload cluster's API reports the version of its oldest control plane node."""
    versions = [entry["spec"].get("version", "") for entry in joined if not deleting(entry)]
    remote = world.remote(cluster)
    if remote is not None and versions:
        oldest = min(versions, key=lambda text: [int(part) for part in re.findall(r"\d+", text)])
        world.engine.upgrade_cluster(remote.name, oldest)


def _flag(name: str, busy: bool, yes: str, no: str, message: str = "") -> Object:
    return cond(name, busy, yes if busy else no, message if busy else "")


def _conditions(plane: Object, owned: Sequence[Object], joined: int, ready: int, current: int) -> list[Object]:
    desired, total = plane["spec"].get("replicas", 1), len(owned)
    going = deleting(plane)
    unready = [entry["metadata"]["name"] for entry in owned if not is_true(entry, "Ready")]
    note = f"* Machines not ready: {', '.join(unready)}" if unready else ""
    up = ready > 0 or (joined > 0 and not going)
    return [
        cond(
            "Available",
            up and not going,
            "Available" if up and not going else "NotAvailable",
            note if not up else "",
        ),
        cond("CertificatesAvailable", True, "Available"),
        cond("EtcdClusterHealthy", joined > 0, "Healthy" if joined else "ControlPlaneNotInitialized"),
        cond("ControlPlaneComponentsHealthy", joined > 0, "Healthy" if joined else "ControlPlaneNotInitialized"),
        cond("MachinesReady", not unready, "Ready" if not unready else "NotReady", note),
        cond("MachinesUpToDate", current == total, "UpToDate" if current == total else "NotUpToDate"),
        _flag(
            "RollingOut",
            current < total,
            "RollingOut",
            "NotRollingOut",
            f"Rolling out {total - current} not up-to-date replicas",
        ),
        _flag(
            "ScalingUp",
            total < desired and not going,
            "ScalingUp",
            "NotScalingUp",
            f"Scaling up from {total} to {desired} replicas",
        ),
        _flag(
            "ScalingDown",
            (going and total > 0) or total > desired,
            "ScalingDown",
            "NotScalingDown",
            f"Scaling down from {total} to {0 if going else desired} replicas",
        ),
        cond("Remediating", False, "NotRemediating"),
        _flag("Deleting", going, "WaitingForMachineDeletion", "NotDeleting", f"Deleting {total} Machines"),
    ]


def _older_contract(plane: Object, fresh: Sequence[Object], owned: Sequence[Object], ready: int) -> list[Object]:
    """K3s and MicroK8s: the conditions of the v1beta1 contract, with severities."""
    by_type = {entry["type"]: entry for entry in fresh}
    desired = plane["spec"].get("replicas", 1)
    resized = len(owned) == desired
    made = [
        by_type["Available"], by_type["CertificatesAvailable"], cond("TokenAvailable", True),
        {**by_type["EtcdClusterHealthy"], "type": "EtcdClusterHealthyCondition"},
        by_type["ControlPlaneComponentsHealthy"], by_type["MachinesReady"],
        {**by_type["MachinesUpToDate"], "type": "MachinesSpecUpToDate"},
        cond("Resized", resized, "" if resized else "ScalingUp" if len(owned) < desired else "ScalingDown"),
        cond("Ready", ready == desired == len(owned), "" if ready == desired else "NotReady",
             by_type["MachinesReady"]["message"]),
    ]  # fmt: skip
    return [entry if entry["status"] == "True" else {**entry, "severity": "Info"} for entry in made]
