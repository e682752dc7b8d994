"""Everything that one cluster holds, and the one place where a change of it is made known."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from random import Random

from continuo.embedded.apicore.changelog import DEFAULT_BOUNDS, Bounds, ChangeLog
from continuo.embedded.apicore.kinds.services import Addresses
from continuo.embedded.apicore.served import Served
from continuo.embedded.apicore.table import Table
from continuo.embedded.port import Event, StoredChange
from continuo.embedded.store import Store
from continuo.resources.meta import Kind, Object

log = logging.getLogger(__name__)

Listener = Callable[[StoredChange], None]
Admission = Callable[[str, Kind, Object, Object | None], Object | None]
"""(operation CREATE/UPDATE/DELETE, kind, object, previous) -> the object to go on with (None: unchanged); raises
`Forbidden` or another API error to refuse. Must not mutate what it is given."""


class State:
    """One cluster's tables, log and listeners."""

    def __init__(
        self, name: str, number: int, version: str, store: Store, clock: Callable[[], float], random: Random,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> None:  # fmt: skip
        self.name = name
        self.number = number
        self.kubernetes_version = version
        self.store = store
        self.clock = clock
        self.random = random
        self.log = ChangeLog(store.version, clock, bounds)
        self.tables: dict[tuple[str, str], Table] = {}
        self.served: dict[tuple[str, str, str], Served] = {}
        """By group, version and plural."""
        self.by_kind: dict[tuple[str, str], Served] = {}
        """By apiVersion and kind."""
        self.by_table: dict[tuple[str, str], Served] = {}
        """The storage version of each table."""
        self.addresses = Addresses()
        """Cluster addresses and node ports of services."""
        self.admission: list[Admission] = []
        self._of_kind: dict[tuple[str, str], list[Listener]] = {}
        self._of_all: list[Listener] = []
        self._undelivered: deque[StoredChange] = deque()
        self._delivering = False
        self._second = -1
        self._stamp = ""

    # --- registry -----------------------------------------------------------------------------------------------------
    def serve(self, served: Served) -> None:
        """Serve one version of a resource (or replace how it is served)."""
        kind = served.kind
        self.served[kind.group, kind.version, kind.plural] = served
        self.by_kind[kind.api_version, kind.kind] = served
        self.by_table[served.key] = served.storage

    def unserve(self, served: Served) -> None:
        """Stop serving one version of a resource."""
        kind = served.kind
        self.served.pop((kind.group, kind.version, kind.plural), None)
        self.by_kind.pop((kind.api_version, kind.kind), None)
        if not any(other.key == served.key for other in self.served.values()):
            self.by_table.pop(served.key, None)

    def table(self, group: str, plural: str, namespaced: bool) -> Table:
        """The table of a resource, made when it is new."""
        found = self.tables.get((group, plural))
        if found is None:
            found = self.tables[group, plural] = Table(group, plural, namespaced)
        return found

    def restore(self, objects: Iterable[tuple[str, Object]]) -> None:
        """Put back what the store kept: (resource, object)."""
        for resource, obj in objects:
            plural, _, group = resource.partition(".")
            metadata = obj["metadata"]
            namespace = metadata.get("namespace") or ""
            self.table(group, plural, bool(namespace)).put(namespace, metadata["name"], obj)
        # What the next write must know (addresses in use, served CRDs) follows from what is there.
        for served in list(self.served.values()):
            if served.strategy.committed is not None:
                for obj in served.table.all():
                    served.strategy.committed(self, "ADDED", obj, None)

    # --- clock and randomness -----------------------------------------------------------------------------------------
    def stamp(self) -> str:
        """The time as metadata writes it."""
        second = int(self.clock())
        if second != self._second:
            self._second = second
            self._stamp = timestamp(second)
        return self._stamp

    def uid(self) -> str:
        """A new random UUID (version 4)."""
        bits = self.random.getrandbits(128) & ~(0xF << 76) | (0x4 << 76)
        text = f"{bits & ~(0x3 << 62) | (0x2 << 62):032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def close(self) -> None:
        """Serve nothing any more."""
        for part in (self.served, self.by_kind, self.by_table, self.tables, self.admission):
            part.clear()
        self._of_kind, self._of_all = {}, []

    # --- changes ------------------------------------------------------------------------------------------------------
    def commit(self, served: Served, type_: Event, obj: Object, previous: Object | None) -> Object:
        """Give the object its version, store it, remember the change and tell the listeners.

        `obj` and its `metadata` must be fresh: the version is written into them.
        """
        store, table = self.store, served.table
        version = store.next_version()
        metadata = obj["metadata"]
        metadata["resourceVersion"] = str(version)
        namespace, name = metadata.get("namespace") or "", metadata["name"]
        if type_ == "DELETED":
            table.drop(namespace, name)
            store.put(self.number, table.resource, namespace, name, None)
        else:
            table.put(namespace, name, obj)
            store.put(self.number, table.resource, namespace, name, obj)
        committed = served.strategy.committed
        if committed is not None:
            committed(self, type_, obj, previous)
        change = StoredChange(version, type_, served.storage.kind, obj, previous)
        self.log.append(change)
        self._undelivered.append(change)
        if not self._delivering:
            self._deliver()
        return obj

    def _deliver(self) -> None:
        # A listener may write: what that changes waits until this change reached everyone, so that all see one order.
        self._delivering = True
        try:
            while self._undelivered:
                change = self._undelivered.popleft()
                for listener in self._of_all:
                    _tell(listener, change)
                listeners = self._of_kind.get((change.kind.group, change.kind.plural))
                if listeners:
                    for listener in listeners:
                        _tell(listener, change)
        finally:
            self._delivering = False

    def listen(self, table: tuple[str, str] | None, listener: Listener) -> Callable[[], None]:
        """Tell the listener about every change of a table (of all when None); returns what ends it."""

        # Lists are replaced, not changed: a listener may end itself while they are walked.
        def stop() -> None:
            if table is None:
                self._of_all = [entry for entry in self._of_all if entry is not listener]
            elif table in self._of_kind:
                self._of_kind[table] = [entry for entry in self._of_kind[table] if entry is not listener]

        if table is None:
            self._of_all = [*self._of_all, listener]
        else:
            self._of_kind[table] = [*self._of_kind.get(table, ()), listener]
        return stop


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with whole seconds, as Kubernetes' `Time`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _tell(listener: Listener, change: StoredChange) -> None:
    try:
        listener(change)
    except Exception:  # the boundary between a write and those who only watch it
        log.exception("a listener failed at version %d of %s", change.version, change.kind.resource)
