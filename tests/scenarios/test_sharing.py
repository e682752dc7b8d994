"""Orchestrations side by side, adopted clusters, and what may not be taken away from others."""

from __future__ import annotations

import asyncio

import pytest

from continuo.resources import kinds
from continuo.resources.meta import labels_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

from .beds import Bed, is_ready
from .specs import PEER, adopted, app, cluster, component, item

pytestmark = pytest.mark.anyio

LINK = ["green", "rose"]


async def test_orchestrations_live_side_by_side_with_the_same_names(bed: Bed) -> None:
    await bed.api.apply(kinds.NAMESPACE.new("lab"), manager="test")
    await bed.credentials("lab")
    spec = {"clusters": [cluster("green")], "apps": [app("shop", "green", component("web"))]}
    await asyncio.gather(bed.apply("a", spec), bed.apply("b", spec), bed.apply("a", spec, namespace="lab"))
    await asyncio.gather(bed.ready("a"), bed.ready("b"), bed.ready("a", "lab"))
    for namespace, name in (("default", "a"), ("default", "b"), ("lab", "a")):
        green = await bed.workload("green", name, namespace)
        (pod,) = (await green.list(kinds.POD, "shop")).items
        assert labels_of(pod)["continuo.dev/orchestration-namespace"] == namespace
    await bed.remove("a")
    assert await bed.is_gone("green", "a")
    for namespace, name in (("default", "b"), ("lab", "a")):
        assert is_ready(await bed.api.get(LOW_LEVEL_ORCHESTRATION, name, namespace))
        green = await bed.workload("green", name, namespace)
        assert len((await green.list(kinds.POD, "shop")).items) == 1


@pytest.mark.embedded_only(reason="it adopts a cluster that it has created, with packages")
@pytest.mark.links
@pytest.mark.long
async def test_an_adopted_cluster_is_linked_used_and_left_as_it_was(bed: Bed) -> None:
    small = cluster("small", worker_machine_count=0)
    await bed.apply("host", {"clusters": [small, cluster("rose", packages=["liqo"])]})
    await bed.ready("host")
    rose = await bed.workload("rose", "host")
    before = {n["metadata"]["name"] for n in (await rose.list(kinds.NAMESPACE)).items}
    clusters = [cluster("green", packages=["liqo"]), adopted("rose", "host-rose-kubeconfig")]
    shop = app("shop", "green", component("web", "green"), component("db", "rose", expose=PEER))
    local = app("local", "rose", component("web", "rose"))
    await bed.apply("guest", {"clusters": clusters, "links": [LINK], "apps": [shop, local]})
    await bed.ready("guest")
    assert len((await rose.list(kinds.POD, "shop")).items) == 1
    assert len((await bed.api.list(kinds.CLUSTER)).items) == 3, "an adopted cluster is not made again"
    # Its owner may not take it away meanwhile.
    await bed.apply("host", {"clusters": [small]})
    obj = await bed.until("host", lambda obj: item(obj, "clusters", "rose").get("reason") == "InUse")
    assert "default/guest" in item(obj, "clusters", "rose")["message"]
    assert await bed.exists(bed.api, kinds.CLUSTER, "host-rose", "default")
    # Dropped from the guest, it is left as it was, and then its owner gets its way.
    await bed.apply("guest", {"clusters": clusters[:1], "apps": [app("shop", "green", component("web", "green"))]})
    await bed.ready("guest")
    after = {n["metadata"]["name"] for n in (await rose.list(kinds.NAMESPACE)).items}
    assert after == before
    assert (await rose.list(kinds.FOREIGN_CLUSTER)).items == []
    await bed.gone(kinds.CLUSTER, "host-rose", "default")
    await bed.ready("host")


@pytest.mark.embedded_only(reason="faults are injected into stand-ins")
async def test_deletion_leaves_an_adopted_cluster_clean_and_waits_for_one_that_is_away(bed: Bed) -> None:
    from continuo.embedded.standins import faults

    await bed.apply("host", {"clusters": [cluster("rose")]})
    await bed.ready("host")
    spec = {"clusters": [adopted("rose", "host-rose-kubeconfig")], "apps": [app("shop", "rose", component("web"))]}
    await bed.apply("guest", spec)
    await bed.ready("guest")
    inject = faults.Faults(bed.host.engine)
    inject.inject(faults.API_OUTAGE, kinds.CLUSTER, "host-rose", "default")
    await bed.until("guest", lambda obj: item(obj, "clusters", "rose").get("phase") == "Degraded")
    await bed.api.delete(LOW_LEVEL_ORCHESTRATION, "guest", "default")
    obj = await bed.until("guest", lambda obj: "what is left on it" in item(obj, "clusters", "rose").get("message", ""))
    assert "host-rose-kubeconfig" in item(obj, "clusters", "rose")["message"]
    inject.heal(faults.API_OUTAGE, kinds.CLUSTER, "host-rose", "default")
    await bed.gone(LOW_LEVEL_ORCHESTRATION, "guest", "default")
    rose = await bed.workload("rose", "host")
    assert not await bed.exists(rose, kinds.NAMESPACE, "shop")


@pytest.mark.links
async def test_a_link_in_use_is_kept_until_nothing_spans_it(bed: Bed) -> None:
    clusters = [cluster("green", packages=["liqo"]), cluster("rose", packages=["liqo"])]
    web, db = component("web", "green"), component("db", "rose", expose=PEER)
    await bed.apply("o", {"clusters": clusters, "links": [LINK], "apps": [app("shop", "green", web, db)]})
    await bed.ready("o")
    await bed.apply("o", {"clusters": clusters, "apps": [app("shop", "green", web, db)]})
    obj = await bed.until("o", lambda obj: item(obj, "links", "green/rose").get("reason") == "InUse")
    assert "shop" in item(obj, "links", "green/rose")["message"]
    assert item(obj, "links", "green/rose")["phase"] == "Connected"
    assert item(obj, "component", "shop/db")["phase"] == "Running"
    await bed.apply("o", {"clusters": clusters, "apps": [app("shop", "green", web, component("db", "green"))]})
    obj = await bed.ready("o")
    assert obj["status"].get("links", []) == []


@pytest.mark.links
async def test_two_orchestrations_need_the_same_link(bed: Bed) -> None:
    clusters = [cluster("green", packages=["liqo"]), cluster("rose", packages=["liqo"])]
    await bed.apply("host", {"clusters": clusters, "links": [LINK]})
    await bed.ready("host")
    names = [adopted(name, bed.secret(name, "host")) for name in ("green", "rose")]
    shop = app("shop", "green", component("db", "rose", expose=PEER))
    await bed.apply("guest", {"clusters": names, "links": [LINK], "apps": [shop]})
    await bed.ready("guest")
    await bed.apply("host", {"clusters": clusters})
    await bed.ready("host")
    assert is_ready(await bed.api.get(LOW_LEVEL_ORCHESTRATION, "guest", "default"))
    rose = await bed.workload("rose", "host")
    assert len((await rose.list(kinds.FOREIGN_CLUSTER)).items) == 1, "the link that another needs stays"
    await bed.remove("guest")
    await bed.gone(kinds.FOREIGN_CLUSTER, bed.liqo_id("green", "host"), None, rose)
    await bed.remove("host")
