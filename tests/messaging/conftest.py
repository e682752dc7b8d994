"""A broker for each test run, and names of topics for each test."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from continuo.events.kafka_producer import quiet
from continuo.events.kafka_settings import KafkaSettings, Topics

from .brokers import Broker, MockBroker

_numbers = itertools.count(1)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def broker(anyio_backend: str) -> AsyncIterator[Broker]:
    quiet()
    mock = MockBroker()
    yield mock
    mock.close()


@pytest.fixture
def make(broker: Broker) -> Iterator[Callable[..., KafkaSettings]]:
    """Settings with topics of the test's own."""

    def settings(prefix: str | None = None, **more: Any) -> KafkaSettings:
        topics = Topics(prefix or f"test{next(_numbers)}")
        if prefix is None:
            broker.prepare(topics.configs())
        return KafkaSettings((broker.address,), topics, **{"timeout": 5.0, "session": 2.0, "partitions": 3, **more})

    yield settings
