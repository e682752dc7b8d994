"""The Deployment controller: ReplicaSets per template, rolling or recreated, with the conditions kubectl waits for."""

from __future__ import annotations

from continuo.embedded.port import Api, Engine, StoredChange, Write
from continuo.embedded.standins.base import Work
from continuo.embedded.standins.objects import controller_of, owner_reference, short_hash, with_meta
from continuo.embedded.standins.workload.events import EventSink
from continuo.embedded.standins.workload.owned import OwnerIndex
from continuo.embedded.standins.workload.progress import Look, deployment_conditions, seconds_left
from continuo.embedded.standins.workload.rollout import Generation, bounds, step
from continuo.resources.kinds import DEPLOYMENT, REPLICA_SET
from continuo.resources.meta import Key, Object, annotations_of, key_of, labels_of

NAME = "deployment-controller"
HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
_DESIRED = "deployment.kubernetes.io/desired-replicas"
_MAX = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = ("kubectl.kubernetes.io/last-applied-configuration", REVISION, _DESIRED, _MAX)
_WRITE = Write(manager="kube-controller-manager", trusted=True)
_EXACT = Write(manager="kube-controller-manager")  # users apply Deployments beside us


def _revision(replica_set: Object) -> int:
    return int(annotations_of(replica_set).get(REVISION, "0"))


def _born(replica_set: Object) -> tuple[str, int, str]:
    metadata = replica_set["metadata"]
    return metadata.get("creationTimestamp", ""), _revision(replica_set), metadata["name"]


class Deployments:
    """All Deployments of one cluster."""

    def __init__(self, engine: Engine, api: Api, owners: OwnerIndex, events: EventSink) -> None:
        self._engine, self._api, self._owners, self._events = engine, api, owners, events
        self._sets: dict[str, dict[Key, Object]] = {}
        self._hashes: dict[str, tuple[int, str]] = {}
        self._work: Work[Key] = Work(engine, self._handle, name=NAME)

    def stop(self) -> None:
        self._work.stop()

    def on_deployment(self, change: StoredChange) -> None:
        """A Deployment came, changed or went."""
        if change.type == "DELETED":
            self._hashes.pop(change.object["metadata"]["uid"], None)
        else:
            self._work.add(key_of(change.object))

    def look(self, replica_set: Object) -> None:
        """One of a Deployment's ReplicaSets has become empty."""
        owner = controller_of(replica_set)
        if owner is not None and owner["kind"] == "Deployment":
            self._work.add((replica_set["metadata"]["namespace"], owner["name"]))

    def on_replica_set(self, change: StoredChange) -> None:
        """A ReplicaSet came, changed or went."""
        owner = controller_of(change.object)
        if owner is None or owner["kind"] != "Deployment":
            return
        key, sets = key_of(change.object), self._sets.setdefault(owner["uid"], {})
        if change.type == "DELETED":
            sets.pop(key, None)
            if not sets:
                del self._sets[owner["uid"]]
        else:
            sets[key] = change.object
        self._work.add((key[0], owner["name"]))

    def _handle(self, key: Key) -> None:
        found = self._api.find(DEPLOYMENT, key[1], key[0])
        if found is None or "deletionTimestamp" in found["metadata"]:
            return
        hashed = self._hash(found)
        new = self._newest(found, hashed)
        if new is None and not found["spec"].get("paused"):
            if not self._may_create(found):
                self._scale_old_down(found)
                self._report(found, None)
                return
            new = self._create(found, hashed)
        if new is not None:
            self._mark_revision(found, new)
            self._roll(found, new)
            self._trim(found, new)
        current = self._api.find(DEPLOYMENT, key[1], key[0])
        if current is not None:
            self._report(current, self._newest(current, hashed))

    # --- generations ----------------------------------------------------------------------------------------------

    def _hash(self, found: Object) -> str:
        uid, generation = found["metadata"]["uid"], found["metadata"].get("generation", 0)
        known = self._hashes.get(uid)
        if known is None or known[0] != generation:
            known = self._hashes[uid] = (generation, short_hash(found["spec"]["template"]))
        return known[1]

    def _all(self, found: Object) -> list[Object]:
        return sorted((self._sets.get(found["metadata"]["uid"]) or {}).values(), key=_born)

    def _newest(self, found: Object, hashed: str) -> Object | None:
        return next((entry for entry in self._all(found) if labels_of(entry).get(HASH_LABEL) == hashed), None)

    def _old(self, found: Object, new: Object | None) -> list[Object]:
        name = new["metadata"]["name"] if new is not None else ""
        return [entry for entry in self._all(found) if entry["metadata"]["name"] != name]

    def _may_create(self, found: Object) -> bool:
        """Recreate waits until the old pods are gone."""
        if (found["spec"].get("strategy") or {}).get("type") != "Recreate":
            return True
        for entry in self._all(found):
            owned = self._owners.of(entry["metadata"]["uid"])
            if entry["spec"].get("replicas") or owned.active or owned.terminating:
                return False
        return True

    def _create(self, found: Object, hashed: str) -> Object:
        spec, metadata = found["spec"], found["metadata"]
        template = spec["template"]
        labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: hashed}
        selector = spec["selector"]
        copied = {name: value for name, value in annotations_of(found).items() if name not in _NOT_COPIED}
        new = REPLICA_SET.new(
            f"{metadata['name']}-{hashed}", metadata["namespace"],
            metadata={
                "labels": labels, "ownerReferences": [owner_reference(found)],
                "annotations": {**copied, REVISION: str(1 + max(map(_revision, self._all(found)), default=0))},
            },
            spec={
                "replicas": 0,
                "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: hashed}},
                "template": {**template, "metadata": {**(template.get("metadata") or {}), "labels": labels}},
                **({"minReadySeconds": spec["minReadySeconds"]} if spec.get("minReadySeconds") else {}),
            },
        )  # fmt: skip
        return self._api.create(new, _WRITE)

    def _mark_revision(self, found: Object, new: Object) -> None:
        newest = max((_revision(entry) for entry in self._old(found, new)), default=0)
        if _revision(new) <= newest:
            annotations = {**annotations_of(new), REVISION: str(newest + 1)}
            new = self._api.update(with_meta(new, annotations=annotations), _WRITE)
        revision = annotations_of(new)[REVISION]
        if annotations_of(found).get(REVISION) != revision:
            current = self._api.get(DEPLOYMENT, found["metadata"]["name"], found["metadata"]["namespace"])
            annotations = {**annotations_of(current), REVISION: revision}
            self._api.update(with_meta(current, annotations=annotations), _EXACT)

    # --- counts ---------------------------------------------------------------------------------------------------

    def _available(self, found: Object, replica_set: Object) -> int:
        owned = self._owners.of(replica_set["metadata"]["uid"])
        available, soon = owned.available(found["spec"].get("minReadySeconds", 0), self._engine.now())
        if soon:
            self._work.add_after(key_of(found), soon)
        return available

    def _generation(self, found: Object, replica_set: Object) -> Generation:
        available = self._available(found, replica_set)
        return Generation(replica_set["metadata"]["name"], replica_set["spec"].get("replicas", 0), available)

    def _roll(self, found: Object, new: Object) -> None:
        spec = found["spec"]
        desired, strategy = spec.get("replicas", 1), spec.get("strategy") or {}
        rolling = strategy.get("rollingUpdate") or {}
        old = [entry for entry in self._old(found, new) if entry["spec"].get("replicas")]
        if strategy.get("type") == "Recreate" or spec.get("paused"):
            if not old:
                self._scale(found, self._api.get(REPLICA_SET, *_name_first(new)), desired)
            elif not spec.get("paused"):
                self._scale_old_down(found)
            return
        limits = bounds(desired, rolling.get("maxSurge"), rolling.get("maxUnavailable"), default="25%")
        changes = step(limits, self._generation(found, new), [self._generation(found, entry) for entry in old])
        for entry in (new, *old):
            if entry["metadata"]["name"] in changes:
                self._scale(found, self._api.get(REPLICA_SET, *_name_first(entry)), changes[entry["metadata"]["name"]])

    def _scale_old_down(self, found: Object) -> None:
        for entry in self._old(found, self._newest(found, self._hash(found))):
            self._scale(found, entry, 0)

    def _scale(self, found: Object, replica_set: Object, replicas: int) -> None:
        before = replica_set["spec"].get("replicas", 0)
        if before == replicas:
            return
        self._api.update({**replica_set, "spec": {**replica_set["spec"], "replicas": replicas}}, _WRITE)
        direction = "up" if replicas > before else "down"
        message = f"Scaled {direction} replica set {replica_set['metadata']['name']} from {before} to {replicas}"
        self._events.emit(found, "Normal", "ScalingReplicaSet", message, NAME)

    def _trim(self, found: Object, new: Object) -> None:
        limit = found["spec"].get("revisionHistoryLimit", 10)
        done = [
            entry for entry in self._old(found, new)
            if not entry["spec"].get("replicas") and not self._owners.of(entry["metadata"]["uid"]).active
            and "deletionTimestamp" not in entry["metadata"]
        ]  # fmt: skip
        for entry in done[: max(0, len(done) - limit)]:
            self._api.delete(REPLICA_SET, entry["metadata"]["name"], entry["metadata"]["namespace"])

    # --- status ---------------------------------------------------------------------------------------------------

    def _report(self, found: Object, new: Object | None) -> None:
        total = ready = available = 0
        for entry in self._all(found):
            owned = self._owners.of(entry["metadata"]["uid"])
            total, ready = total + len(owned.active), ready + len(owned.ready)
            available += self._available(found, entry)
        updated = len(self._owners.of(new["metadata"]["uid"]).active) if new is not None else 0
        status: Object = {"observedGeneration": found["metadata"].get("generation", 1)}
        for name, value in (
            ("replicas", total), ("updatedReplicas", updated), ("readyReplicas", ready), ("availableReplicas", available),
            ("unavailableReplicas", max(0, max(total, found["spec"].get("replicas", 1)) - available)),
        ):  # fmt: skip
            if value:
                status[name] = value
        now = self._engine.now()
        look = Look(found, new["metadata"]["name"] if new is not None else "", status, now)
        status["conditions"] = deployment_conditions(look)
        if (left := seconds_left(look, status["conditions"])) is not None:
            self._work.add_after(key_of(found), left, "deadline")
        self._api.set_status(found, status, "kube-controller-manager")


def _name_first(obj: Object) -> tuple[str, str]:
    return obj["metadata"]["name"], obj["metadata"]["namespace"]
