"""The main job and everything that can happen to it afterwards, on a running engine."""

from __future__ import annotations

import pytest

from continuo.resources import kinds
from continuo.resources.meta import labels_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

from .beds import Bed, is_ready

pytestmark = pytest.mark.anyio


def cluster(name: str, **more) -> dict:
    fields = {key.replace("_", "-"): value for key, value in more.items()}
    return {"name": name, "kubernetes-version": "v1.34.2", "packages": ["liqo"], "worker-machine-count": 1, **fields}


def component(name: str, selector: str | None = None, **more) -> dict:
    fields = {key.replace("_", "-"): value for key, value in more.items()}
    placed = {"cluster-selector": selector} if selector else {}
    return {"name": name, "image": f"registry.example.org/{name}:1", **placed, **fields}


def app(name: str, home: str, *components: dict) -> dict:
    return {"name": name, "owner": "ann", "cluster": home, "components": list(components)}


PEER = [{"containerPort": 80, "clusterPort": 80}]


async def test_a_cluster_with_an_application_comes_up_and_goes(bed: Bed) -> None:
    await bed.apply(
        "o",
        {"clusters": [cluster("green", packages=[])], "apps": [app("shop", "green", component("web", expose=PEER))]},
    )
    obj = await bed.ready("o")
    assert obj["status"]["summary"] == {"clusters": "1/1", "links": "0/0", "apps": "1/1"}
    green = await bed.workload("green", "o")
    pods = await green.list(kinds.POD, "shop")
    assert [pod["status"]["phase"] for pod in pods.items] == ["Running"]
    await bed.api.delete(LOW_LEVEL_ORCHESTRATION, "o", "default")
    await bed.gone(LOW_LEVEL_ORCHESTRATION, "o", "default")
    for kind in (
        kinds.CLUSTER,
        kinds.MACHINE,
        kinds.OPENSTACK_CLUSTER,
        kinds.OPENSTACK_MACHINE_TEMPLATE,
        kinds.HELM_CHART_PROXY,
    ):
        assert (await bed.api.list(kind)).items == [], kind.kind
    assert await bed.is_gone("green", "o")


@pytest.mark.links
async def test_an_application_spans_two_linked_clusters_and_is_recalled(bed: Bed) -> None:
    clusters = [cluster("green"), cluster("rose")]
    web, db = component("web", "green", expose=PEER), component("db", "rose", expose=PEER)
    await bed.apply("o", {"clusters": clusters, "links": [["green", "rose"]], "apps": [app("shop", "green", web, db)]})
    obj = await bed.ready("o")
    assert obj["status"]["links"][0]["phase"] == "Connected"
    green, rose = await bed.workload("green", "o"), await bed.workload("rose", "o")
    here = {
        labels_of(p)["continuo.dev/component"]: p["spec"]["nodeName"]
        for p in (await green.list(kinds.POD, "shop")).items
    }
    assert here["db"] == bed.liqo_id("rose", "o"), "at home the component is bound to the virtual node"
    there = (await rose.list(kinds.POD, "shop")).items
    assert [labels_of(pod)["continuo.dev/component"] for pod in there] == ["db"]
    for side in (green, rose):
        assert {s["metadata"]["name"] for s in (await side.list(kinds.SERVICE, "shop")).items} == {"web", "db"}
    await bed.apply("o", {"clusters": clusters, "links": [["green", "rose"]],
                          "apps": [app("shop", "green", web, component("db", "green", expose=PEER))]})  # fmt: skip
    await bed.ready("o")
    await bed.gone(kinds.NAMESPACE, "shop", None, rose)
    assert not await bed.exists(green, kinds.NAMESPACE_OFFLOADING, "offloading", "shop")
    await bed.apply("o", {"clusters": clusters, "apps": [app("shop", "green", web)]})
    obj = await bed.ready("o")
    assert obj["status"].get("links", []) == []
    assert (await rose.list(kinds.FOREIGN_CLUSTER)).items == []
    assert [d["metadata"]["name"] for d in (await green.list(kinds.DEPLOYMENT, "shop")).items] == ["web"]


@pytest.mark.creates
async def test_scaling_and_upgrading_a_cluster(bed: Bed) -> None:
    await bed.apply("o", {"clusters": [cluster("green", packages=[])]})
    await bed.ready("o")
    spec = cluster("green", packages=[], control_plane_count=3, worker_machine_count=4)
    await bed.apply("o", {"clusters": [spec]})
    obj = await bed.ready("o")
    assert obj["status"]["clusters"][0]["controlPlaneReady"] == 3
    assert len((await bed.api.list(kinds.MACHINE)).items) == 7
    await bed.apply("o", {"clusters": [{**spec, "kubernetes-version": "v1.35.0"}]})
    await bed.ready("o")
    versions = {m["spec"]["version"] for m in (await bed.api.list(kinds.MACHINE)).items}
    assert versions == {"v1.35.0"}
    await bed.apply(
        "o",
        {"clusters": [{**spec, "kubernetes-version": "v1.35.0", "control-plane-count": 1, "worker-machine-count": 1}]},
    )
    await bed.ready("o")
    await bed.until("o", lambda obj: is_ready(obj))
    assert len((await bed.api.list(kinds.MACHINE)).items) == 2


async def test_drift_is_repaired(bed: Bed) -> None:
    await bed.apply(
        "o",
        {"clusters": [cluster("green", packages=[])], "apps": [app("shop", "green", component("web", expose=PEER))]},
    )
    await bed.ready("o")
    green = await bed.workload("green", "o")
    before = await green.get(kinds.DEPLOYMENT, "web", "shop")
    await green.delete(kinds.DEPLOYMENT, "web", "shop")
    uid = before["metadata"]["uid"]
    await bed.wait(green, kinds.DEPLOYMENT, "web", "shop", lambda o: o is not None and o["metadata"]["uid"] != uid)
    await green.patch(kinds.DEPLOYMENT, "web", {"spec": {"replicas": 5, "minReadySeconds": 1}}, "shop")
    mended = await bed.wait(
        green, kinds.DEPLOYMENT, "web", "shop", lambda o: o is not None and o["spec"]["replicas"] == 1
    )
    assert mended["spec"]["minReadySeconds"] == 1, "a foreign field is left alone"


@pytest.mark.creates
async def test_a_machine_that_is_deleted_is_replaced(bed: Bed) -> None:
    await bed.apply("o", {"clusters": [cluster("green", packages=[])]})
    await bed.ready("o")
    machines = (await bed.api.list(kinds.MACHINE)).items
    worker = next(m for m in machines if "md-0" in m["metadata"]["name"])
    await bed.api.delete(kinds.MACHINE, worker["metadata"]["name"], "default")
    await bed.gone(kinds.MACHINE, worker["metadata"]["name"], "default")
    await bed.ready("o")
    assert len((await bed.api.list(kinds.MACHINE)).items) == 2


async def test_parallel_callers_each_apply_their_own_application(bed: Bed) -> None:
    import asyncio

    await bed.apply("o", {"clusters": [cluster("green", packages=[])]}, "platform")
    await asyncio.gather(
        *(bed.apply("o", {"apps": [app(f"a{i}", "green", component("web"))]}, f"caller-{i}") for i in range(20))
    )
    obj = await bed.ready("o")
    assert {entry["name"] for entry in obj["status"]["apps"]} == {f"a{i}" for i in range(20)}
    await bed.apply("o", {"apps": []}, "caller-7")
    obj = await bed.ready("o")
    assert {entry["name"] for entry in obj["status"]["apps"]} == {f"a{i}" for i in range(20) if i != 7}


@pytest.mark.embedded_only(reason="credentials of OpenStack are what fails")
async def test_a_failing_item_blocks_no_other_and_says_why(bed: Bed) -> None:
    await bed.apply("o", {
        "clusters": [cluster("green", packages=[]), cluster("blue", packages=[], cloud={"secret": "missing"})],
        "apps": [app("good", "green", component("web")), app("bad", "green", component("x", registry={"secret": "none"}))],
    })  # fmt: skip

    def told(obj) -> bool:
        status = (obj or {}).get("status") or {}
        apps = {a["name"]: a["phase"] for a in status.get("apps") or ()}
        return apps.get("good") == "Running" and apps.get("bad") == "Failed"

    obj = await bed.until("o", told)
    blue = next(c for c in obj["status"]["clusters"] if c["name"] == "blue")
    assert blue["phase"] == "Provisioning"
    assert "none" in next(a for a in obj["status"]["apps"] if a["name"] == "bad")["message"]


@pytest.mark.creates
async def test_more_workers_are_scaling_and_no_loss(bed: Bed) -> None:
    phases: set[str] = set()

    def scaled(obj: dict) -> bool:
        phases.add(obj["status"]["clusters"][0]["phase"])
        return obj["status"]["clusters"][0].get("workersReady") == 3 and obj["status"]["phase"] == "Ready"

    await bed.apply("o", {"clusters": [cluster("green")]})
    await bed.ready("o")
    await bed.apply("o", {"clusters": [{**cluster("green"), "worker-machine-count": 3}]})
    await bed.until("o", scaled)
    assert "Scaling" in phases
    assert "Degraded" not in phases
