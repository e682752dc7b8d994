"""One producer that comes back: whoever sends is told at once that the broker is away, and may offer the same again.

aiokafka sends again by itself while a broker is away, without end, since the broker drops what it has (idempotence). So what
is not confirmed in time stays with it, and what is offered again meanwhile is not sent twice: its mark is known.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from continuo.events.kafka_binding import Message
from continuo.events.kafka_settings import KafkaSettings
from continuo.events.kafka_topics import ensure_topics
from continuo.events.sink import SinkUnavailable
from continuo.resources.errors import BadRequest

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 15.0
MOST = 10_000
"""Messages that wait for a broker's confirmation."""
_GRACE = 1.0


@dataclass(frozen=True, slots=True)
class Letter:
    """A message on its way to a topic."""

    topic: str
    message: Message
    mark: Hashable
    """What is sent once only, however often it is offered while it is on its way."""


class KafkaProducer:
    """Sends in order of the calls; connects when there is something to send."""

    def __init__(
        self, settings: KafkaSettings, *, rng: random.Random | None = None, clock: Callable[[], float] | None = None
    ) -> None:
        self.settings = settings
        self._random, self._clock = rng or random.Random(), clock or (lambda: asyncio.get_running_loop().time())
        self._one = asyncio.Lock()
        self._producer: AIOKafkaProducer | None = None
        self._under_way: dict[Hashable, asyncio.Future[Any]] = {}
        self._failures = 0
        self._not_before = 0.0
        self._said = ""

    @property
    def backlog(self) -> int:
        """Messages that no broker has confirmed yet."""
        return len(self._under_way)

    async def send(self, letters: Sequence[Letter]) -> None:
        """Return when the brokers have them all. Raises SinkUnavailable, at once while a broker is known to be away."""
        if self._clock() < self._not_before:
            raise SinkUnavailable(self._said)
        try:
            async with asyncio.timeout(self.settings.timeout):
                producer, waiting = await self._hand_over(letters)
                if waiting:
                    await asyncio.wait(waiting)
        except TimeoutError:
            raise self._away(f"no answer within {self.settings.timeout:g} s") from None
        except (KafkaError, OSError, BadRequest) as error:
            raise self._away(_sentence(error)) from error
        for future in waiting:
            if (trouble := future.exception()) is not None:
                await self._part_with(producer)
                raise self._away(_sentence(trouble))
        self._here()

    async def close(self) -> None:
        """Give what is on its way a moment, then end."""
        async with self._one:
            await self._give_up()

    async def _hand_over(self, letters: Sequence[Letter]) -> tuple[AIOKafkaProducer, list[asyncio.Future[Any]]]:
        """Give to the producer what it does not have yet; one caller at a time, so that the order is kept."""
        async with self._one:
            producer = await self._connected()
            futures: list[asyncio.Future[Any]] = []
            for letter in letters:
                known = self._under_way.get(letter.mark)
                futures.append(known if known is not None else await self._post(producer, letter))
            return producer, futures

    async def _post(self, producer: AIOKafkaProducer, letter: Letter) -> asyncio.Future[Any]:
        if len(self._under_way) >= MOST:
            raise SinkUnavailable(f"Kafka at {self.settings.where}: {MOST} messages wait for its confirmation already")
        message = letter.message
        future: asyncio.Future[Any] = await producer.send(
            letter.topic, message.value, key=message.key, headers=list(message.headers)
        )
        self._under_way[letter.mark] = future
        future.add_done_callback(lambda done: self._ended(letter.mark, done))
        return future

    def _ended(self, mark: Hashable, future: asyncio.Future[Any]) -> None:
        if not future.cancelled():
            future.exception()  # whoever waited is told; nobody may wait any longer
        if self._under_way.get(mark) is future:
            del self._under_way[mark]

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            await ensure_topics(self.settings)
            options = await asyncio.to_thread(self.settings.options)
            producer = AIOKafkaProducer(**options, acks="all", enable_idempotence=True, linger_ms=2)
            try:
                await producer.start()
            except BaseException:
                await _quietly(producer.stop())
                raise
            self._producer = producer
        return self._producer

    async def _part_with(self, producer: AIOKafkaProducer) -> None:
        async with self._one:
            if self._producer is producer:  # else somebody else was told before
                await self._give_up()

    async def _give_up(self) -> None:
        """Part with the producer: after an error that is for good it would never send again."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await _quietly(producer.stop())
                return
        # It waits for confirmations that do not come: end its own tasks, and then its connections.
        await _quietly(producer._sender.close())
        await _quietly(producer.client.close())
        for future in list(self._under_way.values()):
            future.cancel()
        self._under_way.clear()

    def _here(self) -> None:
        if self._failures:
            log.info("Kafka at %s takes messages again", self.settings.where)
        self._failures, self._not_before = 0, 0.0

    def _away(self, why: str) -> SinkUnavailable:
        self._said = f"Kafka at {self.settings.where} takes no messages: {why}"
        if not self._failures:
            log.warning("%s", self._said)
        pause = min(FIRST_PAUSE * float(1 << min(self._failures, 10)), LONGEST_PAUSE)
        self._failures += 1
        self._not_before = self._clock() + pause * self._random.uniform(0.7, 1.0)
        return SinkUnavailable(self._said)


async def _quietly(ending: Awaitable[None]) -> None:
    """End something that may have ended, or broken, by itself."""
    try:
        await ending
    except (KafkaError, OSError) as error:
        log.debug("while ending: %s", error)


def _sentence(error: BaseException) -> str:
    return str(error) or type(error).__name__


def quiet() -> None:
    """Let aiokafka be silent, which tells of every attempt: what matters is said once, here."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
