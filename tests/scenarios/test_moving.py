"""Components and applications that change their place."""

from __future__ import annotations

import pytest

from continuo.resources import kinds

from .beds import Bed, is_ready
from .specs import PEER, app, cluster, component, item

pytestmark = [pytest.mark.anyio, pytest.mark.links]

CLUSTERS = [cluster("green", packages=["liqo"], tier="edge"), cluster("rose", packages=["liqo"], tier="cloud")]
LINK = ["green", "rose"]


async def pods(bed: Bed, name: str) -> set[str]:
    """The nodes of the application's running pods in one cluster."""
    api = await bed.workload(name, "o")
    live = [p for p in (await api.list(kinds.POD, "shop")).items if "deletionTimestamp" not in p["metadata"]]
    return {p["spec"]["nodeName"] for p in live}


async def test_there_and_back_again(bed: Bed) -> None:
    def spec(place: str) -> dict:
        return {
            "clusters": CLUSTERS,
            "links": [LINK],
            "apps": [app("shop", "green", component("db", place, expose=PEER))],
        }

    await bed.apply("o", spec("green"))
    await bed.ready("o")
    assert not await pods(bed, "rose")
    await bed.apply("o", spec("rose"))
    obj = await bed.ready("o")
    assert item(obj, "component", "shop/db")["cluster"] == "rose"
    assert await pods(bed, "green") == {bed.liqo_id("rose", "o")} and len(await pods(bed, "rose")) == 1
    await bed.apply("o", spec("green"))
    await bed.ready("o")
    assert bed.liqo_id("rose", "o") not in await pods(bed, "green")
    rose = await bed.workload("rose", "o")
    await bed.gone(kinds.NAMESPACE, "shop", None, rose)


async def test_the_home_of_an_application_changes(bed: Bed) -> None:
    def spec(home: str) -> dict:
        web, db = component("web", "green", expose=PEER), component("db", "rose", expose=PEER)
        return {"clusters": CLUSTERS, "links": [LINK], "apps": [app("shop", home, web, db)]}

    await bed.apply("o", spec("green"))
    await bed.ready("o")
    await bed.apply("o", spec("rose"))
    obj = await bed.ready("o")
    assert item(obj, "apps", "shop")["cluster"] == "rose"
    green, rose = await bed.workload("green", "o"), await bed.workload("rose", "o")
    assert {d["metadata"]["name"] for d in (await rose.list(kinds.DEPLOYMENT, "shop")).items} == {"web", "db"}
    assert (await green.list(kinds.DEPLOYMENT, "shop")).items == []
    assert bed.liqo_id("green", "o") in await pods(bed, "rose"), "web runs on green, seen from its new home"


async def test_unpinned_components_move_before_their_cluster_goes(bed: Bed) -> None:
    hinted = component("web", expose=PEER, placement_hint="CLOUD")
    await bed.apply("o", {"clusters": CLUSTERS, "links": [LINK], "apps": [app("shop", "green", hinted)]})
    obj = await bed.ready("o")
    assert item(obj, "component", "shop/web")["cluster"] == "rose"
    await bed.apply("o", {"clusters": CLUSTERS[:1], "apps": [app("shop", "green", hinted)]})
    served: list[bool] = []

    def watch(obj: dict) -> bool:
        gone = not item(obj, "clusters", "rose")
        served.append(item(obj, "component", "shop/web").get("ready") == "1/1" or gone)
        return is_ready(obj)

    obj = await bed.until("o", watch)
    assert item(obj, "component", "shop/web")["cluster"] == "green"
    assert await bed.is_gone("rose", "o")
    assert bed.liqo_id("rose", "o") not in await pods(bed, "green")


@pytest.mark.embedded_only(reason="its packages are installed by the stand-in of the Helm add-on provider")
async def test_deletion_in_the_middle_of_provisioning(bed: Bed) -> None:
    spec = {"clusters": CLUSTERS, "links": [LINK], "apps": [app("shop", "green", component("db", "rose"))]}
    await bed.apply("o", spec)
    await bed.until("o", lambda obj: item(obj, "clusters", "green").get("phase") == "InstallingPackages")
    await bed.remove("o")
    for kind in (kinds.CLUSTER, kinds.MACHINE, kinds.HELM_CHART_PROXY, kinds.OPENSTACK_CLUSTER):
        assert (await bed.api.list(kind)).items == [], kind.kind
    assert [api.name for api in bed.host.engine.clusters()] == ["management"]
