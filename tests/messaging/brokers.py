"""Kafka brokers to test against: librdkafka's own mock, and, on request, a real one that is started by the testbed.

The mock speaks the protocol over TCP from within this process. It cannot make topics by request, and has no retention,
compaction or access control; so its topics are made beforehand, and nothing here asserts what only a real broker does.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import confluent_kafka

PARTITIONS = 3


class Broker(Protocol):
    """One broker; its address stays while it is down."""

    address: str
    shares: bool
    """Whether a group may have several members."""

    def prepare(self, topics: Iterable[str]) -> None:
        """Make topics, if it does not make them on request."""

    async def down(self) -> None:
        """It answers nobody."""

    async def up(self) -> None:
        """It answers again, and has what it had."""


def _library() -> Any:
    """The librdkafka that comes with confluent-kafka: its mock can do more than the Python package lets one ask for."""
    folder = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
    library = ctypes.CDLL(str(next(folder.glob("librdkafka*"))))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    shapes: dict[str, tuple[Any, list[Any]]] = {
        "conf_new": (pointer, []),
        "new": (pointer, [number, pointer, text, ctypes.c_size_t]),
        "destroy": (None, [pointer]),
        "set_log_level": (None, [pointer, number]),
        "mock_cluster_new": (pointer, [pointer, number]),
        "mock_cluster_destroy": (None, [pointer]),
        "mock_cluster_bootstraps": (text, [pointer]),
        "mock_topic_create": (number, [pointer, text, number, number]),
        "mock_broker_set_down": (number, [pointer, ctypes.c_int32]),
        "mock_broker_set_up": (number, [pointer, ctypes.c_int32]),
        "mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
    }
    for name, (result, arguments) in shapes.items():
        function = getattr(library, f"rd_kafka_{name}")
        function.restype, function.argtypes = result, arguments
    return library


class MockBroker:
    """One broker of librdkafka's mock cluster."""

    shares = False  # its groups refuse members that hear of an assignment after their leader has made it

    def __init__(self) -> None:
        self._library = _library()
        error = ctypes.create_string_buffer(512)
        self._client = self._library.rd_kafka_new(0, self._library.rd_kafka_conf_new(), error, len(error))
        assert self._client, error.value
        self._library.rd_kafka_set_log_level(self._client, 0)
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, 1)
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self.address: str = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def prepare(self, topics: Iterable[str]) -> None:
        for topic in topics:
            assert self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), PARTITIONS, 1) == 0

    async def down(self) -> None:
        self._library.rd_kafka_mock_broker_set_down(self._cluster, 1)

    async def up(self) -> None:
        self._library.rd_kafka_mock_broker_set_up(self._cluster, 1)

    def close(self) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)
