"""A relay that is stopped, killed and started again; MQTT beside HTTP; commands to the edge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import aiomqtt
import pytest

from continuo.edge.mqtt.embedded import EmbeddedBroker
from continuo.edge.relay.client import RelayClient
from continuo.edge.relay.service import Place, RelayService
from continuo.edge.relay.spool import pack
from continuo.edge.relay.store import Store
from seeding import seeds

from . import bed

pytestmark = pytest.mark.anyio


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_what_is_undelivered_at_a_stop_goes_out_after_the_next_start(tmp_path: Path) -> None:
    async with bed.target(bed.hang) as away, bed.target() as well:
        first = bed.service(tmp_path, drain=0.05)
        await first.start()
        await first.relay.put(bed.route("a", away, well))
        await asyncio.to_thread(first._store.put, first.relay.routes["a"].route)
        for number in range(20):
            first.relay.accept(bed.source(), bed.reading(number), "http")
        await well.until(20)
        assert await first.stop() == 20
        away.say = bed.ok
        away.taken.clear()
        second = bed.service(tmp_path)  # nobody has told it a route yet
        await second.start()
        await away.until(20)
        second.relay.accept(bed.source(), bed.reading(20), "http")
        await away.until(21)
        assert await second.stop() == 0
        assert second.relay.instance != first.relay.instance
    assert bed.sequences(away.bodies) == list(range(21)) and bed.sequences(well.bodies) == list(range(21))
    asked = [headers["ce-id"] for headers, body in away.seen if body == bed.reading(0)]
    assert len(asked) > 1 and len(set(asked)) == 1
    assert not (tmp_path / "spool").exists()


async def test_dead_letters_outlive_a_restart_and_a_deleted_route_does_not(tmp_path: Path) -> None:
    async with bed.target(bed.always(404)) as buyer:
        async with bed.service(tmp_path) as first, aiohttp.ClientSession() as http:
            client = RelayClient(first.control_url, http)
            for name in ("a", "b"):
                await client.put_route(bed.route(name, buyer.url + name))
            first.relay.accept(bed.source(), b"1", "http")
            await bed.settled(first.relay, lambda: len(first.relay.letters.of()) == 2)
        Store(tmp_path).delete("b")
        async with bed.service(tmp_path) as second:
            (letter,) = second.relay.letters.of()
            assert (letter.route, letter.reading.body, letter.reason) == ("a", b"1", "it answered 404")
            assert list(second.relay.routes) == ["a"]


async def test_files_are_for_the_owner_alone_and_the_folder_for_one_relay(tmp_path: Path) -> None:
    folder = tmp_path / "relay"
    async with bed.service(folder) as service, aiohttp.ClientSession() as http:
        await RelayClient(service.control_url, http).put_route(bed.route("a", "http://127.0.0.1:9/x"))
        assert [file.stat().st_mode & 0o077 for file in (folder, *folder.rglob("*"))] == [0] * 6
        with pytest.raises(OSError, match="is in use by another relay"):
            await bed.service(folder).start()
    with pytest.raises(OSError, match="cannot listen on 192"):
        await bed.service(folder, control=Place("192.0.2.1", 1)).start()
    async with bed.service(folder) as again:
        assert list(again.relay.routes) == ["a"]


async def test_files_that_are_spoilt_stop_nobody(tmp_path: Path) -> None:
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "x.json").write_text("{", encoding="utf-8")
    (tmp_path / "routes" / "y.json").write_text('{"name":"y","buyer":"b","flows":[],"targets":[]}', encoding="utf-8")
    (tmp_path / "spool").write_bytes(b"nonsense")
    async with bed.service(tmp_path) as service:
        assert service.relay.routes == {}
    assert (tmp_path / "spool.unreadable").exists()


async def test_what_is_kept_over_a_restart_is_bounded() -> None:
    async with bed.target(bed.hang) as buyer, bed.relaying(bed.route("a", buyer)) as relay:
        for number in range(10):
            relay.accept(bed.source(), bed.reading(number), "http")
        left = await relay.stop()
        spool, lost = pack(left, [], 0.0, 0.0, most=4)
        size = len(bed.reading(1))
        small, more = pack(left, [], 0.0, 0.0, most_bytes=3 * size)
    assert lost == 6 and sorted(bed.sequences([each.body for each in spool.readings])) == [6, 7, 8, 9]
    assert len(spool.waiting) == 4 and more == 7 and len(small.readings) == 3


async def published(broker: EmbeddedBroker, topic: str, *bodies: bytes, retain: bool = False) -> None:
    async with aiomqtt.Client(broker.address.host, broker.address.port) as client:
        for body in bodies:
            await client.publish(topic, body, qos=1, retain=retain)


async def test_readings_from_a_broker_each_once_though_cloudcore_brings_them_too(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with bed.target() as buyer, EmbeddedBroker() as broker:
        await published(broker, "default/sensor/0", b"retained, and older than the contract", retain=True)
        async with bed.service(tmp_path, mqtt=[(None, broker.address)]) as service:
            client = RelayClient(service.control_url, http)
            await client.put_route(bed.route("a", buyer))
            await service.subscriptions[0].settled.wait()
            url = await client.ingest_url(bed.source(), "r")
            for number in range(20):
                await published(broker, "default/sensor/0", bed.reading(number), b"same")
                for body in (bed.reading(number), b"same"):
                    async with http.post(url, data=body) as answer:
                        assert answer.status == 202
            await published(broker, "default/sensor/1", b"not sold")
            await buyer.until(40)
            assert service.relay.totals.doubled == 40
            await client.delete_route("a")
            await bed.settled(service.relay, lambda: True)
    assert bed.sequences([body for body in buyer.bodies if body != b"same"]) == list(range(20))
    assert buyer.bodies.count(b"same") == 20


async def test_a_broker_that_goes_and_comes_back_is_subscribed_to_again(tmp_path: Path) -> None:
    async with bed.target() as buyer:
        broker = EmbeddedBroker()
        await broker.start()
        async with bed.service(tmp_path, mqtt=[("edge-a", broker.address)]) as service:
            await service.relay.put(bed.route("a", buyer))
            subscription = service.subscriptions[0]
            await subscription.settled.wait()
            await published(broker, "default/sensor/0", b"before")
            await buyer.until(1)
            await broker.stop()
            await subscription.away.wait()
            await service.relay.put(bed.route("b", buyer.url + "b", sensors=2))
            again = EmbeddedBroker(port=broker.address.port)
            await again.start()
            await subscription.settled.wait()
            assert subscription.subscribed == {"default/sensor/0", "default/sensor/1"}
            await published(again, "default/sensor/1", b"after")
            await buyer.until(2)
            await again.stop()
    assert buyer.bodies == [b"before", b"after"]


async def test_a_broker_of_one_node_serves_no_other(tmp_path: Path) -> None:
    async with bed.target() as buyer, EmbeddedBroker() as a, EmbeddedBroker() as b:
        flows = tuple(bed.Flow(sensor=node, source=bed.source(node=node)) for node in ("edge-a", "edge-b"))
        async with bed.service(tmp_path, mqtt=[("edge-a", a.address), ("edge-b", b.address)]) as service:
            await service.relay.put(bed.route("a", buyer, flows=flows))
            for subscription in service.subscriptions:
                await subscription.settled.wait()
            await published(a, "default/sensor/0", b"of a")
            await published(b, "default/sensor/0", b"of b")
            await buyer.until(2)
    assert {headers["ce-subject"]: body for headers, body in buyer.taken} == {"edge-a": b"of a", "edge-b": b"of b"}


async def test_a_command_reaches_the_device_over_mqtt(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with EmbeddedBroker() as broker, bed.service(tmp_path, mqtt=[(None, broker.address)]) as service:
        client = RelayClient(service.control_url, http)
        await client.put_route(bed.route("a", "http://127.0.0.1:9/x", commands=True))
        await service.subscriptions[0].settled.wait()
        async with aiomqtt.Client(broker.address.host, broker.address.port) as device:
            await device.subscribe("commands/sensor/0", qos=1)
            async with http.post(f"{service.control_url}/commands/a/s0", data=b'{"led":"on"}') as answer:
                assert (answer.status, await answer.json()) == (
                    200,
                    {"delivered": True, "by": "mqtt", "node": "edge-a"},
                )
            message = await anext(aiter(device.messages))
            assert message.payload == b'{"led":"on"}'


@pytest.mark.parametrize(("said", "status"), [(200, 200), (404, 502), (408, 502), (500, 502)])
async def test_a_command_goes_to_cloudcore_as_its_rule_says(
    tmp_path: Path, http: aiohttp.ClientSession, said: int, status: int
) -> None:
    async with (
        bed.target(bed.always(said)) as cloudcore,
        bed.service(tmp_path, cloudcore=cloudcore.url.removesuffix("/in")) as service,
    ):
        await service.relay.put(bed.route("a", "http://127.0.0.1:9/x", commands=True))
        async with http.post(f"{service.control_url}/commands/a/s0", data=b"on") as answer:
            assert answer.status == status
            assert status == 200 or str(said) in (await answer.json(content_type=None))["detail"]
    assert cloudcore.seen[0][0][":line"] == "POST /edge-a/default/commands/sensor/0 HTTP/1.1"


async def test_probes(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with bed.service(tmp_path, monitor=Place()) as service:
        for base in (service.monitor_url, service.ingest_url):
            for path in ("/healthz", "/readyz"):
                async with http.get(base + path) as answer:
                    assert answer.status == 200
        service.relay.stopping = True
        async with http.get(f"{service.monitor_url}/readyz") as answer:
            assert answer.status == 503


@pytest.mark.parametrize("seed", seeds(2))
async def test_stopped_again_and_again_while_readings_come(tmp_path: Path, seed: int) -> None:
    """A relay between a broker and a flaky buyer loses nothing over graceful restarts, and keeps order."""
    from .test_delivery import failing_at_random

    expected = [*range(30), 30 - 1000, *range(30, 60), 60 - 1000, *range(60, 90)]
    async with bed.target(failing_at_random(seed)) as buyer, EmbeddedBroker() as broker:
        service: RelayService | None = None
        async with aiomqtt.Client(broker.address.host, broker.address.port) as edge:
            for number in range(90):
                if number % 30 == 0:
                    if service is not None:
                        await service.stop()
                        await edge.publish("default/sensor/0", bed.reading(number - 1000), qos=1)  # while it is away
                    service = bed.service(tmp_path, mqtt=[(None, broker.address)], drain=0.0, seed=seed)
                    await service.start()
                    if number == 0:
                        async with aiohttp.ClientSession() as http:
                            await RelayClient(service.control_url, http).put_route(bed.route("a", buyer))
                    await service.subscriptions[0].settled.wait()
                await edge.publish("default/sensor/0", bed.reading(number), qos=1)
            async with asyncio.timeout(bed.WAIT):
                while set(bed.sequences(buyer.bodies)) != set(expected):
                    buyer.news.clear()
                    await buyer.news.wait()
        assert service is not None
        await service.stop()
    assert list(dict.fromkeys(bed.sequences(buyer.bodies))) == expected
    assert all(json.loads(body)["sensor"] == 0 for _, body in buyer.seen)
