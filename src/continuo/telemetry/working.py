"""How controllers and the stages of a closed loop do: told by `runtime`, which does not know to whom."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from continuo.telemetry import families as f
from continuo.telemetry.metrics import Metrics, Tally
from continuo.telemetry.tracing import exemplar, exemplar_of_last, span


class Controllers:
    """The observer of all controllers of a process; `depths` says how many keys wait in each."""

    def __init__(self, metrics: Metrics, depths: Callable[[], Mapping[str, int]]) -> None:
        self._seconds, self._ended = metrics.histogram(f.RECONCILE_SECONDS), metrics.counter(f.RECONCILES)
        self._errors, self._retries = metrics.counter(f.RECONCILE_ERRORS), metrics.counter(f.QUEUE_RETRIES)
        self._waits = metrics.histogram(f.QUEUE_SECONDS)
        self._depths = depths
        metrics.collect("queues", lambda: self._tally().metrics())

    def waited(self, controller: str, seconds: float) -> None:
        self._waits.labels(controller).observe(seconds)

    def reconciled(self, controller: str, outcome: str, seconds: float) -> None:
        self._seconds.labels(controller).observe(seconds, exemplar_of_last())
        for result in ("done", "again", "failed"):
            self._ended.labels(controller, result).inc(result == outcome)
        self._errors.labels(controller).inc(outcome == "failed")
        self._retries.labels(controller).inc(outcome == "failed")

    def _tally(self) -> Tally:
        told = Tally((f.QUEUE_DEPTH,))
        for name, depth in self._depths().items():
            told.put(f.QUEUE_DEPTH, (name,), depth)
        return told


class Stages:
    """How long the stages of a closed loop take; each is a step of the trace as well."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.perf_counter) -> None:
        self._seconds, self._clock = metrics.histogram(f.STAGE_SECONDS), clock

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Measure the block, whether it succeeds or not."""
        started = self._clock()
        with span(stage):
            try:
                yield
            finally:
                self._seconds.labels(stage).observe(self._clock() - started, exemplar())
