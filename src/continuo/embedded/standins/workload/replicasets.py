"""The ReplicaSet controller: as many pods as asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from continuo.embedded.port import Api, Engine, StoredChange, Write
from continuo.embedded.standins.base import Work
from continuo.embedded.standins.objects import owner_reference, suffix
from continuo.embedded.standins.workload.events import EventSink
from continuo.embedded.standins.workload.owned import Owned, OwnerIndex
from continuo.resources.kinds import POD, REPLICA_SET
from continuo.resources.meta import Key, Object, annotations_of, key_of

NAME = "replicaset-controller"
_WRITE = Write(manager="kube-controller-manager", trusted=True)
CHUNK = 64
"""Pods created or deleted per turn."""
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def new_pod(name: str, owner: Object, template: Object) -> Object:
    """A pod of the template, owned by the owner."""
    given = template.get("metadata") or {}
    metadata: Object = {"ownerReferences": [owner_reference(owner)]}
    for entry in ("labels", "annotations", "finalizers"):
        if given.get(entry):
            metadata[entry] = given[entry]
    return POD.new(name, owner["metadata"]["namespace"], spec=template["spec"], metadata=metadata)


def victims(owned: Owned, count: int) -> list[Key]:
    """Which pods go first: unbound, then not ready, then cheap, then young ones."""

    def rank(item: tuple[Key, Object]) -> tuple[bool, bool, int, tuple[int, ...], str]:
        key, pod = item
        cost = int(annotations_of(pod).get(DELETION_COST, "0"))
        born = pod["metadata"].get("creationTimestamp", "")
        return (
            bool(pod["spec"].get("nodeName")),
            key in owned.ready,
            cost,
            tuple(-ord(letter) for letter in born),
            key[1],
        )

    return [key for key, _ in sorted(owned.active.items(), key=rank)[:count]]


class ReplicaSets:
    """All ReplicaSets of one cluster."""

    def __init__(self, engine: Engine, api: Api, rng: Random, owners: OwnerIndex, events: EventSink) -> None:
        self._engine, self._api, self._rng, self._owners, self._events = engine, api, rng, owners, events
        self._work: Work[Key] = Work(engine, self._handle, name=NAME)
        self.on_empty: Callable[[Object], None] = lambda _: None
        """Told when a ReplicaSet of zero replicas has no pod left (a Recreate waits for it)."""
        owners.on("ReplicaSet", lambda key, _: self._work.add(key))

    def stop(self) -> None:
        self._work.stop()

    def on_replica_set(self, change: StoredChange) -> None:
        """A ReplicaSet came, changed or went."""
        if change.type != "DELETED":
            self._work.add(key_of(change.object))

    def _handle(self, key: Key) -> None:
        found = self._api.find(REPLICA_SET, key[1], key[0])
        if found is None:
            return
        if "deletionTimestamp" not in found["metadata"]:
            self._settle(key, found)
        self._report(found)

    def _settle(self, key: Key, found: Object) -> None:
        owned = self._owners.of(found["metadata"]["uid"])
        want = found["spec"].get("replicas", 1)
        missing = want - len(owned.active)
        if missing > 0:
            for name in self._names(key, min(missing, CHUNK)):
                pod = self._api.create(new_pod(name, found, found["spec"]["template"]), _WRITE)
                self._events.pod(pod, "Normal", "Created", f"Created pod: {name}", NAME)
        elif missing < 0:
            for namespace, name in victims(owned, min(-missing, CHUNK)):
                self._api.delete(POD, name, namespace)
        if abs(missing) > CHUNK:
            self._work.add(key)

    def _names(self, key: Key, count: int) -> Iterator[str]:
        prefix = key[1][:57]
        while count:
            name = f"{prefix}-{suffix(self._rng)}"
            if self._api.find(POD, name, key[0]) is None:
                count -= 1
                yield name

    def _report(self, found: Object) -> None:
        owned = self._owners.of(found["metadata"]["uid"])
        count, ready = len(owned.active), len(owned.ready)
        status: Object = {"replicas": count, "observedGeneration": found["metadata"].get("generation", 1)}
        if count:
            status["fullyLabeledReplicas"] = count
        if ready:
            status["readyReplicas"] = ready
        available, soon = owned.available(found["spec"].get("minReadySeconds", 0), self._engine.now())
        if available:
            status["availableReplicas"] = available
        if soon:
            self._work.add_after(key_of(found), soon)
        self._api.set_status(found, status, "kube-controller-manager")
        if not found["spec"].get("replicas", 1) and owned.empty:
            self.on_empty(found)
