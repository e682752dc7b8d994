"""`ClusterApi`: one cluster's API in process, the face of `apicore`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from random import Random
from typing import Any

from continuo.embedded.apicore import builtins, creating, deleting, patching, subresources, writing
from continuo.embedded.apicore.changelog import DEFAULT_BOUNDS, Bounds
from continuo.embedded.apicore.served import Served
from continuo.embedded.apicore.state import Admission, State
from continuo.embedded.port import DEFAULT_WRITE, PatchKind, ResourceType, StoredChange, Write
from continuo.embedded.store import Store
from continuo.resources.errors import NotFound
from continuo.resources.meta import Kind, Object

_NO_RESOURCE = "the server could not find the requested resource"


class ClusterApi:
    """Implements `embedded.port.Api`."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.name = state.name
        self._outage: str | None = None
        self.outage_changed: list[Callable[[], None]] = []

    @property
    def outage(self) -> str | None:
        """Set by fault injection; the HTTP face then does not answer (`drop`) or answers 503 with this text."""
        return self._outage

    @outage.setter
    def outage(self, how: str | None) -> None:
        self._outage = how
        for callback in list(self.outage_changed):
            callback()

    @property
    def version(self) -> int:
        return self.state.store.version

    @property
    def kubernetes_version(self) -> str:
        """`v1.34.0`."""
        return self.state.kubernetes_version

    @property
    def admission(self) -> list[Admission]:
        """Hooks that see every create, update and delete of this cluster and may change or refuse it."""
        return self.state.admission

    # --- what is served -----------------------------------------------------------------------------------------------
    def resources(self) -> Iterable[ResourceType]:
        return [served.type for served in self.state.served.values()]

    def resource(self, group: str, version: str, plural: str) -> ResourceType:
        found = self.state.served.get((group, version, plural))
        if found is None:
            raise NotFound(_NO_RESOURCE)
        return found.type

    def _served(self, kind: Kind) -> Served:
        found = self.state.served.get((kind.group, kind.version, kind.plural))
        if found is None:
            raise NotFound(_NO_RESOURCE, details={"group": kind.group, "kind": kind.plural})
        return found

    # --- reading ------------------------------------------------------------------------------------------------------
    def get(self, kind: Kind, name: str, namespace: str = "") -> Object:
        return writing.current(self._served(kind), namespace, name)

    def find(self, kind: Kind, name: str, namespace: str = "") -> Object | None:
        served = self.state.served.get((kind.group, kind.version, kind.plural))
        if served is None:
            return None
        found = served.table.get(namespace, name)
        return found if found is None or served.storage_served is None else served.view(found)

    def list(self, kind: Kind, namespace: str = "", labels: Mapping[str, str] | None = None) -> list[Object]:
        served = self._served(kind)
        found: Iterable[Object] = served.table.within(namespace) if namespace else served.table.all()
        if labels:
            wanted = labels.items()
            found = (obj for obj in found if wanted <= (obj["metadata"].get("labels") or {}).items())
        view = served.view
        return [view(obj) for obj in found]

    def changes(self, since: int, kind: Kind, namespace: str = "") -> Iterable[StoredChange]:
        served = self._served(kind)
        group, plural = served.key
        for change in self.state.log.since(since):
            if (
                change.kind.plural == plural
                and change.kind.group == group
                and (not namespace or change.object["metadata"].get("namespace") == namespace)
            ):
                yield _viewed(served, change)

    def listen(self, kind: Kind | None, callback: Callable[[StoredChange], None]) -> Callable[[], None]:
        # `partial`: a listener of its own even when one callback listens twice, at no cost per change.
        if kind is None:
            return self.state.listen(None, partial(callback))
        served = self._served(kind)
        if served.type.builtin and served.storage_served is None:
            return self.state.listen(served.key, partial(callback))
        return self.state.listen(served.key, lambda change: callback(_viewed(served, change)))

    def subresources(self, kind: Kind) -> tuple[str, ...]:
        return subresources.offered(self._served(kind))

    def get_subresource(self, kind: Kind, name: str, namespace: str, subresource: str) -> Object:
        return subresources.read(self._served(kind), name, namespace, subresource)

    # --- writing ------------------------------------------------------------------------------------------------------
    def create(self, obj: Object, write: Write = DEFAULT_WRITE) -> Object:
        return creating.create(self.state, obj, write)

    def update(self, obj: Object, write: Write = DEFAULT_WRITE, *, subresource: str = "") -> Object:
        return writing.update(self.state, obj, write, subresource)

    def patch(
        self, kind: Kind, name: str, namespace: str, how: PatchKind, body: Any, write: Write = DEFAULT_WRITE, *,
        subresource: str = "",
    ) -> Object:  # fmt: skip
        return patching.patch(self.state, self._served(kind), name, namespace, how, body, write, subresource)

    def put_subresource(
        self, kind: Kind, name: str, namespace: str, subresource: str, body: Object, write: Write = DEFAULT_WRITE
    ) -> Object:
        return subresources.write(self.state, self._served(kind), name, namespace, subresource, body, write)

    def set_status(self, obj: Object, status: Mapping[str, Any], manager: str) -> Object:
        return writing.set_status(self.state, obj, status, manager)

    def delete(
        self, kind: Kind, name: str, namespace: str = "", *, propagation: str = "Background", uid: str | None = None,
        resource_version: str | None = None, dry_run: bool = False, grace_seconds: int | None = None,
    ) -> Object:  # fmt: skip
        asked = deleting.Deletion(propagation, uid, resource_version, dry_run, grace_seconds)
        return deleting.delete(self.state, self._served(kind), namespace, name, asked)

    def close(self) -> None:
        """The cluster is gone: whoever still holds it finds nothing, and its writes go nowhere."""
        self.state.close()

    # --- durability ---------------------------------------------------------------------------------------------------
    async def flushed(self) -> None:
        """Wait until everything written so far survives a crash."""
        await self.state.store.flushed()


def _viewed(served: Served, change: StoredChange) -> StoredChange:
    """The change as the version shows it."""
    if change.object["apiVersion"] == served.api_version:
        return change
    previous = change.previous
    return StoredChange(
        change.version, change.type, served.kind, served.view(change.object),
        served.view(previous) if previous is not None else None,
    )  # fmt: skip


def new_api(
    name: str, number: int, version: str, store: Store, clock: Callable[[], float], random: Random,
    bounds: Bounds = DEFAULT_BOUNDS,
) -> ClusterApi:  # fmt: skip
    """The API of an empty cluster with the built-in kinds."""
    state = State(name, number, version, store, clock, random, bounds)
    builtins.serve(state)
    return ClusterApi(state)
