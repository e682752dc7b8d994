"""Names, identifiers and credentials that change or collide, and the process dead while they do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from broker.station.broker_world import BrokerWorld, all_of, broker_world, deployment, space, until
from broker.station.chaos import Witness, well
from continuo.federation.reflection.hub import Hub
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.broker import AGGREGATE, CONSUMER, PROVIDER
from continuo.resources.meta import Object, condition, is_true, labels_of

pytestmark = pytest.mark.anyio


def says(name: str, text: str) -> Callable[[list[Object]], bool]:
    def test(found: list[Object]) -> bool:
        told = {obj["metadata"]["name"]: condition(obj, "Ready") or {} for obj in found}
        return text in f"{told.get(name, {}).get('reason')}: {told.get(name, {}).get('message')}"

    return test


def only(*names: str) -> Callable[[list[Object]], bool]:
    return lambda found: {obj["metadata"]["name"] for obj in found} == set(names)


async def test_of_two_aggregates_with_one_nodes_name_the_older_has_it_and_the_other_is_told() -> None:
    async with broker_world(providers=("milan",)) as made:
        rome = made.clusters.client("rome")
        await made.declare(AGGREGATE, "younger", consumer="rome", node="pool")
        await made.declare(AGGREGATE, "third", consumer="rome", node="broker")
        await made.start()
        for name, node, owner in (("younger", "pool", "Aggregate pool"), ("third", "broker", "Consumer rome")):
            why = f"NodeTaken: node {node} of Consumer rome is that of {owner}: name another one"
            await until(made.broker, AGGREGATE, says(name, why))
        await until(rome, kinds.NODE, only("rome-0", "broker", "pool"))
        before = made.clusters.engine.cluster("rome").get(kinds.NODE, "pool")["metadata"]["uid"]
        await made.broker.delete(AGGREGATE, "pool")
        await until(made.broker, AGGREGATE, says("younger", "ProvidersAnswer"))
        await until(rome, kinds.NODE, lambda found: any(
            obj["metadata"]["name"] == "pool" and obj["metadata"]["uid"] != before and is_true(obj, "Ready") for obj in found
        ))  # fmt: skip


async def test_nodes_that_were_renamed_while_nobody_looked_are_taken_away() -> None:
    async with broker_world(providers=("milan",)) as made:
        rome = made.clusters.client("rome")
        await made.start()
        await until(rome, kinds.NODE, only("rome-0", "broker", "pool"))
        await until(made.broker, kinds.NODE, only("broker-0", "milan"))
        await made.kill()
        for kind, name in ((PROVIDER, "milan"), (CONSUMER, "rome"), (AGGREGATE, "pool")):
            await made.broker.patch(kind, name, {"spec": {"node": f"new-{name}"}})
        await made.start()
        await until(rome, kinds.NODE, only("rome-0", "new-rome", "new-pool"))
        await until(made.broker, kinds.NODE, only("broker-0", "new-milan"))


async def test_a_consumer_whose_identifier_changes_has_no_pod_twice_and_leaves_no_namespace() -> None:
    async with broker_world(providers=("milan", "turin", "lyon")) as made:
        witness = Witness(made)
        rome = made.clusters.client("rome")
        await made.start()
        await rome.create(space("shop", "broker"))
        await rome.create(kinds.CONFIG_MAP.new("settings", "shop", data={"a": "b"}))
        await rome.create(deployment("shop", "broker", 3))
        await until(rome, kinds.POD, all_of(3, well), "shop")
        await made.kill()
        await made.broker.patch(CONSUMER, "rome", {"spec": {"clusterID": "roma"}})
        await made.start()
        await until(
            made.broker, kinds.POD, all_of(3, runs), "shop-roma"
        )  # without an address: no path leads there from here
        await until(made.broker, kinds.NAMESPACE, lambda found: not only_named(found, "shop-rome"))
        for name in ("milan", "turin", "lyon"):
            await until(made.clusters.client(name), kinds.NAMESPACE, lambda found: not only_named(found, "shop-rome"))
        assert witness.complaints == []


def runs(pod: Object) -> bool:
    return is_true(pod, "Ready")


def only_named(found: list[Object], name: str) -> list[Object]:
    return [obj for obj in found if obj["metadata"]["name"] == name]


async def test_a_kubeconfig_that_is_no_good_does_not_end_what_worked() -> None:
    async with broker_world(providers=("milan",)) as made:
        rome = made.clusters.client("rome")
        station = await made.start()
        await until(made.broker, PROVIDER, says("milan", "Connected"))
        worked = station.members.client("Provider", "milan")
        await rome.create(space("shop", "broker"))
        await rome.create(deployment("shop", "broker", 1))
        await until(rome, kinds.POD, all_of(1, well), "shop")
        await made.hand_over("milan", "no kubeconfig")
        await until(made.broker, PROVIDER, says("milan", "its kubeconfig cannot be used"))
        assert station.members.client("Provider", "milan") is worked, (
            "the one that works is kept until another one does"
        )
        await rome.patch(kinds.DEPLOYMENT, "web", {"spec": {"replicas": 2}}, "shop")
        await until(rome, kinds.POD, all_of(2, well), "shop")
        await made.broker.patch(PROVIDER, "milan", {"spec": {"region": "eu-west"}})
        await until(made.broker, kinds.NODE, in_region("milan", "eu-west"))
        await made.hand_over("milan", made.clusters.kubeconfig("milan"))
        await until(made.broker, PROVIDER, says("milan", "Connected"))


def in_region(name: str, region: str) -> Callable[[list[Object]], bool]:
    return lambda found: any(
        obj["metadata"]["name"] == name and labels_of(obj).get("topology.kubernetes.io/region") == region
        for obj in found
    )


async def test_while_a_kubeconfig_is_replaced_nobody_takes_the_cluster_for_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with broker_world(providers=("milan",)) as made:
        station = await made.start()
        await until(made.broker, PROVIDER, says("milan", "Connected"))
        worked, between = station.members.client("Provider", "milan"), list[object]()
        real = station.fleet.add_cluster

        def add_cluster(cluster: Cluster, *more: Any) -> Hub:
            between.append(station.members.client("Provider", "milan"))
            return real(cluster, *more)

        monkeypatch.setattr(station.fleet, "add_cluster", add_cluster)
        await made.hand_over("milan", made.clusters.kubeconfig("milan") + "# of the same cluster\n")
        async with asyncio.timeout(20):
            changed = asyncio.Event()
            station.members.on_change(lambda *_: changed.set())
            while station.members.client("Provider", "milan") is worked:
                changed.clear()
                await changed.wait()
        assert between == [worked], "what has ended already is the client until the next one is"
        await until(made.broker, PROVIDER, says("milan", "Connected"))


async def test_a_cluster_that_is_two_things_is_known_until_it_is_neither() -> None:
    async with broker_world(providers=("milan",)) as made:
        rome = made.clusters.client("rome")
        await made.declare(CONSUMER, "milan", made.clusters.client("milan"), node="other")
        await made.start()
        await until(made.broker, CONSUMER, says("milan", "Connected"))
        await made.broker.delete(CONSUMER, "milan")
        await until(made.broker, CONSUMER, only("rome"))
        await rome.create(space("shop", "broker"))
        await rome.create(deployment("shop", "broker", 1))
        await until(rome, kinds.POD, all_of(1, well), "shop")
        assert has_path(made, "milan")
        await rome.delete(kinds.DEPLOYMENT, "web", "shop")
        await until(made.clusters.client("milan"), kinds.CONFIGURATION, lambda found: not found)


def has_path(made: BrokerWorld, name: str) -> bool:
    return [labels_of(obj)["liqo.io/remote-cluster-id"] for obj in made.objects(name, kinds.CONFIGURATION)] == ["rome"]


async def test_a_provider_that_cannot_be_entered_any_more_waits_with_what_is_left_there() -> None:
    async with broker_world(providers=("milan",)) as made:
        await made.start()
        await until(made.broker, PROVIDER, says("milan", "Connected"))
        await made.kill()
        await made.broker.delete(kinds.SECRET, "milan", "continuo-system")
        await made.broker.delete(PROVIDER, "milan")
        await made.start()
        await until(made.broker, PROVIDER, says("milan", "Leaving: it goes when nothing is left"))
        await until(made.broker, PROVIDER, says("milan", "Secret continuo-system/milan does not exist"))
        await made.hand_over("milan", made.clusters.kubeconfig("milan"))
        await until(made.broker, PROVIDER, only())
        await until(made.broker, kinds.NODE, only("broker-0"))
