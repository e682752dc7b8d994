"""TLS and logins against a real broker, and topics that it makes on request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from continuo.events.kafka import KafkaSink
from continuo.events.kafka_settings import KafkaSettings
from continuo.events.kafka_topics import ensure_topics
from continuo.events.sink import SinkUnavailable
from continuo.resources.errors import BadRequest

from .events import event, reading
from .real_broker import PASSWORD, USER, RealBroker

pytestmark = pytest.mark.anyio

Make = Callable[..., KafkaSettings]


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
async def test_events_go_through_tls_with_a_login(
    make: Make, secure: RealBroker, tmp_path: Path, mechanism: str
) -> None:
    settings = through(secure, make(), tmp_path, mechanism, PASSWORD)
    sink = KafkaSink(settings)
    await sink.publish([event(1)])
    async with reading(settings, settings.topics.tasks, group="g") as found:
        assert await found.until(lambda events: bool(events)) == [event(1)]
    await sink.close()


async def test_a_wrong_password_is_said_without_being_shown(make: Make, secure: RealBroker, tmp_path: Path) -> None:
    settings = through(secure, make(timeout=3.0), tmp_path, "SCRAM-SHA-512", "swordfish")
    with pytest.raises(SinkUnavailable, match="takes no messages") as raised:
        await KafkaSink(settings).publish([event(1)])
    assert "swordfish" not in str(raised.value)


async def test_a_broker_that_somebody_else_certified_is_not_spoken_to(
    make: Make, secure: RealBroker, tmp_path: Path
) -> None:
    settings = through(secure, make(timeout=3.0), tmp_path, "SCRAM-SHA-512", PASSWORD)
    with pytest.raises(SinkUnavailable, match="takes no messages"):
        await KafkaSink(replace(settings, ca=None)).publish([event(1)])


async def test_topics_are_made_as_they_are_meant_and_stay_as_they_are(make: Make, secure: RealBroker) -> None:
    settings = make()
    assert await ensure_topics(settings) == {}
    assert await ensure_topics(replace(settings, partitions=9)) == {}
    admin = AIOKafkaAdminClient(bootstrap_servers=secure.address)
    await admin.start()
    try:
        topics = {t["topic"]: t for t in await admin.describe_topics(list(settings.topics.configs()))}
        assert {name: len(topic["partitions"]) for name, topic in topics.items()} == dict.fromkeys(
            settings.topics.configs(), 3
        )
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, settings.topics.state)])
        said = {entry[0]: entry[1] for entry in answer.resources[0][4]}
        assert said["cleanup.policy"] == "compact"
    finally:
        await admin.close()


WRONG = [
    ({"brokers": ("kafka",)}, "'kafka' is no address of a Kafka broker: write HOST:PORT"),
    ({"brokers": ()}, "'' is no address of a Kafka broker"),
    ({"brokers": ("kafka:70000",)}, "'kafka:70000' is no address"),
    ({"mechanism": "GSSAPI"}, "'GSSAPI' is no mechanism"),
    ({"mechanism": "SCRAM-SHA-512"}, "needs a user name and a file with the password"),
    ({"username": "alice"}, "a login to Kafka needs a mechanism"),
    ({"mechanism": "PLAIN", "username": "a", "password_file": Path("p")}, "PLAIN shows the password to everybody"),
    ({"ca": Path("ca.pem")}, "without TLS"),
    ({"tls": True, "certificate": Path("c.pem")}, "needs both files"),
]


@pytest.mark.parametrize(("fields", "said"), WRONG)
def test_what_cannot_be_is_said_at_once(fields: dict[str, object], said: str) -> None:
    with pytest.raises(BadRequest, match=said.replace("(", "\\(")):
        KafkaSettings(**{"brokers": ("kafka:9092",), **fields})  # type: ignore[arg-type]


def through(broker: RealBroker, settings: KafkaSettings, folder: Path, mechanism: str, word: str) -> KafkaSettings:
    """The same by the secure door."""
    file = folder / "password"
    file.write_text(f"{word}\n")
    return replace(
        settings, brokers=(broker.secure,), tls=True, ca=broker.ca, mechanism=mechanism, username=USER,
        password_file=file,
    )  # fmt: skip
