"""What a simulated sensor measures: waveforms over time, the same for the same seed. Pure."""

from __future__ import annotations

import math
import random
from typing import Annotated, Literal

from msgspec import Meta, Struct


class Wave(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How a quantity goes on."""

    shape: Literal["sine", "noise", "step", "walk", "constant"] = "sine"
    mean: float = 0.0
    amplitude: Annotated[float, Meta(ge=0)] = 1.0
    """Of a sine or a step, from the middle; the standard deviation of noise; the largest step of a walk."""
    period: Annotated[float, Meta(gt=0)] = 60.0
    """Seconds of a sine, or between steps."""
    noise: Annotated[float, Meta(ge=0)] = 0.0
    """Standard deviation of what is added to every shape."""
    lowest: float | None = None
    highest: float | None = None
    digits: Annotated[int, Meta(ge=0, le=9)] = 3


class Waveform:
    """A wave that runs. Each sample depends on those before only in a walk."""

    def __init__(self, wave: Wave, seed: str) -> None:
        self._wave, self._rng = wave, random.Random(seed)
        self._at = wave.mean
        self._phase = self._rng.random()

    def sample(self, seconds: float) -> float:
        """The value, that many seconds after the start."""
        wave = self._wave
        value = self._value(wave, seconds) + (self._rng.gauss(0, wave.noise) if wave.noise else 0.0)
        if wave.lowest is not None:
            value = max(wave.lowest, value)
        if wave.highest is not None:
            value = min(wave.highest, value)
        return round(value, wave.digits)

    def _value(self, wave: Wave, seconds: float) -> float:
        turn = seconds / wave.period + self._phase
        match wave.shape:
            case "sine":
                return wave.mean + wave.amplitude * math.sin(2 * math.pi * turn)
            case "noise":
                return self._rng.gauss(wave.mean, wave.amplitude)
            case "step":
                return wave.mean + (wave.amplitude if int(turn) % 2 else -wave.amplitude)
            case "walk":
                back = (wave.mean - self._at) * 0.02  # it wanders, but does not leave
                self._at += back + self._rng.uniform(-wave.amplitude, wave.amplitude)
                return self._at
            case _:
                return wave.mean


USUAL = {
    "temperature": Wave(mean=21.5, amplitude=3.0, period=300.0, noise=0.05),
    "humidity": Wave(mean=48.0, amplitude=9.0, period=240.0, noise=0.2, lowest=0.0, highest=100.0),
    "pressure": Wave(shape="walk", mean=1013.2, amplitude=0.05),
    "acceleration": Wave(shape="noise", mean=0.0, amplitude=0.02),
    "angularvelocity": Wave(shape="noise", mean=0.0, amplitude=0.4),
    "magneticfield": Wave(mean=0.45, amplitude=0.02, period=45.0, noise=0.005),
    "audio": Wave(shape="noise", mean=42.0, amplitude=4.0, lowest=0.0),
    "battery": Wave(shape="walk", mean=87.0, amplitude=0.02, lowest=0.0, highest=100.0),
    "light": Wave(shape="step", mean=300.0, amplitude=200.0, period=30.0, noise=5.0, lowest=0.0),
}
"""Waves of usual quantities, by their names without spaces, in lower case."""


def usual(quantity: str) -> Wave:
    """The wave of a quantity of that name."""
    return USUAL.get("".join(quantity.lower().split()), Wave(mean=1.0, amplitude=1.0, noise=0.02))
