"""Reading topics: several keys at once, each in order; committed once handled, so that nothing is lost with a process.

A message that cannot be read, or that is refused, goes to the dead letters with the sentence that says why. The same event
again (`source`, `id`) is passed over while it is remembered; handlers have to bear it twice all the same.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from continuo.events.cloudevent import Event, InvalidEvent
from continuo.events.kafka_binding import Message, from_message
from continuo.events.kafka_offsets import Offsets
from continuo.events.kafka_producer import KafkaProducer, Letter
from continuo.events.kafka_settings import KafkaSettings
from continuo.events.kafka_topics import ensure_topics
from continuo.events.refused import Refused
from continuo.events.sink import SinkUnavailable
from continuo.resources.errors import BadRequest
from continuo.trust.backoff import Backoff

log = logging.getLogger(__name__)

AT_ONCE = 256
"""Messages that are handled at the same time; no more are read while there are so many."""
REMEMBERED = 10_000
_POLL = 1.0
_ENDING = 3.0
_JOINING = 60.0
"""Seconds in which a group has to agree on who reads what; it waits for members that died."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read, and how."""

    topics: tuple[str, ...]
    group: str | None = None
    """Readers of one group share the messages, and go on where they were; without a group each reads all of them."""
    from_start: bool = True
    """Where there is nothing to go on from: from the first message, or from now on."""
    lane: Callable[[Event], str] = lambda event: event.partitionkey or ""
    """Events of one lane are handled one after the other."""
    bury_unreadable: bool = True
    """Whether what is no event goes to the dead letters; one group for each topic is enough."""
    patient: bool = True
    """Whether to try again while no broker answers; else that is an error."""
    until_end: bool = False
    """End when all that was there at the beginning is read."""


Handler = Callable[[Event], Awaitable[None]]


class KafkaSource:
    """Reads topics until cancelled, and comes back when the broker does."""

    def __init__(
        self,
        settings: KafkaSettings,
        reading: Reading,
        handle: Handler,
        *,
        dead_letters: KafkaProducer | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.settings, self.reading, self._handle = settings, reading, handle
        self._dead_letters = dead_letters
        self._random = rng or random.Random()
        self.ready = asyncio.Event()
        """Set while what is published from now on will be read."""
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._offsets = Offsets()
        self._positions: dict[Any, int] = {}
        """Where to go on without a group."""

    async def run(self) -> None:
        """Read until cancelled (or, if asked so, to the end)."""
        backoff, said = Backoff(0.25, 15.0, self._random), False
        while True:
            try:
                async with self._consumer() as consumer:
                    self.ready.set()
                    backoff.reset()
                    if said:
                        log.info("Kafka at %s is read again", self.settings.where)
                    said = False
                    await self._read(consumer)
                    return
            except (KafkaError, OSError, TimeoutError, BadRequest) as error:
                sentence = f"Kafka at {self.settings.where} cannot be read: {str(error) or type(error).__name__}"
                if not self.reading.patient:
                    raise SinkUnavailable(sentence) from error
                if not said:
                    log.warning("%s", sentence)
                said = True
            finally:
                self.ready.clear()
            await asyncio.sleep(backoff.next())

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        await ensure_topics(self.settings)
        options = await asyncio.to_thread(self.settings.options)
        grouped = self.reading.group is not None
        consumer = AIOKafkaConsumer(
            **options, group_id=self.reading.group, enable_auto_commit=False,
            auto_offset_reset="earliest" if self.reading.from_start else "latest",
            max_poll_interval_ms=600_000, session_timeout_ms=int(self.settings.session * 1000),
            heartbeat_interval_ms=int(self.settings.session * 200),
        )  # fmt: skip
        self._offsets = Offsets()
        listener = _Listener(self, consumer)
        committing: asyncio.Task[None] | None = None
        try:
            consumer.subscribe(list(self.reading.topics), listener=listener if grouped else None)
            async with asyncio.timeout(self.settings.timeout + _JOINING):
                await consumer.start()
                if not grouped:
                    await self._go_on(consumer)
            if grouped:
                committing = asyncio.create_task(self._commit_on(consumer), name="commit offsets")
            yield consumer
        finally:
            await self._end(consumer, committing)

    async def _go_on(self, consumer: AIOKafkaConsumer) -> None:
        """Be where we were, and know where that is before anybody relies on it."""
        for partition in consumer.assignment():
            if (position := self._positions.get(partition)) is not None:
                consumer.seek(partition, position)
            self._positions[partition] = await consumer.position(partition)

    async def _end(self, consumer: AIOKafkaConsumer, committing: asyncio.Task[None] | None) -> None:
        """Let what is being handled end for a moment, commit it, and part."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=_ENDING)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if committing is not None:
            committing.cancel()
            await asyncio.gather(committing, return_exceptions=True)
            await self.commit(consumer)
        try:
            async with asyncio.timeout(_ENDING):
                await consumer.stop()
        except (KafkaError, OSError, TimeoutError) as error:
            log.debug("while ending the reader: %s", error)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        ends = await consumer.end_offsets(list(consumer.assignment())) if self.reading.until_end else {}
        while not ends or any([await consumer.position(partition) < end for partition, end in ends.items()]):
            room = AT_ONCE - len(self._tasks)
            if room <= 0:
                self._room.clear()
                await self._room.wait()
                continue
            found = await consumer.getmany(timeout_ms=int(_POLL * 1000), max_records=room)
            for partition, records in found.items():
                for record in records:
                    self._take(partition, record)
                self._positions[partition] = records[-1].offset + 1
        await asyncio.gather(*self._tasks)

    def _take(self, partition: TopicPartition, record: Any) -> None:
        self._offsets.began(partition, record.offset)
        try:
            event: Event | InvalidEvent = from_message(record.value, record.headers)
        except InvalidEvent as error:
            event = error
        lane = self.reading.lane(event) if isinstance(event, Event) else f"?{partition.partition}"
        task = asyncio.create_task(self._one(record, event, self._lanes.get(lane)), name=f"message of {lane}")
        self._lanes[lane] = task
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._left(lane, partition, record.offset, done))

    def _left(self, lane: str, partition: TopicPartition, offset: int, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._lanes.get(lane) is task:
            del self._lanes[lane]
        if not task.cancelled() and task.exception() is None:
            self._offsets.done(partition, offset)
        self._room.set()

    async def _one(self, record: Any, event: Event | InvalidEvent, before: asyncio.Task[None] | None) -> None:
        """Handle one message once those before it in its lane are handled."""
        if before is not None:
            await asyncio.wait({before})
        if isinstance(event, InvalidEvent):
            if self.reading.bury_unreadable:
                await self._bury(record, str(event))
            return
        mark = (event.source, event.id)
        if mark in self._seen:
            return
        await self._handled(record, event)
        self._seen[mark] = None
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

    async def _handled(self, record: Any, event: Event) -> None:
        backoff = Backoff(0.2, 5.0, self._random)
        while True:
            try:
                return await self._handle(event)
            except Refused as error:
                return await self._bury(record, str(error))
            except SinkUnavailable:
                await asyncio.sleep(backoff.next())
            except Exception as error:
                log.exception("event %s of %s cannot be handled", event.id, event.source)
                return await self._bury(record, f"{type(error).__name__}: {error}")

    async def _bury(self, record: Any, why: str) -> None:
        """Put a message among the dead letters as it came, with the reason and where it was."""
        log.warning("%s/%d, message %d is refused: %s", record.topic, record.partition, record.offset, why)
        if self._dead_letters is None:
            return
        where = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "error": why}
        said = tuple((f"continuo_{name}", str(value).encode()) for name, value in where.items())
        message = Message(record.key, record.value, (*record.headers, *said))
        mark = ("dlq", record.topic, record.partition, record.offset)
        backoff = Backoff(0.2, 5.0, self._random)
        while True:
            try:
                return await self._dead_letters.send([Letter(self.settings.topics.dlq, message, mark)])
            except SinkUnavailable:
                await asyncio.sleep(backoff.next())

    async def _commit_on(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await self._offsets.changed.wait()
            committed = await self.commit(consumer)
            await asyncio.sleep(0.05 if committed else 1.0)  # many at once; and no faster than the broker can bear

    async def commit(self, consumer: AIOKafkaConsumer) -> bool:
        """Tell the group how far everything is handled; what is not told is handled again after a restart."""
        assigned = consumer.assignment()
        wanted = {partition: offset for partition, offset in self._offsets.take().items() if partition in assigned}
        if not wanted:
            return True
        try:
            async with asyncio.timeout(self.settings.timeout):
                await consumer.commit(wanted)
        except (KafkaError, IllegalStateError, OSError, TimeoutError) as error:
            log.debug("offsets are not committed: %s", error)
            self._offsets.put_back(wanted)
            return False
        return True

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Others read these from now on."""
        for partition in partitions:
            self._offsets.forget(partition)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Commits before partitions go to others."""

    def __init__(self, source: KafkaSource, consumer: AIOKafkaConsumer) -> None:
        self._source, self._consumer = source, consumer

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        await self._source.commit(self._consumer)
        self._source.lost(list(revoked))

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        log.debug("reading %d partitions", len(assigned))
