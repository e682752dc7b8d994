"""A fleet of reflections: through a broker and on to providers, over HTTP, with faults."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from broker.paths.clusters import until, world
from continuo.broker.paths import Paths
from continuo.federation.addresses import remap
from continuo.federation.model import LinkSettings
from continuo.federation.reflection.engine import Settings
from continuo.federation.reflection.fleet import Fleet, Peer
from continuo.federation.reflection.places import ROOT_CID, ROOT_IP
from continuo.federation.reflection.twin import VIRTUAL_NODE
from continuo.resources import kinds
from continuo.resources.errors import BadRequest, NotFound
from continuo.resources.meta import Object, annotations_of, is_true, labels_of
from federation.chain import BROKER, CONSUMER, PROVIDERS, SPACE, THERE, Chain, Witness, chain, pod
from seeding import seeds

pytestmark = pytest.mark.anyio


async def test_a_pod_goes_through_the_broker_and_its_place_comes_back() -> None:
    async with chain() as made:
        await made.consumer.create(kinds.SECRET.new("key", SPACE, stringData={"a": "b"}))
        await made.start()
        await made.ready()
        paths = Paths(made.broker, BROKER, settings=LinkSettings(service_type="NodePort"), linger=0.05)
        for client in (made.consumer, *made.providers.values()):
            paths.add(client.name, client)
        loop = asyncio.create_task(paths.run())
        await made.consumer.create(pod("a"))  # the first one goes to the second provider
        await made.all_ready({"a"})
        provider = made.providers["zurich"]
        there = await provider.get(kinds.POD, "a", THERE)

        def told(found: list[Object]) -> bool:
            return any((obj.get("status") or {}).get("podIP") for obj in found)

        await until(made.consumer, kinds.POD, told, SPACE)
        here = await made.consumer.get(kinds.POD, "a", SPACE)
        said = annotations_of(here)
        assert (said[ROOT_CID], said[ROOT_IP]) == ("zurich", there["status"]["podIP"])
        configuration = (await made.consumer.list(kinds.CONFIGURATION)).items[0]
        network = configuration["status"]["remote"]["cidr"]["pod"][0]
        assert here["status"]["podIP"] == remap(there["status"]["podIP"], network) != there["status"]["podIP"]
        space = labels_of(await made.broker.get(kinds.NAMESPACE, THERE))
        assert space["continuo.dev/consumer"] == CONSUMER
        assert labels_of(await provider.get(kinds.NAMESPACE, THERE))["continuo.dev/root-consumer"] == CONSUMER
        await until(provider, kinds.SECRET, lambda found: any(o["metadata"]["name"] == "key" for o in found), THERE)
        with pytest.raises(NotFound):
            await made.providers["milan"].get(kinds.NAMESPACE, THERE)  # nobody of theirs is there
        await until(made.consumer, kinds.CORE_EVENT, lambda found: any(o["reason"] == "Started" for o in found), SPACE)
        await made.consumer.delete(kinds.POD, "a", SPACE)
        await made.all_ready(set())
        await until(provider, kinds.SECRET, lambda found: all(o["metadata"]["name"] != "key" for o in found), THERE)
        await until(made.consumer, kinds.CONFIGURATION, lambda found: not found)
        assert not made.pods_in("zurich") and not made.pods_in(BROKER)
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


@pytest.mark.parametrize("seed", seeds(1))
async def test_whatever_breaks_no_pod_is_lost_and_none_runs_twice(seed: int) -> None:
    dice = random.Random(seed)
    async with chain() as made:
        witness = Witness(made.clusters)
        await made.start()
        await made.ready()
        wanted: set[str] = set()
        away: str | None = None
        for number in range(12):
            match dice.choice(("more", "more", "less", "kill", "away", "touch", "move")):
                case "more":
                    for each in range(3):
                        wanted.add(f"p{number}-{each}")
                        await made.consumer.create(pod(f"p{number}-{each}"))
                case "less" if wanted:
                    name = dice.choice(sorted(wanted))
                    wanted.remove(name)
                    await made.consumer.delete(kinds.POD, name, SPACE)
                case "kill":
                    await made.kill()
                    await made.start()
                case "away":
                    made.outage(away, None) if away else None
                    away = None if away else dice.choice((BROKER, *PROVIDERS))
                    made.outage(away, dice.choice(("drop", "unavailable"))) if away else None
                case "move" if wanted and away != BROKER:
                    await forget(made, dice.choice(sorted(wanted)))
                case "touch":  # events that change nothing, over and over
                    for name in sorted(wanted)[:3]:
                        patch = {"metadata": {"labels": {"touched": str(number)}}}
                        await made.consumer.patch(kinds.POD, name, patch, SPACE)
            await asyncio.sleep(dice.random() * 0.1)  # at whatever line they are
        if away:
            made.outage(away, None)
        await made.all_ready(wanted)
        await settled(made, wanted)
        assert not witness.complaints
        running = [each for uid, each in witness.alive.items() if each]
        assert len(running) == len(wanted)


async def forget(made: Chain, name: str) -> None:
    """Delete the broker's copy of a pod that is still wanted."""
    try:
        await made.broker.delete(kinds.POD, name, THERE)
    except NotFound:
        return  # it has not come there yet


async def settled(made: Chain, wanted: set[str]) -> None:
    """Return when the broker and the providers have exactly the pods that there should be."""
    await until(made.broker, kinds.POD, lambda found: names(found) == wanted, THERE)
    async with asyncio.timeout(20):
        for name, client in made.providers.items():
            mine = {obj["metadata"]["name"] for obj in made.pods_in(BROKER) if obj["spec"].get("nodeName") == name}
            await until(client, kinds.POD, lambda found, mine=mine: names(found) == mine, THERE)


def names(found: list[Object]) -> set[str]:
    return {obj["metadata"]["name"] for obj in found}


async def test_a_pod_that_the_broker_moves_ends_at_one_provider_before_it_begins_at_the_next() -> None:
    async with chain() as made:
        witness = Witness(made.clusters)
        await made.start()
        await made.ready()
        await made.consumer.create(pod("p"))
        await made.all_ready({"p"})
        assert names(made.pods_in("zurich")) == {"p"}
        await made.broker.delete(kinds.POD, "p", THERE)
        await until(
            made.providers["milan"], kinds.POD, lambda found: any(is_true(o, "Ready") for o in found), THERE
        )  # fmt: skip
        await made.all_ready({"p"})
        assert not witness.complaints and not made.pods_in("zurich")


async def test_pods_leave_a_node_that_is_out_of_reach_as_they_tolerate_it() -> None:
    async with chain() as made:
        await made.start()
        await made.ready()
        await made.consumer.create(pod("stays"))
        await made.consumer.create(pod("goes", tolerations=()))
        await made.all_ready({"stays", "goes"})
        made.outage(BROKER, "drop")

        def judged(found: list[Object]) -> bool:
            going = {obj["metadata"]["name"] for obj in found if "deletionTimestamp" in obj["metadata"]}
            return going == {"goes"}

        await until(made.consumer, kinds.POD, judged, SPACE)
        assert not any(is_true(obj, "Ready") for obj in made.pods_in(CONSUMER))  # and nobody is sent to them
        assert {obj["metadata"]["name"] for obj in made.pods_in(BROKER)} == {
            "stays",
            "goes",
        }  # nothing unseen is deleted
        made.outage(BROKER, None)
        await made.all_ready({"stays"})


async def test_a_node_is_detached_and_what_it_left_goes_when_its_cluster_is_back() -> None:
    async with chain() as made:
        await made.start()
        await made.ready()
        await made.consumer.create(kinds.CONFIG_MAP.new("config", SPACE, data={"a": "b"}))
        await made.consumer.create(pod("p"))
        await made.all_ready({"p"})
        made.outage(BROKER, "drop")
        assert made.fleet is not None
        await made.fleet.detach(CONSUMER, "far")
        await until(made.consumer, kinds.NODE, lambda found: not any(VIRTUAL_NODE in labels_of(o) for o in found))
        await made.all_ready(set())
        standing = next(each for each in made.fleet.standings if each.peer.home == CONSUMER)
        assert not standing.ready
        made.outage(BROKER, None)
        await made.ready()
        assert not made.pods_in(BROKER) and not made.pods_in("milan") and not made.pods_in("zurich")
        maps = (await made.broker.list(kinds.CONFIG_MAP, THERE)).items
        assert [obj["metadata"]["name"] for obj in maps if obj["metadata"]["name"] != "kube-root-ca.crt"] == []


async def test_nodes_of_one_cluster_share_its_watches() -> None:
    async with world() as clusters:
        home = clusters.make("home", liqo=False, nodes=0)
        fleet = Fleet(beat=5.0)
        hub = fleet.add_cluster(home)
        peers = []
        for number in range(12):
            fleet.add_cluster(clusters.make(f"far-{number}", liqo=False, nodes=0))
            peers.append(Peer("home", f"far-{number}", Settings(f"n{number}", frozenset({"default"}), {"pods": "9"})))
        try:
            await fleet.declare(peers)
            async with asyncio.timeout(30):
                for peer in peers:
                    await fleet.ready(*peer.key)
            many = hub.watches
            await fleet.declare(peers[:1])
            assert hub.watches == many <= 6  # pods, namespaces, and four kinds beside them
            assert is_true(await home.get(kinds.NODE, "n0"), "Ready")
            await fleet.declare([])
            assert hub.watches == 0
        finally:
            await fleet.close()


def _message(node: Object) -> str:
    entries = (node.get("status") or {}).get("conditions") or ()
    return next((entry["message"] for entry in entries if entry["type"] == "Ready"), "")


async def test_what_cannot_be_is_refused_or_said() -> None:
    async with world() as clusters:
        fleet = Fleet(beat=0.1)
        home, far = (clusters.make(name, liqo=False, nodes=0) for name in ("home", "far"))
        fleet.add_cluster(home)
        try:
            with pytest.raises(BadRequest, match="names of clusters must differ"):
                fleet.add_cluster(home)
            with pytest.raises(BadRequest, match="speaks of cluster far, which nobody has added"):
                await fleet.put(Peer("home", "far", Settings("n", frozenset({"default"}))))
            with pytest.raises(NotFound, match="no node n of cluster home"):
                await fleet.detach("home", "n")
            fleet.add_cluster(far)
            await far.create(kinds.NAMESPACE.new("theirs", metadata={"labels": {"continuo.dev/consumer": "someone"}}))
            await home.create(kinds.NAMESPACE.new("theirs"))
            await fleet.put(Peer("home", "far", Settings("n", frozenset({"theirs"}), {"pods": "9"})))
            why = "namespace theirs of cluster far belongs to someone"
            await until(home, kinds.NODE, lambda found: any(why in _message(obj) for obj in found))
        finally:
            await fleet.close()


async def test_a_broker_may_place_pods_while_they_are_created() -> None:
    async with chain() as made:

        def place(copy: Object) -> Object:
            annotations = {**annotations_of(copy), "why": "it is the only one"}
            metadata = {**copy["metadata"], "annotations": annotations}
            return {**copy, "metadata": metadata, "spec": {**copy["spec"], "nodeName": "milan"}}

        await made.start(place=place)
        await made.ready()
        for number in range(3):
            await made.consumer.create(pod(f"p{number}"))
        await made.all_ready({"p0", "p1", "p2"})
        assert names(made.pods_in("milan")) == {"p0", "p1", "p2"} and not made.pods_in("zurich")
        await until(  # the broker's own record comes after the consumer has been told
            made.broker, kinds.POD, lambda found: all(is_true(o, "Ready") and ROOT_CID in annotations_of(o) for o in found),
            THERE,
        )  # fmt: skip
        assert {annotations_of(obj)["why"] for obj in made.pods_in(BROKER)} == {"it is the only one"}


async def test_a_namespace_goes_to_the_node_that_its_label_names_and_comes_back() -> None:
    async with world() as clusters:
        home, _ = clusters.make("rome"), clusters.make("milan")
        ends = [clusters.client(name) for name in ("rome", "milan")]
        fleet = Fleet(beat=0.1)
        for end in ends:
            fleet.add_cluster(end)
        await fleet.put(Peer("rome", "milan", Settings("far", frozenset(), offload=True, naming="suffixed")))
        await fleet.ready("rome", "far")
        await home.create(kinds.NAMESPACE.new(SPACE))
        await home.create(kinds.CONFIG_MAP.new("settings", SPACE, data={"a": "b"}))
        await home.create(pod("waits"))
        await until(
            home, kinds.POD, lambda found: [o["status"].get("reason") for o in found] == ["OffloadingBackOff"], SPACE
        )
        await home.patch(kinds.NAMESPACE, SPACE, {"metadata": {"labels": {"continuo.dev/offload": "far"}}})
        await until(home, kinds.POD, lambda found: all(is_true(o, "Ready") for o in found), SPACE)
        milan = clusters.engine.cluster("milan")
        assert "settings" in names(milan.list(kinds.CONFIG_MAP, THERE))
        await home.patch(kinds.NAMESPACE, SPACE, {"metadata": {"labels": {"continuo.dev/offload": None}}})
        await until(ends[1], kinds.POD, lambda found: not found, THERE)
        await until(ends[1], kinds.CONFIG_MAP, lambda found: "settings" not in names(found), THERE)
        await fleet.close()


async def test_a_node_offers_what_is_there_now_or_what_it_is_told_to() -> None:
    async with world() as clusters:
        home, milan = clusters.make("rome"), clusters.make("milan", nodes=2)
        fleet = Fleet(beat=60.0)  # what changes is told without a beat
        for end in (clusters.client("rome"), clusters.client("milan")):
            fleet.add_cluster(end)
        await fleet.put(Peer("rome", "milan", Settings("far", frozenset())))
        await fleet.ready("rome", "far")

        def has(cpu: str) -> Callable[[list[Object]], bool]:
            def test(found: list[Object]) -> bool:
                return any(
                    o["metadata"]["name"] == "far" and o["status"].get("allocatable", {}).get("cpu") == cpu
                    for o in found
                )

            return test

        each = int((await milan.get(kinds.NODE, "milan-0"))["status"]["allocatable"]["cpu"])
        await until(home, kinds.NODE, has(str(2 * each)))
        await milan.delete(kinds.NODE, "milan-1")
        await until(home, kinds.NODE, has(str(each)))
        fleet.offer("rome", "far", {"cpu": "3"})
        await until(home, kinds.NODE, has("3"))
        assert (await home.get(kinds.NODE, "far"))["status"]["allocatable"]["memory"] == "0"
        fleet.offer("rome", "far", None)
        await until(home, kinds.NODE, has(str(each)))
        await fleet.close()
