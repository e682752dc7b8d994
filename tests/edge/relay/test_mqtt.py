"""A subscription ends when it is told to, whatever its broker does meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from continuo.edge.mqtt.address import Address
from continuo.edge.relay.mqtt import Subscription
from continuo.edge.relay.path import Clock
from continuo.edge.relay.relay import Relay, Settings

pytestmark = pytest.mark.anyio

CONNECTED = bytes([0x20, 2, 0, 0])
"""CONNACK: it lets us in."""
MORE = 32 * 1024 * 1024
"""Bytes that no socket takes which nobody reads."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Lets us in, and reads nothing afterwards."""
    await reader.read(1)
    writer.write(CONNECTED)
    writer.transport.pause_reading()  # type: ignore[attr-defined]


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Takes the connection, and says nothing."""
    await reader.read(1)


async def gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Lets us in, and ends."""
    await reader.read(1)
    writer.write(CONNECTED)
    writer.close()


@asynccontextmanager
async def broker(does: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[
    tuple[Subscription, asyncio.Event]
]:  # fmt: skip
    """A subscription to a broker that does this, and when it was done for the first time."""
    done, kept = asyncio.Event(), list[Streams]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept.append((reader, writer))
        await does(reader, writer)
        done.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    relay = Relay("one", settings=Settings(), clock=Clock(rng=random.Random(1)))
    try:
        yield Subscription(relay, Address("127.0.0.1", server.sockets[0].getsockname()[1]), "relay"), done
    finally:
        server.close()
        for _, writer in kept:
            writer.transport.abort()


async def ended(running: asyncio.Task[None]) -> None:
    """Told once, it ends; what is asked once more would hide that it was forgotten."""
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=30)
    assert done, "it goes on"
    assert running.cancelled()


async def test_a_broker_that_takes_no_goodbye_does_not_keep_it() -> None:
    async with broker(deaf) as (subscription, done):
        running = asyncio.create_task(subscription.run())
        await asyncio.wait_for(subscription.settled.wait(), 30)
        await done.wait()
        publishing = asyncio.create_task(subscription.publish("a", bytes(MORE)))
        await asyncio.sleep(0)  # it is in front of the goodbye now
        await ended(running)
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)


async def test_a_broker_that_does_not_answer_does_not_keep_it() -> None:
    async with broker(silent) as (subscription, done):
        running = asyncio.create_task(subscription.run())
        await asyncio.wait_for(done.wait(), 30)
        await ended(running)


async def test_a_broker_that_ends_the_connection_as_it_begins_is_gone() -> None:
    async with broker(gone) as (subscription, done):
        running = asyncio.create_task(subscription.run())
        await asyncio.wait_for(done.wait(), 30)
        await asyncio.wait_for(subscription.away.wait(), 30)
        done.clear()
        await asyncio.wait_for(done.wait(), 30)  # it has come again
        await ended(running)
