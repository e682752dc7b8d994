"""The end of CustomResourceDefinitions: their objects go first. And names that become free are given to who waits."""

from __future__ import annotations

from itertools import islice
from typing import Final

from continuo.embedded.api import ClusterApi
from continuo.embedded.apicore.crds import CLEANUP
from continuo.embedded.apicore.served import Served
from continuo.embedded.lifecycle.worker import CallLater, Worker
from continuo.embedded.port import StoredChange, Write
from continuo.resources.kinds import CUSTOM_RESOURCE_DEFINITION
from continuo.resources.meta import Object, deleting, is_true

_WRITE: Final = Write(manager="kube-apiserver", trusted=True)
_BATCH: Final = 200


class DefinitionCleanup:
    """Empties the terminating definitions of one cluster."""

    def __init__(self, api: ClusterApi, call_later: CallLater) -> None:
        self._api = api
        self._terminating: dict[tuple[str, str], str] = {}
        self._asked: set[str] = set()
        """Definitions all of whose objects are being deleted; nothing new can appear, so nothing is walked again."""
        self._worker: Worker[str] = Worker(f"definition cleanup in {api.name}", self._look, call_later)
        self._stop = api.listen(None, self._changed)
        for crd in api.list(CUSTOM_RESOURCE_DEFINITION):
            self._consider(crd)

    def stop(self) -> None:
        """End the care for this cluster."""
        self._stop()
        self._worker.stop()

    def _changed(self, change: StoredChange) -> None:
        if change.kind.kind == "CustomResourceDefinition" and change.kind.group == CUSTOM_RESOURCE_DEFINITION.group:
            if change.type == "DELETED":
                self._terminating.pop(_table(change.object), None)
                self._asked.discard(change.object["metadata"]["name"])
                self._names_are_free()
            else:
                self._consider(change.object)
        elif self._terminating and change.type == "DELETED":
            name = self._terminating.get((change.kind.group, change.kind.plural))
            if name is not None:
                self._worker.add(name)

    def _consider(self, crd: Object) -> None:
        if deleting(crd):
            self._terminating[_table(crd)] = crd["metadata"]["name"]
            self._worker.add(crd["metadata"]["name"])

    def _names_are_free(self) -> None:
        for crd in self._api.list(CUSTOM_RESOURCE_DEFINITION):
            if not is_true(crd, "NamesAccepted"):
                self._worker.add(crd["metadata"]["name"])

    def _look(self, name: str) -> None:
        crd = self._api.find(CUSTOM_RESOURCE_DEFINITION, name)
        if crd is None:
            return
        if not deleting(crd):
            if not is_true(crd, "NamesAccepted"):
                self._api.update(crd, _WRITE)  # the names are judged anew with every write
            return
        served = self._api.state.by_table.get(_table(crd))
        if served is not None and len(served.table):
            if name not in self._asked:
                self._delete_some(name, served)
            return
        finalizers = [entry for entry in crd["metadata"].get("finalizers") or () if entry != CLEANUP]
        self._api.update({**crd, "metadata": {**crd["metadata"], "finalizers": finalizers}}, _WRITE)

    def _delete_some(self, name: str, served: Served) -> None:
        fresh = (obj for obj in served.table.all() if not deleting(obj))
        batch = list(islice(fresh, _BATCH))
        for obj in batch:
            metadata = obj["metadata"]
            self._api.delete(served.kind, metadata["name"], metadata.get("namespace") or "")
        if not batch:
            self._asked.add(name)
        self._worker.add(name)


def _table(crd: Object) -> tuple[str, str]:
    return crd["spec"]["group"], crd["spec"]["names"]["plural"]
