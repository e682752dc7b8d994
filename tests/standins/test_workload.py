"""Pods in a workload cluster: state in, events, state out, on virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from continuo.embedded.standins.faults import Faults
from continuo.embedded.standins.kinds import DAEMON_SET, IP_ADDRESS_POOL, JOB, STATEFUL_SET
from continuo.embedded.standins.settings import Settings
from continuo.embedded.standins.workload import workload_standin
from continuo.resources.crds import workload_crds
from continuo.resources.kinds import (
    CORE_EVENT,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    LEASE,
    NODE,
    POD,
    REPLICA_SET,
    SECRET,
    SERVICE,
)
from continuo.resources.meta import Object, condition, is_true


def template(app: str = "web", image: str = "nginx:1", **spec: Any) -> Object:
    container = {"name": "c", "image": image, "ports": [{"name": "http", "containerPort": 8080}]}
    container.update(spec.pop("container", {}))
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": [container], **spec}}


def deployment(app: str = "web", replicas: int = 3, *, strategy: Object | None = None, **more: Any) -> Object:
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": app}}, "template": template(app, **more)}
    if strategy:
        spec["strategy"] = strategy
    return DEPLOYMENT.new(app, "default", spec=spec)


@pytest.fixture
def cluster(world: Any) -> Any:
    api = world.engine.create_cluster("green")
    world.start(workload_standin(world.engine, rng=world.rng, settings=world.settings))
    for name in ("n0", "n1", "n2"):
        world.node(api, name)
    world.run(1)
    return api


def pods(api: Any, **labels: str) -> list[Object]:
    return api.list(POD, "default", labels or None)


def running(found: list[Object]) -> list[Object]:
    return [pod for pod in found if is_true(pod, "Ready") and "deletionTimestamp" not in pod["metadata"]]


def update(api: Any, kind: Any, name: str, change: Callable[[Object], Object]) -> Object:
    return api.update(change(api.get(kind, name, "default")))


def with_spec(**fields: Any) -> Callable[[Object], Object]:
    return lambda obj: {**obj, "spec": {**obj["spec"], **fields}}


def with_image(image: str) -> Callable[[Object], Object]:
    return lambda obj: {**obj, "spec": {**obj["spec"], "template": template(image=image)}}


def test_a_deployment_runs_and_reports(world: Any, cluster: Any) -> None:
    cluster.create(deployment(replicas=6))
    world.run()
    found = pods(cluster)
    assert len(running(found)) == 6
    assert len({pod["status"]["podIP"] for pod in found}) == 6
    assert {pod["spec"]["nodeName"] for pod in found} == {"n0", "n1", "n2"}
    status = cluster.get(DEPLOYMENT, "web", "default")["status"]
    assert (status["replicas"], status["updatedReplicas"], status["availableReplicas"]) == (6, 6, 6)
    assert condition({"status": status}, "Progressing")["reason"] == "NewReplicaSetAvailable"
    assert status["observedGeneration"] == 1


def test_a_rolling_update_keeps_its_bounds(world: Any, cluster: Any) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
    cluster.create(deployment(replicas=5, strategy=strategy))
    world.run()
    update(cluster, DEPLOYMENT, "web", with_image("nginx:2"))
    seen: list[tuple[int, int]] = []

    def watch() -> None:
        alive = [pod for pod in pods(cluster) if "deletionTimestamp" not in pod["metadata"]]
        seen.append((len(alive), len(running(alive))))

    world.run(10, watch)
    assert max(alive for alive, _ in seen) <= 6
    assert min(ready for _, ready in seen) >= 4
    assert {pod["spec"]["containers"][0]["image"] for pod in pods(cluster)} == {"nginx:2"}
    assert (
        cluster.get(DEPLOYMENT, "web", "default")["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    )


def test_recreate_never_runs_both_versions(world: Any, cluster: Any) -> None:
    cluster.create(deployment(replicas=3, strategy={"type": "Recreate"}))
    world.run()
    update(cluster, DEPLOYMENT, "web", with_image("nginx:2"))
    mixtures: set[frozenset[str]] = set()
    world.run(5, lambda: mixtures.add(frozenset(p["spec"]["containers"][0]["image"] for p in pods(cluster))))
    assert frozenset({"nginx:1", "nginx:2"}) not in mixtures
    assert {pod["spec"]["containers"][0]["image"] for pod in running(pods(cluster))} == {"nginx:2"}


def test_old_replica_sets_are_trimmed(world: Any, cluster: Any) -> None:
    created = deployment(replicas=1)
    cluster.create({**created, "spec": {**created["spec"], "revisionHistoryLimit": 2}})
    for version in range(2, 7):
        world.run(3)
        update(cluster, DEPLOYMENT, "web", with_image(f"nginx:{version}"))
    world.run(3)
    assert len(cluster.list(REPLICA_SET, "default")) == 3


def test_a_deleted_pod_is_replaced_and_scaling_to_zero_leaves_none(world: Any, cluster: Any) -> None:
    cluster.create(deployment(replicas=3))
    world.run()
    gone = pods(cluster)[0]["metadata"]["name"]
    cluster.delete(POD, gone, "default")
    world.run()
    assert len(running(pods(cluster))) == 3
    assert gone not in {pod["metadata"]["name"] for pod in pods(cluster)}
    update(cluster, DEPLOYMENT, "web", with_spec(replicas=0))
    world.run()
    assert pods(cluster) == []


def test_what_does_not_fit_says_why_and_is_retried(world: Any, cluster: Any) -> None:
    cluster.create(deployment(replicas=1, container={"resources": {"requests": {"cpu": "6"}}}))
    world.run()
    scheduled = condition(pods(cluster)[0], "PodScheduled")
    assert scheduled["reason"] == "Unschedulable"
    assert scheduled["message"] == (
        "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: "
        "3 No preemption victims found for incoming pod."
    )
    world.node(cluster, "big", cpu=16)
    world.run()
    assert [pod["spec"]["nodeName"] for pod in running(pods(cluster))] == ["big"]


def test_room_that_is_freed_is_used(world: Any, cluster: Any) -> None:
    asks = {"resources": {"requests": {"cpu": "3"}}}
    cluster.create(deployment("first", replicas=3, container=asks))
    world.run()
    cluster.create(deployment("second", replicas=3, container=asks))
    world.run()
    assert running(pods(cluster, app="second")) == []
    update(cluster, DEPLOYMENT, "first", with_spec(replicas=1))
    world.run()
    assert len(running(pods(cluster, app="second"))) == 2


def test_taints_selectors_and_fields_decide(world: Any, cluster: Any) -> None:
    world.node(cluster, "special", labels={"kind": "gpu"}, control_plane=True, control_plane_taint=True)
    world.run()
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    cluster.create(deployment("pinned", replicas=2, affinity=affinity))
    cluster.create(deployment("gpu", replicas=1, nodeSelector={"kind": "gpu"}))
    toleration = [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]
    cluster.create(deployment("tolerant", replicas=1, nodeSelector={"kind": "gpu"}, tolerations=toleration))
    world.run()
    assert {pod["spec"]["nodeName"] for pod in running(pods(cluster, app="pinned"))} == {"n1"}
    assert [pod["spec"]["nodeName"] for pod in running(pods(cluster, app="tolerant"))] == ["special"]
    message = condition(pods(cluster, app="gpu")[0], "PodScheduled")["message"]
    assert "1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }" in message
    assert "3 node(s) didn't match Pod's node affinity/selector" in message


def test_pods_of_virtual_nodes_are_left_to_their_kubelet(world: Any, cluster: Any) -> None:
    world.node(cluster, "liqo-rose", labels={"liqo.io/type": "virtual-node"})
    tolerations = [{"operator": "Exists"}]
    cluster.create(deployment("away", 1, nodeSelector={"liqo.io/type": "virtual-node"}, tolerations=tolerations))
    world.run()
    (pod,) = pods(cluster, app="away")
    assert pod["spec"]["nodeName"] == "liqo-rose"
    assert pod["status"]["phase"] == "Pending"
    assert "podIP" not in pod["status"]


def test_a_missing_secret_holds_a_pod_up_until_it_appears(world: Any, cluster: Any) -> None:
    env = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]
    cluster.create(deployment(replicas=1, container={"env": env}))
    world.run()
    waiting = pods(cluster)[0]["status"]["containerStatuses"][0]["state"]["waiting"]
    assert waiting == {"reason": "CreateContainerConfigError", "message": 'secret "db" not found'}
    cluster.create(SECRET.new("db", "default", data={"other": "eA=="}))
    world.run()
    assert (
        "couldn't find key password"
        in pods(cluster)[0]["status"]["containerStatuses"][0]["state"]["waiting"]["message"]
    )
    update(cluster, SECRET, "db", lambda obj: {**obj, "data": {"password": "eA=="}})
    world.run()
    assert len(running(pods(cluster))) == 1


def test_an_image_that_cannot_be_pulled(world: Any, cluster: Any) -> None:
    cluster.create(deployment(replicas=2))
    world.run()
    update(cluster, DEPLOYMENT, "web", with_image("registry.test/does-not-exist:1"))
    world.run(5)
    reasons = {pod["status"]["containerStatuses"][0]["state"].get("waiting", {}).get("reason") for pod in pods(cluster)}
    assert reasons == {None, "ImagePullBackOff"}
    assert len(running(pods(cluster))) == 2
    update(cluster, DEPLOYMENT, "web", with_image("nginx:1"))
    world.run()
    assert len(pods(cluster)) == len(running(pods(cluster))) == 2


def test_endpoints_follow_the_pods(world: Any, cluster: Any) -> None:
    ports = [{"port": 80, "targetPort": "http"}]
    cluster.create(SERVICE.new("web", "default", spec={"selector": {"app": "web"}, "ports": ports}))
    cluster.create(deployment(replicas=3))
    world.run()
    (found,) = cluster.list(ENDPOINT_SLICE, "default", {"kubernetes.io/service-name": "web"})
    assert {entry["addresses"][0] for entry in found["endpoints"]} == {pod["status"]["podIP"] for pod in pods(cluster)}
    assert all(entry["conditions"]["ready"] for entry in found["endpoints"])
    assert found["ports"] == [{"name": "", "port": 8080, "protocol": "TCP"}]
    update(cluster, DEPLOYMENT, "web", with_spec(replicas=1))
    world.run()
    (found,) = cluster.list(ENDPOINT_SLICE, "default", {"kubernetes.io/service-name": "web"})
    assert [entry["targetRef"]["name"] for entry in found["endpoints"]] == [pods(cluster)[0]["metadata"]["name"]]


def test_a_large_service_has_slices_of_a_hundred(world: Any, cluster: Any) -> None:
    cluster.create(SERVICE.new("web", "default", spec={"selector": {"app": "web"}, "ports": [{"port": 80}]}))
    cluster.create(deployment(replicas=250))
    world.run(10)
    found = cluster.list(ENDPOINT_SLICE, "default", {"kubernetes.io/service-name": "web"})
    assert sorted(len(entry["endpoints"]) for entry in found) == [50, 100, 100]


def metallb(api: Any, addresses: str) -> None:
    for definition in workload_crds():
        if definition["spec"]["group"] == "metallb.io":
            api.create(definition)
    labels = {"app.kubernetes.io/name": "metallb", "app.kubernetes.io/component": "controller"}
    made = deployment("controller", replicas=1)
    api.create({**made, "metadata": {**made["metadata"], "labels": labels}})
    api.create(IP_ADDRESS_POOL.new("public", "default", spec={"addresses": [addresses]}))


def balancer(name: str, port: int, share: str = "") -> Object:
    annotations = {"metallb.io/allow-shared-ip": share} if share else {}
    return SERVICE.new(
        name, "default", metadata={"annotations": annotations},
        spec={"type": "LoadBalancer", "selector": {"app": name}, "ports": [{"port": port}]},
    )  # fmt: skip


def address(api: Any, name: str) -> str:
    ingress = api.get(SERVICE, name, "default").get("status", {}).get("loadBalancer", {}).get("ingress") or [{}]
    return ingress[0].get("ip", "")


def test_one_address_is_shared_until_ports_collide(world: Any, cluster: Any) -> None:
    metallb(cluster, "203.0.113.10/32")
    for name, port, share in (("a", 80, "key"), ("b", 443, "key"), ("c", 80, "key"), ("d", 8080, "")):
        cluster.create(balancer(name, port, share))
        world.run(1)
    world.run()
    assert [address(cluster, name) for name in "abcd"] == ["203.0.113.10", "203.0.113.10", "", ""]
    failed = {
        e["involvedObject"]["name"] for e in cluster.list(CORE_EVENT, "default") if e["reason"] == "AllocationFailed"
    }
    assert failed == {"c", "d"}
    cluster.delete(SERVICE, "a", "default")
    world.run()
    assert address(cluster, "c") == "203.0.113.10"


def test_without_metallb_a_load_balancer_stays_pending(world: Any, cluster: Any) -> None:
    cluster.create(balancer("a", 80))
    world.run()
    assert address(cluster, "a") == ""


def test_a_silent_node_loses_its_pods_and_gets_them_back_in_order(world: Any, cluster: Any) -> None:
    cluster.create(deployment(replicas=6))
    world.run()
    faults = Faults(world.engine)
    faults.inject("not-ready", NODE, "n0", cluster="green")
    world.run(1)
    assert condition(cluster.get(NODE, "n0"), "Ready")["status"] == "Unknown"
    assert len(running(pods(cluster))) == 4
    world.run(10)
    assert len(running(pods(cluster))) == 6
    assert "n0" not in {pod["spec"]["nodeName"] for pod in running(pods(cluster))}
    assert [pod["spec"]["nodeName"] for pod in pods(cluster) if "deletionTimestamp" in pod["metadata"]] == ["n0", "n0"]
    faults.heal("not-ready", NODE, "n0", cluster="green")
    world.run()
    assert is_true(cluster.get(NODE, "n0"), "Ready")
    assert len(pods(cluster)) == len(running(pods(cluster))) == 6


def test_pods_of_a_removed_node_move(world: Any, cluster: Any) -> None:
    cluster.create(deployment(replicas=6))
    world.run()
    cluster.delete(NODE, "n1")
    world.run()
    assert len(running(pods(cluster))) == 6
    assert {pod["spec"]["nodeName"] for pod in pods(cluster)} == {"n0", "n2"}


def test_a_stateful_set_starts_in_order_and_a_daemon_set_is_everywhere(world: Any, cluster: Any) -> None:
    order: list[str] = []
    database = {
        "replicas": 3,
        "serviceName": "db",
        "selector": {"matchLabels": {"app": "db"}},
        "template": template("db"),
    }
    agent = {"selector": {"matchLabels": {"app": "agent"}}, "template": template("agent")}
    cluster.create(STATEFUL_SET.new("db", "default", spec=database))
    cluster.create(DAEMON_SET.new("agent", "default", spec=agent))

    def watch() -> None:
        order.extend(
            p["metadata"]["name"] for p in running(pods(cluster, app="db")) if p["metadata"]["name"] not in order
        )

    world.run(5, watch)
    assert order == ["db-0", "db-1", "db-2"]
    assert sorted(pod["spec"]["nodeName"] for pod in running(pods(cluster, app="agent"))) == ["n0", "n1", "n2"]
    world.node(cluster, "n3")
    world.run()
    assert len(running(pods(cluster, app="agent"))) == 4


def test_a_job_completes(world: Any, cluster: Any) -> None:
    spec = {"completions": 3, "parallelism": 2, "template": template("job", restartPolicy="Never")}
    cluster.create(JOB.new("job", "default", spec=spec))
    world.run()
    found = cluster.get(JOB, "job", "default")
    assert is_true(found, "Complete")
    assert found["status"]["succeeded"] == 3


def test_an_idle_cluster_writes_next_to_nothing(world: Any, cluster: Any) -> None:
    cluster.create(deployment(replicas=3))
    world.run(5)
    before = cluster.version
    world.run(50)
    assert cluster.version == before
    world.run(120)
    assert cluster.version - before <= 3 * 3
    assert len(cluster.list(LEASE, "kube-node-lease")) == 3


def test_a_restart_changes_nothing_and_goes_on(world: Any, cluster: Any) -> None:
    cluster.create(deployment(replicas=3))
    world.run(0.1)
    world.running.pop().stop()
    world.run(5)
    world.start(workload_standin(world.engine, rng=world.rng, settings=world.settings))
    world.run(5)
    assert len(running(pods(cluster))) == 3
    world.running.pop().stop()
    before = cluster.version
    world.start(workload_standin(world.engine, rng=world.rng, settings=world.settings))
    world.run(5)
    assert cluster.version == before
    update(cluster, DEPLOYMENT, "web", with_spec(replicas=5))
    world.run()
    assert len({pod["status"]["podIP"] for pod in running(pods(cluster))}) == 5


def test_ten_times_the_pods_do_not_cost_more_writes_each(make_world: Any) -> None:
    per_pod = []
    for count in (50, 500):
        world = make_world(settings=Settings())
        api = world.engine.create_cluster("green")
        world.start(workload_standin(world.engine, rng=world.rng, settings=world.settings))
        world.node(api, "n0", cpu=1000, memory=10_000_000, pods=1000)
        world.run(1)
        before = api.version
        api.create(deployment(replicas=count))
        world.run(20)
        assert len(running(pods(api))) == count
        per_pod.append((api.version - before) / count)
    assert per_pod[1] <= per_pod[0]
    assert per_pod[1] < 3.5


def test_a_large_burst_of_pods_says_no_more_than_a_budget_of_events(make_world: Any) -> None:
    world = make_world(settings=Settings(events_burst=10, events_rate=1.0))
    api = world.engine.create_cluster("green")
    world.start(workload_standin(world.engine, rng=world.rng, settings=world.settings))
    world.node(api, "n0")
    for number in range(50):
        api.create(POD.new(f"p{number}", "default", spec=template()["spec"]))
    world.run(2)
    assert len(running(pods(api))) == 50
    said = [event for event in api.list(CORE_EVENT, "default") if event["type"] == "Normal"]
    assert 10 <= len(said) <= 13
    world.run(5)
    api.create(POD.new("late", "default", spec=template()["spec"]))
    world.run(2)
    late = {e["reason"] for e in api.list(CORE_EVENT, "default") if e["involvedObject"]["name"] == "late"}
    assert late == {"Scheduled", "Pulled", "Started"}, "after the burst pods are heard again"


def test_pods_are_available_after_min_ready_seconds(cluster: Any, world: Any) -> None:
    body = deployment("slow", 2)
    body["spec"]["minReadySeconds"] = 10
    cluster.create(body)
    world.run(3)
    status = cluster.get(DEPLOYMENT, "slow", "default")["status"]
    assert (status["readyReplicas"], "availableReplicas" in status, status["unavailableReplicas"]) == (2, False, 2)
    assert condition(cluster.get(DEPLOYMENT, "slow", "default"), "Progressing")["reason"] == "ReplicaSetUpdated"
    world.run(10)
    found = cluster.get(DEPLOYMENT, "slow", "default")
    assert found["status"]["availableReplicas"] == 2
    assert condition(found, "Progressing")["reason"] == "NewReplicaSetAvailable"
    (replica_set,) = cluster.list(REPLICA_SET, "default", {"app": "slow"})
    assert replica_set["status"]["availableReplicas"] == 2


def test_a_rollout_that_takes_too_long(cluster: Any, world: Any) -> None:
    body = deployment("late", 2)
    body["spec"]["progressDeadlineSeconds"] = 20
    cluster.create(body)
    world.run(5)
    set_image = lambda image: lambda obj: {  # noqa: E731
        **obj, "spec": {**obj["spec"], "template": template("late", image)},
    }  # fmt: skip
    update(cluster, DEPLOYMENT, "late", set_image("does-not-exist:1"))
    world.run(15)
    assert condition(cluster.get(DEPLOYMENT, "late", "default"), "Progressing")["reason"] == "ReplicaSetUpdated"
    world.run(10)
    late = condition(cluster.get(DEPLOYMENT, "late", "default"), "Progressing")
    assert (late["status"], late["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert late["message"].endswith("has timed out progressing.")
    update(cluster, DEPLOYMENT, "late", set_image("nginx:2"))
    world.run(5)
    assert condition(cluster.get(DEPLOYMENT, "late", "default"), "Progressing")["reason"] == "NewReplicaSetAvailable"


def test_a_finished_rollout_stays_finished(cluster: Any, world: Any) -> None:
    cluster.create(deployment("web", 3))
    world.run(3)
    update(cluster, DEPLOYMENT, "web", lambda obj: {**obj, "spec": {**obj["spec"], "replicas": 900}})
    world.run(3)
    found = cluster.get(DEPLOYMENT, "web", "default")
    assert condition(found, "Available")["status"] == "False"
    assert condition(found, "Progressing")["reason"] == "NewReplicaSetAvailable"
