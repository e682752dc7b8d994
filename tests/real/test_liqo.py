"""Links and offloading through real Liqo, declared in a LowLevelOrchestration and nothing else.

Both clusters use the same addresses for their pods, so that every answer that crosses the link was translated.
"""

from __future__ import annotations

import asyncio
import ipaddress

import pytest

from continuo.resources import kinds
from continuo.resources.meta import labels_of
from scenarios.specs import item

from .liqo_bed import CLUSTERS, HOME, PODS, LiqoBed

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("clean")]

URL = "http://httpbin:8000/get"


@pytest.fixture
def bed(liqo: LiqoBed) -> LiqoBed:
    return liqo


async def inventories(bed: LiqoBed) -> list[set[str]]:
    return list(await asyncio.gather(*(bed.inventory(cluster) for cluster in CLUSTERS)))


async def networks(bed: LiqoBed, cluster: str) -> dict[str, str]:
    """The pod networks that a cluster knows: its own (`liqo`) and its peers', by namespace, as it sees them."""
    api = await bed.workload(cluster, "")
    found = (await api.list(kinds.NETWORK)).items
    return {
        network["metadata"]["namespace"]: network["status"]["cidr"]
        for network in found
        if labels_of(network).get("ipam.liqo.io/network-type") == "pod-cidr" or "-pod-" in network["metadata"]["name"]
    }


async def test_httpbin_and_sleep_over_two_clusters_there_and_back(bed: LiqoBed) -> None:
    before = await inventories(bed)

    await bed.want("first")
    link = await bed.linked("first")
    assert link["latency"]
    assert await networks(bed, "a") == await networks(bed, "a") | {"liqo": str(PODS)}
    for cluster, peer in (("a", "b"), ("b", "a")):
        seen = await networks(bed, cluster)
        assert seen["liqo"] == str(PODS)
        assert not PODS.overlaps(ipaddress.ip_network(seen[f"liqo-tenant-{peer}"])), "the peer has the same addresses"

    await bed.want("first", sleep="a", httpbin="b")
    await bed.ready("first")
    await bed.runs("b", "httpbin")
    here, there = await bed.pods("a"), await bed.pods("b")
    assert (here["httpbin"]["spec"]["nodeName"], here["sleep"]["spec"]["nodeName"]) == ("b", "a-node-1")
    assert there["httpbin"]["spec"]["nodeName"] == "b-node-1"
    answer = await bed.curl(URL)
    assert answer["hostname"] == there["httpbin"]["metadata"]["name"]
    assert ipaddress.ip_address(answer["origin"]) not in PODS, "the caller came through the link"

    await bed.want("first", sleep="b", httpbin="a")
    await bed.ready("first")
    await bed.runs("b", "sleep")
    answer = await bed.curl(URL)
    assert answer["hostname"] == (await bed.pods("a"))["httpbin"]["metadata"]["name"]
    assert ipaddress.ip_address(answer["origin"]) not in PODS
    assert (await bed.curl(URL, "b"))["hostname"] == answer["hostname"], "asked through the other cluster's own pod"

    await bed.want("first", sleep="b", httpbin="b")
    await bed.ready("first")
    answer = await bed.curl(URL)
    assert ipaddress.ip_address(answer["origin"]) in PODS, "both run in one cluster"

    await bed.want("first", sleep="a", httpbin="a")
    await bed.ready("first")
    await bed.gone(kinds.NAMESPACE, HOME, None, await bed.workload("b", ""))
    assert {pod["spec"]["nodeName"] for pod in (await bed.pods("a")).values()} == {"a-node-1"}
    assert (await bed.curl(URL))["hostname"]

    await bed.want("first", links=False, sleep="a", httpbin="a")
    obj = await bed.ready("first")
    assert obj["status"].get("links", []) == []
    assert item(obj, "apps", HOME)["phase"] == "Running"
    await bed.remove("first")
    assert await inventories(bed) == before


async def test_everything_goes_at_once_when_the_orchestration_goes(bed: LiqoBed) -> None:
    before = await inventories(bed)
    await bed.want("second", sleep="a", httpbin="b")
    await bed.ready("second")
    await bed.remove("second")
    assert await inventories(bed) == before


async def test_what_the_other_cluster_holds_of_an_application(bed: LiqoBed) -> None:
    await bed.want("third", sleep="a", httpbin="b")
    await bed.ready("third")
    api = await bed.workload("b", "")
    shadows = (await api.list(kinds.SHADOW_POD, HOME)).items
    assert [labels_of(shadow)["continuo.dev/component"] for shadow in shadows] == ["httpbin"]
    assert {labels_of(shadow)["offloading.liqo.io/origin"] for shadow in shadows} == {"a"}
    service = await api.get(kinds.SERVICE, "httpbin", HOME)
    assert service["spec"]["ports"][0]["port"] == 8000
    space = await api.get(kinds.NAMESPACE, HOME)
    assert labels_of(space)["liqo.io/remote-cluster-id"] == "a"
    await bed.remove("third")


async def test_a_cut_between_the_clusters_is_said_and_heals(bed: LiqoBed) -> None:
    await bed.want("fourth", sleep="a", httpbin="b")
    await bed.ready("fourth")
    await bed.cut("b")
    obj = await bed.until("fourth", lambda obj: item(obj, "links", "a/b").get("phase") == "Degraded")
    assert item(obj, "links", "a/b")["message"]
    await bed.mend("b")
    assert (await bed.curl(URL))["hostname"] == (await bed.pods("b"))["httpbin"]["metadata"]["name"]
    await bed.linked("fourth")
    await bed.ready("fourth")
    await bed.remove("fourth")
