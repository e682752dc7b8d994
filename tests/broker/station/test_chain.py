"""Brokers behind brokers: a pod goes through both, its traffic over every hop, and nothing stays behind."""

from __future__ import annotations

import pytest

from broker.paths.clusters import world
from broker.station.broker_world import BrokerWorld, all_of, deployment, space, until
from continuo.federation.reflection.places import ROOT_CID
from continuo.resources import kinds
from continuo.resources.broker import BROKER_POLICY, CONSUMER, PROVIDER
from continuo.resources.meta import Object, annotations_of, is_true
from continuo.testbed.datapath.decided import decided
from continuo.testbed.datapath.plan import follow

pytestmark = pytest.mark.anyio
ALL = {"compliance": [{"name": "all", "expression": "true"}]}


async def test_a_pod_goes_through_two_brokers_and_is_reached_over_every_hop() -> None:
    async with world() as clusters:
        north, south = BrokerWorld(clusters, "north"), BrokerWorld(clusters, "south")
        for name in ("rome", "milan"):
            clusters.make(name)
        await north.declare(CONSUMER, "rome", clusters.client("rome"))
        await north.declare(PROVIDER, "south", clusters.client("south"), scheduler="continuo-broker")
        await south.declare(CONSUMER, "north")  # what comes from there; it has no credentials of it
        await south.declare(PROVIDER, "milan", clusters.client("milan"))
        for each in (north, south):
            await each.declare(BROKER_POLICY, "all", **ALL)
            await each.start()
        try:
            await _run(north)
        finally:
            for each in (north, south):
                await each.kill()


async def _run(north: BrokerWorld) -> None:
    clusters = north.clusters
    rome = clusters.client("rome")
    await rome.create(space("shop", "north"))
    await rome.create(deployment("shop", "north", 2))
    await until(rome, kinds.POD, all_of(2, _reachable), "shop")
    plan = await decided([clusters.client(name) for name in ("rome", "north", "south", "milan")])
    there = {pod["status"]["podIP"] for pod in north.objects("milan", kinds.POD) if "app" in pod["metadata"]["labels"]}
    seen = north.objects("rome", kinds.POD, "shop")
    ways = [follow(plan, "rome", pod["status"]["podIP"]) for pod in seen]
    assert {annotations_of(pod)[ROOT_CID] for pod in seen} == {"milan"}
    assert {(way.cluster, way.ip) for way in ways} == {("milan", ip) for ip in there & {way.ip for way in ways}}
    assert len({way.ip for way in ways}) == 2 and {len(way.links) for way in ways} == {3}
    await rome.delete(kinds.DEPLOYMENT, "web", "shop")
    for name in ("rome", "north", "south", "milan"):
        await until(clusters.client(name), kinds.CONFIGURATION, lambda found: not found)
    for name in ("north", "south"):
        assert [
            obj for obj in north.objects(name, kinds.IP) if "continuo.dev/lent" in obj["metadata"].get("labels", {})
        ] == []


def _reachable(pod: Object) -> bool:
    return is_true(pod, "Ready") and bool((pod.get("status") or {}).get("podIP"))
