"""Cluster API in the management cluster: clusters come, change and go, on virtual time."""

from __future__ import annotations

import base64
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from manifests import cluster_objects, credentials, machine_template

from continuo.embedded.standins import all_standins, prepare_management
from continuo.embedded.standins.faults import Faults
from continuo.resources.errors import Invalid, NotFound
from continuo.resources.kinds import (
    CAPI_PROVIDER,
    CLUSTER,
    HELM_CHART_PROXY,
    KTHREES_CONTROL_PLANE,
    KUBEADM_CONTROL_PLANE,
    MACHINE,
    MACHINE_DEPLOYMENT,
    MACHINE_SET,
    NODE,
    OPENSTACK_CLUSTER,
    OPENSTACK_MACHINE,
    OPENSTACK_MACHINE_TEMPLATE,
    SECRET,
)
from continuo.resources.meta import Object, condition, is_true
from seeding import seeds

FLANNEL = HELM_CHART_PROXY.new(
    "flannel", "default",
    spec={
        "clusterSelector": {}, "chartName": "flannel", "repoURL": "https://flannel-io.github.io/flannel/",
        "namespace": "kube-flannel", "releaseName": "flannel",
    },
)  # fmt: skip


@pytest.fixture
def capi(world: Any) -> Any:
    world.engine.start()
    prepare_management(world.engine.management)
    world.start(*all_standins(world.engine, rng=world.rng, settings=world.settings))
    world.run(1)
    world.engine.management.create(FLANNEL)
    return world


def create(world: Any, name: str, **more: Any) -> None:
    for obj in cluster_objects(name, **more):
        world.engine.management.create(obj)


def merge(world: Any, kind: Any, name: str, body: Object) -> Object:
    return world.engine.management.patch(kind, name, "default", "merge", body)


def cluster(world: Any, name: str = "green") -> Object:
    return world.engine.management.get(CLUSTER, name, "default")


def machines(world: Any, *, control_plane: bool | None = None) -> list[Object]:
    found = world.engine.management.list(MACHINE, "default")
    if control_plane is None:
        return found
    return [m for m in found if ("cluster.x-k8s.io/control-plane" in m["metadata"]["labels"]) == control_plane]


def reason(obj: Object, type_: str) -> str:
    return condition(obj, type_)["reason"]


def test_a_cluster_comes_up_step_by_step(capi: Any) -> None:
    create(capi, "green", workers=2)
    steps: list[tuple[bool, bool, int]] = []

    def watch() -> None:
        status = cluster(capi).get("status") or {}
        done = status.get("initialization") or {}
        now = (
            bool(done.get("infrastructureProvisioned")),
            bool(done.get("controlPlaneInitialized")),
            len(machines(capi)),
        )
        if not steps or steps[-1] != now:
            steps.append(now)

    capi.run(8, watch)
    assert steps == sorted(steps)
    assert steps[0] == (False, False, 0)
    assert steps[-1] == (True, True, 3)
    status = cluster(capi)["status"]
    assert status["phase"] == "Provisioned"
    assert (status["controlPlane"]["readyReplicas"], status["workers"]["readyReplicas"]) == (1, 2)
    assert is_true(cluster(capi), "Available")
    assert status["observedGeneration"] == cluster(capi)["metadata"]["generation"]
    nodes = capi.engine.cluster("green").list(NODE)
    assert {node["metadata"]["name"] for node in nodes} == {m["status"]["nodeRef"]["name"] for m in machines(capi)}
    assert {node["spec"]["providerID"] for node in nodes} == {m["spec"]["providerID"] for m in machines(capi)}
    assert all(m["status"]["phase"] == "Running" and is_true(m, "Ready") for m in machines(capi))


def test_its_secrets_are_where_others_look_for_them(capi: Any) -> None:
    create(capi, "green")
    management = capi.engine.management
    with pytest.raises(NotFound):
        management.get(SECRET, "green-kubeconfig", "default")
    capi.run(0.7)
    secret = management.get(SECRET, "green-kubeconfig", "default")
    assert secret["type"] == "cluster.x-k8s.io/secret"
    assert secret["metadata"]["labels"]["cluster.x-k8s.io/cluster-name"] == "green"
    assert base64.b64decode(secret["data"]["value"]).decode() == capi.engine.kubeconfig("green")
    authority = base64.b64decode(management.get(SECRET, "green-ca", "default")["data"]["tls.crt"]).decode()
    assert authority.startswith("-----BEGIN CERTIFICATE-----")


def test_nodes_are_not_ready_without_a_network_plugin(capi: Any) -> None:
    capi.engine.management.delete(HELM_CHART_PROXY, "flannel", "default")
    create(capi, "green")
    create(capi, "edge", provider="k3s")
    capi.run(8)
    green = capi.engine.cluster("green").list(NODE)
    assert [reason(node, "Ready") for node in green] == ["KubeletNotReady", "KubeletNotReady"]
    assert cluster(capi)["status"]["controlPlane"]["readyReplicas"] == 0
    assert all(is_true(node, "Ready") for node in capi.engine.cluster("edge").list(NODE))
    plane = capi.engine.management.get(KTHREES_CONTROL_PLANE, "edge-cp", "default")["status"]
    assert (plane["initialized"], plane["ready"], plane["unavailableReplicas"]) == (True, True, 0)
    assert is_true(cluster(capi, "edge"), "Available")


def test_missing_credentials_are_waited_for(capi: Any) -> None:
    create(capi, "green", secret=False)
    capi.run(5)
    infrastructure = capi.engine.management.get(OPENSTACK_CLUSTER, "green", "default")
    assert not is_true(infrastructure, "OpenStackAuthenticationSucceeded")
    assert 'secret "green-cloud-config" not found' in condition(cluster(capi), "InfrastructureReady")["message"]
    capi.engine.management.create(credentials("green"))
    capi.run(8)
    assert is_true(cluster(capi), "Available")


def test_the_control_plane_grows_and_shrinks_one_by_one(capi: Any) -> None:
    create(capi, "green", workers=0)
    capi.run(8)
    counts: set[tuple[int, int]] = set()

    def watch() -> None:
        found = machines(capi, control_plane=True)
        counts.add((len(found), sum("nodeRef" not in m.get("status", {}) for m in found)))

    capi.engine.management.patch(
        KUBEADM_CONTROL_PLANE, "green-cp", "default", "merge", {"spec": {"replicas": 3}}, subresource="scale"
    )
    capi.run(10, watch)
    assert cluster(capi)["status"]["controlPlane"]["readyReplicas"] == 3
    assert max(joining for _, joining in counts) == 1
    merge(capi, KUBEADM_CONTROL_PLANE, "green-cp", {"spec": {"replicas": 1}})
    capi.run(10)
    assert len(machines(capi)) == len(capi.engine.cluster("green").list(NODE)) == 1


@pytest.mark.parametrize("replicas", [2, 4, 0])
@pytest.mark.parametrize("subresource", ["", "scale"])
def test_even_control_planes_are_refused(capi: Any, replicas: int, subresource: str) -> None:
    create(capi, "green")
    words = "cannot be an even number when etcd is stacked" if replicas else "cannot be 0"
    with pytest.raises(Invalid, match=words):
        capi.engine.management.patch(
            KUBEADM_CONTROL_PLANE,
            "green-cp",
            "default",
            "merge",
            {"spec": {"replicas": replicas}},
            subresource=subresource,
        )


def test_machine_templates_cannot_change(capi: Any) -> None:
    create(capi, "green")
    with pytest.raises(Invalid, match="immutable"):
        merge(capi, OPENSTACK_MACHINE_TEMPLATE, "green-cp", {"spec": {"template": {"spec": {"flavor": "m1.large"}}}})


def test_an_upgrade_rolls_the_control_plane_then_the_workers(capi: Any) -> None:
    create(capi, "green", control_plane=3, workers=2)
    capi.run(12)
    management = capi.engine.management
    for name in ("green-cp-2", "green-md-2"):
        management.create(machine_template(name))
    reference = {"apiGroup": OPENSTACK_MACHINE_TEMPLATE.group, "kind": OPENSTACK_MACHINE_TEMPLATE.kind}
    plane = {"infrastructureRef": {**reference, "name": "green-cp-2"}}
    merge(capi, KUBEADM_CONTROL_PLANE, "green-cp", {"spec": {"version": "v1.35.0", "machineTemplate": {"spec": plane}}})
    sizes: set[int] = set()
    joined: set[int] = set()

    def watch() -> None:
        found = machines(capi, control_plane=True)
        sizes.add(len(found))
        joined.add(sum("nodeRef" in m.get("status", {}) and "deletionTimestamp" not in m["metadata"] for m in found))

    capi.run(0.01)
    assert is_true(management.get(KUBEADM_CONTROL_PLANE, "green-cp", "default"), "RollingOut")
    capi.run(20, watch)
    assert sizes <= {3, 4}
    assert min(joined) >= 3
    assert {m["spec"]["version"] for m in machines(capi, control_plane=True)} == {"v1.35.0"}
    assert capi.engine.cluster("green").kubernetes_version == "v1.35.0"
    assert {m["spec"]["version"] for m in machines(capi, control_plane=False)} == {"v1.34.0"}
    worker = {"version": "v1.35.0", "infrastructureRef": {**reference, "name": "green-md-2"}}
    merge(capi, MACHINE_DEPLOYMENT, "green-md-0", {"spec": {"template": {"spec": worker}}})
    capi.run(15)
    assert {m["spec"]["version"] for m in machines(capi)} == {"v1.35.0"}
    assert {n["status"]["nodeInfo"]["kubeletVersion"] for n in capi.engine.cluster("green").list(NODE)} == {"v1.35.0"}
    assert len(management.list(MACHINE_SET, "default")) == 1
    deployment = management.get(MACHINE_DEPLOYMENT, "green-md-0", "default")["status"]
    assert (deployment["upToDateReplicas"], deployment["readyReplicas"], deployment["replicas"]) == (2, 2, 2)


def test_workers_wait_while_the_control_plane_upgrades(capi: Any) -> None:
    create(capi, "green", workers=1)
    capi.run(8)
    merge(capi, KUBEADM_CONTROL_PLANE, "green-cp", {"spec": {"version": "v1.35.0"}})
    capi.run(0.1)
    merge(capi, MACHINE_DEPLOYMENT, "green-md-0", {"spec": {"replicas": 2}})
    capi.run(0.3)
    assert len(machines(capi, control_plane=False)) == 1
    (found,) = capi.engine.management.list(MACHINE_SET, "default")
    assert "ControlPlaneIsStable" in condition(found, "MachinesCreated")["message"]
    capi.run(10)
    assert len(machines(capi, control_plane=False)) == 2


def test_a_deleted_machine_is_replaced(capi: Any) -> None:
    create(capi, "green", workers=2)
    capi.run(8)
    gone = machines(capi, control_plane=False)[0]["metadata"]["name"]
    capi.engine.management.delete(MACHINE, gone, "default")
    capi.run(8)
    assert cluster(capi)["status"]["workers"]["readyReplicas"] == 2
    assert gone not in {m["metadata"]["name"] for m in machines(capi)}
    assert gone not in {node["metadata"]["name"] for node in capi.engine.cluster("green").list(NODE)}


def test_deletion_goes_in_order_and_leaves_nothing(capi: Any) -> None:
    management = capi.engine.management
    create(capi, "green", workers=2)
    capi.run(8)
    management.delete(CLUSTER, "green", "default")
    reasons: list[str] = []

    def watch() -> None:
        found = management.find(CLUSTER, "green", "default")
        entry = condition(found, "Deleting") if found else None
        if entry and entry["status"] == "True" and (not reasons or reasons[-1] != entry["reason"]):
            reasons.append(entry["reason"])

    capi.run(10, watch)
    assert reasons == [
        "WaitingForWorkersDeletion",
        "WaitingForControlPlaneDeletion",
        "WaitingForInfrastructureDeletion",
    ]
    assert "green" not in {api.name for api in capi.engine.clusters()}
    assert left(management) == {"Secret green-cloud-config"}


def left(management: Any) -> set[str]:
    """Everything of clusters that still exists in the namespace."""
    found = set()
    for entry in management.resources():
        kind = entry.kind
        if kind.namespaced and (kind.group.endswith("cluster.x-k8s.io") or kind is SECRET or kind.kind == "Secret"):
            found |= {f"{kind.kind} {obj['metadata']['name']}" for obj in management.list(kind, "default")}
    return found - {"HelmChartProxy flannel"}


def test_a_paused_cluster_stands_still(capi: Any) -> None:
    create(capi, "green")
    capi.run(8)
    merge(capi, CLUSTER, "green", {"spec": {"paused": True}})
    merge(capi, MACHINE_DEPLOYMENT, "green-md-0", {"spec": {"replicas": 3}})
    capi.run(5)
    assert len(machines(capi)) == 2
    assert is_true(cluster(capi), "Paused")
    merge(capi, CLUSTER, "green", {"spec": {"paused": False}})
    capi.run(8)
    assert len(machines(capi)) == 4


def test_microk8s_workers_do_not_join_and_say_so(capi: Any) -> None:
    create(capi, "mk", provider="microk8s", workers=1)
    capi.run(10)
    (worker,) = machines(capi, control_plane=False)
    assert worker["status"]["phase"] == "Provisioned"
    assert "one node only" in condition(worker, "NodeReady")["message"]
    assert not is_true(cluster(capi, "mk"), "Available")


def test_equal_names_in_two_namespaces_are_two_clusters(capi: Any) -> None:
    from continuo.resources.kinds import NAMESPACE

    management = capi.engine.management
    management.create(NAMESPACE.new("other"))
    create(capi, "green")
    create(capi, "green", namespace="other")
    capi.run(8)
    assert {api.name for api in capi.engine.clusters()} == {"management", "green", "other-green"}


def test_an_order_of_creation_does_not_matter(capi: Any) -> None:
    objects = cluster_objects("green", workers=1)
    Random(3).shuffle(objects)
    for obj in objects:
        capi.engine.management.create(obj)
        capi.run(0.7)
    capi.run(8)
    assert is_true(cluster(capi), "Available")


def test_the_providers_are_listed(capi: Any) -> None:
    found = {(entry["type"], entry["providerName"]) for entry in capi.engine.management.list(CAPI_PROVIDER)}
    assert {
        ("CoreProvider", "cluster-api"),
        ("InfrastructureProvider", "openstack"),
        ("AddonProvider", "helm"),
    } <= found
    assert {name for kind, name in found if kind == "ControlPlaneProvider"} == {"kubeadm", "k3s", "microk8s"}


# --- faults -----------------------------------------------------------------------------------------------------------


def test_a_machine_that_never_comes_up(capi: Any) -> None:
    faults = Faults(capi.engine)
    create(capi, "green", workers=2)
    faults.inject("never-up", MACHINE_DEPLOYMENT, "green-md-0", "default")
    capi.run(10)
    assert cluster(capi)["status"]["workers"]["readyReplicas"] == 0
    states = {s["status"]["instanceState"] for s in capi.engine.management.list(OPENSTACK_MACHINE, "default")}
    assert states == {"ACTIVE", "BUILD"}
    faults.heal("never-up", MACHINE_DEPLOYMENT, "green-md-0", "default")
    capi.run(6)
    assert cluster(capi)["status"]["workers"]["readyReplicas"] == 2


def test_slow_provisioning(capi: Any) -> None:
    objects = cluster_objects("green")
    objects[-1]["metadata"]["annotations"] = {"faults.continuo.dev/slow": "10"}
    for obj in objects:
        capi.engine.management.create(obj)
    capi.run(8)
    assert not is_true(cluster(capi), "Available")
    capi.run(60)
    assert is_true(cluster(capi), "Available")


def test_an_api_that_goes_away_and_comes_back(capi: Any) -> None:
    faults = Faults(capi.engine)
    create(capi, "green")
    capi.run(8)
    faults.inject("api-outage", CLUSTER, "green", "default")
    capi.run(1)
    assert capi.engine.cluster("green").outage == "drop"
    assert reason(cluster(capi), "RemoteConnectionProbe") == "ProbeFailed"
    assert [name for name, _, _ in faults.list(capi.engine.management)] == ["api-outage"]
    faults.heal("api-outage", CLUSTER, "green", "default")
    capi.run(1)
    assert capi.engine.cluster("green").outage is None
    assert is_true(cluster(capi), "Available")


# --- random sequences -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", seeds(2))
def test_random_changes_converge_and_leave_nothing(make_world: Callable[..., Any], seed: int) -> None:
    world, rng = make_world(seed=seed), Random(seed)
    management = world.engine.management
    world.engine.start()
    prepare_management(management)
    world.start(*all_standins(world.engine, rng=world.rng, settings=world.settings))
    management.create(FLANNEL)
    create(world, "green", workers=1)
    want = {"plane": 1, "workers": 1, "version": 34}
    for _ in range(12):
        world.run(rng.uniform(0, 3))
        action = rng.choice(["plane", "workers", "upgrade", "kill", "restart"])
        if action == "plane":
            want["plane"] = rng.choice([1, 3])
            merge(world, KUBEADM_CONTROL_PLANE, "green-cp", {"spec": {"replicas": want["plane"]}})
        elif action == "workers":
            want["workers"] = rng.randint(0, 4)
            merge(world, MACHINE_DEPLOYMENT, "green-md-0", {"spec": {"replicas": want["workers"]}})
        elif action == "upgrade":
            want["version"] += 1
            version = f"v1.{want['version']}.0"
            merge(world, KUBEADM_CONTROL_PLANE, "green-cp", {"spec": {"version": version}})
            merge(world, MACHINE_DEPLOYMENT, "green-md-0", {"spec": {"template": {"spec": {"version": version}}}})
        elif action == "kill" and machines(world, control_plane=False):
            victim = rng.choice(machines(world, control_plane=False))["metadata"]["name"]
            management.delete(MACHINE, victim, "default")
        elif action == "restart":
            while world.running:
                world.running.pop().stop()
            world.start(*all_standins(world.engine, rng=world.rng, settings=world.settings))
    world.run(60)
    found = cluster(world)["status"]
    assert (found["controlPlane"]["readyReplicas"], found["workers"]["readyReplicas"]) == (
        want["plane"],
        want["workers"],
    )
    assert len(machines(world)) == len(world.engine.cluster("green").list(NODE)) == want["plane"] + want["workers"]
    assert {m["spec"]["version"] for m in machines(world)} == {f"v1.{want['version']}.0"}
    management.delete(CLUSTER, "green", "default")
    world.run(20)
    assert left(management) == {"Secret green-cloud-config"}


def test_an_idle_management_cluster_writes_nothing(capi: Any) -> None:
    create(capi, "green", workers=2)
    capi.run(10)
    before = {api.name: api.version for api in capi.engine.clusters()}
    capi.run(40)
    assert {api.name: api.version for api in capi.engine.clusters()} == before
