"""What the operator tells of itself: metrics and traces, out of the caches and changes that it works on anyway."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

from prometheus_client.core import Metric

from continuo.events.publisher import Publisher
from continuo.orchestrator.measuring.figures import Figures, Pair
from continuo.resources.loop import DECISION
from continuo.resources.meta import Key, Object, annotations_of, is_true, key_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.runtime.clusterset import ClusterSet, Member, Membership
from continuo.runtime.controller import Controller, Result
from continuo.telemetry import families as f
from continuo.telemetry.calls import Calls, server_label
from continuo.telemetry.changes import (
    ENDED,
    OVER,
    actions_of,
    decided,
    escalated,
    operations,
    parts_of,
    phases_left,
    tasks_ended,
)
from continuo.telemetry.latency import Jitter, seconds
from continuo.telemetry.metrics import Metrics, Tally
from continuo.telemetry.orchestrations import Measured, Measurements, tally
from continuo.telemetry.tracing import ANNOTATION, Tracing, root
from continuo.telemetry.working import Controllers, Stages


class Telling:
    """The operator's metrics and traces. `legacy`: the four names of before as well.

    Without `whole` it tells of this process alone: another one tells of what is declared, and nothing may count twice.
    """

    def __init__(
        self,
        metrics: Metrics | None = None,
        *,
        tracing: Tracing | None = None,
        calls: Calls | None = None,
        legacy: bool = False,
        whole: bool = True,
    ) -> None:
        self.metrics = metrics or Metrics()
        self.tracing, self._calls, self._legacy, self._whole = tracing, calls, legacy, whole
        self.stage: Callable[[str], AbstractContextManager[None]] = Stages(self.metrics)
        self.controllers = Controllers(self.metrics, lambda: {c.name: len(c.queue) for c in self._followed})
        self._followed: list[Controller[Key]] = []
        self._members: Callable[[], Iterable[Member]] = lambda: ()
        self._links: dict[tuple[str, str, str], Measured] = {}
        self._told: dict[Key, str] = {}
        """The trace that each orchestration was last settled under: what comes later is no part of it."""
        self._phases = self.metrics.histogram(f.PHASE_SECONDS)
        self._tasks, self._task_seconds = self.metrics.counter(f.TASKS), self.metrics.histogram(f.TASK_SECONDS)
        self._operations: set[str] = set()
        self._publisher: Publisher | None = None
        self._dropped = self.metrics.counter(f.EVENTS_DROPPED)
        self._escalations, self._decisions = self.metrics.counter(f.ESCALATIONS), self.metrics.counter(f.DECISIONS)

    def follow(self, hub: Member, fleet: ClusterSet, controller: Controller[Key], publisher: Publisher) -> None:
        """Tell of what these hold, from now on. Call it once, before they are started."""
        self._followed.append(controller)
        self._publisher = publisher
        self.metrics.collect("the events", lambda: self._events(publisher).metrics())
        self._members = lambda: (hub, *fleet)
        self.metrics.collect("the caches", lambda: self._caches().metrics())
        fleet.on_membership(self._membership)
        if not self._whole:
            return
        orchestrations = hub.cache(LOW_LEVEL_ORCHESTRATION)
        self.metrics.collect("the orchestrations", lambda: self._state(list(orchestrations)))
        for informer in hub.informers:
            if informer.watch.kind is LOW_LEVEL_ORCHESTRATION:
                informer.on_change(self._changed)
            elif informer.watch.kind is DECISION:
                informer.on_change(self._decided(informer.synced))

    def looking(
        self, reconcile: Callable[[Key], Awaitable[Result]], get: Callable[[Key], Object | None]
    ) -> Callable[[Key], Awaitable[Result]]:
        """The same reconcile function, each look a step of the trace that the object names, or a trace of its own."""
        if self.tracing is None:
            return reconcile

        async def traced(key: Key) -> Result:
            said = annotations_of(found).get(ANNOTATION) if (found := get(key)) is not None else None
            over = said is not None and self._told.get(key) == said
            name = {"continuo.orchestration": "/".join(key)}
            with root(
                self.tracing, "reconcile", name, parent=None if over else said, linked=said if over else None
            ):  # fmt: skip
                result = await reconcile(key)
            if said is not None and (after := get(key)) is not None and _settled(after):
                self._told[key] = said
            return result

        return traced

    def measured(self, key: Key, figures: Figures, jitters: Mapping[Pair, Jitter]) -> None:
        """What was measured of an orchestration's links until this round."""
        where = "/".join(key)
        for link in [link for link in self._links if link[0] == where]:
            del self._links[link]
        for pair, figure in figures.items():
            if (latency := seconds(figure.latency)) is not None:
                jitter = jitters[pair].value if pair in jitters else 0.0
                self._links[(where, *pair)] = Measured(latency, jitter, figure.fresh_bps)

    # --- what is told when somebody asks ---

    def _state(self, orchestrations: Sequence[Object]) -> Iterator[Metric]:
        return _counted(orchestrations, dict(self._links), () if self._legacy else {family.name for family in f.LEGACY})

    def _caches(self) -> Tally:
        told, now = Tally((f.STALE_SECONDS, f.CACHED)), asyncio.get_running_loop().time()
        for member in self._members():
            server = server_label(member.name)
            told.put(f.STALE_SECONDS, (server,), now - since if (since := member.stale_since) is not None else 0.0)
            told.put(f.CACHED, (server,), sum(len(informer.cache) for informer in member.informers))
        return told

    @staticmethod
    def _events(publisher: Publisher) -> Tally:
        told = Tally((f.EVENTS_PUBLISHED, f.EVENTS_BACKLOG))
        for sink, count in publisher.published().items():
            told.put(f.EVENTS_PUBLISHED, (sink,), count)
        for sink, count in publisher.backlog().items():
            told.put(f.EVENTS_BACKLOG, (sink,), count)
        return told

    # --- what happened ---

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            key = key_of(old)
            self._told.pop(key, None)
            for link in [link for link in self._links if link[0] == "/".join(key)]:
                del self._links[link]
        if old is None or new is None:
            return
        for item, phase, lasted in phases_left(old, new):
            self._phases.labels(item, phase).observe(lasted)
        for operation in operations(new) - self._operations:
            self._operations.add(operation)
            for outcome in ENDED:
                self._tasks.labels(operation, outcome)  # from zero, so that the first one is an increase
        for operation, outcome, lasted in tasks_ended(old, new):
            self._tasks.labels(operation, outcome).inc()
            self._task_seconds.labels(operation).observe(lasted)
        for reason in escalated(old, new):
            self._escalations.labels(reason).inc()
        for operation in self._lost(old, new):
            self._dropped.labels(operation).inc()

    def _lost(self, old: Object, new: Object) -> Iterator[str]:
        """The operations of events that left the outbox before every sink had them."""
        kept = {entry["id"] for entry in (new.get("status") or {}).get("outbox") or ()}
        left = [entry for entry in (old.get("status") or {}).get("outbox") or () if entry["id"] not in kept]
        had = self._publisher.confirmed(str(old["metadata"].get("uid"))) if left and self._publisher is not None else ()
        for entry in left:
            if entry["id"] not in had:
                yield parts_of(entry.get("type") or "")[0]

    def _decided(self, synced: asyncio.Event) -> Callable[[Object | None, Object | None], None]:
        def changed(old: Object | None, new: Object | None) -> None:
            if new is not None and synced.is_set():  # those of before were counted when they were made
                for source, operation in actions_of(new):
                    for result in OVER:
                        self._decisions.labels(source, operation, result)
                for labels in decided(old, new):
                    self._decisions.labels(*labels).inc()

        return changed

    def _membership(self, name: str, what: Membership) -> None:
        if what == "removed" and self._calls is not None:
            self._calls.forget(name)


def _counted(orchestrations: Sequence[Object], measured: Measurements, without: Collection[str]) -> Iterator[Metric]:
    """Consumed in a thread: objects in caches are never changed."""
    for metric in tally(orchestrations, measured).metrics():
        if metric.name not in without:
            yield metric


def _settled(obj: Object) -> bool:
    status = obj.get("status") or {}
    return is_true(obj, "Ready") and status.get("observedGeneration") == obj["metadata"].get("generation")
