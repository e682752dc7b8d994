"""What breaks shows its reason, blocks nothing else, and heals."""

from __future__ import annotations

import asyncio

import pytest

from continuo.embedded.standins import faults
from continuo.resources import kinds
from continuo.resources.meta import Object, labels_of

from .beds import Bed, is_ready
from .specs import PEER, app, cluster, component, item

pytestmark = pytest.mark.anyio

GREEN, ROSE = cluster("green", packages=["liqo"]), cluster("rose", packages=["liqo"])


async def events(bed: Bed, *reasons: str) -> dict[str, str]:
    """Wait for Events of the orchestration with all these reasons; their notes by reason."""
    found: dict[str, str] = {}
    async with asyncio.timeout(20):
        listing = await bed.api.list(kinds.EVENT, "default")
        _note(found, listing.items)
        if set(reasons) <= set(found):
            return found
        async for change in bed.api.watch(kinds.EVENT, "default", since=listing.resource_version):
            if change.type != "BOOKMARK":
                _note(found, [change.object])
            if set(reasons) <= set(found):
                return found
    raise AssertionError("the watch ended")


def _note(found: dict[str, str], items: list[Object]) -> None:
    found.update({e["reason"]: e["note"] for e in items if e["regarding"]["kind"] == "LowLevelOrchestration"})


@pytest.mark.embedded_only(reason="faults are injected into stand-ins")
async def test_a_machine_that_never_comes_up(bed: Bed) -> None:
    await bed.apply("o", {"clusters": [cluster("green"), cluster("rose")]})
    await bed.wait(bed.api, kinds.CLUSTER, "o-rose", "default", lambda obj: obj is not None)
    inject = faults.Faults(bed.host.engine)
    inject.inject(faults.NEVER_UP, kinds.CLUSTER, "o-rose", "default")
    await bed.until("o", lambda obj: item(obj, "clusters", "green").get("phase") == "Ready")
    obj = await bed.until("o", lambda obj: "machine" in item(obj, "clusters", "rose").get("message", ""))
    rose = item(obj, "clusters", "rose")
    assert (rose["phase"], rose["reason"]) == ("Provisioning", "MachinesNotReady")
    assert not is_ready(obj)
    inject.heal(faults.NEVER_UP, kinds.CLUSTER, "o-rose", "default")
    await bed.ready("o")
    told = await events(bed, "ClusterReady")
    assert "rose" in told["ClusterReady"] or "green" in told["ClusterReady"]


@pytest.mark.embedded_only(reason="faults are injected into stand-ins")
async def test_slow_provisioning_delays_only_the_slow_one(bed: Bed) -> None:
    web = app("shop", "green", component("web", "green"))
    late = app("late", "rose", component("web", "rose"))
    await bed.apply("o", {"clusters": [cluster("green"), cluster("rose")], "apps": [web, late]})
    await bed.wait(bed.api, kinds.CLUSTER, "o-rose", "default", lambda obj: obj is not None)
    inject = faults.Faults(bed.host.engine)
    inject.inject(faults.SLOW, kinds.CLUSTER, "o-rose", "default", argument="1000")
    obj = await bed.until("o", lambda obj: item(obj, "apps", "shop").get("phase") == "Running")
    assert item(obj, "clusters", "rose")["phase"] == "Provisioning"
    waiting = item(obj, "component", "late/web")
    assert waiting["phase"] == "Pending" and "cluster rose" in waiting["message"]
    await bed.remove("o")  # also while it is still being provisioned
    assert bed.engine_cluster("rose", "o") is None


@pytest.mark.embedded_only(reason="faults are injected into stand-ins")
async def test_an_api_that_goes_away_and_comes_back(bed: Bed) -> None:
    apps = [app("shop", "green", component("web", expose=PEER)), app("other", "rose", component("web"))]
    await bed.apply("o", {"clusters": [cluster("green"), cluster("rose")], "apps": apps})
    await bed.ready("o")
    inject = faults.Faults(bed.host.engine)
    inject.inject(faults.API_OUTAGE, kinds.CLUSTER, "o-green", "default")
    obj = await bed.until("o", lambda obj: item(obj, "clusters", "green").get("phase") == "Degraded")
    assert item(obj, "clusters", "green")["reason"] == "Unreachable"
    assert "does not answer" in item(obj, "clusters", "green")["message"]
    told = await events(bed, "ClusterDegraded")
    assert "green" in told["ClusterDegraded"]
    apps[1] = app("other", "rose", component("web"), component("more"))
    await bed.apply("o", {"clusters": [cluster("green"), cluster("rose")], "apps": apps})
    await bed.until("o", lambda obj: item(obj, "component", "other/more").get("phase") == "Running")
    inject.heal(faults.API_OUTAGE, kinds.CLUSTER, "o-green", "default")
    await bed.ready("o")


@pytest.mark.embedded_only(reason="faults are injected into stand-ins")
@pytest.mark.links
async def test_a_link_that_drops_and_recovers(bed: Bed) -> None:
    shop = app("shop", "green", component("web", "green"), component("db", "rose", expose=PEER))
    await bed.apply("o", {"clusters": [GREEN, ROSE], "links": [["green", "rose"]], "apps": [shop]})
    await bed.ready("o")
    inject = faults.Faults(bed.host.engine)
    green = bed.engine_cluster("green", "o")
    inject.inject(faults.LINK_DOWN, kinds.FOREIGN_CLUSTER, "o-rose", cluster=green.name)
    obj = await bed.until("o", lambda obj: item(obj, "links", "green/rose").get("phase") == "Degraded")
    assert item(obj, "links", "green/rose")["message"]
    assert "green/rose" in (await events(bed, "LinkDegraded"))["LinkDegraded"]
    inject.heal(faults.LINK_DOWN, kinds.FOREIGN_CLUSTER, "o-rose", cluster=green.name)
    await bed.ready("o")


@pytest.mark.embedded_only(reason="simulated nodes of a real cluster pull no images")
async def test_an_image_that_cannot_be_pulled(bed: Bed) -> None:
    bad = {**component("bad"), "image": "registry.example.org/does-not-exist:1"}
    await bed.apply("o", {"clusters": [cluster("green")], "apps": [app("shop", "green", component("web"), bad)]})
    obj = await bed.until("o", lambda obj: item(obj, "component", "shop/bad").get("phase") == "Degraded")
    assert item(obj, "component", "shop/web")["phase"] in ("Running", "Deploying")
    assert item(obj, "component", "shop/bad")["reason"] in ("ErrImagePull", "ImagePullBackOff")
    assert "does-not-exist" in item(obj, "component", "shop/bad")["message"]
    assert "shop" in (await events(bed, "ComponentDegraded"))["ComponentDegraded"]
    mended = app("shop", "green", component("web"), component("bad"))
    await bed.apply("o", {"clusters": [cluster("green")], "apps": [mended]})
    await bed.ready("o")
    green = await bed.workload("green", "o")
    await bed.gone(kinds.POD, "none", "shop", green)
    images = {p["spec"]["containers"][0]["image"] for p in (await green.list(kinds.POD, "shop")).items}
    assert "registry.example.org/does-not-exist:1" not in images


@pytest.mark.creates
async def test_foreign_edits_of_cluster_api_objects_are_undone(bed: Bed) -> None:
    await bed.apply("o", {"clusters": [cluster("green")]})
    await bed.ready("o")
    await bed.api.patch(kinds.MACHINE_DEPLOYMENT, "o-green-md-0", {"spec": {"replicas": 4}}, "default")
    labels = {"metadata": {"labels": {"theirs": "stays", "continuo.dev/cluster": "blue"}}}
    await bed.api.patch(kinds.CLUSTER, "o-green", labels, "default")
    await bed.wait(bed.api, kinds.MACHINE_DEPLOYMENT, "o-green-md-0", "default", lambda o: o["spec"]["replicas"] == 1)
    mended = await bed.wait(
        bed.api, kinds.CLUSTER, "o-green", "default", lambda o: labels_of(o)["continuo.dev/cluster"] == "green"
    )
    assert labels_of(mended)["theirs"] == "stays"
    await bed.ready("o")
