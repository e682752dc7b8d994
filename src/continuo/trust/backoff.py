"""How long to wait before the next attempt."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Doubles from `base` to `cap` seconds, with a third of chance, so that many do not come back at once."""

    base: float = 0.1
    cap: float = 5.0
    rng: random.Random = field(default_factory=random.Random)
    attempts: int = 0

    def next(self) -> float:
        """Seconds to wait now."""
        wait = min(self.cap, self.base * float(1 << min(self.attempts, 20)))
        self.attempts += 1
        return wait * self.rng.uniform(2 / 3, 1)

    def reset(self) -> None:
        """It went well."""
        self.attempts = 0
