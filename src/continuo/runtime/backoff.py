"""How long to wait after the nth failure in a row."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential with a cap; jitter spreads what failed together, so that it does not come back together."""

    base: float = 0.5
    factor: float = 2.0
    cap: float = 60.0
    jitter: float = 0.3

    def delay(self, failures: int, rng: random.Random) -> float:
        """Seconds to wait after `failures` (1, 2, ...) failures in a row; never above cap * (1 + jitter)."""
        exponent = min(failures - 1, 64)  # beyond that the power only overflows
        return min(self.cap, self.base * self.factor**exponent) * (1.0 + self.jitter * rng.random())
