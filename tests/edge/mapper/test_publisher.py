"""A publisher ends when it is told to, and comes again, whatever its broker, its cloud and its disk do meanwhile."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continuo.edge.mapper.buffer import Buffer, BufferFailed, Kept
from continuo.edge.mapper.publisher import Cloud, Publisher
from continuo.edge.mqtt.address import Address
from continuo.edge.mqtt.embedded import EmbeddedBroker
from edge.mqtt.bad_brokers import MORE, broker, deaf, ended, gone, silent

pytestmark = pytest.mark.anyio


@pytest.fixture
async def buffer(tmp_path: Path) -> AsyncIterator[Told]:
    made = Told(tmp_path / "b.sqlite")
    await made.open()
    yield made
    await made.close()


class Told(Buffer):
    """Says when somebody has been given what to publish."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.given, self.failed = asyncio.Event(), asyncio.Event()
        self.full = False

    async def oldest(self, most: int, after: int = 0) -> list[Kept]:
        found = await super().oldest(most, after)
        self.given.set()
        return found

    async def delivered(self, until: int) -> None:
        if self.full:
            self.full = False
            self.failed.set()
            raise BufferFailed("the buffer cannot be used: database or disk is full")
        await super().delivered(until)


def publisher(buffer: Buffer, address: Address, cloud: Cloud | None = None) -> Publisher:
    return Publisher(buffer, address, "mapper", time.monotonic, random.Random(1), cloud=cloud)


async def test_a_broker_that_takes_no_goodbye_does_not_keep_it(buffer: Told) -> None:
    async with broker(deaf) as (address, done):
        await buffer.add([("a", 1, bytes(MORE))])
        sends = publisher(buffer, address)
        running = asyncio.create_task(sends.run())
        await asyncio.wait_for(done.wait(), 30)
        await asyncio.wait_for(buffer.given.wait(), 30)
        await asyncio.sleep(0)  # it is in front of the goodbye now
        await ended(running)
        assert buffer.count == 1


async def test_a_broker_that_does_not_answer_does_not_keep_it(buffer: Told) -> None:
    async with broker(silent) as (address, done):
        running = asyncio.create_task(publisher(buffer, address).run())
        await asyncio.wait_for(done.wait(), 30)
        await ended(running)


async def test_a_broker_that_ends_the_connection_as_it_begins_is_gone(buffer: Told) -> None:
    async with broker(gone) as (address, done):
        running = asyncio.create_task(publisher(buffer, address).run())
        for _ in range(2):
            await asyncio.wait_for(done.wait(), 30)
            done.clear()
        await ended(running)


async def test_a_disk_that_is_full_for_a_while_stops_nothing(buffer: Told) -> None:
    mqtt = EmbeddedBroker()
    await mqtt.start()
    try:
        await buffer.add([("a", 1, b"one")])
        buffer.full = True
        sends = publisher(buffer, mqtt.address)
        running = asyncio.create_task(sends.run())
        await asyncio.wait_for(buffer.failed.wait(), 30)
        async with asyncio.timeout(30):
            while buffer.count:
                buffer.given.clear()
                await buffer.given.wait()
        await ended(running)
    finally:
        await mqtt.stop()


async def test_what_the_cloud_has_leaves_a_disk_that_was_full_for_a_while(buffer: Told) -> None:
    async def seen() -> bool:
        return True

    await buffer.add([("a", 1, b"one")])
    buffer.full = True
    sends = publisher(buffer, Address("127.0.0.1", 1), Cloud(seen))
    sends._unsure.append((0.0, 1))
    with pytest.raises(BufferFailed):
        await sends._looked(True, 1.0)
    await sends._looked(True, 1.0)
    assert buffer.count == 0
