"""Events to send, and a reader that waits for what it is to find."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer

from continuo.events.cloudevent import Event
from continuo.events.kafka_settings import KafkaSettings
from continuo.events.kafka_source import KafkaSource, Reading

PATIENCE = 30.0


def event(number: int, key: str = "shop", **more: Any) -> Event:
    fields: dict[str, Any] = {
        "id": f"task-{key}/{number:06}", "source": "/orchestrations/default/shop", "partitionkey": key,
        "type": "dev.continuo.cluster.create.progress.v1", "subject": f"cluster/{key}", "taskid": f"task-{key}",
        "sequence": f"{number:06}", "time": "2026-01-31T09:00:00Z", "data": {"percent": number},
    }  # fmt: skip
    return Event(**{**fields, **more})


class Found:
    """What a reader was handed."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = asyncio.Event()

    async def take(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    async def changed(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def until(self, test: Callable[[list[Event]], bool]) -> list[Event]:
        async with asyncio.timeout(PATIENCE):
            while not test(self.events):
                self._changed.clear()
                await self._changed.wait()
        return self.events


@asynccontextmanager
async def reading(settings: KafkaSettings, *topics: str, handle: Any = None, **more: Any) -> AsyncIterator[Found]:
    """Read topics as long as it lasts; from their start, if nothing else is said."""
    found = Found()
    dead = more.pop("dead_letters", None)
    source = KafkaSource(settings, Reading(topics, **more), handle or found.take, dead_letters=dead)
    task = asyncio.create_task(source.run())
    try:
        async with asyncio.timeout(PATIENCE):
            await source.ready.wait()
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def raw(settings: KafkaSettings, topic: str, count: int) -> list[Any]:
    """The messages of a topic as they are."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=settings.brokers[0], auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(PATIENCE):
            return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()
