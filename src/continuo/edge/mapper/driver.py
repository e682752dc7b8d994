"""What a real mapper has to bring: a driver that reads sensors. And the one that simulates them.

class MyDriver:                       # talks to the devices: Bluetooth, Modbus, ...
    async def read(self, source): ...
    async def command(self, source, body): ...

await Mapper(sources, MyDriver(), buffer, publisher, ...).run()
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from continuo.edge.mapper.model import Source
from continuo.edge.mapper.waves import Waveform, usual

if TYPE_CHECKING:
    from continuo.trust.delegation import DeviceKey
    from continuo.trust.gateway import Answer
    from continuo.trust.ids import SpiffeId


class Driver(Protocol):
    """How sensors are read. What it raises is logged, and the sensor is read again when its time has come."""

    async def read(self, source: Source) -> Mapping[str, float] | None:
        """The value of each quantity now, by its name; None: nothing this time."""
        ...

    async def command(self, source: Source, body: bytes) -> None:
        """What a buyer wants of the sensor's device. It may come more than once."""
        ...


class Keyed(Protocol):
    """What a driver also has whose boards have keys of their own (level L1)."""

    def answer(self, device: str) -> Answer | None:
        """What lets that board sign a challenge; None: it has no key."""
        ...


class Simulated:
    """Waves and silences, the same for the same seed."""

    def __init__(
        self, sources: list[Source], seed: int, clock: Callable[[], float], keys: Mapping[str, DeviceKey] | None = None
    ) -> None:
        """`clock`: seconds, monotonic. `keys`: what the boards' secure elements would have, by device."""
        self._keys = keys or {}
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

    def answer(self, device: str) -> Answer | None:
        key = self._keys.get(device)
        if key is None:
            return None

        async def sign(nonce: bytes, gateway: SpiffeId, own: SpiffeId, session: bytes) -> bytes:
            return key.answer(nonce, gateway, own, session)

        return sign

    async def command(self, source: Source, body: bytes) -> None:
        self.commands = [*self.commands[-99:], (source.device, body)]
