"""Events are kept for an hour after their last change."""

from __future__ import annotations

import calendar
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from continuo.embedded.api import ClusterApi
from continuo.embedded.lifecycle.worker import CallLater
from continuo.embedded.port import StoredChange
from continuo.resources.errors import NotFound
from continuo.resources.kinds import CORE_EVENT
from continuo.resources.meta import Object

EVENT_SECONDS: Final = 3600.0


class EventExpiry:
    """One timer, set to the oldest event: all live equally long, so that they expire in the order of their changes."""

    def __init__(self, api: ClusterApi, call_later: CallLater, now: Callable[[], float]) -> None:
        self._api = api
        self._call_later = call_later
        self._now = now
        self._line: deque[tuple[float, str, str, str]] = deque()
        self._cancel: Callable[[], None] | None = None
        found = sorted((_last_seen(event, now()), event["metadata"]["name"], event) for event in api.list(CORE_EVENT))
        for seen, _, event in found:
            self._append(seen + EVENT_SECONDS, event)
        self._stop = api.listen(CORE_EVENT, self._changed)

    def stop(self) -> None:
        """End the care for this cluster."""
        self._stop()
        if self._cancel is not None:
            self._cancel()

    def _changed(self, change: StoredChange) -> None:
        if change.type != "DELETED":
            self._append(self._now() + EVENT_SECONDS, change.object)

    def _append(self, due: float, event: Object) -> None:
        metadata = event["metadata"]
        self._line.append((due, metadata["namespace"], metadata["name"], metadata["resourceVersion"]))
        if self._cancel is None:
            self._cancel = self._call_later(max(0.0, due - self._now()), self._expire)

    def _expire(self) -> None:
        self._cancel = None
        now = self._now()
        while self._line and self._line[0][0] <= now:
            _, namespace, name, version = self._line.popleft()
            event = self._api.find(CORE_EVENT, name, namespace)
            # A newer version stands further back in the line.
            if event is not None and event["metadata"]["resourceVersion"] == version:
                self._remove(namespace, name)
        if self._line:
            self._cancel = self._call_later(max(0.0, self._line[0][0] - now), self._expire)

    def _remove(self, namespace: str, name: str) -> None:
        try:
            self._api.delete(CORE_EVENT, name, namespace)
        except NotFound:
            return


def _last_seen(event: Object, now: float) -> float:
    text = event.get("lastTimestamp") or event["metadata"]["creationTimestamp"]
    try:
        return float(calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        return now
