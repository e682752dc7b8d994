"""What buyers do while catalogs and brokers die, and what they have bought in the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from random import Random

import aiohttp

from broker.catalog.bench import Bench, catalog, offer

BUY = {"offer": "a", "plan": "basic"}


def passwords(*accounts: str) -> dict[str, str]:
    """What these accounts log in with, whichever catalog serves the storage."""
    return {name: f"{name}-and-a-secret" for name in accounts}


async def open_market(storage: str, seller: str, buyers: Iterable[str]) -> None:
    """An offer `a` with the plan `basic`, and accounts for all of them."""
    async with catalog(storage) as bench:
        await (await bench.provider(seller)).publish("a", offer())
        for name in buyers:
            await bench.consumer(name)


async def trade(bench: Bench, name: str, rng: Random) -> None:
    """Buy with keys that come back, end some, ask for credentials, until the catalog is gone."""
    with contextlib.suppress(aiohttp.ClientError):
        buyer = await bench.login(name)
        for _ in range(6):
            key = {"Idempotency-Key": f"{name}-{rng.randrange(5)}"}
            id = (await buyer.ask("POST", "/api/v1/contracts", BUY, key)).json["id"]
            if rng.random() < 0.4:
                await buyer.ask("DELETE", f"/api/v1/contracts/{id}")
            elif rng.random() < 0.3:
                await buyer.ask("POST", f"/api/v1/contracts/{id}/credentials", params={"rotate": "true"})


async def settled(bench: Bench, buyers: Iterable[str], within: float = 20.0) -> dict[str, set[str]]:
    """The active contracts by buyer, once none is on its way."""
    contracts = bench.parts.contracts
    for contract in contracts.concerning(None):
        known = await contracts.settled(contract.id, within)
        assert known.state in ("active", "ended"), known
    active = [contract for contract in contracts.concerning(None) if contract.state == "active"]
    return {name: {contract.id for contract in active if contract.buyer == name} for name in buyers}
