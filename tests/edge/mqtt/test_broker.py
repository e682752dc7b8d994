"""The embedded broker does what is needed of it; addresses of brokers are read strictly."""

from __future__ import annotations

import asyncio

import aiomqtt
import pytest

from continuo.edge.mqtt.address import BadAddress, address
from continuo.edge.mqtt.embedded import EmbeddedBroker

pytestmark = pytest.mark.anyio


def client(broker: EmbeddedBroker, **options: object) -> aiomqtt.Client:
    return aiomqtt.Client(broker.address.host, broker.address.port, **options)  # type: ignore[arg-type]


async def take(subscriber: aiomqtt.Client, count: int) -> list[tuple[str, bytes]]:
    found = []
    async with asyncio.timeout(20):
        async for message in subscriber.messages:
            assert isinstance(message.payload, bytes)
            found.append((message.topic.value, message.payload))
            if len(found) == count:
                break
    return found


async def marks(subscriber: aiomqtt.Client, count: int) -> list[tuple[str, bool]]:
    async with asyncio.timeout(20):
        messages = aiter(subscriber.messages)
        found = [await anext(messages) for _ in range(count)]
    return [(bytes(each.payload).decode(), each.retain) for each in found]


@pytest.mark.parametrize("qos", [0, 1])
async def test_messages_come_in_order_to_all_whose_subscription_fits(qos: int) -> None:
    async with EmbeddedBroker() as broker, client(broker) as every, client(broker) as one, client(broker) as edge:
        await every.subscribe("a/#", qos=qos)
        await one.subscribe("a/+/x", qos=qos)
        for number in range(200):
            await edge.publish(f"a/{number % 2}/{'xy'[number % 4 // 2]}", str(number), qos=qos)
        got = await take(every, 200)
        assert [int(body) for _, body in got] == list(range(200))
        assert [int(body) for _, body in await take(one, 100)] == [number for number in range(200) if number % 4 < 2]


async def test_retained_messages_and_kept_sessions() -> None:
    async with EmbeddedBroker() as broker, client(broker) as edge:
        await edge.publish("state", "kept", qos=1, retain=True)
        async with client(broker, identifier="relay", clean_session=False) as first:
            await first.subscribe([("state", 1), ("r/1", 1)])
            assert await take(first, 1) == [("state", b"kept")]
        for number in range(50):
            await edge.publish("r/1", str(number), qos=1)
        async with client(broker, identifier="relay", clean_session=False) as again:
            assert [(int(body), retain) for body, retain in await marks(again, 50)] == [(n, False) for n in range(50)]


async def test_an_address_that_is_taken_is_told() -> None:
    async with EmbeddedBroker() as broker:
        with pytest.raises(OSError, match="cannot listen on 127"):
            await EmbeddedBroker(port=broker.address.port).start()


def test_addresses() -> None:
    read = address("mqtts://me:p%40ss@broker.example")
    assert (read.host, read.port, read.tls, read.user, read.password) == ("broker.example", 8883, True, "me", "p@ss")
    assert str(read) == "mqtts://broker.example:8883" and "p@ss" not in repr(read)
    assert str(address("mqtt://[::1]")) == "mqtt://[::1]:1883"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is no broker"), ("http://x", "is no broker"), ("mqtt://", "is no broker"), ("broker:1883", "is no broker"),
        ("mqtt://x:99999", "cannot be read"), ("mqtt://x:y", "cannot be read"), ("mqtt://x/topic", "ends with its port"),
        ("mqtt://me:secret@x/t", "ends with its port"),
    ],
)  # fmt: skip
def test_what_is_no_address(text: str, sentence: str) -> None:
    with pytest.raises(BadAddress, match=sentence) as refused:
        address(text)
    assert "secret" not in str(refused.value)
