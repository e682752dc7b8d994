"""Events, kept few: the same one is counted up, an owner's pods speak only for the first of them, old ones go."""

from __future__ import annotations

from collections import Counter, deque

from continuo.embedded.port import Api, Engine, Write
from continuo.embedded.standins.base import stored
from continuo.embedded.standins.objects import controller_of, timestamp
from continuo.embedded.standins.settings import Settings
from continuo.resources.errors import ApiError
from continuo.resources.kinds import CORE_EVENT
from continuo.resources.meta import Key, Object, key_of


class Budget:
    """So many per second, and some more at once after a quiet time."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._left, self._at = burst, 0.0

    def take(self, now: float) -> bool:
        """Whether there is one left."""
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class EventSink:
    """Writes core/v1 Events of one cluster."""

    def __init__(self, engine: Engine, api: Api, settings: Settings) -> None:
        self._engine, self._api, self._settings = engine, api, settings
        self._known: dict[tuple[str, str, str], Key] = {}
        self._order: deque[tuple[tuple[str, str, str], Key]] = deque()
        self._per_owner: Counter[tuple[str, str]] = Counter()
        self._number = 0
        self._budget = Budget(settings.events_rate, settings.events_burst)

    def start(self) -> None:
        """Take up the events that are stored, so that they are counted on and age out."""
        for event in stored(self._api, CORE_EVENT):
            identity = (
                event["involvedObject"].get("uid", ""),
                event.get("reason", ""),
                event.get("message", ""),
            )
            self._known[identity] = key_of(event)
            self._order.append((identity, key_of(event)))

    def pod(self, pod: Object, kind: str, reason: str, message: str, component: str) -> None:
        """An event about a pod, unless its owner's pods had enough of that reason already, or all pods together had."""
        owner = controller_of(pod)
        if owner is not None:
            slot = (owner["uid"], reason)
            if self._per_owner[slot] >= self._settings.events_per_owner:
                return
            if len(self._per_owner) > 50_000:
                self._per_owner.clear()
            self._per_owner[slot] += 1
        if kind == "Normal" and not self._budget.take(self._engine.now()):
            return
        self.emit(pod, kind, reason, message, component)

    def emit(self, about: Object, kind: str, reason: str, message: str, component: str) -> None:
        """An event about any object."""
        metadata = about["metadata"]
        identity = (metadata.get("uid", ""), reason, message)
        known = self._known.get(identity)
        now = timestamp(self._engine.now())
        try:
            if known is not None and self._count_up(known, now):
                return
            self._create(about, kind, reason, message, component, now, identity)
        except ApiError:
            # An event is a courtesy: its namespace may be going away, and the work it reports is done already.
            self._known.pop(identity, None)

    def _count_up(self, known: Key, now: str) -> bool:
        event = self._api.find(CORE_EVENT, known[1], known[0])
        if event is None:
            return False
        changed = {**event, "count": int(event.get("count") or 1) + 1, "lastTimestamp": now}
        self._api.update(changed, Write(manager="kubelet", trusted=True))
        return True

    def _create(
        self, about: Object, kind: str, reason: str, message: str, component: str, now: str,
        identity: tuple[str, str, str],
    ) -> None:  # fmt: skip
        metadata = about["metadata"]
        namespace = metadata.get("namespace") or "default"
        self._number += 1
        unique = f"{int(self._engine.now() * 1e6):x}{self._number % 0xFFFF:04x}"
        name = f"{metadata['name'][:200]}.{unique}"
        involved = {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": metadata["name"],
            "namespace": metadata.get("namespace", ""),
            "uid": metadata.get("uid", ""),
            "resourceVersion": metadata.get("resourceVersion", ""),
        }
        event = CORE_EVENT.new(
            name, namespace,
            involvedObject=involved, type=kind, reason=reason, message=message, count=1,
            firstTimestamp=now, lastTimestamp=now, source={"component": component},
            reportingComponent=component, reportingInstance="",
        )  # fmt: skip
        self._api.create(event, Write(manager=component, trusted=True))
        self._known[identity] = (namespace, name)
        self._order.append((identity, (namespace, name)))
        while len(self._order) > self._settings.events_kept:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        identity, (namespace, name) = self._order.popleft()
        if self._known.get(identity) == (namespace, name):
            del self._known[identity]
        if self._api.find(CORE_EVENT, name, namespace) is not None:
            self._api.delete(CORE_EVENT, name, namespace)
