"""Owner references: when an owner goes, what it owned goes too, or is set free.

Every object is known by uid, with an index from owner to dependents, so that a deletion costs what it deletes. Three
cases: an owner that is gone (its dependents follow in the background), one that waits in the foreground for its
dependents (`foregroundDeletion`), and one that leaves them behind (`orphan`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from continuo.embedded.api import ClusterApi
from continuo.embedded.lifecycle.worker import CallLater, Worker
from continuo.embedded.port import StoredChange, Write
from continuo.resources.meta import Kind, Object

FOREGROUND: Final = "foregroundDeletion"
ORPHAN: Final = "orphan"
_WRITE: Final = Write(manager="kube-controller-manager", trusted=True)


class Place(NamedTuple):
    """Where an object is."""

    kind: Kind
    namespace: str
    name: str


class GarbageCollector:
    """The garbage collector of one cluster."""

    def __init__(self, api: ClusterApi, call_later: CallLater) -> None:
        self._api = api
        self._places: dict[str, Place] = {}
        self._dependents: dict[str, dict[str, None]] = {}
        self._leaving: set[str] = set()
        """Objects that wait for their dependents, by uid."""
        self._undecided: set[str] = set()
        """Dependents of a kind that is not served (now)."""
        self._worker: Worker[str] = Worker(f"garbage collection in {api.name}", self._look, call_later)
        self._stop = api.listen(None, self._changed)
        for table in api.state.tables.values():
            served = api.state.by_table.get((table.group, table.plural))
            if served is not None:
                for obj in table.all():
                    self._note(served.kind, obj)
        for uid in list(self._places):
            self._worker.add(uid)

    def stop(self) -> None:
        """End the care for this cluster."""
        self._stop()
        self._worker.stop()

    # --- what is there ------------------------------------------------------------------------------------------------
    def _changed(self, change: StoredChange) -> None:
        obj, previous = change.object, change.previous
        metadata = obj["metadata"]
        uid = metadata["uid"]
        if change.type == "DELETED":
            self._gone(uid, metadata)
            return
        owners = metadata.get("ownerReferences")
        if previous is None:
            self._places[uid] = Place(change.kind, metadata.get("namespace") or "", metadata["name"])
            if owners:
                self._link(uid, owners)
                self._worker.add(uid)
            if change.kind.kind == "CustomResourceDefinition":
                self._reconsider()
        elif owners is not previous["metadata"].get("ownerReferences"):
            self._unlink(uid, previous["metadata"].get("ownerReferences") or ())
            self._link(uid, owners or ())
            self._worker.add(uid)
            self._owners_may_go(previous["metadata"])
        if "deletionTimestamp" in metadata:
            self._leaves(uid, metadata)

    def _note(self, kind: Kind, obj: Object) -> None:
        metadata = obj["metadata"]
        self._places[metadata["uid"]] = Place(kind, metadata.get("namespace") or "", metadata["name"])
        self._link(metadata["uid"], metadata.get("ownerReferences") or ())
        if "deletionTimestamp" in metadata:
            self._leaves(metadata["uid"], metadata)

    def _link(self, uid: str, owners: Iterable[Object]) -> None:
        for owner in owners:
            self._dependents.setdefault(owner["uid"], {})[uid] = None

    def _unlink(self, uid: str, owners: Iterable[Object]) -> None:
        for owner in owners:
            dependents = self._dependents.get(owner["uid"])
            if dependents is not None:
                dependents.pop(uid, None)
                if not dependents:
                    del self._dependents[owner["uid"]]

    def _gone(self, uid: str, metadata: Object) -> None:
        self._places.pop(uid, None)
        self._leaving.discard(uid)
        self._undecided.discard(uid)
        self._unlink(uid, metadata.get("ownerReferences") or ())
        for dependent in self._dependents.get(uid, ()):
            self._worker.add(dependent)
        self._owners_may_go(metadata)

    def _owners_may_go(self, metadata: Object) -> None:
        for owner in metadata.get("ownerReferences") or ():
            if owner["uid"] in self._leaving:
                self._worker.add(owner["uid"])

    def _leaves(self, uid: str, metadata: Object) -> None:
        finalizers = metadata.get("finalizers") or ()
        if FOREGROUND in finalizers or ORPHAN in finalizers:
            if uid not in self._leaving:
                self._leaving.add(uid)
                for dependent in self._dependents.get(uid, ()):
                    self._worker.add(dependent)
            self._worker.add(uid)

    def _reconsider(self) -> None:
        for uid in self._undecided:
            self._worker.add(uid)
        self._undecided.clear()

    # --- what follows -------------------------------------------------------------------------------------------------
    def _fetch(self, uid: str) -> tuple[Place, Object] | None:
        place = self._places.get(uid)
        if place is None:
            return None
        obj = self._api.find(place.kind, place.name, place.namespace)
        return (place, obj) if obj is not None and obj["metadata"]["uid"] == uid else None

    def _look(self, uid: str) -> None:
        found = self._fetch(uid)
        if found is None:
            return
        place, obj = found
        if "deletionTimestamp" in obj["metadata"]:
            finalizers = obj["metadata"].get("finalizers") or ()
            if ORPHAN in finalizers:
                self._set_free(uid)
                self._drop_finalizer(place, ORPHAN)
            elif FOREGROUND in finalizers and not self._blocked(uid):
                self._drop_finalizer(place, FOREGROUND)
            return
        owners = obj["metadata"].get("ownerReferences")
        if owners:
            self._judge(place, obj, owners)

    def _judge(self, place: Place, obj: Object, owners: list[Object]) -> None:
        """Delete an object whose owners are all gone or going; free it of those that are when others stay."""
        uid = obj["metadata"]["uid"]
        lasting, waiting, undecided = [], [], False
        for owner in owners:
            state = self._state_of(owner, place.namespace)
            if state == "there":
                lasting.append(owner)
            elif state == "waiting":
                waiting.append(owner)
            elif state == "unknown":
                undecided = True
                lasting.append(owner)
        if undecided:
            self._undecided.add(uid)
        if lasting:
            if len(lasting) < len(owners) and not undecided:
                self._rewrite(obj, ownerReferences=lasting)
            return
        propagation = "Foreground" if waiting and self._dependents.get(uid) else _own_wish(obj)
        self._api.delete(place.kind, place.name, place.namespace, propagation=propagation, uid=uid)

    def _state_of(self, owner: Object, namespace: str) -> str:
        """`there`, `waiting` (for this dependent), `gone`, or `unknown` when its kind is not served."""
        found = self._fetch(owner["uid"])
        if found is not None:
            place, obj = found
            same = (
                place.kind.kind == owner.get("kind")
                and place.name == owner.get("name")
                and place.kind.group == _group(owner.get("apiVersion") or "")
                and place.namespace in ("", namespace)
            )
            if same:
                metadata = obj["metadata"]
                finalizers = metadata.get("finalizers") or ()
                waits = "deletionTimestamp" in metadata and FOREGROUND in finalizers
                return "waiting" if waits else "there"
        known = self._api.state.by_kind.get((owner.get("apiVersion") or "", owner.get("kind") or ""))
        return "gone" if known is not None else "unknown"

    def _blocked(self, uid: str) -> bool:
        for dependent in self._dependents.get(uid, ()):
            found = self._fetch(dependent)
            if found is not None and any(
                owner["uid"] == uid and owner.get("blockOwnerDeletion")
                for owner in found[1]["metadata"].get("ownerReferences") or ()
            ):
                return True
        return False

    def _set_free(self, uid: str) -> None:
        for dependent in list(self._dependents.get(uid, ())):
            found = self._fetch(dependent)
            if found is not None:
                obj = found[1]
                kept = [owner for owner in obj["metadata"].get("ownerReferences") or () if owner["uid"] != uid]
                self._rewrite(obj, ownerReferences=kept)

    def _drop_finalizer(self, place: Place, finalizer: str) -> None:
        obj = self._api.find(place.kind, place.name, place.namespace)
        if obj is not None:
            kept = [entry for entry in obj["metadata"].get("finalizers") or () if entry != finalizer]
            self._rewrite(obj, finalizers=kept)

    def _rewrite(self, obj: Object, **metadata: Any) -> None:
        self._api.update({**obj, "metadata": {**obj["metadata"], **metadata}}, _WRITE)


def _own_wish(obj: Object) -> str:
    finalizers = obj["metadata"].get("finalizers") or ()
    if ORPHAN in finalizers:
        return "Orphan"
    return "Foreground" if FOREGROUND in finalizers else "Background"


def _group(api_version: str) -> str:
    group, slash, _ = api_version.partition("/")
    return group if slash else ""
