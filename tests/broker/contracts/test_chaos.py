"""Catalog and broker die at random while plans are bought and contracts are ended; what is left is what was bought."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import cast

import pytest

from broker.catalog.bench import catalog, cheap_hashes
from broker.contracts.world import World, contracted, world
from broker.market import open_market, passwords, settled, trade
from broker.mortal import Life, Mortal
from continuo.broker.contracts.peering import ClusterPeering
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.broker import CONTRACT
from seeding import seeds

pytestmark = pytest.mark.anyio
BUYERS = ("lab", "far")


@pytest.fixture(autouse=True)
def quick_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap_hashes(monkeypatch)


async def live_and_die(made: World, storage: str, rng: Random) -> None:
    """One life of both processes, of different lengths."""
    lives = Life(rng.randint(20, 120), rng), Life(rng.randint(3, 40), rng)

    def of_broker(cluster: Cluster) -> Cluster:
        return cast(Cluster, Mortal(cluster, lives[0]))

    peering = ClusterPeering(cast(Cluster, Mortal(made.client("broker"), lives[1])), within=5.0)
    async with contracted(made, of_broker), catalog(storage, peering=peering) as bench:
        bench.passwords.update(passwords(*BUYERS))
        work = [asyncio.create_task(trade(bench, name, Random(rng.random()))) for name in BUYERS]
        ends = [asyncio.create_task(life.over.wait()) for life in lives]
        await asyncio.wait([*ends, asyncio.gather(*work)], timeout=0.8, return_when=asyncio.FIRST_COMPLETED)
        for task in (*work, *ends):
            task.cancel()
        await asyncio.gather(*work, *ends, return_exceptions=True)


def there(made: World) -> tuple[set[str], set[str], set[str]]:
    """Contracts, nodes and namespaces, each by the contract's name."""
    nodes = [node for node in made.names("lab", kinds.NODE) if node != "lab-0"]
    spaces = made.names("green", kinds.NAMESPACE, "contract-")
    contracts = set(made.names("broker", CONTRACT))
    return (
        contracts,
        {id for id in contracts for node in nodes if node == f"green-{id[:8]}"}
        | ({"?"} if len(nodes) > len(contracts) else set()),
        {space.removeprefix("contract-") for space in spaces},
    )


@pytest.mark.parametrize("seed", seeds(1))
async def test_what_is_left_is_what_was_bought(tmp_path: Path, seed: int) -> None:
    storage, rng = str(tmp_path / "catalog.sqlite"), Random(seed)
    await open_market(storage, "green", BUYERS)
    async with world() as made:
        for _ in range(3):
            await live_and_die(made, storage, rng)
        peering = ClusterPeering(made.client("broker"))
        async with contracted(made), catalog(storage, peering=peering) as bench:
            bought = await settled(bench, BUYERS)
            assert bought["lab"] | bought["far"], "something was bought at all"
            await made.until(lambda: there(made) == (bought["lab"] | bought["far"], bought["lab"], bought["far"]))
            end = bench.parts.contracts.end
            await asyncio.gather(*(end(id, None, "enough") for id in bought["lab"] | bought["far"]))
            assert await settled(bench, BUYERS) == {"lab": set(), "far": set()}
            assert there(made) == (set(), set(), set())
