"""A catalog that sells, and the station that delivers: both die at random, and what is left is what was bought."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import cast

import pytest

from broker.catalog.bench import catalog, cheap_hashes
from broker.market import BUY, open_market, passwords, settled, trade
from broker.mortal import Life, Mortal
from broker.station.broker_world import (
    BrokerWorld,
    all_of,
    broker_world,
    declare_all,
    deployment,
    space,
    until,
)
from broker.station.chaos import Clock, everything, finalizers, well
from continuo.broker.contracts.peering import ClusterPeering
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.broker import AGGREGATE, BROKER_POLICY, CONSUMER, CONTRACT, PROVIDER
from seeding import seeds

pytestmark = pytest.mark.anyio
BUYERS = ("rome", "paris")


@pytest.fixture(autouse=True)
def quick_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap_hashes(monkeypatch)


async def live_and_die(made: BrokerWorld, clock: Clock, storage: str, rng: Random) -> None:
    """One life of both; which of them dies first is chance."""
    life = Life()

    async def ended() -> None:
        life.end()

    peering = ClusterPeering(cast(Cluster, Mortal(made.clusters.client("broker"), life)), within=5.0)
    await made.start()
    async with catalog(storage, peering=peering) as bench:
        bench.passwords.update(passwords(*BUYERS))
        work = [asyncio.create_task(trade(bench, name, Random(rng.random()))) for name in BUYERS]
        await clock.writes(rng.randint(5, 60))
        ends = [made.kill, ended]
        rng.shuffle(ends)
        await ends[0]()
        await clock.writes(rng.randint(1, 20))
        await ends[1]()
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.long
async def test_what_is_left_is_what_was_bought(tmp_path: Path, seed: int) -> None:
    storage, rng = str(tmp_path / "catalog.sqlite"), Random(seed)
    await open_market(storage, "milan", BUYERS)
    async with broker_world(("milan",), declared=False) as made:
        clock = Clock(made)
        await clock.quiet()
        before = everything(made)
        await declare_all(made, ("milan",))
        await made.declare(CONSUMER, "paris")
        for _ in range(3):
            await live_and_die(made, clock, storage, rng)
        await made.start()
        async with catalog(storage, peering=ClusterPeering(made.clusters.client("broker"))) as bench:
            bench.passwords.update(passwords(*BUYERS))
            await (await bench.login("rome")).ask("POST", "/api/v1/contracts", BUY)
            bought = await settled(bench, BUYERS)
            assert {obj["metadata"]["name"] for obj in made.objects("broker", CONTRACT)} == bought["rome"] | bought[
                "paris"
            ]
            await use(made, sorted(bought["rome"])[0])
            await asyncio.gather(
                *(bench.parts.contracts.end(id, None, "enough") for ids in bought.values() for id in ids)
            )
            assert await settled(bench, BUYERS) == {"rome": set(), "paris": set()}
        await all_goes(made)
        left = everything(made) - before
        assert {thing for thing in left if "continuo-system" not in thing} == set(), seed
        assert finalizers(made) == []


async def use(made: BrokerWorld, contract: str) -> None:
    """Pods run on what was bought."""
    rome, node = made.clusters.client("rome"), f"milan-{contract[:8]}"
    await rome.create(space("shop", node))
    await rome.create(deployment("shop", node, 2))
    await until(rome, kinds.POD, all_of(2, well), "shop")
    await rome.delete(kinds.NAMESPACE, "shop")
    await until(rome, kinds.POD, lambda found: not found, "shop")


async def all_goes(made: BrokerWorld) -> None:
    parties = ((CONSUMER, "rome"), (CONSUMER, "paris"), (PROVIDER, "milan"))
    for kind, name in ((AGGREGATE, "pool"), *parties, (BROKER_POLICY, "all")):
        await made.broker.delete(kind, name)
    for kind in (AGGREGATE, CONSUMER, PROVIDER):
        await until(made.broker, kind, lambda found: not found)
