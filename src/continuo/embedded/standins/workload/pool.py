"""The scheduler's books: what every node offers and has given away, kept incrementally."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from continuo.embedded.standins.workload.quantities import amount, requests_of
from continuo.resources.meta import Key, Object

NONZERO = {"cpu": 100, "memory": 200 * 1024 * 1024}
"""Assumed for scoring when a pod asks for nothing, so that such pods spread too."""


class Room:
    """One node: allocatable and used amounts. `pods` counts as a resource."""

    __slots__ = ("allocatable", "cordoned", "labels", "name", "scored", "taints", "used", "version")

    def __init__(self, node: Object) -> None:
        self.name: str = node["metadata"]["name"]
        self.used: dict[str, int] = {"pods": 0}
        self.scored: dict[str, int] = {"cpu": 0, "memory": 0}
        self.version = 0
        self.allocatable: dict[str, int] = {}
        self.labels: dict[str, str] = {}
        self.taints: list[Object] = []
        self.cordoned = False
        self.observe(node)

    def observe(self, node: Object) -> bool:
        """Take the node's newest state; True when something that matters to scheduling changed."""
        spec, status = node.get("spec") or {}, node.get("status") or {}
        offered = status.get("allocatable") or status.get("capacity") or {}
        new = (
            {resource: amount(resource, quantity) for resource, quantity in offered.items()},
            node["metadata"].get("labels") or {},
            spec.get("taints") or [],
            bool(spec.get("unschedulable")),
        )
        if self.version and new == (self.allocatable, self.labels, self.taints, self.cordoned):
            return False
        self.allocatable, self.labels, self.taints, self.cordoned = new
        self.version += 1
        return True

    def lacks(self, requests: Mapping[str, int]) -> list[str]:
        """The scheduler's words for what does not fit; empty when the pod fits."""
        allocatable, used = self.allocatable, self.used
        missing = ["Too many pods"] if used["pods"] + 1 > allocatable.get("pods", 0) else []
        for resource, asked in requests.items():
            if asked and used.get(resource, 0) + asked > allocatable.get(resource, 0):
                missing.append(f"Insufficient {resource}")
        return missing

    def fits(self, requests: Mapping[str, int]) -> bool:
        """Whether the pod fits."""
        allocatable, used = self.allocatable, self.used
        if used["pods"] >= allocatable.get("pods", 0):
            return False
        for resource, asked in requests.items():
            if asked and used.get(resource, 0) + asked > allocatable.get(resource, 0):
                return False
        return True

    def free_share(self) -> float:
        """LeastAllocated: the mean free share of cpu and memory, 0 to 1."""
        total = 0.0
        for resource, used in self.scored.items():
            have = self.allocatable.get(resource, 0)
            if have > used:
                total += (have - used) / have
        return total / 2

    def take(self, requests: Mapping[str, int], sign: int) -> None:
        """Book (1) or release (-1) one pod."""
        used, scored = self.used, self.scored
        used["pods"] += sign
        for resource, asked in requests.items():
            used[resource] = used.get(resource, 0) + sign * asked
        for resource, least in NONZERO.items():
            scored[resource] += sign * (requests.get(resource) or least)
        self.version += 1


class Pool:
    """All nodes, and which pod is booked where."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}
        self._booked: dict[Key, tuple[str, dict[str, int]]] = {}
        self._homeless: dict[str, dict[Key, dict[str, int]]] = {}

    def node(self, node: Object) -> bool:
        """A node appeared or changed; True when scheduling may go differently now."""
        name = node["metadata"]["name"]
        room = self.rooms.get(name)
        if room is not None:
            return room.observe(node)
        room = self.rooms[name] = Room(node)
        for requests in self._homeless.pop(name, {}).values():
            room.take(requests, 1)
        return True

    def node_gone(self, name: str) -> None:
        """The node left; pods on it stay booked, should it come back."""
        if self.rooms.pop(name, None) is not None:
            there = {key: requests for key, (where, requests) in self._booked.items() if where == name}
            if there:
                self._homeless[name] = there

    def book(self, key: Key, node: str, spec: Object, requests: dict[str, int] | None = None) -> None:
        """The pod is on that node; booking it again changes nothing."""
        if key in self._booked:
            return
        asked = requests_of(spec) if requests is None else requests
        self._booked[key] = (node, asked)
        room = self.rooms.get(node)
        if room is not None:
            room.take(asked, 1)
        else:
            self._homeless.setdefault(node, {})[key] = asked

    def release(self, key: Key) -> bool:
        """The pod is gone or finished; True when it held something."""
        booked: Any = self._booked.pop(key, None)
        if booked is None:
            return False
        node, requests = booked
        room = self.rooms.get(node)
        if room is not None:
            room.take(requests, -1)
        else:
            self._homeless.get(node, {}).pop(key, None)
        return True
