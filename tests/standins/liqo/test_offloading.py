"""Namespaces, pods, services and data on both sides of a link."""

from __future__ import annotations

import ipaddress
from random import Random
from typing import Any

import pytest

from continuo.embedded.port import Write
from continuo.embedded.standins.faults import LINK_DOWN, Faults, set_outage
from continuo.embedded.standins.liqo import LiqoStandIn
from continuo.federation.offloading import offload, offloading_state, pin
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of, is_true, labels_of

REMOTE_PODS, LOCAL_PODS = ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("10.200.0.0/16")


def deployment(name: str, cluster: str | None, replicas: int = 2) -> Object:
    labels = {"app": name}
    spec = {"containers": [{"name": "main", "image": "nginx", "ports": [{"containerPort": 80}]}], **pin(cluster)}
    template = {"metadata": {"labels": labels}, "spec": spec}
    body = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return kinds.DEPLOYMENT.new(name, "shop", spec=body)


def service(name: str) -> Object:
    return kinds.SERVICE.new(name, "shop", spec={"selector": {"app": name}, "ports": [{"port": 80}]})


@pytest.fixture
def shop(pair: Any) -> Any:
    """The namespace `shop` of rome, extended to milan."""
    rome = pair.api("rome")
    rome.create(kinds.NAMESPACE.new("shop"))
    rome.create(offload("shop", "rome", ["milan"]))
    pair.world.run(2)
    return pair


def pods(api: Any, app: str) -> list[Object]:
    return [pod for pod in api.list(kinds.POD, "shop") if labels_of(pod).get("app") == app]


def addresses(api: Any, name: str, ready: bool = True) -> set[str]:
    return {
        ip
        for found in api.list(kinds.ENDPOINT_SLICE, "shop")
        if labels_of(found).get("kubernetes.io/service-name") == name
        for entry in found["endpoints"]
        if entry.get("conditions", {}).get("ready") is ready
        for ip in entry["addresses"]
    }


def test_namespace(shop: Any) -> None:
    rome, milan = shop.api("rome"), shop.api("milan")
    state = offloading_state(rome.get(kinds.NAMESPACE_OFFLOADING, "offloading", "shop"))
    assert (state.phase, state.remotes["milan"].ready) == ("Ready", True)
    twin = milan.get(kinds.NAMESPACE, "shop")
    assert labels_of(twin)["liqo.io/remote-cluster-id"] == "rome"
    assert annotations_of(twin)["liqo.io/original-name"] == "shop"
    assert milan.find(kinds.ROLE_BINDING, "liqo-tenant-rome", "shop") is not None
    assert labels_of(rome.get(kinds.NAMESPACE, "shop"))["liqo.io/scheduling-enabled"] == "true"
    rome.delete(kinds.NAMESPACE_OFFLOADING, "offloading", "shop")
    shop.world.run(3)
    assert rome.find(kinds.NAMESPACE_OFFLOADING, "offloading", "shop") is None
    assert milan.find(kinds.NAMESPACE, "shop") is None


def test_somebody_elses_namespace(pair: Any) -> None:
    rome, milan = pair.api("rome"), pair.api("milan")
    milan.create(kinds.NAMESPACE.new("shop"))
    rome.create(kinds.NAMESPACE.new("shop"))
    rome.create(offload("shop", "rome", ["milan"]))
    pair.world.run(2)
    state = offloading_state(rome.get(kinds.NAMESPACE_OFFLOADING, "offloading", "shop"))
    assert (state.phase, state.reason) == ("Failed", "AllFailed")
    assert "belongs to somebody else" in state.message
    milan.delete(kinds.NAMESPACE, "shop")
    pair.world.run(3)
    assert offloading_state(rome.get(kinds.NAMESPACE_OFFLOADING, "offloading", "shop")).phase == "Ready"


def test_pods_run_where_they_are_pinned(shop: Any) -> None:
    rome, milan = shop.api("rome"), shop.api("milan")
    rome.create(deployment("web", "milan"))
    rome.create(deployment("db", None))
    shop.world.run(3)
    web, db = pods(rome, "web"), pods(rome, "db")
    assert [pod["status"]["phase"] for pod in web + db] == ["Running"] * 4
    assert {pod["spec"]["nodeName"] for pod in web} == {"milan"}
    assert {pod["spec"]["nodeName"] for pod in db} == {"rome-1"}
    assert all(is_true(pod, "Ready") for pod in web)
    assert all(labels_of(pod)["liqo.io/shadowPod"] == "true" for pod in web)
    remote = {pod["metadata"]["name"]: pod for pod in pods(milan, "web")}
    assert remote.keys() == {pod["metadata"]["name"] for pod in web}
    for pod in web:
        twin = remote[pod["metadata"]["name"]]
        assert twin["spec"]["nodeName"] == "milan-1"
        here, there = (ipaddress.ip_address(p["status"]["podIP"]) for p in (pod, twin))
        assert here in REMOTE_PODS and there in LOCAL_PODS
        assert int(here) & 0xFFFF == int(there) & 0xFFFF
        assert "affinity" not in twin["spec"] and twin["spec"]["containers"][0]["image"] == "nginx"
    assert rome.get(kinds.DEPLOYMENT, "web", "shop")["status"]["readyReplicas"] == 2
    rome.delete(kinds.DEPLOYMENT, "web", "shop")
    shop.world.run(3)
    assert pods(rome, "web") == pods(milan, "web") == milan.list(kinds.SHADOW_POD, "shop") == []


def test_services_reach_both_sides(shop: Any) -> None:
    rome, milan = shop.api("rome"), shop.api("milan")
    for name, cluster in (("web", "milan"), ("db", None)):
        rome.create(service(name))
        rome.create(deployment(name, cluster))
    shop.world.run(4)
    assert milan.get(kinds.SERVICE, "web", "shop")["spec"]["selector"] == {"app": "web"}
    web, db = pods(milan, "web"), pods(rome, "db")
    assert addresses(milan, "web") == {pod["status"]["podIP"] for pod in web}
    assert addresses(rome, "db") == {pod["status"]["podIP"] for pod in db}
    assert addresses(rome, "web") == {pod["status"]["podIP"] for pod in pods(rome, "web")}
    seen = addresses(milan, "db")
    assert seen and all(ipaddress.ip_address(ip) in REMOTE_PODS for ip in seen)
    assert {ip.rpartition(".")[2] for ip in seen} == {p["status"]["podIP"].rpartition(".")[2] for p in db}


def test_link_drop_takes_pods_out_of_the_endpoints(shop: Any) -> None:
    rome, milan = shop.api("rome"), shop.api("milan")
    for name, cluster in (("web", "milan"), ("db", None)):
        rome.create(service(name))
        rome.create(deployment(name, cluster))
    shop.world.run(4)
    faults = Faults(shop.world.engine)
    faults.inject(LINK_DOWN, kinds.FOREIGN_CLUSTER, "milan", cluster="rome")
    shop.world.run(2)
    assert addresses(rome, "web") == set() and addresses(milan, "db") == set()
    assert len(addresses(milan, "web")) == 2, "what runs at the provider goes on there"
    assert all(labels_of(pod)["liqo.io/remote-unavailable"] == "true" for pod in pods(rome, "web"))
    faults.heal(LINK_DOWN, kinds.FOREIGN_CLUSTER, "milan", cluster="rome")
    shop.world.run(2)
    assert len(addresses(rome, "web")) == 2 and len(addresses(milan, "db")) == 2
    assert not any("liqo.io/remote-unavailable" in labels_of(pod) for pod in pods(rome, "web"))


def test_configuration_follows(shop: Any) -> None:
    rome, milan = shop.api("rome"), shop.api("milan")
    rome.create(kinds.CONFIG_MAP.new("settings", "shop", data={"a": "1", "b": "2"}))
    rome.create(kinds.SECRET.new("password", "shop", data={"p": "cHc="}))
    rome.create(kinds.CONFIG_MAP.new("private", "shop", metadata={"annotations": {"liqo.io/skip-reflection": "true"}}))
    shop.world.run(1)
    assert milan.get(kinds.CONFIG_MAP, "settings", "shop")["data"] == {"a": "1", "b": "2"}
    assert milan.get(kinds.SECRET, "password", "shop")["data"] == {"p": "cHc="}
    assert milan.find(kinds.CONFIG_MAP, "private", "shop") is None
    rome.update(kinds.CONFIG_MAP.new("settings", "shop", data={"a": "3"}))
    milan.delete(kinds.SECRET, "password", "shop")
    shop.world.run(1)
    assert milan.get(kinds.CONFIG_MAP, "settings", "shop")["data"] == {"a": "3"}
    assert milan.find(kinds.SECRET, "password", "shop") is not None
    rome.delete(kinds.CONFIG_MAP, "settings", "shop")
    shop.world.run(1)
    assert milan.find(kinds.CONFIG_MAP, "settings", "shop") is None


def test_foreign_objects_are_left_alone(shop: Any) -> None:
    rome, milan = shop.api("rome"), shop.api("milan")
    milan.create(kinds.CONFIG_MAP.new("theirs", "shop", data={"owner": "milan"}))
    rome.create(kinds.CONFIG_MAP.new("theirs", "shop", data={"owner": "rome"}))
    shop.world.run(1)
    rome.delete(kinds.CONFIG_MAP, "theirs", "shop")
    shop.world.run(1)
    assert milan.get(kinds.CONFIG_MAP, "theirs", "shop")["data"] == {"owner": "milan"}


def test_remote_pod_is_kept_alive(shop: Any) -> None:
    rome, milan = shop.api("rome"), shop.api("milan")
    rome.create(deployment("web", "milan", replicas=1))
    shop.world.run(3)
    first = pods(milan, "web")[0]
    milan.delete(kinds.POD, first["metadata"]["name"], "shop", grace_seconds=0)
    shop.world.run(3)
    again = pods(milan, "web")
    assert len(again) == 1 and again[0]["metadata"]["uid"] != first["metadata"]["uid"]
    assert pods(rome, "web")[0]["status"]["phase"] == "Running"


def test_unlink_drains(shop: Any) -> None:
    rome, milan = shop.api("rome"), shop.api("milan")
    rome.create(deployment("web", "milan"))
    shop.world.run(3)
    shop.unlink("rome", "milan")
    shop.world.run(5)
    assert milan.find(kinds.NAMESPACE, "shop") is None
    assert rome.find(kinds.NODE, "milan") is None
    assert [pod["spec"].get("nodeName") for pod in pods(rome, "web")] == [None, None]
    state = offloading_state(rome.get(kinds.NAMESPACE_OFFLOADING, "offloading", "shop"))
    assert state.reason == "NoClusterSelected"
    shop.link("rome", "milan")
    shop.world.run(3)
    assert [pod["status"]["phase"] for pod in pods(rome, "web")] == ["Running"] * 2


def test_webhook_offloads_unpinned_pods(pair: Any) -> None:
    """Strategy Remote: whatever is created in the namespace runs elsewhere."""
    rome = pair.api("rome")
    rome.create(kinds.NAMESPACE.new("shop"))
    wanted = offload("shop", "rome", ["milan"])
    wanted["spec"]["podOffloadingStrategy"] = "Remote"
    rome.create(wanted)
    pair.world.run(2)
    rome.create(kinds.POD.new("one", "shop", spec={"containers": [{"name": "c", "image": "nginx"}]}))
    pair.world.run(2)
    pod = rome.get(kinds.POD, "one", "shop")
    assert (pod["spec"]["nodeName"], pod["status"]["phase"]) == ("milan", "Running")
    assert any(entry["key"] == "virtual-node.liqo.io/not-allowed" for entry in pod["spec"]["tolerations"])


def test_writes_per_pod_do_not_grow(shop: Any) -> None:
    rome, costs = shop.api("rome"), {}
    for count in (20, 400):
        before = rome.version
        rome.create(deployment(f"web-{count}", "milan", replicas=count))
        shop.world.run(10)
        assert rome.get(kinds.DEPLOYMENT, f"web-{count}", "shop")["status"]["readyReplicas"] == count
        costs[count] = (rome.version - before) / count
    assert costs[400] <= 1.1 * costs[20]


def test_restart_disturbs_nothing(shop: Any) -> None:
    rome, milan = shop.api("rome"), shop.api("milan")
    for name, cluster in (("web", "milan"), ("db", None)):
        rome.create(service(name))
        rome.create(deployment(name, cluster))
    shop.world.run(4)
    version = rome.version
    shop.liqo.stop()
    shop.liqo = LiqoStandIn(shop.world.engine, rng=Random(8), settings=shop.world.settings)
    shop.world.start(shop.liqo)
    shop.world.run(5)
    assert rome.version == version
    rome.create(deployment("late", "milan"))
    shop.world.run(3)
    assert [pod["status"]["phase"] for pod in pods(milan, "late")] == ["Running"] * 2


def test_endpoints_of_a_third_cluster(pair: Any) -> None:
    """A pod that rome has in turin is shown to milan through an IP object: milan has no other way to it."""
    rome, milan = pair.api("rome"), pair.api("milan")
    pair.cluster("turin")
    pair.link("rome", "turin")
    rome.create(kinds.NAMESPACE.new("shop"))
    rome.create(offload("shop", "rome", ["milan", "turin"]))
    rome.create(service("web"))
    rome.create(deployment("web", "turin"))
    pair.world.run(5)
    assert len(pods(pair.api("turin"), "web")) == 2
    inside = {obj["status"]["ip"] for obj in rome.list(kinds.IP, "shop")}
    assert len(inside) == 2
    assert addresses(milan, "web") == {ip.replace("10.70.", "10.2.", 1) for ip in inside}


def test_shadow_objects_fit_the_schemas(shop: Any) -> None:
    rome, milan = shop.api("rome"), shop.api("milan")
    for name, cluster in (("web", "milan"), ("db", None)):
        rome.create(service(name))
        rome.create(deployment(name, cluster))
    shop.world.run(4)
    strict = Write(manager="judge", field_validation="Strict", dry_run=True)
    seen = 0
    for kind in (kinds.SHADOW_POD, kinds.SHADOW_ENDPOINT_SLICE, kinds.POD, kinds.SERVICE, kinds.ENDPOINT_SLICE):
        for obj in milan.list(kind, "shop"):
            marks = {**labels_of(obj), "touched": "yes"}
            milan.update({**obj, "metadata": {**obj["metadata"], "labels": marks}}, strict)
            seen += 1
    assert seen > 8


def test_outage_of_the_provider(shop: Any) -> None:
    """Nothing is lost while the provider's API is away: what was asked in the meantime happens afterwards."""
    rome, milan = shop.api("rome"), shop.api("milan")
    rome.create(deployment("web", "milan"))
    rome.create(kinds.CONFIG_MAP.new("settings", "shop", data={"a": "1"}))
    shop.world.run(4)
    set_outage(milan, "drop")
    shop.world.run(3)
    before = milan.list(kinds.SHADOW_POD, "shop"), milan.get(kinds.CONFIG_MAP, "settings", "shop")
    rome.update(kinds.CONFIG_MAP.new("settings", "shop", data={"a": "2"}))
    doomed = pods(rome, "web")[0]["metadata"]["name"]
    rome.delete(kinds.POD, doomed, "shop")
    shop.world.run(3)
    assert (milan.list(kinds.SHADOW_POD, "shop"), milan.get(kinds.CONFIG_MAP, "settings", "shop")) == before
    assert "deletionTimestamp" in rome.get(kinds.POD, doomed, "shop")["metadata"]
    set_outage(milan, None)
    shop.world.run(10)
    assert milan.get(kinds.CONFIG_MAP, "settings", "shop")["data"] == {"a": "2"}
    assert doomed not in {pod["metadata"]["name"] for pod in pods(milan, "web") + pods(rome, "web")}
    assert [pod["status"]["phase"] for pod in pods(rome, "web")] == ["Running"] * 2


def test_withdrawing_one_cluster(shop: Any) -> None:
    rome, milan = shop.api("rome"), shop.api("milan")
    rome.create(deployment("web", None))
    body = offload("shop", "rome", ["nobody"])
    force = Write(manager="continuo", force=True)
    rome.patch(kinds.NAMESPACE_OFFLOADING, "offloading", "shop", "apply", body, force)
    shop.world.run(4)
    assert milan.find(kinds.NAMESPACE, "shop") is None
    state = offloading_state(rome.get(kinds.NAMESPACE_OFFLOADING, "offloading", "shop"))
    assert (state.phase, state.reason) == ("Failed", "NoClusterSelected")


def test_a_claim_of_an_offloaded_pod_stays_at_home(shop: Any) -> None:
    rome, milan = shop.api("rome"), shop.api("milan")
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    rome.create(kinds.PERSISTENT_VOLUME_CLAIM.new("data", "shop", spec=claim))
    body = deployment("db", "milan", replicas=1)
    pod_spec = body["spec"]["template"]["spec"]
    pod_spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    rome.create(body)
    shop.world.run(5)
    (here,), (there,) = pods(rome, "db"), pods(milan, "db")
    assert is_true(here, "Ready") and is_true(there, "Ready")
    assert rome.get(kinds.PERSISTENT_VOLUME_CLAIM, "data", "shop")["status"]["phase"] == "Bound"
    assert milan.list(kinds.PERSISTENT_VOLUME_CLAIM, "shop") == []
