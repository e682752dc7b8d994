"""Mapper, broker and relay prove themselves to each other; connections last no longer than what was proved."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from continuo.edge.mapper.buffer import Buffer
from continuo.edge.mapper.publisher import Publisher
from continuo.edge.mqtt.proof import Unproved, while_proved
from continuo.edge.relay.mqtt import Subscription
from continuo.trust.bundles import Bundles
from continuo.trust.ids import Authorized, parse_id
from continuo.trust.issuer.issuer import Issuer
from continuo.trust.issuer.local import LocalIdentity
from edge.relay import bed

from . import mosquitto

needs = pytest.mark.skipif(mosquitto.where() is None, reason="mosquitto is not installed (apt-get install mosquitto)")
pytestmark = [pytest.mark.anyio, needs]

BROKER, GATEWAY, RELAY = (f"spiffe://edge.example/{name}" for name in ("cp/mqtt", "gw/1", "cp/relay"))
ONLY = Authorized.of(ids=[BROKER])


@pytest.fixture
def issuer() -> Issuer:
    return Issuer("edge.example")


def identity(issuer: Issuer, name: str, life: timedelta | None = None) -> LocalIdentity:
    return LocalIdentity(issuer, parse_id(name), life)


@pytest.fixture
async def buffer(tmp_path: Path) -> AsyncIterator[Buffer]:
    made = Buffer(tmp_path / "b.sqlite")
    await made.open()
    yield made
    await made.close()


def publisher(buffer: Buffer, broker: mosquitto.Mosquitto, own: LocalIdentity) -> Publisher:
    proved = own.client_context(ONLY)
    return Publisher(buffer, broker.address, "", time.monotonic, random.Random(1), proved=proved)


async def ended(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_readings_go_over_connections_that_both_ends_have_proved(
    tmp_path: Path, issuer: Issuer, buffer: Buffer
) -> None:
    gateway, own, its = (identity(issuer, name) for name in (GATEWAY, RELAY, BROKER))
    async with mosquitto.running(tmp_path / "m", its) as broker, bed.target() as buyer:
        relay = bed.a_relay()
        await relay.put(bed.route("a", buyer))
        subscription = Subscription(relay, broker.address, "relay", proved=own.client_context(ONLY))
        listening = asyncio.create_task(subscription.run())
        async with asyncio.timeout(20):
            await subscription.settled.wait()
        made = publisher(buffer, broker, gateway)
        publishing = asyncio.create_task(made.run())
        channel = f"{bed.source().namespace}/{bed.source().topic}"
        for number in range(30):
            await buffer.add([(channel, number, bed.reading(number))])
            made.more()
            if number == 10:
                its.rotate()
                broker.show(its)
                gateway.rotate()
                own.rotate()
            await buyer.until(number + 1)
        assert made.counts.connected == 1  # a rotation ends no connection
        await ended(publishing, listening)
        await relay.stop()
    assert bed.sequences(buyer.bodies) == list(range(30))


def no_svid(_issuer: Issuer) -> Any:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


STRANGERS: dict[str, Callable[[Issuer], Any]] = {
    "a broker that is somebody else": lambda issuer: identity(issuer, GATEWAY).client_context(
        Authorized.of(ids=["spiffe://edge.example/cp/other"])
    ),
    "a client of another trust domain": lambda _: LocalIdentity(
        Issuer("b.example"), parse_id("spiffe://b.example/gw/1")
    ).client_context(lambda _: True),
    "a client without an SVID": no_svid,
}


@pytest.mark.parametrize("case", STRANGERS)
async def test_strangers_do_not_get_in(case: str, tmp_path: Path, issuer: Issuer) -> None:
    async with mosquitto.running(tmp_path / "m", identity(issuer, BROKER)) as broker:
        options = broker.address.options(STRANGERS[case](issuer)) | {"tls_insecure": True}
        with pytest.raises(aiomqtt.MqttError):
            async with aiomqtt.Client(**options, timeout=5) as client:
                await client.publish("x", "y", qos=1)
        assert "as x" not in broker.log and "PUBLISH" not in broker.log


async def test_a_connection_ends_with_its_svid_and_the_next_shows_the_new_one(
    tmp_path: Path, issuer: Issuer, buffer: Buffer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    gateway = identity(issuer, GATEWAY, timedelta(seconds=3))
    async with mosquitto.running(tmp_path / "m", identity(issuer, BROKER)) as broker, gateway:
        made = publisher(buffer, broker, gateway)
        publishing = asyncio.create_task(made.run())
        number = 0
        async with asyncio.timeout(20):
            while made.counts.connected < 3 or buffer.count:
                if made.counts.connected < 3:
                    number += 1
                    await buffer.add([("t", number, b"x")])
                    made.more()
                await asyncio.sleep(0.05)
        await ended(publishing)
        assert made.counts.published >= number
    assert "the identities of this connection end; connecting anew" in caplog.text and "are kept" not in caplog.text


async def test_a_broker_that_is_no_longer_believed_is_left_at_once(tmp_path: Path, issuer: Issuer) -> None:
    own = identity(issuer, GATEWAY)
    async with mosquitto.running(tmp_path / "m", identity(issuer, BROKER)) as broker:
        with pytest.raises(aiomqtt.MqttError):
            async with aiomqtt.Client(**broker.address.options(own.client_context(ONLY)), timeout=5) as client:
                waiting = asyncio.create_task(while_proved(client))
                await asyncio.sleep(0)
                own.take(own.svid, Bundles())
                with pytest.raises(Unproved, match="no longer believed"):
                    async with asyncio.timeout(20):
                        await waiting
                await client.publish("x", "y", qos=1)


async def test_a_broker_tells_gateways_apart_by_their_common_name(tmp_path: Path, issuer: Issuer) -> None:
    """As the guide has it: each may publish on its own topics alone, by the DNS name of its entry."""
    (tmp_path / "m").mkdir()
    acl = tmp_path / "m" / "acl"
    acl.write_text("user gw-1\ntopic write default/sensor/1/#\nuser relay\ntopic read default/#\n", encoding="utf-8")
    more = ("use_identity_as_username true", "allow_anonymous false", f"acl_file {acl}")

    def named(name: str, dns: str) -> LocalIdentity:
        made = identity(issuer, name)
        made.take(issuer.svid(parse_id(name), dns_names=(dns,)), issuer.bundles())
        return made

    async with mosquitto.running(tmp_path / "m", identity(issuer, BROKER), *more) as broker:
        context = named(RELAY, "relay").client_context(ONLY)
        gateway = named(GATEWAY, "gw-1").client_context(ONLY)
        async with (
            aiomqtt.Client(**broker.address.options(context), timeout=5) as relay,
            aiomqtt.Client(**broker.address.options(gateway), timeout=5) as mine,
        ):
            await relay.subscribe("default/#", qos=1)
            await mine.publish("default/sensor/2/x", "another's", qos=1)
            await mine.publish("default/sensor/1/x", "mine", qos=1)
            async with asyncio.timeout(20):
                message = await anext(aiter(relay.messages))
            assert (message.topic.value, message.payload) == ("default/sensor/1/x", b"mine")
        nameless = identity(issuer, GATEWAY).client_context(ONLY)
        with pytest.raises(aiomqtt.MqttError):
            async with aiomqtt.Client(**broker.address.options(nameless), timeout=5):
                pass
