"""What a real mapper has to bring: a driver that reads sensors. And the one that simulates them.

class MyDriver:                       # talks to the devices: Bluetooth, Modbus, ...
    async def read(self, source): ...
    async def command(self, source, body): ...

await Mapper(sources, MyDriver(), buffer, publisher, ...).run()
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Protocol

from continuo.edge.mapper.model import Source
from continuo.edge.mapper.waves import Waveform, usual


class Driver(Protocol):
    """How sensors are read. What it raises is logged, and the sensor is read again when its time has come."""

    async def read(self, source: Source) -> Mapping[str, float] | None:
        """The value of each quantity now, by its name; None: nothing this time."""
        ...

    async def command(self, source: Source, body: bytes) -> None:
        """What a buyer wants of the sensor's device. It may come more than once."""
        ...


class Simulated:
    """Waves and silences, the same for the same seed."""

    def __init__(self, sources: list[Source], seed: int, clock: Callable[[], float]) -> None:
        """`clock`: seconds, monotonic."""
        self._clock, self._start = clock, clock()
        self._waves = {
            source.channel: {
                kind: Waveform(source.waves.get(kind) or usual(kind), f"{seed}/{source.channel}/{kind}")
                for kind in source.sensor.types
            }
            for source in sources
        }
        self._chance = {source.device: random.Random(f"{seed}/{source.device}") for source in sources}
        self._silent: dict[str, float] = {}
        self.commands: list[tuple[str, bytes]] = []
        """The last ones that were heard: device and body."""

    async def read(self, source: Source) -> Mapping[str, float] | None:
        now = self._clock() - self._start
        if self._chance[source.device].random() < source.dropouts.probability:
            self._silent[source.device] = now + source.dropouts.length
        values = {kind: wave.sample(now) for kind, wave in self._waves[source.channel].items()}
        return None if now < self._silent.get(source.device, 0.0) else values

    async def command(self, source: Source, body: bytes) -> None:
        self.commands = [*self.commands[-99:], (source.device, body)]
