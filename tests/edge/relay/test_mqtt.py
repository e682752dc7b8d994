"""A subscription ends when it is told to, whatever its broker does meanwhile."""

from __future__ import annotations

import asyncio
import random

import pytest

from continuo.edge.mqtt.address import Address
from continuo.edge.relay.mqtt import Subscription
from continuo.edge.relay.path import Clock
from continuo.edge.relay.relay import Relay, Settings
from edge.mqtt.bad_brokers import MORE, broker, deaf, ended, gone, silent

pytestmark = pytest.mark.anyio


def subscription(address: Address) -> Subscription:
    return Subscription(Relay("one", settings=Settings(), clock=Clock(rng=random.Random(1))), address, "relay")


async def test_a_broker_that_takes_no_goodbye_does_not_keep_it() -> None:
    async with broker(deaf) as (address, done):
        follows = subscription(address)
        running = asyncio.create_task(follows.run())
        await asyncio.wait_for(follows.settled.wait(), 30)
        await done.wait()
        publishing = asyncio.create_task(follows.publish("a", bytes(MORE)))
        await asyncio.sleep(0)  # it is in front of the goodbye now
        await ended(running)
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)


async def test_a_broker_that_does_not_answer_does_not_keep_it() -> None:
    async with broker(silent) as (address, done):
        running = asyncio.create_task(subscription(address).run())
        await asyncio.wait_for(done.wait(), 30)
        await ended(running)


async def test_a_broker_that_ends_the_connection_as_it_begins_is_gone() -> None:
    async with broker(gone) as (address, done):
        follows = subscription(address)
        running = asyncio.create_task(follows.run())
        await asyncio.wait_for(done.wait(), 30)
        await asyncio.wait_for(follows.away.wait(), 30)
        done.clear()
        await asyncio.wait_for(done.wait(), 30)  # it has come again
        await ended(running)
