"""An MQTT broker within this process: for demos, tests, and an edge node where no other is installed.

It is amqtt. At a thousand messages a second (QoS 1) it needs half a core, and p99 stays in milliseconds.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress

from amqtt.broker import Broker  # type: ignore[import-untyped]

from continuo.edge.mqtt.address import Address

_QUIET = ("amqtt", "transitions")


class EmbeddedBroker:
    """A broker on one address, which anybody who reaches it may use: so on loopback, unless the network is trusted."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """`port` 0: a free one."""
        self._host, self._port = host, port
        self._broker: Broker | None = None

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
        broker = Broker({
            "listeners": {"default": {"type": "tcp", "bind": f"{host}:{self._port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
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
