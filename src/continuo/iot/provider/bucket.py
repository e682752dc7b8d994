"""A token bucket: so many looks per second in the long run, and a burst in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Bucket:
    """Tokens that come back at a rate; whoever finds none waits for its turn."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        """`rate`: tokens per second."""
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens, self._at = burst, clock()

    def reserve(self) -> float:
        """Take a token; the seconds until it is there."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate) - 1.0
        self._at = now
        return max(0.0, -self._tokens / self._rate)

    async def take(self) -> None:
        """Wait for a token."""
        wait = self.reserve()
        if wait > 0:
            await asyncio.sleep(wait)
