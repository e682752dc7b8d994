"""The scheduler: binds pods to nodes.

Pods that ask for the same (requests, selectors, affinity, tolerations) form a *class*. A class keeps a heap of the nodes
it may use, best score first; entries are checked against the node's version when they surface, so a group of identical
pods costs O(log nodes) each. Pods without a node wait per class, and one of them is tried when nodes or pods change.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable

import msgspec

from continuo.embedded.port import Api, Engine, StoredChange, Write
from continuo.embedded.standins.base import Work
from continuo.embedded.standins.objects import cond, conditions, timestamp
from continuo.embedded.standins.workload.claims import NOT_THERE, Demands, Terms, claims_of, offloaded, reachable
from continuo.embedded.standins.workload.events import EventSink
from continuo.embedded.standins.workload.filters import preference, refusal
from continuo.embedded.standins.workload.owned import pod_finished
from continuo.embedded.standins.workload.pool import Pool, Room
from continuo.embedded.standins.workload.quantities import requests_of
from continuo.embedded.standins.workload.volumes import Volumes
from continuo.resources.kinds import POD
from continuo.resources.meta import Key, Object, key_of

NAME = "default-scheduler"
_WRITE = Write(manager="kube-scheduler", trusted=True)
_encode = msgspec.json.Encoder(order="deterministic").encode
_PREFERENCE_WEIGHT = 0.02
_NOTHING = Demands()


class PodClass:
    """What pods with the same demands share."""

    __slots__ = ("epoch", "heap", "message", "refused", "requests", "spec", "terms", "waiting")

    def __init__(self, spec: Object, terms: list[Terms]) -> None:
        self.spec = spec
        self.terms = terms
        self.requests = requests_of(spec)
        self.heap: list[tuple[float, str, int]] = []
        self.refused: Counter[str] = Counter()
        self.epoch = (-1, -1)
        self.message = ""
        self.waiting: dict[Key, None] = {}

    def fill(self, rooms: dict[str, Room], epoch: tuple[int, int]) -> None:
        """Look at every node once."""
        self.epoch, self.heap, self.refused, self.message = epoch, [], Counter(), ""
        for room in rooms.values():
            reason = self._refusal(room)
            if reason is not None:
                self.refused[reason] += 1
            else:
                self.heap.append((self._score(room), room.name, room.version))
        heapq.heapify(self.heap)

    def _refusal(self, room: Room) -> str | None:
        reason = refusal(self.spec, room.name, room.labels, room.taints, room.cordoned)
        if reason is None and self.terms and not reachable(self.terms, room.name, room.labels):
            return NOT_THERE
        return reason

    def _score(self, room: Room) -> float:
        score = -room.free_share()
        if "affinity" in self.spec:
            score -= _PREFERENCE_WEIGHT * preference(self.spec, room.name, room.labels)
        return score

    def pick(self, rooms: dict[str, Room]) -> Room | None:
        """The best node that has room; the entry goes back with its next score once it is used."""
        heap = self.heap
        while heap:
            _, name, version = heap[0]
            room = rooms.get(name)
            if room is None or not room.fits(self.requests):
                heapq.heappop(heap)
            elif room.version != version:
                heapq.heapreplace(heap, (self._score(room), name, room.version))
            else:
                return room
        return None

    def explain(self, rooms: dict[str, Room]) -> str:
        """Why no node took the pod, in the scheduler's words; found out once per state of the nodes."""
        if not self.message:
            self.message = self._explain(rooms)
        return self.message

    def _explain(self, rooms: dict[str, Room]) -> str:
        if not rooms:
            return "no nodes available to schedule pods"
        reasons, busy = Counter(self.refused), 0
        for room in rooms.values():
            if self._refusal(room) is None:
                busy += 1
                reasons.update(room.lacks(self.requests))
        total = len(rooms)
        why = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
        hopeless = total - busy
        parts = [f"{hopeless} Preemption is not helpful for scheduling"] if hopeless else []
        if busy:
            parts.append(f"{busy} No preemption victims found for incoming pod")
        return f"0/{total} nodes are available: {why}. preemption: 0/{total} nodes are available: {', '.join(parts)}."


class Scheduler:
    """Follows pods and nodes of one cluster and binds what is not bound."""

    def __init__(self, engine: Engine, api: Api, events: EventSink, volumes: Volumes) -> None:
        self._engine, self._api, self._events, self._volumes = engine, api, events, volumes
        self._waiting_for: dict[Key, set[Key]] = {}
        self.pool = Pool()
        self._classes: dict[bytes, PodClass] = {}
        self._waiting_in: dict[Key, PodClass] = {}
        self._nodes_changed = 0
        self._room_freed = 0
        self._work: Work[Key] = Work(engine, self._schedule, name="scheduler")
        self._wake: Work[str] = Work(engine, self._retry_waiting, name="scheduler")
        self.on_bound: Callable[[Object], None] | None = None

    def stop(self) -> None:
        self._work.stop()
        self._wake.stop()

    def on_node(self, change: StoredChange) -> None:
        """A node came, changed or went."""
        if change.type == "DELETED":
            self.pool.node_gone(change.object["metadata"]["name"])
        elif not self.pool.node(change.object):
            return
        self._nodes_changed += 1
        self._wake_waiting()

    def on_pod(self, change: StoredChange) -> None:
        """A pod came, changed or went."""
        pod = change.object
        key = key_of(pod)
        if change.type == "DELETED" or pod_finished(pod):
            self._park_off(key)
            if self.pool.release(key):
                self._room_freed += 1
                self._wake_waiting()
            return
        spec = pod["spec"]
        node = spec.get("nodeName")
        if node:
            self.pool.book(key, node, spec)
            if self._waiting_in:
                self._park_off(key)
        elif key not in self._waiting_in and "deletionTimestamp" not in pod["metadata"]:
            self._work.add(key)

    def on_claim(self, key: Key) -> None:
        """A claim came, changed or went: what waits for it is looked at again."""
        for pod in self._waiting_for.pop(key, ()):
            self._park_off(pod)
            self._work.add(pod)

    def _wake_waiting(self) -> None:
        if self._waiting_in:
            self._wake.add("waiting")

    def _park_off(self, key: Key) -> None:
        parked = self._waiting_in.pop(key, None)
        if parked is not None:
            parked.waiting.pop(key, None)

    def _retry_waiting(self, _: str) -> None:
        for waiting in {id(entry): entry for entry in self._waiting_in.values()}.values():
            for key in list(waiting.waiting):
                self._park_off(key)
                self._schedule(key)
                if key in self._waiting_in:
                    break

    def _schedule(self, key: Key) -> None:
        pod = self._api.find(POD, key[1], key[0])
        if pod is None or pod["spec"].get("nodeName") or "deletionTimestamp" in pod["metadata"]:
            return
        spec = pod["spec"]
        if spec.get("schedulerName", NAME) != NAME or spec.get("schedulingGates"):
            return
        demands = _NOTHING
        if spec.get("volumes") and not offloaded(pod):
            keys = list(claims_of(pod))
            demands = self._volumes.demands(keys) if keys else _NOTHING
            if demands.refusal:
                self._wait_for_claims(key, pod, demands)
                return
        group = self._class_of(spec, demands.terms)
        now = (self._nodes_changed, self._room_freed)
        if group.epoch[0] != self._nodes_changed:
            group.fill(self.pool.rooms, now)
        room = group.pick(self.pool.rooms)
        if room is None and group.epoch != now:
            group.fill(self.pool.rooms, now)
            room = group.pick(self.pool.rooms)
        if room is None:
            self._no_room(key, pod, group)
            for claim in demands.keys:
                self._waiting_for.setdefault(claim, set()).add(key)
        elif demands.unbound:
            for claim in demands.keys:
                self._waiting_for.setdefault(claim, set()).add(key)
            self._volumes.provision_on(room.name, demands.unbound)
        else:
            self._bind(key, pod, group, room)

    def _class_of(self, spec: Object, terms: list[Terms]) -> PodClass:
        resources = [
            (entry.get("resources") or {}).get("requests")
            for entry in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
        ]
        signature = _encode(
            (
                spec.get("nodeSelector"),
                spec.get("affinity"),
                spec.get("tolerations"),
                resources,
                spec.get("overhead"),
                terms,
            )
        )
        group = self._classes.get(signature)
        if group is None:
            if len(self._classes) > 10_000:
                self._classes = {key: entry for key, entry in self._classes.items() if entry.waiting}
            group = self._classes[signature] = PodClass(spec, terms)
        return group

    def _bind(self, key: Key, pod: Object, group: PodClass, room: Room) -> None:
        self.pool.book(key, room.name, pod["spec"], group.requests)
        try:
            self._api.update({**pod, "spec": {**pod["spec"], "nodeName": room.name}}, _WRITE)
        except Exception:
            self.pool.release(key)
            raise
        self._events.pod(pod, "Normal", "Scheduled", f"Successfully assigned {key[0]}/{key[1]} to {room.name}", NAME)

    def _no_room(self, key: Key, pod: Object, group: PodClass) -> None:
        self._waiting_in[key] = group
        group.waiting[key] = None
        self._report(pod, group.explain(self.pool.rooms))

    def _wait_for_claims(self, key: Key, pod: Object, demands: Demands) -> None:
        for claim in demands.keys:
            self._waiting_for.setdefault(claim, set()).add(key)
        nodes = f"0/{len(self.pool.rooms)} nodes are available"
        hopeless = f"{len(self.pool.rooms)} Preemption is not helpful for scheduling"
        self._report(pod, f"{nodes}: {demands.refusal}. preemption: {nodes}: {hopeless}.")

    def _report(self, pod: Object, message: str) -> None:
        old = (pod.get("status") or {}).get("conditions") or []
        new = [
            *(entry for entry in old if entry["type"] != "PodScheduled"),
            cond("PodScheduled", False, "Unschedulable", message),
        ]
        entries = conditions(old, new, timestamp(self._engine.now()))
        if entries != old:
            self._api.set_status(pod, {**(pod.get("status") or {}), "phase": "Pending", "conditions": entries}, NAME)
            self._events.pod(pod, "Warning", "FailedScheduling", message, NAME)
