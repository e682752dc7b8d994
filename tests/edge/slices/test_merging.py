"""What was cut off of a K8Slice goes back into it, wherever the seller dies meanwhile, and whoever wants a part of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress

import pytest

from continuo.edge.node import NodeIdentity
from continuo.edge.rear import slices
from continuo.edge.rear.refusals import Refusal
from continuo.edge.rear.requests import ReserveRequest
from continuo.edge.rear.seller.seller import Seller
from continuo.federation.quantities import quantity
from continuo.resources.errors import ApiError
from continuo.resources.kinds import FLAVOR, FLUIDOS_CONTRACT
from continuo.resources.meta import Object
from edge.rear.rear_world import BUY, Mortal, Time, World, k8slice, selling, settled, world

FIRST = "provider.eu-k8slice-01ab"


def wants(cpu: str, who: str, flavor: str = FIRST) -> ReserveRequest:
    buyer = NodeIdentity("consumer.eu", who, "127.0.0.1:3005")
    return ReserveRequest(flavor, buyer, {"type": "K8Slice", "data": {"cpu": cpu, "memory": "4Gi", "pods": "10"}})


def offered(made: World) -> list[tuple[str, bool]]:
    return sorted((slices.amounts_of(each)["cpu"], each["spec"]["availability"]) for each in made.objects("p", FLAVOR))


def contracts(made: World) -> list[Object]:
    return made.objects("p", FLUIDOS_CONTRACT)


async def buy(seller: Seller, cpu: str, who: str, flavor: str = FIRST) -> str:
    reserved = await seller.market.reserve(wants(cpu, who, flavor), None)
    name: str = (await seller.market.purchase(reserved["metadata"]["name"], None, BUY))["metadata"]["name"]
    return name


def rest_of(made: World) -> str:
    (found,) = (each for each in made.objects("p", FLAVOR) if each["spec"]["availability"])
    name: str = found["metadata"]["name"]
    return name


def test_parts_of_parts_come_together_when_the_last_is_free() -> None:
    async def main() -> None:
        async with world() as made:
            cluster = made.make("p")
            await cluster.create(k8slice())
            async with selling(cluster, Time()) as seller:
                first = await buy(seller, "2", "a")
                await settled(lambda: seller.books.flavors.by_index("origin", FIRST) != [])
                second = await buy(seller, "3", "b", rest_of(made))
                assert offered(made) == [("2", False), ("3", False), ("3", True)]
                await settled(lambda: len(seller.books.contracts) == 2)
                await seller.market.cancel(first, None)
                await settled(lambda: offered(made) == [("3", False), ("5", True)])
                await seller.market.cancel(second, None)
                await settled(lambda: offered(made) == [("8", True)])
                (whole,) = made.objects("p", FLAVOR)
                found, before = slices.amounts_of(whole), slices.amounts_of(k8slice())
                assert {name: quantity(found[name]) for name in before} == {n: quantity(before[n]) for n in before}

    asyncio.run(main())


def test_what_somebody_has_reserved_is_not_taken_from_under_him() -> None:
    async def main() -> None:
        async with world() as made:
            cluster, clock = made.make("p"), Time()
            await cluster.create(k8slice())
            async with selling(cluster, clock) as seller:
                contract = await buy(seller, "2", "a")
                await settled(lambda: seller.books.flavors.by_index("origin", FIRST) != [])
                reserved = await seller.market.reserve(wants("3", "b", rest_of(made)), None)
                await seller.market.cancel(contract, None)
                await settled(lambda: not made.objects("p", FLUIDOS_CONTRACT))
                assert offered(made) == [("2", True), ("6", False)]
                await seller.market.forgo(reserved["metadata"]["name"], None)
                await settled(lambda: offered(made) == [("8", True)])

    asyncio.run(main())


def dying(after: int) -> Callable[[], bool]:
    count = itertools.count(1)
    return lambda: next(count) >= after


@pytest.mark.parametrize("after", range(2, 42, 3))
def test_killed_at_any_request_while_it_ends(after: int) -> None:
    async def main() -> None:
        async with world() as made:
            cluster = made.make("p")
            await cluster.create(k8slice())
            async with selling(cluster, Time()) as seller:
                contract = await buy(seller, "2", "a")
            mortal = Mortal(cluster)
            over = asyncio.Event()
            mortal.on_death = over.set
            async with selling(mortal, Time()) as seller:
                mortal._dies = dying(after)
                try:
                    await seller.market.cancel(contract, None)
                except (ApiError, Refusal):
                    assert over.is_set()
                ends = [asyncio.ensure_future(each) for each in (over.wait(), settled(lambda: not contracts(made)))]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                for each in ends:
                    each.cancel()
                await asyncio.gather(*ends, return_exceptions=True)
            async with selling(cluster, Time()) as seller:
                for each in contracts(made):
                    with suppress(Refusal):  # it has ended meanwhile
                        await seller.market.cancel(each["metadata"]["name"], None)
                await settled(lambda: offered(made) == [("8", True)] and not contracts(made))

    asyncio.run(main())
