"""Catalog and broker die at random while plans are bought and contracts are ended; what is left is what was bought."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from random import Random
from typing import cast

import aiohttp
import pytest

from broker.catalog.bench import Bench, Client, catalog, cheap_hashes, offer
from broker.contracts.mortal import Life, Mortal
from broker.contracts.world import World, contracted, world
from continuo.broker.contracts.peering import ClusterPeering
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.broker import CONTRACT

pytestmark = pytest.mark.anyio
BUY = {"offer": "a", "plan": "basic"}
ACCOUNTS = {name: f"{name}-and-a-secret" for name in ("green", "lab", "far")}


@pytest.fixture(autouse=True)
def quick_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap_hashes(monkeypatch)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def set_up(storage: str) -> None:
    async with catalog(storage) as bench:
        await (await bench.provider()).publish("a", offer())
        for name in ("lab", "far"):
            await bench.consumer(name)


async def trade(buyer: Client, name: str, rng: Random) -> None:
    """Buy with keys that come back, end some, ask for credentials; whatever dies meanwhile."""
    for _ in range(6):
        key = {"Idempotency-Key": f"{name}-{rng.randrange(5)}"}
        with contextlib.suppress(aiohttp.ClientError):
            id = (await buyer.ask("POST", "/api/v1/contracts", BUY, key)).json["id"]
            if rng.random() < 0.4:
                await buyer.ask("DELETE", f"/api/v1/contracts/{id}")
            elif rng.random() < 0.3:
                await buyer.ask("POST", f"/api/v1/contracts/{id}/credentials", params={"rotate": "true"})


async def live_and_die(made: World, storage: str, rng: Random) -> None:
    """One life of both processes, of different lengths."""
    lives = Life(rng.randint(20, 120), rng), Life(rng.randint(3, 40), rng)

    def of_broker(cluster: Cluster) -> Cluster:
        return cast(Cluster, Mortal(cluster, lives[0]))

    peering = ClusterPeering(cast(Cluster, Mortal(made.client("broker"), lives[1])), within=5.0)
    async with contracted(made, of_broker), catalog(storage, peering=peering) as bench:
        bench.passwords.update(ACCOUNTS)
        work = [
            asyncio.create_task(trade(await bench.login(name), name, Random(rng.random()))) for name in ("lab", "far")
        ]
        ends = [asyncio.create_task(life.over.wait()) for life in lives]
        await asyncio.wait([*ends, asyncio.gather(*work)], timeout=0.8, return_when=asyncio.FIRST_COMPLETED)
        for task in (*work, *ends):
            task.cancel()
        await asyncio.gather(*work, *ends, return_exceptions=True)


async def settled(bench: Bench) -> dict[str, set[str]]:
    """The active contracts by buyer, once none is on its way."""
    contracts = bench.parts.contracts
    for contract in contracts.concerning(None):
        ended = await contracts.settled(contract.id, 15.0)
        assert ended.state in ("active", "ended"), ended
    active = [contract for contract in contracts.concerning(None) if contract.state == "active"]
    return {name: {contract.id for contract in active if contract.buyer == name} for name in ("lab", "far")}


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


@pytest.mark.parametrize("seed", range(1))
async def test_what_is_left_is_what_was_bought(tmp_path: Path, seed: int) -> None:
    storage, rng = str(tmp_path / "catalog.sqlite"), Random(seed)
    await set_up(storage)
    async with world() as made:
        for _ in range(3):
            await live_and_die(made, storage, rng)
        peering = ClusterPeering(made.client("broker"))
        async with contracted(made), catalog(storage, peering=peering) as bench:
            bought = await settled(bench)
            assert bought["lab"] | bought["far"], "something was bought at all"
            await made.until(lambda: there(made) == (bought["lab"] | bought["far"], bought["lab"], bought["far"]))
            end = bench.parts.contracts.end
            await asyncio.gather(*(end(id, None, "enough") for id in bought["lab"] | bought["far"]))
            assert await settled(bench) == {"lab": set(), "far": set()}
            assert there(made) == (set(), set(), set())
