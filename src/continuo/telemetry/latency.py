"""Round trips as Liqo spells them (`1.9ms`), and how much one differs from the next."""

from __future__ import annotations

import re

_PART = re.compile(r"([0-9]*\.?[0-9]+)(h|ms|m|us|µs|μs|ns|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}


def seconds(text: object) -> float | None:
    """A duration as Go writes it (`1m2.5s`, `850µs`), in seconds; None when it is none."""
    said = str(text or "")
    parts = _PART.findall(said)
    if not parts or "".join(number + unit for number, unit in parts) != said:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


class Jitter:
    """The smoothed difference of consecutive round trips (RFC 3550, section 6.4.1): seconds."""

    SMOOTHING = 16.0
    ENOUGH = 16
    """So many differences make a figure that somebody may rely on: with Liqo's measurements, some three minutes."""

    def __init__(self) -> None:
        self.last: float | None = None
        self.value = 0.0
        self._missing = 1.0
        """The share of `value` that is still the zero that it began with."""
        self._differences = 0

    @classmethod
    def resumed(cls, milliseconds: float | None) -> Jitter:
        """Going on from what was known before; None: from nothing."""
        jitter = cls()
        if milliseconds is not None:
            jitter.value, jitter._missing, jitter._differences = milliseconds / 1000, 0.0, cls.ENOUGH
        return jitter

    @property
    def steady(self) -> float | None:
        """The jitter without the zero that it began with, in seconds; None before there were enough differences."""
        return self.value / (1 - self._missing) if self._differences >= self.ENOUGH else None

    def take(self, latency: float) -> float:
        """One more measurement; the jitter now."""
        if self.last is not None:
            self.value += (abs(latency - self.last) - self.value) / self.SMOOTHING
            self._missing *= 1 - 1 / self.SMOOTHING
            self._differences = min(self._differences + 1, self.ENOUGH)
        self.last = latency
        return self.value
