"""Parts of the demo of brokers that need no engine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from broker.catalog.bench import OPERATOR, catalog, offer
from broker.catalog.test_contracts import Rehearsal
from continuo.broker.catalog.contracts import Purchase
from continuo.cli.brokers_demo.market import settled
from continuo.cli.catalog_client import Where, client
from continuo.cli.failures import Failed

pytestmark = pytest.mark.anyio


async def test_a_purchase_is_waited_for_in_the_catalog_and_said_when_it_does_not_come(tmp_path: Path) -> None:
    peering = Rehearsal()
    peering.hang = asyncio.Event()
    async with catalog(str(tmp_path / "c.sqlite"), peering=peering) as bench:
        await (await bench.provider()).publish("a", offer())
        await bench.consumer()
        made, _ = await bench.parts.contracts.buy(Purchase("lab", "a", "basic"))
        (tmp_path / "operator-token").write_text(OPERATOR, encoding="utf-8")
        async with client(Where(bench.url, tmp_path, True)) as own:
            with pytest.raises(Failed, match=f"contract {made.id} is reserved: not delivered within 0.05 s"):
                await settled(own, made.told(), 0.05)
            waiting = asyncio.create_task(settled(own, made.told(), 20.0))
            peering.hang.set()
            assert (await waiting)["state"] == "active"
            peering.refuse = True
            made, _ = await bench.parts.contracts.buy(Purchase("lab", "a", "basic"))
            with pytest.raises(Failed, match=f"contract {made.id} is (ending|failed): both clusters use 10.0.0.0/16"):
                await settled(own, made.told(), 20.0)
