"""MachineDeployments and MachineSets: workers, rolled like Deployments."""

from __future__ import annotations

from collections.abc import Sequence

from continuo.embedded.standins.capi import finalizers, infrastructure, machines
from continuo.embedded.standins.capi.control_planes import DELETE_MACHINE
from continuo.embedded.standins.capi.flavors import BY_CONTROL_PLANE, BY_TEMPLATE
from continuo.embedded.standins.capi.templates import HASH_LABEL, template_hash
from continuo.embedded.standins.capi.world import World, initialization, paused, paused_condition
from continuo.embedded.standins.objects import cond, controller_of, owner_reference, suffix
from continuo.embedded.standins.workload.rollout import Generation, bounds, step
from continuo.resources.kinds import MACHINE, MACHINE_DEPLOYMENT, MACHINE_SET
from continuo.resources.meta import Key, Object, annotations_of, deleting, is_true, labels_of

DEPLOYMENT_FINALIZER = finalizers.MACHINE_DEPLOYMENT
SET_FINALIZER = finalizers.MACHINE_SET


# --- MachineDeployment ------------------------------------------------------------------------------------------------


def reconcile(world: World, key: Key) -> None:
    """One step for a MachineDeployment."""
    found = world.find(MACHINE_DEPLOYMENT, key)
    if found is None:
        return
    cluster = world.cluster_of(found)
    if deleting(found):
        if world.delete(MACHINE_SET, world.machine_sets.owned(found)):
            _report(world, found)
        else:
            world.release(found, DEPLOYMENT_FINALIZER)
        return
    if cluster is None:
        return
    found = world.adopt(found, cluster, finalizer=DEPLOYMENT_FINALIZER)
    if paused(cluster, found):
        _report(world, found, is_paused=True)
        return
    _own_templates(world, found, cluster)
    _roll(world, found)
    _report(world, found)


def _own_templates(world: World, found: Object, cluster: Object) -> None:
    namespace, spec = found["metadata"]["namespace"], found["spec"]["template"]["spec"]
    provider = infrastructure.BY_TEMPLATE.get(spec["infrastructureRef"].get("kind", ""))
    template = world.find(provider.template, (namespace, spec["infrastructureRef"]["name"])) if provider else None
    if template is not None:
        world.own(template, cluster)
    bootstrap = (spec.get("bootstrap") or {}).get("configRef") or {}
    distribution = BY_TEMPLATE.get(bootstrap.get("kind", ""))
    configuration = world.find(distribution.template, (namespace, bootstrap["name"])) if distribution else None
    if configuration is not None:
        world.own(configuration, cluster)


def _roll(world: World, found: Object) -> None:
    spec = found["spec"]
    hashed = template_hash(found)
    owned = [entry for entry in world.machine_sets.owned(found) if not deleting(entry)]
    new = next((entry for entry in owned if labels_of(entry).get(HASH_LABEL) == hashed), None)
    if new is None:
        new = world.create(_new_set(found, hashed))
    old = [entry for entry in owned if entry["metadata"]["name"] != new["metadata"]["name"]]
    strategy = ((spec.get("rollout") or {}).get("strategy") or {}).get("rollingUpdate") or {}
    limits = bounds(spec.get("replicas", 1), strategy.get("maxSurge", 1), strategy.get("maxUnavailable", 0), default=0)
    changes = step(
        limits,
        _generation(world, new),
        [_generation(world, entry) for entry in old if entry["spec"]["replicas"]],
    )
    for entry in (new, *old):
        wanted = changes.get(entry["metadata"]["name"])
        if wanted is not None:
            world.save({**entry, "spec": {**entry["spec"], "replicas": wanted}}, entry)
    for entry in old:
        if (
            not entry["spec"]["replicas"]
            and entry["metadata"]["name"] not in changes
            and not world.machines.owned(entry)
        ):
            world.delete(MACHINE_SET, [entry])


def _new_set(found: Object, hashed: str) -> Object:
    metadata, spec = found["metadata"], found["spec"]
    template = spec["template"]
    labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: hashed}
    return MACHINE_SET.new(
        f"{metadata['name']}-{hashed[:5]}", metadata["namespace"],
        metadata={
            "labels": {**labels, "cluster.x-k8s.io/cluster-name": spec["clusterName"]},
            "ownerReferences": [owner_reference(found)], "finalizers": [SET_FINALIZER],
        },
        spec={
            "clusterName": spec["clusterName"], "replicas": 0, "selector": {"matchLabels": labels},
            "template": {**template, "metadata": {**(template.get("metadata") or {}), "labels": labels}},
        },
    )  # fmt: skip


def _generation(world: World, machine_set: Object) -> Generation:
    ready = sum(is_true(entry, "Ready") and not deleting(entry) for entry in world.machines.owned(machine_set))
    return Generation(machine_set["metadata"]["name"], machine_set["spec"].get("replicas", 0), ready)


def _report(world: World, found: Object, *, is_paused: bool = False) -> None:
    sets = world.machine_sets.owned(found)
    owned = [machine for entry in sets for machine in world.machines.owned(entry)]
    desired = found["spec"].get("replicas", 1)
    # As the machines themselves say, which is a moment after this object's new template was seen.
    current = sum(is_true(entry, "UpToDate") for entry in owned)
    status, fresh = summary(found, owned, desired, current)
    limits = ((found["spec"].get("rollout") or {}).get("strategy") or {}).get("rollingUpdate") or {}
    least = desired - bounds(desired, 1, limits.get("maxUnavailable", 0), default=0).unavailable
    good = status["readyReplicas"] >= least and not deleting(found)
    message = "" if good else f"{status['readyReplicas']} available replicas, at least {least} required"
    fresh.append(cond("Available", good, "Available" if good else "NotAvailable", message))
    rolling = current < len(owned)
    fresh.append(cond("RollingOut", rolling, "RollingOut" if rolling else "NotRollingOut"))
    fresh.append(paused_condition(is_paused))
    status["phase"] = _phase(status, desired)
    world.report(found, status, fresh)


def _phase(status: Object, desired: int) -> str:
    if status["replicas"] < desired or status["readyReplicas"] < desired:
        return "ScalingUp"
    return "ScalingDown" if status["replicas"] > desired else "Running"


def summary(found: Object, owned: Sequence[Object], desired: int, current: int) -> tuple[Object, list[Object]]:
    """Counters and conditions that MachineDeployments and MachineSets share."""
    ready, total, going = sum(is_true(entry, "Ready") for entry in owned), len(owned), deleting(found)
    unready = [entry["metadata"]["name"] for entry in owned if not is_true(entry, "Ready")]
    selector = ",".join(f"{k}={v}" for k, v in sorted((found["spec"]["selector"].get("matchLabels") or {}).items()))
    status: Object = {
        "replicas": total, "readyReplicas": ready, "availableReplicas": ready, "upToDateReplicas": current,
        "selector": selector,
    }  # fmt: skip
    note = f"* Machines not ready: {', '.join(unready)}" if unready else ""
    up, down = total < desired and not going, total > desired or (going and total > 0)
    fresh = [
        cond("MachinesReady", not unready, "Ready" if not unready else "NotReady", note),
        cond("MachinesUpToDate", current == total, "UpToDate" if current == total else "NotUpToDate"),
        cond(
            "ScalingUp",
            up,
            "ScalingUp" if up else "NotScalingUp",
            f"Scaling up from {total} to {desired} replicas" if up else "",
        ),
        cond(
            "ScalingDown",
            down,
            "ScalingDown" if down else "NotScalingDown",
            f"Scaling down from {total} to {0 if going else desired} replicas" if down else "",
        ),
        cond("Remediating", False, "NotRemediating"),
        cond(
            "Deleting",
            going,
            "DeletionInProgress" if going else "NotDeleting",
            f"Deleting {total} Machines" if going else "",
        ),
    ]
    return status, fresh


# --- MachineSet -------------------------------------------------------------------------------------------------------


def reconcile_set(world: World, key: Key) -> None:
    """One step for a MachineSet."""
    found = world.find(MACHINE_SET, key)
    if found is None:
        return
    cluster = world.cluster_of(found)
    owned = world.machines.owned(found)
    if deleting(found):
        if world.delete(MACHINE, owned):
            _report_set(world, found, "")
        else:
            world.release(found, SET_FINALIZER)
        return
    if cluster is None or paused(cluster, found):
        return
    found = world.hold(found, SET_FINALIZER)
    active = [entry for entry in owned if not deleting(entry)]
    missing = found["spec"].get("replicas", 1) - len(active)
    held = _preflight(world, found, cluster) if missing > 0 else ""
    if missing > 0 and not held:
        for _ in range(missing):
            _create_machine(world, found, cluster)
    elif missing < 0:
        world.delete(MACHINE, sorted(active, key=lambda entry: _rank(found, entry))[:-missing])
    _report_set(world, found, held)


def _preflight(world: World, found: Object, cluster: Object) -> str:
    """Why no machine may be created now."""
    if not initialization(cluster, "controlPlaneInitialized"):
        return "waiting for the control plane to be initialized"
    if annotations_of(found).get("machineset.cluster.x-k8s.io/skip-preflight-checks") == "All":
        return ""
    reference = cluster["spec"].get("controlPlaneRef") or {}
    distribution = BY_CONTROL_PLANE.get(reference.get("kind", ""))
    plane = (
        world.find(distribution.control_plane, (cluster["metadata"]["namespace"], reference["name"]))
        if distribution
        else None
    )
    version = ((plane or {}).get("status") or {}).get("version")
    if plane is not None and version and version != plane["spec"]["version"]:
        name = f"{plane['kind']} {plane['metadata']['name']}"
        return (
            f"{name} is upgrading from {version} to {plane['spec']['version']} (ControlPlaneIsStable preflight check)"
        )
    return ""


def _create_machine(world: World, found: Object, cluster: Object) -> None:
    spec = found["spec"]["template"]["spec"]
    bootstrap = (spec.get("bootstrap") or {}).get("configRef") or {}
    machines.new_machine(
        world, f"{found['metadata']['name']}-{suffix(world.rng)}", found, cluster,
        version=spec.get("version", "v1.34.0"), distribution=BY_TEMPLATE[bootstrap["kind"]],
        template=spec["infrastructureRef"], deletion=spec.get("deletion"), bootstrap=bootstrap["name"],
        labels={
            **labels_of({"metadata": found["spec"]["template"].get("metadata") or {}}),
            "cluster.x-k8s.io/set-name": found["metadata"]["name"],
        },
    )  # fmt: skip


def _rank(found: Object, machine: Object) -> tuple[bool, bool, str, str]:
    """Who goes first: the marked one, those that are not ready, then by the deletion order."""
    metadata = machine["metadata"]
    order = (found["spec"].get("deletion") or {}).get("order", "Random")
    age = metadata.get("creationTimestamp", "")
    if order == "Newest":
        age = "".join(chr(0x7E - ord(letter) + 0x20) for letter in age)
    return (
        DELETE_MACHINE not in annotations_of(machine),
        is_true(machine, "Ready"),
        age if order != "Random" else "",
        metadata["name"],
    )


def _report_set(world: World, found: Object, held: str) -> None:
    owned, desired = world.machines.owned(found), found["spec"].get("replicas", 1)
    status, fresh = summary(found, owned, desired, sum(is_true(entry, "UpToDate") for entry in owned))
    fresh.append(paused_condition(False))
    if held:
        entry = next(item for item in fresh if item["type"] == "ScalingUp")
        entry["message"] = f"{entry['message']} is blocked because:\n* {held}"
        fresh.append(cond("MachinesCreated", False, "PreflightCheckFailed", held))
    world.report(found, status, fresh)
    owner = controller_of(found)
    if owner is not None:
        world.work.add((owner["kind"], found["metadata"]["namespace"], owner["name"]))
