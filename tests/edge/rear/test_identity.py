"""REAR between two trust domains over mutual TLS: who reserved is who buys, and strangers get no connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest

from continuo.edge.rear.client import RearClient, Sellers
from continuo.edge.rear.refusals import Refusal
from continuo.resources.errors import Unreachable
from continuo.resources.kinds import FLUIDOS_CONTRACT
from continuo.server.identity import uvicorn_options
from continuo.trust.ids import Authorized
from continuo.trust.issuer.issuer import Issuer
from edge.rear.gateway import serving
from edge.rear.rear_world import CONSUMER, selling, sensor, settled, world

TERMS = {"type": "Sensor", "data": {"endpoints": ["https://sink.consumer.eu/in"], "exclusive": True}}
ANYBODY_THERE = Authorized.of(domains=["provider.eu"])


@asynccontextmanager
async def as_(issuer: Issuer, path: str, address: str) -> AsyncIterator[RearClient]:
    async with issuer.identity(f"spiffe://{issuer.domain.name}{path}") as identity:
        sellers = Sellers(lambda: identity.client_context(ANYBODY_THERE))
        try:
            yield sellers.at(address)
        finally:
            await sellers.close()


def test_only_who_reserved_it_buys_reads_and_cancels_it() -> None:
    async def main() -> None:
        theirs, ours, strangers = Issuer("provider.eu"), Issuer("consumer.eu"), Issuer("stranger.eu")
        for one, other in ((theirs, ours), (ours, theirs), (strangers, theirs)):
            one.federate(other.domain, other.bundle())
        async with world() as made, theirs.identity("spiffe://provider.eu/ns/fluidos/sa/rear-gateway") as gate:
            provider = made.make("provider")
            await provider.create(sensor("s1"))
            options = uvicorn_options(gate, Authorized.of(domains=["consumer.eu"]), sockets="none")
            async with (
                selling(provider, time.time) as seller,
                serving(seller, **options) as gateway,
                as_(ours, "/city", gateway.address) as city,
                as_(ours, "/thief", gateway.address) as thief,
                as_(strangers, "/x", gateway.address) as stranger,
            ):
                with pytest.raises(Unreachable):
                    await stranger.flavors("Sensor")
                assert len((await city.flavors("Sensor")).flavors) == 1
                reserved = await city.reserve("provider.eu-sensor-s1", CONSUMER, TERMS)
                for asked in (thief.purchase(reserved["transactionID"]), thief.forgo(reserved["transactionID"])):
                    await denied(asked)
                bought = await city.purchase(reserved["transactionID"])
                for asked in (thief.contract(bought["contractID"]), thief.cancel(bought["contractID"])):
                    await denied(asked)
                assert await thief.contracts(CONSUMER.node_id) == []  # whatever he says his name is
                assert [each["contractID"] for each in await city.contracts("")] == [bought["contractID"]]
                assert await anext(thief.follow(CONSUMER.node_id)) is None
                told = await anext(city.follow(""))
                assert told is not None and told[0] == bought["contractID"]
                (contract,) = made.objects("provider", FLUIDOS_CONTRACT)
                assert contract["metadata"]["annotations"]["rear.continuo.dev/buyer"] == "spiffe://consumer.eu/city"
                await city.cancel(bought["contractID"])
                await settled(lambda: not made.objects("provider", FLUIDOS_CONTRACT))

    asyncio.run(main())


async def denied(asked: Awaitable[object]) -> None:
    with pytest.raises(Refusal) as caught:
        await asked
    assert caught.value.status == 403 and "another buyer than spiffe://consumer.eu/thief" in str(caught.value)
