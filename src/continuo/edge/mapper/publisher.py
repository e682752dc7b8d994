"""From the buffer to the edge's MQTT broker: in order, each until the broker has confirmed it.

A broker that confirms does not mean that the cloud has it: what EdgeCore holds when its link breaks is lost. So where the
cloud's address is known, readings stay in the buffer until the cloud has been seen some time after they were published;
while it cannot be seen nothing is published, and then everything unsure is published once more. The relay knows doubles by
their time and number.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import aiomqtt

from continuo.edge.mapper.buffer import Buffer, BufferFailed
from continuo.edge.mqtt.address import Address
from continuo.edge.mqtt.proof import Unproved, while_proved
from continuo.edge.mqtt.session import connected, end_if_told

log = logging.getLogger(__name__)

FIRST, LONGEST = 0.2, 10.0
"""Seconds between attempts to connect."""
BATCH = 50
TIMEOUT = 10.0

Seen = Callable[[], Awaitable[bool]]
Hear = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Cloud:
    """How to know whether the cloud can be reached."""

    seen: Seen
    every: float = 2.0
    """Seconds between looks."""
    settle: float = 5.0
    """Seconds from publishing until the cloud has it, if it can be seen then."""


@dataclass(slots=True)
class Counts:
    """What was done."""

    published: int = 0
    """Confirmed by the broker; those that were published twice count twice."""
    connected: int = 0


@dataclass(slots=True)
class Publisher:
    """Publishes what the buffer has, until cancelled."""

    buffer: Buffer
    broker: Address
    identifier: str
    clock: Callable[[], float]
    """Seconds, monotonic."""
    rng: random.Random
    hears: Mapping[str, Hear] = field(default_factory=dict)
    """What to do with what comes on these topics."""
    cloud: Cloud | None = None
    proved: ssl.SSLContext | None = None
    """By which both ends show their SVIDs, where the broker has one."""
    counts: Counts = field(default_factory=Counts)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _cursor: int = 0
    """The last reading that was published."""
    _unsure: deque[tuple[float, int]] = field(default_factory=deque)
    """When readings up to which number were published, which the cloud may not have."""
    _reachable: bool = True
    _turn: int = 0
    """Grows whenever publishing begins anew with the oldest."""

    def more(self) -> None:
        """There is more in the buffer."""
        self._news.set()

    async def run(self) -> None:
        looking = asyncio.create_task(self._look()) if self.cloud is not None else None
        pause, told = FIRST, ""
        try:
            while True:
                before = self.counts.connected
                try:
                    await self._connected()
                except Unproved as error:
                    log.info("MQTT broker %s: %s; connecting anew", self.broker, error)
                except aiomqtt.MqttError as error:
                    end_if_told()
                    if str(error) != told:
                        log.warning("MQTT broker %s: %s; readings are kept", self.broker, error)
                        told = str(error)
                except BufferFailed as error:
                    if str(error) != told:
                        log.warning("%s; publishing goes on when it can be", error)
                        told = str(error)
                if self.counts.connected > before:
                    pause, told = FIRST, ""
                await asyncio.sleep(pause * (0.5 + self.rng.random() / 2))
                pause = min(LONGEST, pause * 2)
        finally:
            if looking is not None:
                looking.cancel()
                with suppress(asyncio.CancelledError):
                    await looking

    async def _connected(self) -> None:
        options = await asyncio.to_thread(self.broker.options, self.proved)
        client = aiomqtt.Client(
            **options, identifier=self.identifier, timeout=TIMEOUT, keepalive=15, max_inflight_messages=BATCH
        )
        async with connected(client):
            self.counts.connected += 1
            self._rewind()
            if self.hears:
                await client.subscribe([(topic, 1) for topic in self.hears])
            works = (self._send(client), self._listen(client), while_proved(client))
            tasks = [asyncio.create_task(work) for work in works]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
                for task in tasks:
                    if task.done():
                        task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, client: aiomqtt.Client) -> None:
        while True:
            self._news.clear()
            turn = self._turn
            batch = await self.buffer.oldest(BATCH, self._cursor) if self._reachable else []
            if not batch:
                await self._news.wait()
                continue
            # Tasks begin in the order in which they are made, and so do their messages.
            await asyncio.gather(*(client.publish(each.topic, each.body, qos=1, timeout=TIMEOUT) for each in batch))
            self.counts.published += len(batch)
            if turn != self._turn:  # all of it is to be published again
                continue
            self._cursor = batch[-1].number
            if self.cloud is None:
                await self.buffer.delivered(self._cursor)
            else:
                self._unsure.append((self.clock(), self._cursor))

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            hear = self.hears.get(message.topic.value)
            if hear is None or not isinstance(message.payload, bytes | bytearray):
                continue
            try:
                await hear(bytes(message.payload))
            except Exception:
                log.exception("a command on %s failed", message.topic)

    async def _look(self) -> None:
        cloud = self.cloud
        assert cloud is not None
        while True:
            begun = self.clock()
            try:
                seen = await cloud.seen()
            except Exception:
                log.exception("looking for the cloud failed")
                seen = False
            try:
                await self._looked(seen, begun - cloud.settle)
            except BufferFailed as error:
                log.warning("%s; what the cloud has stays in it", error)
            await asyncio.sleep(cloud.every)

    async def _looked(self, seen: bool, sure: float) -> None:
        if not seen:
            if self._reachable:
                log.warning("the cloud cannot be reached; readings are kept")
            self._reachable = False
            self._rewind()
            return
        until = max((number for at, number in self._unsure if at <= sure), default=0)
        if until:
            await self.buffer.delivered(until)
        while self._unsure and self._unsure[0][1] <= until:
            self._unsure.popleft()
        if not self._reachable:
            log.info("the cloud can be reached again; %d readings were kept", self.buffer.count)
            self._reachable = True
            self._news.set()

    def _rewind(self) -> None:
        """Whatever is still in the buffer is to be published again."""
        self._turn += 1
        self._cursor = 0
        self._unsure.clear()
