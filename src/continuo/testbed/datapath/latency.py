"""What calls took, in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean
from statistics import median as _median


@dataclass(frozen=True, slots=True)
class Latency:
    """The times of calls from one place, in their order. Those of several rounds can be added."""

    times: tuple[float, ...]
    """Of HTTP requests, over a connection that was there before."""
    raw: tuple[float, ...]
    """Of one byte there and back on the same way, each taken after the request of the same number."""
    served_by: str = ""
    """`CLUSTER/IP` of the pod that answered, in its own cluster's words."""
    seen_from: str = ""
    """The caller's address as the pod saw it."""

    @property
    def median(self) -> float:
        """Of the requests."""
        return _median(self.times)

    @property
    def mean(self) -> float:
        """Of the requests."""
        return fmean(self.times)

    @property
    def p99(self) -> float:
        """Of the requests: one in a hundred took longer."""
        return share(self.times, 0.99)

    @property
    def raw_median(self) -> float:
        """Of the round trips."""
        return _median(self.raw)

    @property
    def beyond_raw(self) -> float:
        """The median of what a request took more than the round trip after it."""
        return _median(took - trip for took, trip in zip(self.times, self.raw, strict=True))

    def __add__(self, other: Latency) -> Latency:
        return Latency(self.times + other.times, self.raw + other.raw, other.served_by, other.seen_from)


def share(values: Sequence[float], part: float) -> float:
    """The smallest value that so many of all do not exceed."""
    return sorted(values)[max(0, ceil(len(values) * part) - 1)]
