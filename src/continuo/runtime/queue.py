"""Work keyed by what it is about: a key is queued once, and never worked on by two workers at a time."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from continuo.runtime.backoff import Backoff

K = TypeVar("K", bound=Hashable)
IN_A_ROW = 16
"""Urgent keys after which one of the others has its turn, however many more are urgent."""


class Closed(Exception):
    """The queue was closed while a worker waited for the next key."""


class WorkQueue(Generic[K]):
    """Keys in order of arrival, the urgent ones before the others. What is added while its key is worked on runs again."""

    def __init__(
        self,
        backoff: Backoff | None = None,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        waited: Callable[[float], None] | None = None,
    ) -> None:
        self._backoff = backoff or Backoff()
        self._random = rng or random.Random()
        self._clock, self._waited = clock, waited
        self._since: dict[K, float] = {}
        """Since when each queued key waits, where somebody asks: `waited` is told when a worker takes it."""
        self._ready: deque[K] = deque()
        self._urgent: deque[K] = deque()
        self._in_a_row = 0
        self._queued: set[K] = set()
        self._active: set[K] = set()
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        """Keys that wait for a worker (not those that are worked on, nor those that wait for their time)."""
        return len(self._urgent) + len(self._ready) + len(self._again)

    @property
    def idle(self) -> bool:
        """Nothing is queued, nothing is worked on, and nothing failed that waits to be tried again."""
        return not self._urgent and not self._ready and not self._active and not self._failures

    def add(self, key: K, *, urgent: bool = False) -> None:
        """Queue the key now, unless it already waits. `urgent`: before all that are not."""
        if self._closed or key in self._queued:
            return
        if key in self._active:
            self._again.add(key)
            return
        self._queued.add(key)
        if self._waited is not None:
            self._since[key] = self._clock()
        (self._urgent if urgent else self._ready).append(key)
        self._wake()

    def add_after(self, key: K, seconds: float) -> None:
        """Queue the key later; of several times for one key the earliest counts."""
        if self._closed:
            return
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self._due, key)

    def retry(self, key: K) -> float:
        """Queue the key again after its backoff; returns the seconds until then."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = self._backoff.delay(failures, self._random)
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """The key did well: its next failure starts from the smallest delay."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key; the caller owes a `done` for it. Raises Closed when there will be none."""
        while not self._ready and not self._urgent:
            if self._closed:
                raise Closed
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                # The wake-up that came with the cancellation belongs to somebody else.
                if waiter.done() and not waiter.cancelled():
                    self._wake()
                raise
        key = self._next()
        self._queued.discard(key)
        self._active.add(key)
        if self._waited is not None:
            self._waited(self._clock() - self._since.pop(key))
        return key

    def _next(self) -> K:
        """What is urgent; but one of the others after so many in a row."""
        if self._urgent and (self._in_a_row < IN_A_ROW or not self._ready):
            self._in_a_row += 1
            return self._urgent.popleft()
        self._in_a_row = 0
        return self._ready.popleft()

    def done(self, key: K) -> None:
        """The key is no longer worked on."""
        self._active.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def close(self) -> None:
        """Drop what waits and let the workers go."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        for keys in (self._urgent, self._ready, self._queued, self._since, self._again, self._timers, self._failures):
            keys.clear()
        while self._waiting:
            self._wake()

    def _due(self, key: K) -> None:
        del self._timers[key]
        self.add(key)

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
