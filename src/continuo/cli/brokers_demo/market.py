"""The catalog's part: offers come in while a consumer follows them, it looks for what it needs, and buys."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from continuo.cli.brokers_demo import scene
from continuo.cli.brokers_demo.stage import Stage
from continuo.cli.catalog_client import CatalogClient, client
from continuo.cli.catalog_print import print_contracts, print_frame, print_offers
from continuo.cli.failures import Failed

WANTED = "price < 6.0 && region.startsWith('eu-') && labels.certified == 'iso27001' && resources.cpu >= 16.0"

_PATIENCE = 25.0
"""Seconds for which the catalog is asked to wait at a time."""


async def open_accounts(stage: Stage) -> None:
    """Everybody gets an account, and logs in."""
    async with client(stage.catalog("operator")) as operator:
        for role, parties in (("provider", scene.PROVIDERS), ("consumer", scene.CONSUMERS)):
            for party in parties:
                body = {"role": role, "name": party.organisation, "region": party.region, "cluster_id": "",
                        "auth_url": "", "scopes": []}  # fmt: skip
                made = await operator.ask("PUT", f"/api/v1/accounts/{party.name}", json=body)
                async with client(stage.catalog(party.name)) as own:
                    await own.login(party.name, made["secret"])


@asynccontextmanager
async def following(stage: Stage, count: int) -> AsyncIterator[asyncio.Task[None]]:
    """A consumer that prints changes as they come; the task ends when so many offers are known."""
    async with client(stage.catalog(scene.BUYER)) as catalog:
        first = asyncio.Event()
        task = asyncio.create_task(_follow(catalog, count, first))
        try:
            await first.wait()
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _follow(catalog: CatalogClient, count: int, first: asyncio.Event) -> None:
    known: set[str] = set()
    async for frame in catalog.events({"op": "subscribe", "where": ""}):
        first.set()
        print_frame(frame, "table")
        known |= {change["offer"]["id"] for change in frame.get("changes", ()) if "offer" in change}
        if len(known) == count:
            return


async def publish(stage: Stage) -> None:
    """Every provider publishes its offer; the last one thinks better of its price."""
    for party in scene.PROVIDERS:
        async with client(stage.catalog(party.name)) as catalog:
            await catalog.exchange("POST", f"/offer/{party.name}-compute", json=scene.offer(party))


async def find(stage: Stage) -> None:
    """What the consumer could buy, the cheapest first."""
    async with client(stage.catalog(scene.BUYER)) as catalog:
        page = await catalog.ask("GET", "/api/v1/offers", params={"where": WANTED, "order": "price"})
    print_offers(page["items"], "table")


async def buy(stage: Stage, timeout: float) -> str:
    """Buy the cheapest plan that fits; the name of the node that it becomes at the consumer."""
    async with client(stage.catalog(scene.BUYER)) as catalog:
        body = {"offer": f"{scene.BOUGHT}-compute", "plan": "large"}
        made = await catalog.ask(
            "POST", "/api/v1/contracts", json=body, headers={"Idempotency-Key": secrets.token_hex(16)}
        )
        contract = await settled(catalog, made, timeout)
    print_contracts([contract], "table")
    return contract_node(contract)


def contract_node(contract: dict[str, Any]) -> str:
    """The name of the virtual node of a contract."""
    from continuo.broker.contracts.terms import node_of

    return node_of(contract["id"], contract["provider"], None)


async def settled(catalog: CatalogClient, contract: dict[str, Any], timeout: float) -> dict[str, Any]:
    """The contract when it is delivered; raises Failed with the catalog's reason when it is not in so many seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    while contract["state"] in ("requested", "reserved") and (left := end - loop.time()) > 0:
        wait = f"{min(left, _PATIENCE):.3f}"
        contract = await catalog.ask("GET", f"/api/v1/contracts/{contract['id']}", params={"wait": wait})
    if contract["state"] != "active":
        why = contract.get("reason") or f"not delivered within {timeout:g} s"
        raise Failed(f"contract {contract['id']} is {contract['state']}: {why}")
    return contract
