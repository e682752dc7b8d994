"""Readings straight from an MQTT broker, where there is no KubeEdge; and commands to it.

The session outlives the connection: what is published while the relay is away comes when it is back. A reading is
acknowledged when the relay has taken it, not before.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any

import aiomqtt
from aiomqtt.types import PayloadType

from continuo.edge.mqtt.address import Address
from continuo.edge.mqtt.proof import Unproved, while_proved
from continuo.edge.mqtt.session import connected, end_if_told
from continuo.edge.relay.model import Source
from continuo.edge.relay.relay import NotSold, Relay

log = logging.getLogger(__name__)

FIRST, LONGEST = 0.2, 15.0
"""Seconds between attempts to connect."""
TIMEOUT = 10.0
BATCH = 100
"""Topics in one subscription."""


class Subscription:
    """One broker. Without `node` it stands for all nodes: what has a source's namespace and topic comes from there."""

    def __init__(
        self, relay: Relay, broker: Address, identifier: str, *, node: str | None = None,
        proved: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        """`proved`: by which both ends show their SVIDs, where the broker has one."""
        self._proved = proved
        self._relay, self._broker, self._identifier, self._node = relay, broker, identifier, node
        self._topics: dict[str, list[Source]] = {}
        self._changed = asyncio.Event()
        self._client: aiomqtt.Client | None = None
        self.subscribed: frozenset[str] = frozenset()
        """Topics that the broker has confirmed, of this connection."""
        self.settled = asyncio.Event()
        """Set while the broker has been told everything."""
        self.away = asyncio.Event()
        """Set while there is no connection."""

    def serves(self, source: Source) -> bool:
        """Whether a source is to be found at this broker."""
        return self._node is None or source.node == self._node

    async def run(self) -> None:
        """Follow the routes' topics until cancelled."""
        stop = self._relay.on_sources(self._sources_changed)
        self._sources_changed()
        pause, told = FIRST, ""
        try:
            while True:
                try:
                    await self._connected()
                except Unproved as error:
                    log.info("MQTT broker %s: %s; connecting anew", self._broker, error)
                    pause = FIRST
                except aiomqtt.MqttError as error:
                    end_if_told()
                    if self.subscribed:
                        pause = FIRST
                    if str(error) != told:
                        log.warning("MQTT broker %s: %s; connecting again", self._broker, error)
                        told = str(error)
                finally:
                    self._client, self.subscribed = None, frozenset()
                    self.settled.clear()
                    self.away.set()
                await asyncio.sleep(pause * (0.5 + self._relay.clock.rng.random() / 2))
                pause = min(LONGEST, pause * 2)
        finally:
            stop()

    async def publish(self, topic: str, body: bytes) -> None:
        """Publish with QoS 1; MqttError where the broker does not confirm it."""
        if self._client is None:
            raise aiomqtt.MqttError("there is no connection to the broker")
        await self._client.publish(topic, body, qos=1, timeout=TIMEOUT)

    async def _connected(self) -> None:
        options = await asyncio.to_thread(self._broker.options, self._proved)
        client = aiomqtt.Client(
            **options, identifier=self._identifier, clean_session=False, timeout=TIMEOUT, keepalive=30,
            queue_type=_handing_to(self._take),
        )  # fmt: skip
        async with connected(client):
            await self._follow(client)

    async def _follow(self, client: aiomqtt.Client) -> None:
        """While there is that connection."""
        self._client = client
        self.away.clear()
        log.info("connected to MQTT broker %s", self._broker)
        works = (_open(client), while_proved(client), self._keep_subscribed(client))
        tasks = [asyncio.create_task(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_subscribed(self, client: aiomqtt.Client) -> None:
        while True:
            self._changed.clear()
            wanted = frozenset(self._topics)
            new, old = sorted(wanted - self.subscribed), sorted(self.subscribed - wanted)
            for start in range(0, len(new), BATCH):
                await client.subscribe([(topic, 1) for topic in new[start : start + BATCH]])
                self.subscribed |= set(new[start : start + BATCH])
            for start in range(0, len(old), BATCH):
                await client.unsubscribe(old[start : start + BATCH])
                self.subscribed -= set(old[start : start + BATCH])
            end_if_told()
            if not self._changed.is_set():
                self.settled.set()
            await self._changed.wait()

    def _sources_changed(self) -> None:
        topics: dict[str, list[Source]] = {}
        for source in self._relay.sources():
            if self.serves(source):
                topics.setdefault(f"{source.namespace}/{source.topic}", []).append(source)
        self._topics = topics
        self.settled.clear()
        self._changed.set()

    def _take(self, message: aiomqtt.Message) -> None:
        """Called while the broker waits for the acknowledgement."""
        body = _bytes(message.payload)
        if message.retain or not body:  # a retained one came before, or clears what was retained
            return
        for source in self._topics.get(message.topic.value, ()):
            try:
                self._relay.accept(source, body, "mqtt")
            except NotSold:
                continue
            except Exception:
                log.exception("a reading from MQTT topic %s could not be taken", message.topic)


async def _open(client: aiomqtt.Client) -> None:
    """Until the connection ends: nothing is ever among the messages."""
    await anext(aiter(client.messages))


def _bytes(payload: PayloadType) -> bytes:
    if isinstance(payload, bytes | bytearray):
        return bytes(payload)
    return b"" if payload is None else str(payload).encode()


def _handing_to(take: Any) -> type[asyncio.Queue[aiomqtt.Message]]:
    """A queue that hands on at once what is put into it, so that the acknowledgement follows and does not go before."""

    class Direct(asyncio.Queue[aiomqtt.Message]):
        def put_nowait(self, item: aiomqtt.Message) -> None:
            take(item)

    return Direct
