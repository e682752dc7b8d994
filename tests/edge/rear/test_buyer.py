"""A Solver alone: from a wish to readings, over HTTP between two clusters; and what happens when something is in the way."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from continuo.edge.node import NodeIdentity
from continuo.edge.rear.buyer.buyer import Buyer
from continuo.edge.rear.client import Sellers
from continuo.edge.rear.refusals import busy
from continuo.kube.client import KubeCluster
from continuo.resources.kinds import (
    ALLOCATION,
    DISCOVERY,
    FLAVOR,
    FLUIDOS_CONTRACT,
    KNOWN_CLUSTER,
    PEERING_CANDIDATE,
    RESERVATION,
    SECRET,
    SOLVER,
    TRANSACTION,
)
from continuo.resources.meta import Object
from continuo.runtime.backoff import Backoff
from edge.rear.gateway import Gateway, serving
from edge.rear.rear_world import CONSUMER, SPACE, World, content, selling, sensor, settled, world

SINK = "https://sink.consumer.eu:4487/in"


@asynccontextmanager
async def buying(cluster: KubeCluster, node: NodeIdentity = CONSUMER, **more: Any) -> AsyncIterator[Buyer]:
    sellers = Sellers()
    buyer = Buyer(cluster, node, sellers, rng=random.Random(3), backoff=Backoff(base=0.05, cap=0.3), **more)
    await buyer.start()
    try:
        yield buyer
    finally:
        await buyer.stop()
        await sellers.close()


def solver(name: str = "humid", latency: str = "25", *, steps: int = 3, **data: Any) -> Object:
    filters = {
        "typeFilter": {"name": "Match", "data": {"value": "Humidity"}},
        "latencyFilter": {"name": "Range", "data": {"max": latency}},
    }
    names = ("findCandidate", "reserveAndBuy", "establishPeering")
    spec = {
        "selector": {"flavorType": "Sensor", "filters": filters}, "intentID": f"intent-{name}",
        "configuration": {"type": "Sensor", "data": {"endpoints": [SINK], **data}},
        **{each: number < steps for number, each in enumerate(names)},
    }  # fmt: skip
    return SOLVER.new(name, SPACE, spec=spec)


async def know(cluster: KubeCluster, gateway: Gateway | str, name: str = "p1node") -> None:
    address = gateway if isinstance(gateway, str) else gateway.address
    await cluster.create(KNOWN_CLUSTER.new(f"knowncluster-{name}", SPACE, spec={"address": address}))


def status(made: World, name: str = "humid") -> Object:
    found = {each["metadata"]["name"]: each for each in made.objects("consumer", SOLVER)}
    said: Object = found[name].get("status") or {}
    return said


def phase(made: World, name: str = "humid") -> str:
    return str((status(made, name).get("solverPhase") or {}).get("phase"))


def run(body: Any) -> None:
    async def main() -> None:
        async with world() as made:
            await body(made, made.make("provider"), made.make("consumer"))

    asyncio.run(main())


def test_a_solver_alone_gets_readings() -> None:
    async def body(made: World, provider: KubeCluster, consumer: KubeCluster) -> None:
        await provider.create(sensor("fast", latency="14"))
        await provider.create(sensor("slow", latency="40"))
        async with selling(provider, time.time) as seller, serving(seller) as gateway, buying(consumer):
            await know(consumer, gateway)
            await consumer.create(SECRET.new("sink", SPACE, stringData={"token": "hunter2"}))
            authentication = {"scheme": "bearer", "secretRef": {"name": "sink", "key": "token"}}
            await consumer.create(solver(endpoints=[{"url": SINK, "authentication": authentication}]))
            await settled(lambda: status(made).get("consumePhase") == "Running")
            (sold,) = made.objects("provider", FLUIDOS_CONTRACT)
            (bought,) = made.objects("consumer", FLUIDOS_CONTRACT)
            assert sold["metadata"]["name"] == bought["metadata"]["name"]
            assert sold["spec"]["flavor"]["metadata"]["name"] == "provider.eu-sensor-fast"
            assert sold["spec"]["flavor"]["spec"]["flavorType"]["typeData"]["characteristics"]["access"]["resource"][
                "topic"
            ]
            theirs = bought["spec"]["flavor"]["spec"]["flavorType"]["typeData"]["characteristics"]
            assert theirs["access"]["resource"] == {"topic": "", "node": ""}
            (secret,) = made.objects("provider", SECRET)
            assert content(secret) == {"0": "hunter2"}
            for kind in (SOLVER, RESERVATION, TRANSACTION, FLUIDOS_CONTRACT):
                assert "hunter2" not in str(made.objects("consumer", kind))
            (path,) = made.objects("provider", ALLOCATION)  # what the Router Manager says, the buyer hears
            said = {"status": "Active", "message": "3 readings delivered to 1 endpoint"}
            await provider.patch(ALLOCATION, path["metadata"]["name"], {"status": said}, SPACE, subresource="status")
            delivery = {"received": 3, "targets": [{"url": SINK, "delivered": 3}]}
            patch = {"status": {"delivery": delivery}}
            await provider.patch(FLUIDOS_CONTRACT, sold["metadata"]["name"], patch, SPACE, subresource="status")
            await settled(lambda: phase(made) == "Solved")
            await settled(lambda: "delivery" in made.objects("consumer", FLUIDOS_CONTRACT)[0]["status"])
            (contract,) = made.objects("consumer", FLUIDOS_CONTRACT)
            assert contract["status"]["delivery"] == delivery and contract["status"]["phase"]["phase"] == "Active"
            assert made.objects("consumer", ALLOCATION)[0]["status"]["message"] == said["message"]
            told = status(made)
            assert {told[each] for each in ("findCandidate", "reserveAndBuy", "peering", "discoveryPhase",
                                            "reservationPhase", "consumePhase")} == {"Solved"}  # fmt: skip
            await consumer.delete(SOLVER, "humid", SPACE)
            await settled(lambda: not made.objects("provider", FLUIDOS_CONTRACT))
            for kind in (DISCOVERY, RESERVATION, TRANSACTION, FLUIDOS_CONTRACT, ALLOCATION):
                await settled(lambda kind=kind: not made.objects("consumer", kind))  # type: ignore[misc]
            assert not made.objects("provider", TRANSACTION) and not made.objects("provider", SECRET)

    run(body)


def test_the_bounds_of_the_demo_give_different_answers() -> None:
    async def body(made: World, provider: KubeCluster, consumer: KubeCluster) -> None:
        await provider.create(sensor("a", latency="14"))
        await provider.create(sensor("b", latency="20"))
        async with selling(provider, time.time) as seller, serving(seller) as gateway, buying(consumer):
            await know(consumer, gateway)
            await consumer.create(solver("below-16", "16", steps=1))
            await consumer.create(solver("below-12", "12", steps=1))
            await settled(lambda: phase(made, "below-16") == "Solved" and phase(made, "below-12") == "Failed")
            assert "0 flavors fit" in status(made, "below-12")["solverPhase"]["message"]
            assert [each["metadata"]["name"] for each in made.objects("consumer", PEERING_CANDIDATE)] == [
                "peeringcandidate-provider.eu-sensor-a"
            ]

    run(body)


def test_who_comes_second_gets_the_next_one_and_who_comes_third_hears_why_not() -> None:
    async def body(made: World, provider: KubeCluster, consumer: KubeCluster) -> None:
        for uid in ("a", "b"):
            await provider.create(sensor(uid))
        async with selling(provider, time.time) as seller, serving(seller) as gateway:
            await know(consumer, gateway)
            async with buying(consumer):
                for name in ("one", "two", "three"):
                    await consumer.create(solver(name, exclusive=True, endpoints=[f"{SINK}/{name}"], steps=2))
                names = ("one", "two", "three")
                await settled(lambda: sorted(phase(made, each) for each in names) == ["Failed", "Solved", "Solved"], 20)
            contracts = made.objects("provider", FLUIDOS_CONTRACT)
            assert len({each["spec"]["flavor"]["metadata"]["name"] for each in contracts}) == 2
            loser = next(each for each in names if phase(made, each) == "Failed")
            assert "taken" in status(made, loser)["solverPhase"]["message"]

    run(body)


def test_a_dead_seller_and_broken_flavors_hurt_nobody_else() -> None:
    async def body(made: World, provider: KubeCluster, consumer: KubeCluster) -> None:
        await provider.create(sensor("good"))
        await provider.create(sensor("bad", type={"sensorCategory": 7}))
        async with selling(provider, time.time) as seller, serving(seller) as gateway, buying(consumer):
            await know(consumer, "127.0.0.1:9", "dead")
            await know(consumer, gateway)
            await consumer.create(solver(steps=2))
            await settled(lambda: phase(made) == "Solved")
            (discovery,) = made.objects("consumer", DISCOVERY)
            assert "1 seller did not answer (http://127.0.0.1:9" in discovery["status"]["phase"]["message"]

    run(body)


def test_a_seller_that_answers_again_is_bought_from() -> None:
    async def body(made: World, provider: KubeCluster, consumer: KubeCluster) -> None:
        await provider.create(sensor("a"))
        async with selling(provider, time.time) as seller:
            gateway = Gateway(seller)
            await know(consumer, gateway)
            async with buying(consumer):
                await consumer.create(solver(steps=2))
                await settled(lambda: "did not answer" in status(made).get("solverPhase", {}).get("message", ""))
                await gateway.start()
                await settled(lambda: phase(made) == "Solved")
                await gateway.stop()

    run(body)


def test_an_ended_contract_is_told_to_its_buyer_and_a_deleted_one_to_its_seller() -> None:
    async def body(made: World, provider: KubeCluster, consumer: KubeCluster) -> None:
        await provider.create(sensor("a"))
        async with selling(provider, time.time) as seller, serving(seller) as gateway, buying(consumer):
            await know(consumer, gateway)
            await consumer.create(solver())
            await settled(lambda: bool(made.objects("consumer", ALLOCATION)))
            name = made.objects("provider", FLUIDOS_CONTRACT)[0]["metadata"]["name"]
            await provider.delete(FLUIDOS_CONTRACT, name, SPACE)
            await settled(lambda: made.objects("consumer", ALLOCATION)[0].get("status", {}).get("status") == "Released")
            await settled(lambda: phase(made) == "Failed")
            await consumer.create(solver("other", endpoints=[f"{SINK}/2"]))
            await settled(lambda: len(made.objects("consumer", FLUIDOS_CONTRACT)) == 2)
            other = made.objects("provider", FLUIDOS_CONTRACT)[0]["metadata"]["name"]
            await consumer.delete(FLUIDOS_CONTRACT, other, SPACE)
            await settled(lambda: not made.objects("provider", FLUIDOS_CONTRACT))
            flavor = made.engine.cluster("provider").get(FLAVOR, "provider.eu-sensor-a", SPACE)
            assert flavor["spec"]["availability"] and not flavor["metadata"].get("finalizers")

    run(body)


def test_a_second_contract_of_one_seller_is_never_said_to_have_ended() -> None:
    async def body(made: World, provider: KubeCluster, consumer: KubeCluster) -> None:
        said: list[tuple[str, str]] = []

        def noted(change: Any) -> None:
            told = (change.object.get("status") or {}).get("phase") or {}
            said.append((told.get("phase", ""), told.get("message", "")))

        made.engine.cluster("consumer").listen(FLUIDOS_CONTRACT, noted)
        for uid in ("one", "two"):
            await provider.create(sensor(uid))
        async with selling(provider, time.time) as seller, serving(seller) as gateway, buying(consumer) as buyer:
            await know(consumer, gateway)
            await consumer.create(solver("first", exclusive=True))
            await settled(lambda: buyer._contracts.ears.said(gateway.address, _contract(made))[0])
            await consumer.create(solver("second", exclusive=True))
            await settled(lambda: len(made.objects("consumer", FLUIDOS_CONTRACT)) == 2)
            await settled(lambda: phase(made, "second") == "Running" and len(_heard(made)) == 2)
            assert not [each for each in said if each[0] == "Inactive"]

    run(body)


def _contract(made: World) -> str:
    """The first of the buyer's Contracts."""
    return next((each["metadata"]["name"] for each in made.objects("consumer", FLUIDOS_CONTRACT)), "")


def _heard(made: World) -> list[Object]:
    """The Allocations of which their seller has said how they are."""
    found = made.objects("consumer", ALLOCATION)
    return [each for each in found if "the seller says" in (each.get("status") or {}).get("message", "")]


def test_a_solver_that_goes_while_its_sensor_is_bought_leaves_no_contract() -> None:
    async def body(made: World, provider: KubeCluster, consumer: KubeCluster) -> None:
        await provider.create(sensor("s1"))
        async with selling(provider, time.time) as seller, serving(seller) as gateway, buying(consumer):
            await know(consumer, gateway)
            bought, gone, purchase = asyncio.Event(), asyncio.Event(), seller.market.purchase

            async def slowly(*arguments: Any) -> Object:
                contract = await purchase(*arguments)
                bought.set()
                await gone.wait()
                return contract

            seller.market.purchase = slowly  # type: ignore[method-assign]
            await consumer.create(solver(exclusive=True))
            await bought.wait()
            await consumer.delete(SOLVER, "humid", SPACE)
            await settled(lambda: "deletionTimestamp" in made.objects("consumer", RESERVATION)[0]["metadata"])
            gone.set()
            for name in ("consumer", "provider"):
                for kind in (RESERVATION, TRANSACTION, FLUIDOS_CONTRACT, ALLOCATION):
                    await settled(lambda name=name, kind=kind: not made.objects(name, kind))  # type: ignore[misc]
            await settled(lambda: made.objects("provider", FLAVOR)[0]["spec"]["availability"])

    run(body)


def test_a_reservation_of_which_the_buyer_never_heard_is_given_back() -> None:
    async def body(made: World, provider: KubeCluster, consumer: KubeCluster) -> None:
        await provider.create(sensor("s1"))
        async with selling(provider, time.time) as seller, serving(seller) as gateway, buying(consumer):
            await know(consumer, gateway)
            reserve, lost, told = seller.market.reserve, asyncio.Event(), asyncio.Event()

            async def unheard(*arguments: Any) -> Object:
                found = await reserve(*arguments)
                if not told.is_set():
                    lost.set()
                    raise busy("the answer is lost on the way")
                return found

            seller.market.reserve = unheard  # type: ignore[method-assign]
            await consumer.create(solver(exclusive=True))
            await asyncio.wait_for(lost.wait(), 20)
            assert made.objects("provider", TRANSACTION)
            lost.clear()
            await consumer.delete(SOLVER, "humid", SPACE)
            await asyncio.wait_for(lost.wait(), 20)
            told.set()
            await settled(lambda: not made.objects("provider", TRANSACTION))
            await settled(lambda: made.objects("provider", FLAVOR)[0]["spec"]["availability"])
            await settled(lambda: not made.objects("consumer", RESERVATION))

    run(body)


def test_what_cannot_be_asked_is_said_in_the_solver() -> None:
    async def body(made: World, provider: KubeCluster, consumer: KubeCluster) -> None:
        await provider.create(sensor("a"))
        async with selling(provider, time.time) as seller, serving(seller) as gateway, buying(consumer):
            await know(consumer, gateway)
            await consumer.create(solver("filter", "soon"))
            await consumer.create(solver("endpoint", endpoints=["ftp://x.example/y"]))
            await consumer.create(solver("idle", steps=0))
            await consumer.create(
                solver("secret", endpoints=[{"url": SINK, "authentication": {
                    "scheme": "bearer", "secretRef": {"name": "nowhere", "key": "x"}}}])
            )  # fmt: skip
            await settled(lambda: phase(made, "filter") == phase(made, "endpoint") == phase(made, "secret") == "Failed")
            await settled(lambda: phase(made, "idle") == "Idle")
            assert "latencyFilter" in status(made, "filter")["solverPhase"]["message"]
            said = status(made, "endpoint")["solverPhase"]["message"]
            assert said == "configuration.data.endpoints[0].url must begin with http:// or https://"
            assert "no Secret nowhere" in status(made, "secret")["solverPhase"]["message"]

    run(body)
