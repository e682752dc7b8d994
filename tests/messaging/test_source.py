"""Reading topics: shared by a group, in order for each key, committed once handled, and what is refused."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from continuo.events.cloudevent import Event
from continuo.events.kafka import KafkaSink
from continuo.events.kafka_binding import Message
from continuo.events.kafka_offsets import Offsets
from continuo.events.kafka_producer import KafkaProducer, Letter
from continuo.events.kafka_settings import KafkaSettings
from continuo.events.refused import Refused

from .brokers import Broker
from .events import PATIENCE, event, raw, reading

pytestmark = pytest.mark.anyio

Make = Callable[..., KafkaSettings]
KEYS = ("green", "rose", "blue", "grey", "pink")


async def publish(settings: KafkaSettings, *events: Event) -> None:
    sink = KafkaSink(settings)
    await sink.publish(events)
    await sink.close()


async def test_a_group_shares_the_messages_and_each_key_stays_in_order(make: Make, broker: Broker) -> None:
    if not broker.shares:
        pytest.skip("librdkafka's mock broker refuses second members of groups; the suite on a real broker has this")
    settings = make()
    topic = settings.topics.tasks
    async with reading(settings, topic, group="g") as one, reading(settings, topic, group="g") as other:
        await publish(settings, *(event(n, key) for n in range(40) for key in KEYS))
        async with asyncio.timeout(PATIENCE):
            while len({*map(_id, one.events), *map(_id, other.events)}) < 200:
                await asyncio.wait({asyncio.ensure_future(one.changed()), asyncio.ensure_future(other.changed())},
                                   return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
    for found in (one, other):
        for key in KEYS:
            first = dict.fromkeys(e.sequence for e in found.events if e.partitionkey == key)
            assert list(first) == sorted(first)


def _id(found: Event) -> str:
    return found.id


async def test_what_was_handled_is_not_read_again_and_what_was_not_is(make: Make) -> None:
    settings = make()
    topic = settings.topics.tasks
    await publish(settings, *(event(n) for n in range(10)))
    stuck, got = asyncio.Event(), Counter[str]()

    async def handle(found: Event) -> None:
        if found.sequence == "000006":
            stuck.set()
            await asyncio.Event().wait()  # never done: its process is killed in the middle of it
        got[found.id] += 1

    async with reading(settings, topic, group="g", handle=handle):
        async with asyncio.timeout(PATIENCE):
            await stuck.wait()
    async with reading(settings, topic, group="g") as found:
        events = await found.until(lambda events: len(events) == 4)
    assert [e.sequence for e in events] == [f"{n:06}" for n in range(6, 10)]
    assert set(got.values()) == {1}


async def test_the_same_event_again_is_passed_over(make: Make) -> None:
    settings = make()
    await publish(settings, event(1), event(2))
    await publish(settings, event(1), event(2), event(3))
    async with reading(settings, settings.topics.tasks) as found:
        events = await found.until(lambda events: event(3) in events)
    assert events == [event(1), event(2), event(3)]


async def test_what_cannot_be_read_or_is_refused_is_among_the_dead_letters_with_the_reason(make: Make) -> None:
    settings = make()
    topics, producer = settings.topics, KafkaProducer(settings)

    async def handle(found: Event) -> None:
        if found.sequence == "000001":
            raise Refused("there is no LowLevelOrchestration default/nowhere")
        if found.sequence == "000002":
            raise RuntimeError("broken")

    garbage = Message(b"shop", b"{", (("content-type", b"application/cloudevents+json"),))
    await producer.send([Letter(topics.commands, garbage, "x"), Letter(topics.commands, Message(b"k", b"?"), "y")])
    asked = [event(n, type="dev.continuo.command.pause.requested.v1") for n in (1, 2, 3)]
    await publish(settings, *asked)
    async with reading(settings, topics.commands, group="g", handle=handle, dead_letters=producer):
        letters = await raw(settings, topics.dlq, 4)
    said = {dict(letter.headers)["continuo_error"].decode(): letter for letter in letters}
    assert sorted(said) == [
        "RuntimeError: broken",
        "an event is a JSON object, and this is no JSON: Input data was truncated",
        "there is no LowLevelOrchestration default/nowhere",
        "this is no CloudEvent: neither is content-type application/cloudevents+json, nor is there a header ce_id",
    ]
    refused = said["there is no LowLevelOrchestration default/nowhere"]
    headers = dict(refused.headers)
    assert refused.value == b'{"percent":1}' and headers["ce_id"] == b"task-shop/000001"
    assert headers["continuo_topic"] == topics.commands.encode() and headers["continuo_offset"].isdigit()
    await producer.close()


async def test_reading_goes_on_when_the_broker_is_back(make: Make, broker: Broker) -> None:
    settings = make(timeout=1.0)
    await publish(settings, event(1))
    async with reading(settings, settings.topics.tasks, group="g") as found:
        await found.until(lambda events: len(events) == 1)
        await broker.down()
        await asyncio.sleep(0.2)  # it notices, or it does not: both are to be borne
        await broker.up()
        await publish(settings, event(2))
        assert await found.until(lambda events: len(events) == 2) == [event(1), event(2)]


async def test_without_a_group_it_reads_from_now_on(make: Make) -> None:
    settings = make()
    await publish(settings, event(1))
    async with reading(settings, settings.topics.tasks, from_start=False) as found:
        await publish(settings, event(2))
        assert await found.until(lambda events: bool(events)) == [event(2)]


def test_offsets_are_told_without_gaps() -> None:
    offsets = Offsets()
    for number in range(5, 10):
        offsets.began("p", number)
    offsets.done("p", 6)
    assert offsets.take() == {}
    offsets.done("p", 5)
    assert offsets.take() == {"p": 7}
    offsets.done("p", 9)
    assert offsets.take() == {}
    offsets.done("p", 7)
    offsets.done("p", 8)
    assert offsets.take() == {"p": 10}
    offsets.put_back({"p": 10})
    assert offsets.take() == {"p": 10}
    offsets.forget("p")
    offsets.done("p", 9)
    assert offsets.take() == {}
