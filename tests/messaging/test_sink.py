"""Events through Kafka: what is in the messages, in which order, and what happens while no broker answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from continuo.events.cloudevent import Event
from continuo.events.kafka import KafkaSink
from continuo.events.kafka_settings import KafkaSettings
from continuo.events.sink import SinkUnavailable

from .brokers import Broker
from .events import PATIENCE, event, raw, reading

pytestmark = pytest.mark.anyio

Make = Callable[..., KafkaSettings]


async def test_an_event_is_a_binary_cloudevent_under_its_key(make: Make) -> None:
    settings = make()
    sink = KafkaSink(settings)
    await sink.publish([event(1, tenant="ann", traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01")])
    await sink.close()
    (message,) = await raw(settings, settings.topics.tasks, 1)
    assert message.key == b"shop"
    assert message.value == b'{"percent":1}'
    headers = dict(message.headers)
    assert headers["content-type"] == b"application/json"
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_id"] == b"task-shop/000001"
    assert headers["ce_type"] == b"dev.continuo.cluster.create.progress.v1"
    assert headers["ce_tenant"] == b"ann"
    assert headers["ce_traceparent"].startswith(b"00-aaaa")
    assert not any(name.startswith("ce_data") for name in headers)


@pytest.mark.parametrize("structured", [False, True])
async def test_what_is_sent_is_what_is_read(make: Make, structured: bool) -> None:
    settings = make(structured=structured)
    sent = [event(1), event(2, data={"message": "Grüße"}, more={"region": "eu"}), event(3, data=None)]
    sink = KafkaSink(settings)
    await sink.publish(sent)
    async with reading(settings, settings.topics.tasks) as found:
        assert await found.until(lambda events: len(events) == 3) == sent
    await sink.close()


async def test_each_event_goes_to_its_topic_and_the_last_state_to_the_compacted_one(make: Make) -> None:
    settings = make()
    told = [
        event(1),
        event(2, type="dev.continuo.cluster.delete.succeeded.v1"),
        event(3, type="dev.continuo.decision.place.succeeded.v1"),
        event(4, type="dev.continuo.loop.scale.started.v1"),
        event(5, type="dev.continuo.command.pause.requested.v1"),
        event(6, type="dev.continuo.step.run.requested.v1"),
        event(7, type="dev.continuo.step.run.succeeded.v1"),
    ]
    sink = KafkaSink(settings)
    await sink.publish(told)
    topics, found = settings.topics, {}
    for topic, count in ((topics.tasks, 3), (topics.decisions, 2), (topics.commands, 2)):
        messages = await raw(settings, topic, count)
        found[topic] = sorted(dict(message.headers)["ce_sequence"][-1:].decode() for message in messages)
    assert found == {topics.tasks: ["1", "2", "7"], topics.decisions: ["3", "4"], topics.commands: ["5", "6"]}
    created, deleted = await raw(settings, topics.state, 2)
    assert created.key == deleted.key == b"/orchestrations/default/shop#cluster/shop"
    assert (created.value, deleted.value) == (b'{"percent":1}', None)
    await sink.close()


async def test_events_of_one_key_stay_in_order(make: Make) -> None:
    settings = make()
    keys = ["green", "rose", "blue", "grey"]
    sink = KafkaSink(settings)
    await asyncio.gather(*(sink.publish([event(n, key) for n in range(200)]) for key in keys))
    async with reading(settings, settings.topics.tasks) as found:
        events = await found.until(lambda events: len(events) == 800)
    for key in keys:
        assert [e.sequence for e in events if e.partitionkey == key] == [f"{n:06}" for n in range(200)]
    await sink.close()


async def test_while_the_broker_is_away_it_says_so_and_nothing_is_lost_or_sent_twice(
    make: Make, broker: Broker
) -> None:
    settings = make(timeout=1.0)
    sink = KafkaSink(settings)
    await sink.publish([event(0)])
    await broker.down()
    with pytest.raises(SinkUnavailable, match=f"Kafka at {broker.address} takes no messages: no answer within 1 s"):
        await sink.publish([event(1), event(2)])
    with pytest.raises(SinkUnavailable, match="takes no messages"):  # at once: it is known to be away
        await sink.publish([event(1), event(2)])
    assert sink.producer.backlog == 4
    await broker.up()
    await _offered_until_taken(sink, [event(1), event(2), event(3)])
    async with reading(settings, settings.topics.tasks) as found:
        await sink.publish([event(4)])
        events = await found.until(lambda events: event(4) in events)
    assert [e.sequence for e in events] == [f"{n:06}" for n in range(5)]
    assert sink.producer.backlog == 0
    await sink.close()


async def test_a_broker_that_is_not_there_at_first_is_found_later(make: Make, broker: Broker) -> None:
    settings = make(timeout=1.0)
    await broker.down()
    sink = KafkaSink(settings)
    with pytest.raises(SinkUnavailable, match="takes no messages"):
        await sink.publish([event(1)])
    await broker.up()
    await _offered_until_taken(sink, [event(1)])
    async with reading(settings, settings.topics.tasks) as found:
        assert await found.until(lambda events: len(events) == 1) == [event(1)]
    await sink.close()


async def test_it_ends_in_a_moment_though_the_broker_is_away(make: Make, broker: Broker) -> None:
    settings = make(timeout=1.0)
    sink = KafkaSink(settings)
    await sink.publish([event(0)])
    await broker.down()
    with pytest.raises(SinkUnavailable):
        await sink.publish([event(1)])
    async with asyncio.timeout(10):
        await sink.close()


async def _offered_until_taken(sink: KafkaSink, events: list[Event]) -> None:
    """As a publisher does: again after a while, all of it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await sink.publish(events)
            except SinkUnavailable:
                await asyncio.sleep(0.1)
