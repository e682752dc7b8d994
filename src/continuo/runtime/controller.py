"""Workers that call a reconcile function for each key until it is content.

The function says with its result when it wants to look again; what it raises is logged in one line and tried again after
a backoff. Nothing that one key does can stop another.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic

from continuo.resources.errors import ApiError
from continuo.runtime.backoff import Backoff
from continuo.runtime.observing import Observer, Outcome
from continuo.runtime.queue import Closed, K, WorkQueue

log = logging.getLogger(__name__)
BREATH = 8
"""Keys after which a worker lets others have their turn, should none of them have waited for anything."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a reconcile wants next: nothing, or another look after some seconds."""

    requeue_after: float | None = None


DONE = Result()


@dataclass(slots=True)
class Stats:
    """Counters since the start, for metrics and benchmarks."""

    reconciles: int = 0
    errors: int = 0
    seconds: float = 0.0


class Controller(Generic[K]):
    """One reconcile function, its queue and its workers."""

    def __init__(
        self,
        name: str,
        reconcile: Callable[[K], Awaitable[Result]],
        *,
        workers: int = 4,
        backoff: Backoff | None = None,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        observer: Observer | None = None,
    ) -> None:
        self.name = name
        self.stats = Stats()
        self._observer = observer
        waited = functools.partial(observer.waited, name) if observer is not None else None
        self.queue: WorkQueue[K] = WorkQueue(backoff, rng, clock, waited)
        self._reconcile, self._workers, self._clock = reconcile, workers, clock
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, key: K, *, urgent: bool = False) -> None:
        """Something about this key may have changed: look at it; `urgent`: before all that are not."""
        self.queue.add(key, urgent=urgent)

    def start(self) -> None:
        """Start the workers in the running loop."""
        self._tasks = [
            asyncio.create_task(self._work(), name=f"{self.name}-{number}") for number in range(self._workers)
        ]

    async def stop(self, grace: float = 10.0) -> None:
        """Take no more work; what is running may finish within `grace` seconds and is cancelled then."""
        self.queue.close()
        tasks, self._tasks = self._tasks, []
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=grace)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def run(self) -> None:
        """Work until cancelled, then stop gracefully."""
        self.start()
        try:
            await asyncio.gather(*self._tasks)
        finally:
            await self.stop()

    async def _work(self) -> None:
        queue = self.queue
        for count in itertools.count(1):
            try:
                key = await queue.get()
            except Closed:
                return
            try:
                await self._one(key)
            finally:
                queue.done(key)
            if not count % BREATH:
                await asyncio.sleep(0)  # keys that are always ready must not starve signals, timers and watches

    async def _one(self, key: K) -> None:
        stats, started = self.stats, self._clock()
        stats.reconciles += 1
        outcome: Outcome | None = None  # stays so when it is cut off
        try:
            result = await self._reconcile(key)
        except Exception as error:
            stats.errors += 1
            outcome = "failed"
            self._failed(key, error)
        else:
            outcome = "done"
            self.queue.forget(key)
            if result.requeue_after is not None:
                outcome = "again"
                self.queue.add_after(key, result.requeue_after)
        finally:
            took = self._clock() - started
            stats.seconds += took
            if self._observer is not None and outcome is not None:
                self._observer.reconciled(self.name, outcome, took)

    def _failed(self, key: K, error: Exception) -> None:
        delay = self.queue.retry(key)
        what = str(error) if isinstance(error, ApiError) else f"{type(error).__name__}: {error}"
        log.warning("%s: %s failed, again in %.1f s: %s", self.name, key, delay, what)
        log.debug("%s: %s", self.name, key, exc_info=error)
