"""Many buyers, few exclusive sensors, and a seller that dies at any await: nobody is sold what another has."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time

import pytest

from continuo.edge.rear.names import HOLDS
from continuo.edge.rear.refusals import Refusal
from continuo.edge.rear.seller.seller import Seller
from continuo.kube.client import KubeCluster
from continuo.resources.errors import ApiError
from continuo.resources.kinds import ALLOCATION, FLAVOR, FLUIDOS_CONTRACT, SECRET, TRANSACTION
from edge.rear.rear_world import BUY, Mortal, World, asks, seller_of, sensor, settled, world

CROWDS = (pytest.param(40, 8, 0.01, id="few"), pytest.param(200, 20, 0.002, id="many", marks=pytest.mark.long))
"""Buyers, sensors, and the chance that the seller dies at an await."""
SEEDS = range(int(os.environ.get("CONTINUO_RACE_SEEDS", "1")))


class Phoenix:
    """A seller whose process dies by dice, and is started again each time."""

    def __init__(self, cluster: KubeCluster, rng: random.Random, chance: float) -> None:
        self._cluster, self._random, self._chance = cluster, rng, chance
        self.deaths = 0
        self._seller: Seller | None = None
        self._up = asyncio.Event()
        self._down = asyncio.Event()
        self._task = asyncio.create_task(self._live())

    async def _live(self) -> None:
        while True:
            fate = Mortal(self._cluster, lambda: self._random.random() < self._chance)
            self._down.clear()
            fate.on_death = self._down.set
            seller = seller_of(fate, time.time)
            starting = asyncio.create_task(seller.start())
            dying = asyncio.create_task(self._down.wait())
            try:
                await asyncio.wait({starting, dying}, return_when=asyncio.FIRST_COMPLETED)
                if not dying.done():
                    self._seller = seller
                    self._up.set()
                    await dying
                self.deaths += 1
            finally:
                self._up.clear()
                self._seller = None
                for task in (starting, dying):
                    task.cancel()
                await asyncio.gather(starting, dying, return_exceptions=True)
                await seller._keeper.controller.stop(grace=0)
                await seller.books.stop()

    async def market(self):  # type: ignore[no-untyped-def]
        await self._up.wait()
        assert self._seller is not None
        return self._seller.market

    def spare(self) -> None:
        self._chance = 0.0

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def buys(phoenix: Phoenix, buyer: int, sensors: int, rng: random.Random) -> str | None:
    """One buyer: any of the sensors will do; whatever has no answer is asked again."""
    wanted = rng.sample(range(sensors), sensors)
    for number in wanted:
        request = asks(f"s{number}", f"c{buyer}", exclusive=True)
        try:
            found = await asked(phoenix, "reserve", request, None)
            contract = await asked(phoenix, "purchase", found["metadata"]["name"], None, BUY)
        except Refusal as refusal:
            assert refusal.status in (404, 408, 409), refusal
            continue
        return str(contract["metadata"]["name"])
    return None


async def asked(phoenix: Phoenix, what: str, *args: object):  # type: ignore[no-untyped-def]
    while True:
        market = await phoenix.market()
        try:
            return await getattr(market, what)(*args)
        except ApiError:
            await asyncio.sleep(0)
        except Refusal as refusal:
            if refusal.status != 503:
                raise


@pytest.mark.parametrize("buyers, sensors, chance", CROWDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_no_double_sale_and_no_lost_contract(seed: int, buyers: int, sensors: int, chance: float) -> None:
    async def main() -> None:
        async with world() as made:
            await race(made, random.Random(seed), buyers, sensors, chance)

    asyncio.run(main())


async def race(made: World, rng: random.Random, buyers: int, sensors: int, chance: float) -> None:
    cluster = made.make("provider")
    for number in range(sensors):
        await cluster.create(sensor(f"s{number}"))
    phoenix = Phoenix(cluster, random.Random(rng.random()), chance)
    try:
        async with asyncio.timeout(120):
            got = await asyncio.gather(
                *(buys(phoenix, each, sensors, random.Random(rng.random())) for each in range(buyers))
            )
        mine = [name for name in got if name is not None]
        assert phoenix.deaths > 3
        phoenix.spare()
        await settled(lambda: len(made.objects("provider", ALLOCATION)) == sensors, 20)
        contracts = made.objects("provider", FLUIDOS_CONTRACT)
        flavors = [each["spec"]["flavor"]["metadata"]["name"] for each in contracts]
        assert len(set(flavors)) == len(flavors) == sensors  # each sensor is sold, and once
        assert sorted(mine) == sorted(each["metadata"]["name"] for each in contracts)  # who was told so has it
        owners = {each["metadata"]["name"]: each["spec"]["buyer"]["nodeID"] for each in contracts}
        assert all(owners[name] == f"c{buyer}" for buyer, name in enumerate(got) if name is not None)
        for flavor in made.objects("provider", FLAVOR):
            holds = json.loads(flavor["metadata"]["annotations"][HOLDS])
            assert [hold["contract"] for hold in holds.values() if hold["exclusive"]] == [
                each["metadata"]["name"] for each in contracts
                if each["spec"]["flavor"]["metadata"]["name"] == flavor["metadata"]["name"]
            ]  # fmt: skip
            assert len(holds) == 1 and flavor["spec"]["availability"] is False
        sold = {each["spec"]["transactionID"] for each in contracts}
        assert {each["metadata"]["name"] for each in made.objects("provider", TRANSACTION)} == sold
        assert not made.objects("provider", SECRET)
    finally:
        await phoenix.stop()
