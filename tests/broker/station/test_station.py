"""A broker as one process between clusters: what is declared stands, what goes takes everything of its own with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from broker.station.broker_world import BrokerWorld, all_of, broker_world, deployment, space, until
from continuo.federation.reflection.places import ROOT_CID
from continuo.resources import kinds
from continuo.resources.broker import AGGREGATE, CONSUMER, PROVIDER
from continuo.resources.meta import Object, annotations_of, condition, is_true, labels_of

pytestmark = pytest.mark.anyio


def reachable(pod: Object) -> bool:
    return is_true(pod, "Ready") and bool((pod.get("status") or {}).get("podIP"))


async def test_pods_reach_providers_transparently_and_opaquely_and_nothing_stays_behind() -> None:
    async with broker_world() as made:
        await made.start()
        rome = made.clusters.client("rome")
        for namespace, node in (("shop", "broker"), ("batch", "pool")):
            await rome.create(space(namespace, node))
            await rome.create(deployment(namespace, node, 4))
        await until(rome, kinds.POD, all_of(4, reachable), "shop")
        await until(rome, kinds.POD, all_of(4, reachable), "batch")
        seen = made.objects("rome", kinds.POD, "shop")
        assert {annotations_of(pod)[ROOT_CID] for pod in seen} == {"milan", "turin"}
        networks = network_of(made.objects("rome", kinds.CONFIGURATION))
        for pod in seen:
            prefix = networks[annotations_of(pod)[ROOT_CID]].rsplit(".", 2)[0]
            assert pod["status"]["podIP"].startswith(prefix + ".")
        hidden = made.objects("rome", kinds.POD, "batch")
        lent = network_of(made.objects("rome", kinds.CONFIGURATION), "external")["broker"].rsplit(".", 2)[0]
        assert all(annotations_of(pod)[ROOT_CID] == "broker" for pod in hidden)
        assert all(pod["status"]["podIP"].startswith(lent + ".") for pod in hidden)
        assert len(made.objects("broker", kinds.IP, "batch-rome")) == 4
        assert not [pod for pod in hidden for name in ("milan", "turin") if name in str(pod)]
        for namespace in ("shop", "batch"):
            await rome.delete(kinds.DEPLOYMENT, "web", namespace)
        for name in ("rome", "broker", "milan", "turin"):
            await until(made.clusters.client(name), kinds.CONFIGURATION, lambda found: not found)
        await until(made.broker, kinds.IP, lambda found: not found, "batch-rome")
        for kind, name in ((PROVIDER, "turin"), (AGGREGATE, "pool"), (CONSUMER, "rome")):
            await made.broker.delete(kind, name)
            await until(made.broker, kind, without(name))
        assert names(made.objects("rome", kinds.NODE)) == {"rome-0"}
        assert names(made.objects("broker", kinds.NODE)) == {"broker-0", "milan"}


async def test_what_cannot_be_reached_is_said_and_mended_by_the_right_kubeconfig() -> None:
    async with broker_world(providers=("milan",)) as made:
        await made.broker.create(PROVIDER.new("oslo", spec={"region": "eu-north", "kubeconfig": {"name": "oslo"}}))
        await made.start()

        def says(text: str) -> Callable[[list[Object]], bool]:
            return lambda found: any(text in ((condition(obj, "Ready") or {}).get("message") or "") for obj in found)

        await until(made.broker, PROVIDER, says("Secret continuo-system/oslo does not exist"))
        await made.hand_over("oslo", "no kubeconfig")
        await until(made.broker, PROVIDER, says("its kubeconfig cannot be used"))
        made.clusters.make("oslo")
        await made.hand_over("oslo", made.clusters.kubeconfig("oslo"))
        await until(made.broker, PROVIDER, all_of(2, lambda obj: is_true(obj, "Ready")))
        assert labels_of(await made.broker.get(kinds.NODE, "oslo"))["topology.kubernetes.io/region"] == "eu-north"
        for secret in made.objects("broker", kinds.SECRET, "continuo-system"):
            assert secret["data"]["value"] not in str(made.objects("broker", PROVIDER))


async def test_a_namespace_of_a_consumer_goes_where_its_label_says_and_a_restart_goes_on() -> None:
    async with broker_world() as made:
        await made.start()
        rome = made.clusters.client("rome")
        await rome.create(space("shop", "broker"))
        await rome.create(deployment("shop", "broker", 3))
        await until(rome, kinds.POD, all_of(3, reachable), "shop")
        before = names(made.objects("rome", kinds.POD, "shop"))
        await made.kill()
        await made.start()
        await rome.patch(kinds.DEPLOYMENT, "web", {"spec": {"replicas": 5}}, "shop")
        await until(rome, kinds.POD, all_of(5, reachable), "shop")
        assert before <= names(made.objects("rome", kinds.POD, "shop"))
        await rome.delete(kinds.NAMESPACE, "shop")
        await until(made.broker, kinds.POD, lambda found: not found, "shop-rome")
        await until(rome, kinds.NAMESPACE, lambda found: "shop" not in names(found))  # once it knows that


async def test_a_restart_takes_no_lent_address_away() -> None:
    async with broker_world() as made:
        await made.start()
        rome = made.clusters.client("rome")
        await rome.create(space("batch", "pool"))
        await rome.create(deployment("batch", "pool", 3))
        await until(rome, kinds.POD, all_of(3, reachable), "batch")
        before = uids(made.objects("broker", kinds.IP, "batch-rome"))
        await made.kill()
        gone: list[str] = []
        made.clusters.engine.cluster("broker").listen(
            kinds.IP, lambda change: gone.append(change.object["metadata"]["uid"]) if change.type == "DELETED" else None
        )
        await made.start()
        await rome.patch(kinds.DEPLOYMENT, "web", {"spec": {"replicas": 4}}, "batch")
        await until(rome, kinds.POD, all_of(4, reachable), "batch")
        assert len(before) == 3 and gone == []
        assert before < uids(made.objects("broker", kinds.IP, "batch-rome"))


async def test_an_aggregates_node_is_as_large_as_its_quota_and_follows_its_providers() -> None:
    async with broker_world() as made:
        await made.broker.patch(AGGREGATE, "pool", {"spec": {"quota": {"cpu": "5"}}})
        await made.start()
        rome = made.clusters.client("rome")

        def offers(amount: str) -> Callable[[list[Object]], bool]:
            def test(found: list[Object]) -> bool:
                return any(
                    obj["metadata"]["name"] == "pool" and obj["status"]["allocatable"].get("cpu") == amount
                    for obj in found if "allocatable" in (obj.get("status") or {})
                )  # fmt: skip

            return test

        await until(rome, kinds.NODE, offers("5"))
        await made.broker.patch(AGGREGATE, "pool", {"spec": {"quota": None}})
        whole = sum(int(node["status"]["allocatable"]["cpu"]) for p in ("milan", "turin") for node in nodes(made, p))
        await until(rome, kinds.NODE, offers(str(whole)))
        made.clusters.engine.cluster("turin").outage = "refuse"
        left = sum(int(node["status"]["allocatable"]["cpu"]) for node in nodes(made, "milan"))
        await until(rome, kinds.NODE, offers(str(left)))


async def test_a_station_that_ended_listens_no_more() -> None:
    async with broker_world(providers=("milan",)) as made:
        station = await made.start()
        assert len(station.aggregator._bell) > 0, "the station listens while it works"
        await made.kill()
        assert len(station.aggregator._bell) == 0


def nodes(made: BrokerWorld, name: str) -> list[Object]:
    return made.objects(name, kinds.NODE)


def without(name: str) -> Callable[[list[Object]], bool]:
    return lambda found: name not in names(found)


def uids(found: list[Object]) -> set[str]:
    return {obj["metadata"]["uid"] for obj in found}


def names(found: list[Object]) -> set[str]:
    return {obj["metadata"]["name"] for obj in found}


def network_of(configurations: list[Object], which: str = "pod") -> dict[str, str]:
    return {
        labels_of(obj)["liqo.io/remote-cluster-id"]: obj["status"]["remote"]["cidr"][which][0] for obj in configurations
    }
