"""A broker to test against, and names of topics for each test.

The broker is librdkafka's mock, or, where real engines are asked for (`make test-real SUITES=kafka`), a real Kafka.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from continuo.events.kafka_producer import quiet
from continuo.events.kafka_settings import KafkaSettings, Topics
from continuo.testbed.tools import find_tools

from .brokers import Broker, MockBroker
from .real_broker import PROGRAMS, RealBroker, real_broker

REAL = bool(os.environ.get("CONTINUO_TEST_REAL"))
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealBroker | None]:
    """A real broker for all tests; None where only the mock is asked for."""
    if not REAL:
        yield None
        return
    tools = find_tools()
    if lacking := tools.missing(PROGRAMS):
        pytest.skip(f"{', '.join(lacking)} missing on this machine: continuo testbed build java kafka")
    with real_broker(tmp_path_factory.mktemp("kafka"), tools) as broker:
        yield broker


@pytest.fixture
def broker(kafka: RealBroker | None) -> Iterator[Broker]:
    quiet()
    if kafka is not None:
        yield kafka
        kafka.ensure_up()
        return
    mock = MockBroker()
    yield mock
    mock.close()


@pytest.fixture
def secure(kafka: RealBroker | None) -> RealBroker:
    """A broker with TLS and logins."""
    if kafka is None:
        pytest.skip("librdkafka's mock broker has neither TLS nor logins; the suite on a real broker has this")
    return kafka


@pytest.fixture
def make(broker: Broker) -> Callable[..., KafkaSettings]:
    """Settings with topics of the test's own."""

    def settings(**more: Any) -> KafkaSettings:
        topics = Topics(f"test{next(_numbers)}")
        broker.prepare(topics.configs())
        fields: dict[str, Any] = {"timeout": 5.0, "session": 2.0, "partitions": 3, **more}
        return KafkaSettings((broker.address,), topics, **fields)

    return settings
