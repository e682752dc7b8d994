"""Pods by the controller that owns them, with counters kept up to date: O(1) per pod event."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from continuo.embedded.port import StoredChange
from continuo.embedded.standins.objects import controller_of
from continuo.resources.meta import Key, Object, key_of


def pod_ready(pod: Object) -> bool:
    """Whether the pod's Ready condition is True."""
    for entry in (pod.get("status") or {}).get("conditions") or ():
        if entry["type"] == "Ready":
            return bool(entry["status"] == "True")
    return False


def _ready_since(pod: Object) -> float:
    for entry in pod["status"]["conditions"]:
        if entry["type"] == "Ready":
            return datetime.fromisoformat(entry["lastTransitionTime"]).timestamp()
    return 0.0


def pod_finished(pod: Object) -> bool:
    """Whether the pod ended, well or not."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


class Owned:
    """The pods of one owner: the active ones (neither finished nor terminating), and how many are ready."""

    __slots__ = ("active", "finished", "ready", "terminating")

    def __init__(self) -> None:
        self.active: dict[Key, Object] = {}
        self.finished: dict[Key, Object] = {}
        self.terminating: set[Key] = set()
        self.ready: set[Key] = set()

    def put(self, key: Key, pod: Object) -> None:
        """Take the pod's newest state."""
        if "deletionTimestamp" in pod["metadata"]:
            self.drop(key)
            self.terminating.add(key)
            return
        if pod_finished(pod):
            self.drop(key)
            self.finished[key] = pod
            return
        self.active[key] = pod
        if pod_ready(pod):
            self.ready.add(key)
        else:
            self.ready.discard(key)

    def drop(self, key: Key) -> None:
        """Forget the pod."""
        self.active.pop(key, None)
        self.finished.pop(key, None)
        self.terminating.discard(key)
        self.ready.discard(key)

    def available(self, min_ready: float, now: float) -> tuple[int, float]:
        """How many have been ready for that long, and when the next one will have been (0: no other is on its way)."""
        if min_ready <= 0:
            return len(self.ready), 0.0
        waits = [_ready_since(self.active[key]) + min_ready - now for key in self.ready]
        return sum(wait <= 0 for wait in waits), min((wait for wait in waits if wait > 0), default=0.0)

    @property
    def empty(self) -> bool:
        return not (self.active or self.finished or self.terminating)


class OwnerIndex:
    """Follows pods and tells owners' controllers that one of their pods changed."""

    def __init__(self) -> None:
        self._owned: dict[str, Owned] = {}
        self._notify: dict[str, Callable[[Key, str], None]] = {}

    def on(self, kind: str, notify: Callable[[Key, str], None]) -> None:
        """Call back with the owner's key and uid when a pod of an owner of that kind changes."""
        self._notify[kind] = notify

    def of(self, uid: str) -> Owned:
        """The pods of that owner."""
        return self._owned.get(uid) or Owned()

    def observe(self, change: StoredChange) -> None:
        """One pod event."""
        pod = change.object
        owner = controller_of(pod)
        if owner is None:
            return
        uid, key = owner["uid"], key_of(pod)
        owned = self._owned.get(uid)
        if owned is None:
            owned = self._owned[uid] = Owned()
        if change.type == "DELETED":
            owned.drop(key)
            if owned.empty:
                del self._owned[uid]
        else:
            owned.put(key, pod)
        notify = self._notify.get(owner["kind"])
        if notify is not None:
            notify((key[0], owner["name"]), uid)
