"""What every provider's node offers and has given away: sums that are kept with every pod, never counted anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from continuo.broker.selector.names import BROKERED, PROVIDER
from continuo.federation.reflection.twin import VIRTUAL_NODE
from continuo.federation.requests import requests_of, thousandths
from continuo.resources.meta import Key, Object, is_true, labels_of

_ASSUMED = {"cpu": 100, "memory": 200 * 1024 * 1024 * 1000}
"""What a pod that asks for nothing counts for when pods are spread; thousandths."""
_OURS = (BROKERED, VIRTUAL_NODE)
_EVERYTHING: Mapping[str, int] = {}


class Room:
    """One node that stands for a provider."""

    __slots__ = ("_allocatable", "_used", "_weighed", "cordoned", "labels", "name", "provider", "ready", "taints")

    def __init__(self, node: Object) -> None:
        self.name: str = node["metadata"]["name"]
        self._used: dict[str, int] = {"pods": 0}
        self._weighed = dict.fromkeys(_ASSUMED, 0)
        self._allocatable: Mapping[str, int] = _EVERYTHING
        self.labels: Mapping[str, str] = {}
        self.taints: tuple[Object, ...] = ()
        self.provider = ""
        self.ready = self.cordoned = False
        self.observe(node)

    def observe(self, node: Object) -> bool:
        """Take the node's newest state; True when pods may be placed differently now."""
        spec, status = node.get("spec") or {}, node.get("status") or {}
        offered = status.get("allocatable") or status.get("capacity") or {}
        new = (
            {name: thousandths(text) for name, text in offered.items()},
            labels_of(node), tuple(spec.get("taints") or ()), labels_of(node).get(PROVIDER, ""), is_true(node, "Ready"),
            bool(spec.get("unschedulable")),
        )  # fmt: skip
        if new == (self._allocatable, self.labels, self.taints, self.provider, self.ready, self.cordoned):
            return False
        self._allocatable, self.labels, self.taints, self.provider, self.ready, self.cordoned = new
        return True

    def take(self, asked: Mapping[str, int], sign: int) -> None:
        """Book (1) or release (-1) one pod."""
        used = self._used
        used["pods"] += sign * 1000
        for name, amount in asked.items():
            used[name] = used.get(name, 0) + sign * amount
        for name, least in _ASSUMED.items():
            self._weighed[name] += sign * (asked.get(name) or least)

    def lacks(self, asked: Mapping[str, int]) -> str | None:
        """Why the pod does not fit; None when it does."""
        if not self.ready:
            return "not ready"
        if self.cordoned:
            return "cordoned"
        have, used = self._allocatable, self._used
        if used["pods"] + 1000 > have.get("pods", 0):
            return "full of pods"
        for name, amount in asked.items():
            if amount and used.get(name, 0) + amount > have.get(name, 0):
                return f"short of {name}"
        return None

    def free(self) -> float:
        """The mean free share of cpu and memory, 0 to 1."""
        total = 0.0
        for name, used in self._weighed.items():
            have = self._allocatable.get(name, 0)
            if have > used:
                total += (have - used) / have
        return total / len(self._weighed)


class Rooms:
    """All nodes of providers, and which pod is booked where."""

    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}
        self._of: dict[str, dict[str, Room]] = {}
        self._booked: dict[Key, tuple[str, str, Mapping[str, int]]] = {}
        self._homeless: dict[str, dict[Key, Mapping[str, int]]] = {}
        self.version = 0
        """Grows whenever a node comes, changes or goes."""

    def of(self, provider: str) -> Iterable[Room]:
        """The nodes that stand for a provider."""
        return self._of.get(provider, {}).values()

    def all(self) -> Iterable[Room]:
        """Every node that stands for a provider."""
        return self._rooms.values()

    def provider_of(self, node: str) -> str | None:
        """The provider that a node stands for; None: it is none's."""
        room = self._rooms.get(node)
        return room.provider if room is not None else None

    def nodes_of(self, provider: str) -> list[str]:
        """The names of the nodes that stand for a provider."""
        return list(self._of.get(provider, ()))

    def node(self, name: str, node: Object | None) -> bool:
        """A node came, changed or went; True when pods may be placed differently now."""
        changed = self._observe(name, node)
        self.version += changed
        return changed

    def _observe(self, name: str, node: Object | None) -> bool:
        room = self._rooms.get(name)
        if node is None or PROVIDER not in labels_of(node):
            return room is not None and self._gone(room)
        if room is None:
            room = self._rooms[name] = Room(node)
            self._of.setdefault(room.provider, {})[name] = room
            for asked in self._homeless.pop(name, {}).values():
                room.take(asked, 1)
            return True
        before = room.provider
        changed = room.observe(node)
        if room.provider != before:
            self._unlist(before, name)
            self._of.setdefault(room.provider, {})[name] = room
        return changed

    def _gone(self, room: Room) -> bool:
        del self._rooms[room.name]
        self._unlist(room.provider, room.name)
        there = {key: asked for key, (_, where, asked) in self._booked.items() if where == room.name}
        if there:
            self._homeless[room.name] = there
        return True

    def _unlist(self, provider: str, name: str) -> None:
        nodes = self._of.get(provider, {})
        nodes.pop(name, None)
        if not nodes:
            self._of.pop(provider, None)

    def book(self, key: Key, uid: str, node: str, spec: Object, asked: Mapping[str, int] | None = None) -> bool:
        """The pod is on that node; saying so again changes nothing, which is False. `asked`: what its spec asks for."""
        known = self._booked.get(key)
        if known is not None:
            if (known[0], known[1]) == (uid, node):
                return False
            self.release(key)
        asked = requests_of(spec) if asked is None else asked
        self._booked[key] = (uid, node, asked)
        room = self._rooms.get(node)
        if room is not None:
            room.take(asked, 1)
        else:
            self._homeless.setdefault(node, {})[key] = asked
        return True

    def rename(self, key: Key, uid: str, now: str) -> None:
        """The pod that was booked under one UID has another one."""
        known = self._booked.get(key)
        if known is not None and known[0] == uid:
            self._booked[key] = now, known[1], known[2]

    def release(self, key: Key, uid: str | None = None) -> bool:
        """The pod is gone, or has ended; True when that made room."""
        known = self._booked.get(key)
        if known is None or (uid is not None and known[0] != uid):
            return False
        del self._booked[key]
        _, node, asked = known
        room = self._rooms.get(node)
        if room is None:
            self._homeless.get(node, {}).pop(key, None)
            return False
        room.take(asked, -1)
        return True


def refusal(room: Room, spec: Object) -> str | None:
    """Why a node does not suit a pod whatever its load: its selectors and the node's taints; pure."""
    for name, value in (spec.get("nodeSelector") or {}).items():
        if room.labels.get(name) != value:
            return "not what its node selector asks for"
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if required and not any(_term_fits(term, room) for term in required.get("nodeSelectorTerms") or ()):
        return "not what its node affinity asks for"
    for taint in room.taints:
        if taint.get("effect") == "PreferNoSchedule" or taint["key"] in _OURS:
            continue
        if not any(_tolerates(entry, taint) for entry in spec.get("tolerations") or ()):
            return f"tainted with {taint['key']}"
    return None


def _term_fits(term: Object, room: Room) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    own = {"metadata.name": room.name}
    return bool(expressions or fields) and all(
        _fits(entry, labels) for group, labels in ((expressions, room.labels), (fields, own)) for entry in group
    )


def _fits(entry: Object, labels: Mapping[str, str]) -> bool:
    name, operator, values = entry["key"], entry["operator"], entry.get("values") or []
    if operator in ("Exists", "DoesNotExist"):
        return (name in labels) is (operator == "Exists")
    if operator in ("In", "NotIn"):
        return (labels.get(name) in values) is (operator == "In")
    try:
        have, bound = int(labels[name]), int(values[0])
    except (KeyError, ValueError, IndexError):
        return False
    return have > bound if operator == "Gt" else have < bound


def _tolerates(entry: Object, taint: Object) -> bool:
    if entry.get("effect") and entry["effect"] != taint.get("effect"):
        return False
    if entry.get("key"):
        if entry["key"] != taint["key"]:
            return False
    elif entry.get("operator") != "Exists":
        return False
    return entry.get("operator") == "Exists" or entry.get("value", "") == taint.get("value", "")
