"""What every stand-in is made of: a keyed queue drained by loop callbacks, and one part per cluster.

A stand-in is level-triggered: an event only says *which* key to look at; the handler reads the stored state and moves
it one step. So it may be stopped at any point and started on stored state again.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Generic, Literal, Protocol, TypeVar

from continuo.embedded.port import Api, Engine, StoredChange
from continuo.resources.errors import ApiError, NotFound
from continuo.resources.kinds import CUSTOM_RESOURCE_DEFINITION
from continuo.resources.meta import Kind, Object

K = TypeVar("K", bound=Hashable)
log = logging.getLogger(__name__)

BATCH = 64
"""Keys handled per loop turn, so that requests are served in between."""
LONGEST_BACKOFF = 30.0


class StandIn(Protocol):
    """One third party, played inside the process."""

    def start(self) -> None:
        """Take up the stored state and follow changes."""
        ...

    def stop(self) -> None:
        """Let go of every listener and timer."""
        ...


class Part(Protocol):
    """What a `PerCluster` stand-in runs in one cluster."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Work(Generic[K]):
    """Keys that need a look. A key added twice before its turn is handled once; a failing one is retried later."""

    def __init__(self, engine: Engine, handle: Callable[[K], None], *, name: str, batch: int = BATCH) -> None:
        self._engine, self._handle, self._name, self._batch = engine, handle, name, batch
        self._queue: deque[K] = deque()
        self._queued: set[K] = set()
        self._armed: Callable[[], None] | None = None
        self._timers: dict[tuple[K, str], Callable[[], None] | None] = {}
        self._failures: dict[K, int] = {}
        self._stopped = False

    def add(self, key: K) -> None:
        """Handle the key in the next turn."""
        if key in self._queued or self._stopped:
            return
        self._queued.add(key)
        self._queue.append(key)
        if self._armed is None:
            self._armed = self._engine.call_later(0, self._drain)

    def add_after(self, key: K, seconds: float, stage: str = "") -> None:
        """Handle the key again after that time; a pending timer of the same stage stays as it is."""
        if not self._stopped and self._timers.get((key, stage)) is None:
            self._timers[key, stage] = self._engine.call_later(seconds, lambda: self._due(key, stage))

    def waited(self, key: K, stage: str, seconds: float) -> bool:
        """Whether the stage's time has passed since first asked; if not, the key is handled again when it has.

        After a restart the time starts anew, which is what a level-triggered controller can promise.
        """
        timer = (key, stage)
        if timer in self._timers:
            return self._timers[timer] is None
        if seconds <= 0:
            self._timers[timer] = None
            return True
        self.add_after(key, seconds, stage)
        return False

    def forget(self, key: K, *stages: str) -> None:
        """Forget the times waited for in these stages."""
        self._failures.pop(key, None)
        for stage in stages:
            cancel = self._timers.pop((key, stage), None)
            if cancel is not None:
                cancel()

    def stop(self) -> None:
        """Drop all keys and timers."""
        self._stopped = True
        for cancel in (self._armed, *self._timers.values()):
            if cancel is not None:
                cancel()
        self._queue.clear()
        self._queued.clear()
        self._timers.clear()

    def _due(self, key: K, stage: str) -> None:
        if stage:
            self._timers[key, stage] = None
        else:
            self._timers.pop((key, stage), None)
        self.add(key)

    def _drain(self) -> None:
        self._armed = None
        for _ in range(min(self._batch, len(self._queue))):
            key = self._queue.popleft()
            self._queued.discard(key)
            self._run(key)
            if self._stopped:
                return
        if self._queue and self._armed is None:
            self._armed = self._engine.call_later(0, self._drain)

    def _run(self, key: K) -> None:
        try:
            self._handle(key)
        except ApiError as error:
            log.info("%s: %s is retried: %s", self._name, key, error)
            self._retry(key)
        except Exception:
            log.exception("%s: %s failed and is retried", self._name, key)
            self._retry(key)
        else:
            if self._failures:
                self._failures.pop(key, None)

    def _retry(self, key: K) -> None:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add_after(key, min(LONGEST_BACKOFF, 0.05 * 2**failures))


class PerCluster:
    """Runs one part in every cluster of the engine: attached when the cluster appears, stopped when it goes."""

    def __init__(self, engine: Engine, make: Callable[[Api], Part | None]) -> None:
        self._engine, self._make = engine, make
        self._parts: dict[str, Part] = {}
        self._running = False
        self._subscribed = False

    def start(self) -> None:
        self._running = True
        if self._subscribed:
            for api in self._engine.clusters():
                self._on_cluster("added", api)
            return
        self._subscribed = True
        self._engine.on_cluster(self._on_cluster)

    def stop(self) -> None:
        self._running = False
        for part in self._parts.values():
            part.stop()
        self._parts.clear()

    def _on_cluster(self, what: Literal["added", "removed"], api: Api) -> None:
        if what == "removed":
            part = self._parts.pop(api.name, None)
            if part is not None:
                part.stop()
        elif self._running and api.name not in self._parts:
            made = self._make(api)
            if made is not None:
                self._parts[api.name] = made
                made.start()


class Listeners:
    """The subscriptions of one part, replayed over what is stored already.

    A kind that the cluster does not serve yet is followed from the moment its CustomResourceDefinition is established.
    """

    def __init__(self, engine: Engine, api: Api) -> None:
        self._engine, self._api = engine, api
        self._stops: list[Callable[[], None]] = []
        self._missing: list[tuple[Kind, Callable[[StoredChange], None]]] = []
        self._watches_crds = False

    def follow(self, kind: Kind, callback: Callable[[StoredChange], None]) -> None:
        """Call back for what is stored (as ADDED) and for every change from now on."""
        try:
            self._stops.append(self._api.listen(kind, callback))
        except NotFound:
            self._missing.append((kind, callback))
            if not self._watches_crds:
                self._watches_crds = True
                self._stops.append(self._api.listen(CUSTOM_RESOURCE_DEFINITION, self._on_crd))
            return
        for obj in stored(self._api, kind):
            callback(StoredChange(version_of(obj), "ADDED", kind, obj, None))

    def stop(self) -> None:
        for stop in self._stops:
            stop()
        self._stops.clear()
        self._missing.clear()

    def _on_crd(self, change: StoredChange) -> None:
        group = (change.object.get("spec") or {}).get("group")
        if any(kind.group == group for kind, _ in self._missing):
            self._stops.append(self._engine.call_later(0, self._try_again))

    def _try_again(self) -> None:
        missing, self._missing = self._missing, []
        for kind, callback in missing:
            self.follow(kind, callback)


def stored(api: Api, kind: Kind, namespace: str = "", labels: dict[str, str] | None = None) -> list[Object]:
    """All objects of a kind; none when the cluster does not serve it (its CRD is not installed)."""
    try:
        return api.list(kind, namespace, labels)
    except NotFound:
        return []


def lookup(api: Api, kind: Kind, name: str, namespace: str = "") -> Object | None:
    """The object; None when it, or its kind, is not there."""
    try:
        return api.find(kind, name, namespace)
    except NotFound:
        return None


def version_of(obj: Object) -> int:
    """The resourceVersion as a number."""
    value: Any = obj["metadata"].get("resourceVersion") or 0
    return int(value)
