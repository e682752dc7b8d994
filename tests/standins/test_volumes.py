"""Claims, volumes and the pods that wait for them, on virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from continuo.embedded.standins.kinds import PERSISTENT_VOLUME, STATEFUL_SET, STORAGE_CLASS
from continuo.embedded.standins.workload import workload_standin
from continuo.resources.kinds import CORE_EVENT, PERSISTENT_VOLUME_CLAIM, POD
from continuo.resources.meta import Object, condition


@pytest.fixture
def cluster(world: Any) -> Any:
    api = world.engine.create_cluster("green")
    world.start(workload_standin(world.engine, rng=world.rng, settings=world.settings))
    for name in ("n0", "n1"):
        world.node(api, name)
    world.run(1)
    return api


def claim(name: str = "data", **spec: Any) -> Object:
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}, **spec}
    return PERSISTENT_VOLUME_CLAIM.new(name, "default", spec=asked)


def pod(name: str, *claims: str, **spec: Any) -> Object:
    volumes = [{"name": entry, "persistentVolumeClaim": {"claimName": entry}} for entry in claims]
    return POD.new(
        name, "default", spec={"containers": [{"name": "c", "image": "nginx:1"}], "volumes": volumes, **spec}
    )


def found(api: Any, name: str = "data") -> Object:
    return api.get(PERSISTENT_VOLUME_CLAIM, name, "default")


def reasons(api: Any, name: str) -> set[str]:
    return {event["reason"] for event in api.list(CORE_EVENT, "default") if event["involvedObject"]["name"] == name}


def test_every_cluster_has_a_default_class(cluster: Any) -> None:
    (only,) = cluster.list(STORAGE_CLASS)
    assert (only["metadata"]["name"], only["volumeBindingMode"], only["reclaimPolicy"]) == (
        "standard", "WaitForFirstConsumer", "Delete",
    )  # fmt: skip
    assert cluster.create(claim())["spec"]["storageClassName"] == "standard"
    assert "storageClassName" in cluster.create(claim("static", storageClassName=""))["spec"]


def test_a_claim_waits_for_its_first_pod_and_goes_with_its_volume(cluster: Any, world: Any) -> None:
    cluster.create(claim())
    world.run(1)
    assert found(cluster)["status"]["phase"] == "Pending"
    assert reasons(cluster, "data") == {"WaitForFirstConsumer"}
    cluster.create(pod("web", "data"))
    world.run(3)
    running = cluster.get(POD, "web", "default")
    assert running["status"]["phase"] == "Running"
    bound = found(cluster)
    assert bound["status"] == {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "10Gi"}}
    (volume,) = cluster.list(PERSISTENT_VOLUME)
    assert volume["metadata"]["name"] == bound["spec"]["volumeName"] == f"pvc-{bound['metadata']['uid']}"
    assert (volume["status"]["phase"], volume["spec"]["claimRef"]["name"]) == ("Bound", "data")
    terms = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert terms[0]["matchExpressions"][0]["values"] == [running["spec"]["nodeName"]]
    cluster.delete(POD, "web", "default")
    cluster.delete(PERSISTENT_VOLUME_CLAIM, "data", "default")
    world.run(1)
    assert cluster.list(PERSISTENT_VOLUME) == []


def test_a_volume_holds_its_pods_on_its_node(cluster: Any, world: Any) -> None:
    cluster.create(claim())
    cluster.create(pod("first", "data"))
    world.run(3)
    node = cluster.get(POD, "first", "default")["spec"]["nodeName"]
    other = next(name for name in ("n0", "n1") if name != node)
    cluster.create(pod("second", "data"))
    cluster.create(pod("elsewhere", "data", nodeSelector={"kubernetes.io/hostname": other}))
    world.run(3)
    assert cluster.get(POD, "second", "default")["spec"]["nodeName"] == node
    waiting = cluster.get(POD, "elsewhere", "default")
    assert "node(s) didn't match PersistentVolume's node affinity" in condition(waiting, "PodScheduled")["message"]


def test_a_pod_waits_for_a_missing_claim(cluster: Any, world: Any) -> None:
    cluster.create(pod("web", "data"))
    world.run(1)
    waiting = cluster.get(POD, "web", "default")
    assert condition(waiting, "PodScheduled")["message"] == (
        '0/2 nodes are available: persistentvolumeclaim "data" not found. preemption: 0/2 nodes are available: '
        "2 Preemption is not helpful for scheduling."
    )
    assert reasons(cluster, "web") == {"FailedScheduling"}
    cluster.create(claim())
    world.run(3)
    assert cluster.get(POD, "web", "default")["status"]["phase"] == "Running"


def test_a_claim_without_a_class_takes_a_volume_made_by_hand(cluster: Any, world: Any) -> None:
    cluster.create(claim("static", storageClassName=""))
    cluster.create(pod("web", "static"))
    world.run(1)
    waiting = cluster.get(POD, "web", "default")
    assert "pod has unbound immediate PersistentVolumeClaims" in condition(waiting, "PodScheduled")["message"]
    assert reasons(cluster, "static") == {"FailedBinding"}
    for name, size in (("small", "1Gi"), ("large", "100Gi"), ("right", "10Gi")):
        spec = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}
        cluster.create(PERSISTENT_VOLUME.new(name, spec=spec))
    world.run(3)
    assert found(cluster, "static")["spec"]["volumeName"] == "right"
    assert cluster.get(POD, "web", "default")["status"]["phase"] == "Running"
    cluster.delete(PERSISTENT_VOLUME_CLAIM, "static", "default")
    world.run(1)
    assert cluster.get(PERSISTENT_VOLUME, "right")["status"]["phase"] == "Released"


def test_an_immediate_class_makes_its_volume_at_once(cluster: Any, world: Any) -> None:
    cluster.create(STORAGE_CLASS.new("now", provisioner="rancher.io/local-path", volumeBindingMode="Immediate"))
    cluster.create(STORAGE_CLASS.new("cloud", provisioner="cinder.csi.openstack.org", volumeBindingMode="Immediate"))
    cluster.create(claim("one", storageClassName="now"))
    cluster.create(claim("two", storageClassName="cloud"))
    cluster.create(claim("three", storageClassName="none"))
    world.run(1)
    assert [found(cluster, name)["status"]["phase"] for name in ("one", "two", "three")] == [
        "Bound",
        "Pending",
        "Pending",
    ]
    assert (reasons(cluster, "two"), reasons(cluster, "three")) == ({"ExternalProvisioning"}, {"ProvisioningFailed"})


def test_stateful_sets_have_a_claim_per_pod_that_stays(cluster: Any, world: Any) -> None:
    template = {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c", "image": "db:1"}]}}
    spec = {
        "serviceName": "db", "replicas": 2, "selector": {"matchLabels": {"app": "db"}}, "template": template,
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim()["spec"]}],
    }  # fmt: skip
    cluster.create(STATEFUL_SET.new("db", "default", spec=spec))
    world.run(5)
    assert cluster.get(STATEFUL_SET, "db", "default")["status"]["readyReplicas"] == 2
    names = [entry["metadata"]["name"] for entry in cluster.list(PERSISTENT_VOLUME_CLAIM, "default")]
    assert names == ["data-db-0", "data-db-1"]
    node = cluster.get(POD, "db-1", "default")["spec"]["nodeName"]
    cluster.delete(POD, "db-1", "default")
    world.run(3)
    assert cluster.get(POD, "db-1", "default")["spec"]["nodeName"] == node
