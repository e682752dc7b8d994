"""What is counted of one target: sums since the start, and latencies."""

from __future__ import annotations

from array import array
from bisect import bisect_left

from continuo.telemetry.families import RELAY_BUCKETS

BOUNDS = tuple(bound * 1000 for bound in RELAY_BUCKETS)
"""Upper ends of the histogram's buckets, in milliseconds."""
RECENT = 1024
"""Latencies that percentiles are made of: the newest ones."""


class Latencies:
    """A histogram since the start, and percentiles of what was recent. Milliseconds."""

    __slots__ = ("_next", "_recent", "buckets", "sum")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0
        self._recent = array("f")
        self._next = 0

    def add(self, latency: float) -> None:
        self.buckets[bisect_left(BOUNDS, latency)] += 1
        self.sum += latency
        if len(self._recent) < RECENT:
            self._recent.append(latency)
        else:
            self._recent[self._next] = latency
            self._next = (self._next + 1) % RECENT

    def percentiles(self, *shares: float) -> list[float | None]:
        """The latency that this share (0..1) of the recent readings stayed below; None without readings."""
        if not self._recent:
            return [None] * len(shares)
        ordered = sorted(self._recent)
        return [round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) for share in shares]


class Figures:
    """The sums of one target."""

    __slots__ = ("bytes", "dead", "delivered", "dropped", "failed", "last_delivered", "latencies", "trouble")

    def __init__(self) -> None:
        self.delivered = self.bytes = self.failed = self.dead = self.dropped = 0
        self.last_delivered: float | None = None
        """Seconds since 1970."""
        self.trouble = ""
        self.latencies = Latencies()
