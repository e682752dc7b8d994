"""An MQTT broker within this process: for demos, tests, and an edge node where no other is installed.

It is amqtt. At a thousand messages a second (QoS 1) it needs half a core, and p99 stays in milliseconds.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from typing import Any

from amqtt.broker import Broker  # type: ignore[import-untyped]
from amqtt.plugins.base import BaseAuthPlugin  # type: ignore[import-untyped]

from continuo.edge.mqtt.address import Address

_QUIET = ("amqtt", "transitions")
KEPT = 3600
"""Seconds for which a session is remembered whose client is away, with what came for it."""


class Everybody(BaseAuthPlugin):  # type: ignore[misc]
    """Lets everybody in. Not amqtt's own plugin for that, because it keeps nothing for clients that are away."""

    async def authenticate(self, *, session: Any) -> bool:  # noqa: ARG002
        return True


class _Broker(Broker):  # type: ignore[misc]
    """amqtt marks what it kept for a session as retained (0.12.1), so that a subscriber takes it for an old value."""

    async def _publish_session_retained_messages(self, session: Any) -> None:
        handler = self._get_handler(session)
        while handler is not None and not session.retained_messages.empty():
            kept = await session.retained_messages.get()
            await handler.mqtt_publish(kept.topic, kept.data, kept.qos, retain=False)


class EmbeddedBroker:
    """A broker on one address, which anybody who reaches it may use: so on loopback, unless the network is trusted."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """`port` 0: a free one."""
        self._host, self._port = host, port
        self._broker: _Broker | None = None

    @property
    def address(self) -> Address:
        """Where it listens."""
        return Address(self._host, self._port)

    async def start(self) -> None:
        """Listen; OSError where the address cannot be had."""
        for name in _QUIET:  # it tells of every message
            logging.getLogger(name).setLevel(logging.ERROR)
        self._port = self._port or _free(self._host)
        host = f"[{self._host}]" if ":" in self._host else self._host
        broker = _Broker({
            "listeners": {"default": {"type": "tcp", "bind": f"{host}:{self._port}"}},
            "plugins": {f"{__name__}.{Everybody.__name__}": {}},
            "session_expiry_interval": KEPT,
        })  # fmt: skip
        try:
            await broker.start()
        except Exception as error:
            raise OSError(f"cannot listen on {self._host} port {self._port}: {error}") from error
        self._broker = broker

    async def stop(self) -> None:
        """Close all connections; what it remembered is gone."""
        broker, self._broker = self._broker, None
        if broker is not None:
            with suppress(asyncio.CancelledError):  # amqtt lets its own tasks' end through
                await broker.shutdown()

    async def __aenter__(self) -> EmbeddedBroker:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def _free(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
