"""Who needs which source: counted as contracts come and go, never scanned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from continuo.edge.relay.model import Source
from continuo.resources.meta import Key


@dataclass(frozen=True, slots=True)
class Entry:
    """What one allocation needs."""

    sources: frozenset[Source]
    sensors: frozenset[str]
    commands: bool = False
    approved: bool = False
    """Whether its endpoints may be sent to. Until that is known nothing is made for it, and nothing is taken away."""


class Ledger:
    """Entries by allocation, and everything else that asks for them."""

    def __init__(self) -> None:
        self._entries: dict[Key, Entry] = {}
        self._users: dict[Source, dict[Key, None]] = {}
        self._at: dict[str, dict[Source, None]] = {}
        self._changes: dict[str, int] = {}
        self._of_sensor: dict[str, dict[Key, None]] = {}
        self._commanding: dict[str, dict[Key, None]] = {}
        """By namespace: the allocations that may send commands."""

    def put(self, key: Key, entry: Entry | None) -> set[Source]:
        """Note what an allocation needs from now on, None: nothing; the sources to be looked at."""
        before = self._entries.pop(key, None)
        if before is not None:
            self._take_out(key, before)
        if entry is not None:
            self._entries[key] = entry
            self._take_in(key, entry)
        if before == entry:
            return set()
        return {source for each in (before, entry) if each is not None for source in each.sources}

    def entry(self, key: Key) -> Entry | None:
        """What an allocation needs."""
        return self._entries.get(key)

    def users(self, source: Source) -> list[Key]:
        """The allocations that need a source."""
        return list(self._users.get(source, ()))

    def needs(self, source: Source) -> bool:
        """Whether somebody needs a source whose endpoints are approved."""
        return any(self._entries[key].approved for key in self._users.get(source, ()))

    def claims(self, source: Source) -> bool:
        """Whether somebody may need a source."""
        return source in self._users

    def at(self, node: str) -> list[Source]:
        """The needed sources of an edge node."""
        return list(self._at.get(node, ()))

    def changes_at(self, node: str) -> int:
        """How often that changed, so that sums over it are made once for each time."""
        return self._changes.get(node, 0)

    def of_sensor(self, uid: str) -> list[Key]:
        """The allocations that have a sensor."""
        return list(self._of_sensor.get(uid, ()))

    def commands(self, namespace: str) -> bool:
        """Whether somebody may send commands to the edge through the rules of a namespace."""
        return bool(self._commanding.get(namespace))

    @property
    def sources(self) -> Iterable[Source]:
        """Everything that somebody may need."""
        return self._users.keys()

    @property
    def keys(self) -> Iterable[Key]:
        """The allocations that need anything."""
        return self._entries.keys()

    def _take_in(self, key: Key, entry: Entry) -> None:
        for source in entry.sources:
            users = self._users.setdefault(source, {})
            if not users:
                self._at.setdefault(source.node, {})[source] = None
                self._changed(source.node)
            users[key] = None
        for sensor in entry.sensors:
            self._of_sensor.setdefault(sensor, {})[key] = None
        for namespace in _commanded(entry):
            self._commanding.setdefault(namespace, {})[key] = None

    def _take_out(self, key: Key, entry: Entry) -> None:
        for source in entry.sources:
            users = self._users[source]
            users.pop(key, None)
            if not users:
                del self._users[source]
                self._at[source.node].pop(source, None)
                self._changed(source.node)
        for sensor in entry.sensors:
            keys = self._of_sensor[sensor]
            keys.pop(key, None)
            if not keys:
                del self._of_sensor[sensor]
        for namespace in _commanded(entry):
            self._commanding[namespace].pop(key, None)

    def _changed(self, node: str) -> None:
        self._changes[node] = self._changes.get(node, 0) + 1


def _commanded(entry: Entry) -> set[str]:
    """The namespaces through whose rules an allocation may send commands."""
    return {source.namespace for source in entry.sources} if entry.commands and entry.approved else set()
