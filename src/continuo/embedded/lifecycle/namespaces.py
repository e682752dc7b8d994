"""The end of namespaces: everything in one is deleted, then its finalizer goes and the namespace with it."""

from __future__ import annotations

from itertools import islice
from typing import Final

from continuo.embedded.api import ClusterApi
from continuo.embedded.lifecycle.worker import CallLater, Worker
from continuo.embedded.port import StoredChange, Write
from continuo.resources.kinds import NAMESPACE
from continuo.resources.meta import Kind, Object, condition, deleting

_MANAGER: Final = "kube-controller-manager"
_WRITE: Final = Write(manager=_MANAGER, trusted=True)
_BATCH: Final = 200


class NamespaceDeletion:
    """Empties the terminating namespaces of one cluster."""

    def __init__(self, api: ClusterApi, call_later: CallLater) -> None:
        self._api = api
        self._terminating: set[str] = set()
        self._asked: dict[str, frozenset[Kind]] = {}
        """Namespaces in which everything is being deleted, with the kinds that were left when the status last said so.
        Nothing new can appear there: from then on only what is gone matters, and nothing is walked again."""
        self._worker: Worker[str] = Worker(f"namespace deletion in {api.name}", self._look, call_later)
        self._stop = api.listen(None, self._changed)
        for namespace in api.list(NAMESPACE):
            self._consider(namespace)

    def stop(self) -> None:
        """End the care for this cluster."""
        self._stop()
        self._worker.stop()

    def _changed(self, change: StoredChange) -> None:
        if change.kind.kind == "Namespace" and change.kind.group == "":
            if change.type == "DELETED":
                self._terminating.discard(change.object["metadata"]["name"])
                self._asked.pop(change.object["metadata"]["name"], None)
            else:
                self._consider(change.object)
        elif self._terminating and change.type == "DELETED":
            namespace = change.object["metadata"].get("namespace")
            if namespace in self._terminating:
                self._worker.add(namespace)

    def _consider(self, namespace: Object) -> None:
        if deleting(namespace):
            self._terminating.add(namespace["metadata"]["name"])
            self._worker.add(namespace["metadata"]["name"])

    def _look(self, name: str) -> None:
        namespace = self._api.find(NAMESPACE, name)
        if namespace is None or not deleting(namespace):
            return
        if name not in self._asked:
            if self._delete_some(name):
                self._worker.add(name)
                return
            self._asked[name] = frozenset()
        contents = self._contents(name)
        if not contents:
            self._api.put_subresource(NAMESPACE, name, "", "finalize", {**namespace, "spec": {}}, _WRITE)
        elif (kinds := frozenset(kind for kind, _ in contents)) != self._asked[name]:
            self._asked[name] = kinds
            self._tell(namespace, [(kind, list(space.values())) for kind, space in contents])

    def _delete_some(self, name: str) -> bool:
        """Ask for the deletion of a batch; whether there was something to ask for."""
        asked = 0
        for kind, space in self._contents(name):
            fresh = (obj for obj in space.values() if not deleting(obj))
            for obj in list(islice(fresh, _BATCH - asked)):
                self._api.delete(kind, obj["metadata"]["name"], name)
                asked += 1
            if asked >= _BATCH:
                break
        return asked > 0

    def _contents(self, name: str) -> list[tuple[Kind, dict[str, Object]]]:
        state = self._api.state
        found = []
        for key, table in list(state.tables.items()):
            space, served = table.spaces.get(name), state.by_table.get(key)
            if table.namespaced and space and served is not None:
                found.append((served.kind, space))
        return found

    def _tell(self, namespace: Object, remaining: list[tuple[Kind, list[Object]]]) -> None:
        """Say in the status what keeps the namespace."""
        counts = [f"{kind.resource} has {len(objects)} resource instances" for kind, objects in remaining]
        holders: dict[str, int] = {}
        for _, objects in remaining:
            for obj in objects:
                for finalizer in obj["metadata"].get("finalizers") or ():
                    holders[finalizer] = holders.get(finalizer, 0) + 1
        held = [f"{finalizer} in {count} resource instances" for finalizer, count in sorted(holders.items())]
        wanted = {
            "NamespaceDeletionDiscoveryFailure": ("False", "ResourcesDiscovered", "All resources successfully discovered"),
            "NamespaceDeletionGroupVersionParsingFailure": (
                "False", "ParsedGroupVersions", "All legacy kube types successfully parsed",
            ),
            "NamespaceDeletionContentFailure": (
                "False", "ContentDeleted", "All content successfully deleted, may be waiting on finalization",
            ),
            "NamespaceContentRemaining": (
                "True", "SomeResourcesRemain", "Some resources are remaining: " + ", ".join(counts),
            ),
            "NamespaceFinalizersRemaining": (
                ("True", "SomeFinalizersRemain", "Some content in the namespace has finalizers remaining: "
                 + ", ".join(held)) if held else ("False", "ContentHasNoFinalizers",
                 "All content-preserving finalizers finished")
            ),
        }  # fmt: skip
        status = {"phase": "Terminating", "conditions": [
            self._condition(namespace, type_, *words) for type_, words in wanted.items()
        ]}  # fmt: skip
        self._api.set_status(namespace, status, _MANAGER)

    def _condition(self, namespace: Object, type_: str, status: str, reason: str, message: str) -> Object:
        earlier = condition(namespace, type_)
        time = self._api.state.stamp()
        if earlier is not None and earlier["status"] == status:
            time = earlier["lastTransitionTime"]
        return {"type": type_, "status": status, "lastTransitionTime": time, "reason": reason, "message": message}
