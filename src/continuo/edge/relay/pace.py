"""How fast, how often, how long: thinning by tokens, and the patience with a target that does not take its readings. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

BACK_IN_TIME = 1.0
"""Seconds by which a sensor's clock may go back before it counts as set anew."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How an undelivered reading is tried again. Seconds."""

    first: float = 0.2
    longest: float = 30.0
    attempts: int = 12
    """Attempts for one reading."""
    age: float = 900.0
    """Since it came; an older one is given up without another attempt."""
    timeout: float = 10.0
    """Of one attempt, from connecting to the end of the answer."""
    trouble: int = 3
    """Failures in a row after which a target is tried with one reading at a time."""
    retry_after: float = 60.0
    """The longest pause that a target may ask for."""

    def pause(self, failures: int, asked: float | None, rng: random.Random) -> float:
        """Seconds until the next attempt, after that many failures (at least 1)."""
        grown: float = min(self.longest, self.first * 2.0 ** min(failures - 1, 20))
        wait = grown * (0.5 + rng.random() / 2)
        return wait if asked is None else max(wait, min(asked, self.retry_after))


class Bucket:
    """Lets through `rate` readings a second in the long run; after a silence up to one second's worth at once (at least 2).

    Time is the reading's own where it tells it: what an edge kept and sends late is not thinned for being late.
    """

    __slots__ = ("_last", "_most", "_rate", "_tokens")

    def __init__(self, rate: float) -> None:
        self._rate, self._most = rate, max(2.0, rate)
        self._tokens, self._last = self._most, float("-inf")

    def take(self, at: float) -> bool:
        """Whether the reading of that time (seconds) may pass."""
        if self._rate <= 0:
            return True
        if at > self._last:
            if self._last != float("-inf"):
                self._tokens = min(self._most, self._tokens + (at - self._last) * self._rate)
            self._last = at
        elif at < self._last - BACK_IN_TIME:
            self._last = at
        if self._tokens < 1 - 1e-9:  # sums of tenths are not exact
            return False
        self._tokens -= 1
        return True
