"""The versioned state: every item with the version of its last change, and a bounded log of changes. No I/O.

A version is the epoch of this process and a counter, so nobody takes a version of another process for one of ours. A delta
applied to the snapshot of the version before gives the next snapshot, byte for byte.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

import msgspec

from continuo.resources.meta import Object
from continuo.server.scheduler.items import COLLECTIONS, ItemKey, Items, stamp

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Kept:
    """One item, since which version it is so, and since which each field of it."""

    body: Object
    version: int
    encoded: bytes
    fields: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delta:
    """What one version changed, as it is sent."""

    version: int
    body: bytes


class UnknownVersion(ValueError):
    """A version that cannot be compared with ours; the message says why and what to do."""


class StateLog:
    """All items; groups of them (one for each orchestration) are replaced as wholes."""

    def __init__(self, epoch: str, begun: datetime, *, entries: int = 4096, size: int = 32 << 20) -> None:
        self.epoch, self.version, self.taken = epoch, 0, stamp(begun)
        self._entries, self._limit, self._size = entries, size, 0
        self._items: dict[ItemKey, Kept] = {}
        self._groups: dict[str, set[ItemKey]] = {}
        self._log: deque[Delta] = deque()
        self._snapshot: tuple[int, bytes] | None = None

    # --- writing ------------------------------------------------------------------------------------------------------
    def put(self, groups: Mapping[str, Items], now: datetime) -> bool:
        """Replace the items of some groups in one version; whether anything changed. A group without items is gone."""
        version, when = self.version + 1, stamp(now)
        changes = [change for name, items in groups.items() for change in self._replace(name, items, version, when)]
        if not changes:
            return False
        self.version, self.taken = version, when
        head = f'{{"stateVersion":"{self.text(version)}","takenAt":"{when}","changes":['.encode()
        self._append(Delta(version, head + b",".join(changes) + b"]}"))
        return True

    def _replace(self, group: str, items: Items, version: int, when: str) -> Iterator[bytes]:
        before = self._groups.get(group, set())
        for key in sorted(before - items.keys()):
            del self._items[key]
            yield b'{"collection":"%b","id":%b,"item":null}' % (key[0].encode(), _encode(key[1]))
        for key in sorted(items):
            kept = self._keep(key, items[key], version, when)
            if kept is not None:
                yield b'{"collection":"%b","id":%b,"item":%b}' % (key[0].encode(), _encode(key[1]), kept.encoded)
        if items:
            self._groups[group] = set(items)
        else:
            self._groups.pop(group, None)

    def _keep(self, key: ItemKey, body: Object, version: int, when: str) -> Kept | None:
        """The item as it is kept from now on; None when it is as it was."""
        old = self._items.get(key)
        if old is not None and old.body == body:
            return None
        fields = dict.fromkeys(body, version)
        if old is not None:
            fields.update(
                {name: old.fields[name] for name in body if name in old.body and old.body[name] == body[name]}
            )
        told = {**body, "version": self.text(version), "changedAt": when}
        kept = self._items[key] = Kept(body, version, _encode(told), fields)
        return kept

    def _append(self, delta: Delta) -> None:
        self._log.append(delta)
        self._size += len(delta.body)
        while len(self._log) > self._entries or (self._size > self._limit and len(self._log) > 1):
            self._size -= len(self._log.popleft().body)

    def forget(self) -> None:
        """Keep no changes: whoever is not at the newest version begins anew."""
        self._log.clear()
        self._size = 0

    # --- reading ------------------------------------------------------------------------------------------------------
    def text(self, version: int) -> str:
        """A version as it is told."""
        return f"{self.epoch}-{version}"

    def read(self, text: str) -> int:
        """The counter of a version that was told; raises UnknownVersion when deltas from it cannot be had."""
        epoch, _, counter = text.rpartition("-")
        if not epoch or not counter.isascii() or not counter.isdigit() or len(counter) > 18:
            raise UnknownVersion(
                f"{text[:64]!r} is no version of the state: give a stateVersion such as {self.current}"
            )
        if epoch != self.epoch:
            raise UnknownVersion(f"version {text[:64]} was told before this server started: read the state again")
        if int(counter) > self.version:
            raise UnknownVersion(
                f"version {text[:64]} was never told, the newest is {self.current}: read the state again"
            )
        if int(counter) < self.oldest:
            raise UnknownVersion(
                f"version {text[:64]} is too old, changes are kept from {self.text(self.oldest)} on: read the state again"
            )
        return int(counter)

    @property
    def current(self) -> str:
        """The newest version."""
        return self.text(self.version)

    @property
    def oldest(self) -> int:
        """The first version from which deltas can be had."""
        return self._log[0].version - 1 if self._log else self.version

    def after(self, version: int, most: int = 256) -> list[Delta]:
        """The deltas that follow a version (at least `oldest`), the first of them."""
        skipped = version - self.oldest
        return list(islice(self._log, skipped, skipped + most))

    def item(self, collection: str, identity: str) -> Object | None:
        """One item without its version; never to be changed."""
        kept = self._items.get((collection, identity))
        return kept.body if kept is not None else None

    def items(self, collection: str) -> list[Object]:
        """All items of a collection, by id."""
        return [self._items[key].body for key in sorted(self._items) if key[0] == collection]

    def changed(self, collection: str, identity: str, fields: Iterable[str], since: int) -> str | None:
        """The first of the fields that changed after that version, or None."""
        kept = self._items.get((collection, identity))
        if kept is None or kept.version <= since:
            return None
        return next((name for name in fields if kept.fields.get(name, 0) > since), None)

    def snapshot(self) -> bytes:
        """The whole state as JSON."""
        if self._snapshot is None or self._snapshot[0] != self.version:
            lists: dict[str, list[bytes]] = {name: [] for name in COLLECTIONS}
            for key in sorted(self._items):
                lists[key[0]].append(self._items[key].encoded)
            body = b",".join(b'"%b":[%b]' % (name.encode(), b",".join(found)) for name, found in lists.items())
            head = f'{{"stateVersion":"{self.current}","takenAt":"{self.taken}",'.encode()
            self._snapshot = (self.version, head + body + b"}")
        return self._snapshot[1]
