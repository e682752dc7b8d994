"""The mapper: reads each sensor in its rhythm, keeps the reading, has it published. Drivers and time come in from outside."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from continuo.edge.mapper.buffer import Buffer, BufferFailed
from continuo.edge.mapper.driver import Driver
from continuo.edge.mapper.model import Source
from continuo.edge.mapper.payload import FORMATS
from continuo.edge.mapper.publisher import Hear

log = logging.getLogger(__name__)

READ_TIMEOUT = 10.0
"""Seconds that a driver may take."""
FIRST, LONGEST = 0.5, 10.0
"""Seconds between attempts to write what was measured."""
COMMANDS = "commands"
"""First level of the topics on which commands come; the source's topic follows, without a namespace."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Where time comes from; seconds."""

    mono: Callable[[], float]
    wall: Callable[[], float]


class Mapper:
    """Everything that one edge node measures."""

    def __init__(
        self, sources: list[Source], driver: Driver, buffer: Buffer, *, clock: Clock, more: Callable[[], None],
        form: str = "json",
    ) -> None:  # fmt: skip
        """`more` is called when there is something new in the buffer."""
        self._sources, self._driver, self._buffer = sources, driver, buffer
        self._clock, self._more, self._payload = clock, more, FORMATS[form]
        self._queue: asyncio.Queue[tuple[Source, Mapping[str, float], float]] = asyncio.Queue(10_000)
        self.read = self.failed = self.missed = 0

    def hears(self) -> dict[str, Hear]:
        """The topics of commands, and what is done with them."""
        return {f"{COMMANDS}/{source.topic}": self._hear(source) for source in self._sources}

    async def run(self) -> None:
        """Until cancelled. What was read is kept before this ends."""
        sequences = await self._buffer.sequences()
        tasks = [asyncio.create_task(self._follow(source)) for source in self._sources]
        keeping = asyncio.create_task(self._keep(sequences))
        try:
            await asyncio.gather(keeping, *tasks)
        finally:
            for task in (*tasks, keeping):
                task.cancel()
            await asyncio.gather(*tasks, keeping, return_exceptions=True)
            await self._buffer.add(self._batch(sequences))

    async def _follow(self, source: Source) -> None:
        step = 1 / source.rate
        due = self._clock.mono()
        while True:
            due += step
            wait = due - self._clock.mono()
            if wait < -10 * step:  # it was away, or is too slow: what is missed is not made up
                self.missed += int(-wait / step)
                due += int(-wait / step) * step
            await asyncio.sleep(max(0.0, wait))
            await self._read(source)

    async def _read(self, source: Source) -> None:
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                values = await self._driver.read(source)
        except Exception as error:
            self.failed += 1
            log.warning("sensor %s of %s cannot be read: %r", source.sensor.model, source.device, error)
            return
        if values is not None:
            self.read += 1
            await self._queue.put((source, values, self._clock.wall()))

    async def _keep(self, sequences: dict[str, int]) -> None:
        while True:
            first = await self._queue.get()
            await self._add(self._batch(sequences, first))
            self._more()

    async def _add(self, batch: list[tuple[str, int, bytes]]) -> None:
        """Into the buffer; while it takes nothing, what is measured waits, and after that is missed."""
        pause, told = FIRST, ""
        while True:
            try:
                return await self._buffer.add(batch)
            except BufferFailed as error:
                if str(error) != told:
                    log.warning("%s; %d readings wait for it", error, len(batch))
                    told = str(error)
            await asyncio.sleep(pause)
            pause = min(LONGEST, 2 * pause)

    def _batch(
        self, sequences: dict[str, int], first: tuple[Source, Mapping[str, float], float] | None = None
    ) -> list[tuple[str, int, bytes]]:
        read = [] if first is None else [first]
        while not self._queue.empty():
            read.append(self._queue.get_nowait())
        batch = []
        for source, values, at in read:
            number = sequences[source.channel] = sequences.get(source.channel, 0) + 1
            batch.append((source.channel, number, self._payload(source, values, at, number)))
        return batch

    def _hear(self, source: Source) -> Hear:
        async def hear(body: bytes) -> None:
            async with asyncio.timeout(READ_TIMEOUT):
                await self._driver.command(source, body)

        return hear
