"""A publisher ends when it is told to, and comes again, whatever its broker, its cloud and its disk do meanwhile."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continuo.edge.mapper.buffer import Buffer, Kept
from continuo.edge.mapper.publisher import Cloud, Publisher
from continuo.edge.mqtt.address import Address
from edge.mqtt.bad_brokers import MORE, broker, deaf, ended, gone, silent

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


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
        self.given = asyncio.Event()

    async def oldest(self, most: int, after: int = 0) -> list[Kept]:
        found = await super().oldest(most, after)
        self.given.set()
        return found


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
