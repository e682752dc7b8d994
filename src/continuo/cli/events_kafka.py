"""Events as Kafka's topics hold them: for `continuo events --kafka`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from continuo.cli.failures import BadInput, Failed
from continuo.events.cloudevent import Event
from continuo.events.kafka_producer import quiet
from continuo.events.kafka_settings import KafkaSettings
from continuo.events.kafka_source import KafkaSource, Reading
from continuo.events.log import Entry
from continuo.events.selection import Selection, Unclear, selection
from continuo.events.sink import SinkUnavailable
from continuo.server.event_feed import utc_now

if TYPE_CHECKING:
    from continuo.cli.events import Wish

_AHEAD = 1000
"""Events that are read before they are printed."""


async def from_kafka(
    settings: KafkaSettings, wish: Wish, namespace: str, group: str | None
) -> AsyncIterator[dict[str, Any]]:
    """All that is on the topics of tasks and decisions, from the start or from where the group is; then what comes."""
    quiet()
    wanted = _selection(wish, namespace)
    found: asyncio.Queue[Event] = asyncio.Queue(_AHEAD)
    topics = (settings.topics.tasks, settings.topics.decisions)
    source = KafkaSource(settings, Reading(topics, group=group, until_end=not wish.follow, patient=False), found.put)
    reading = asyncio.create_task(source.run())
    try:
        while (event := await _next(found, reading)) is not None:
            if wanted.takes(_entry(event)):
                yield event.to_json()
        reading.result()
    except SinkUnavailable as error:
        raise Failed(str(error)) from error
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _next(found: asyncio.Queue[Event], reading: asyncio.Task[None]) -> Event | None:
    """The next event; None when all is read."""
    getting = asyncio.ensure_future(found.get())
    await asyncio.wait({getting, reading}, return_when=asyncio.FIRST_COMPLETED)
    if getting.done():
        return getting.result()
    getting.cancel()
    return found.get_nowait() if not found.empty() else None


def _selection(wish: Wish, namespace: str) -> Selection:
    try:
        return selection(
            orchestration=wish.orchestrations or ("*/*",), types=wish.types, subjects=wish.subjects, since=wish.since,
            now=utc_now(), namespace=namespace,
        )  # fmt: skip
    except Unclear as error:
        raise BadInput(str(error)) from error


def _entry(event: Event) -> Entry:
    return Entry(
        0, event.id, event.source, event.type, event.subject or "", event.tenant or "", event.time or "", b""
    )  # fmt: skip
