"""Uptime from single checks: the share that succeeded in a sliding window, and how much of the window was looked at.

Checks are counted in buckets of ten minutes, so a week of a provider is at most 1008 small rows. Time in which nobody
looked is neither up nor down: it lowers the coverage, and with too little of that there is no uptime to tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

BUCKET = 600
WINDOWS: Mapping[str, int] = {"uptime_1h": 3_600, "uptime": 86_400, "uptime_7d": 604_800}
"""The metrics, and the seconds that they look back."""
LONGEST = max(WINDOWS.values())
ENOUGH = 0.5
"""The share of a window that has to have been looked at."""


@dataclass(frozen=True, slots=True)
class Uptime:
    """How available something was."""

    share: float
    checks: int
    coverage: float


class Checks:
    """The counted checks of one provider."""

    __slots__ = ("_buckets", "_first")

    def __init__(self, rows: Iterable[tuple[int, int, int]] = ()) -> None:
        self._buckets: dict[int, tuple[int, int]] = {start: (up, down) for start, up, down in sorted(rows)}
        self._first: float | None = next(iter(self._buckets), None)

    def add(self, at: float, ok: bool) -> tuple[int, int, int]:
        """Count one check; returns its bucket as it is now: start, successful, failed."""
        start = int(at // BUCKET) * BUCKET
        if start not in self._buckets:
            self._forget(at)
        up, down = self._buckets.get(start, (0, 0))
        counted = (up + ok, down + (not ok))
        self._buckets[start] = counted
        if self._first is None or at < self._first:
            self._first = at
        return start, *counted

    def _forget(self, now: float) -> None:
        for old in [start for start in self._buckets if start < now - LONGEST - BUCKET]:
            del self._buckets[old]

    @property
    def any(self) -> bool:
        """Whether anything was ever checked."""
        return self._first is not None

    def uptime(self, now: float, window: float, interval: float) -> Uptime | None:
        """The share of successful checks in the window that ends now, with a check due every `interval` seconds (at most a
        bucket's length).

        A provider that is younger than the window is judged by the time since its first check. None: too little was seen.
        """
        if self._first is None:
            return None
        since = max(now - window, self._first)
        up = down = 0
        seen = expected = 0.0
        for start in range(int(since // BUCKET) * BUCKET, int(now) + 1, BUCKET):
            due = max(0.0, min(now, start + BUCKET) - max(since, start)) / interval
            counts = self._buckets.get(start, (0, 0))
            up, down = up + counts[0], down + counts[1]
            seen, expected = seen + min(due, sum(counts)), expected + due
        coverage = seen / expected if expected else 1.0
        if not up + down or coverage < ENOUGH:
            return None
        return Uptime(up / (up + down), up + down, coverage)
