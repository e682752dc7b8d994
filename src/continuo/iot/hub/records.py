"""All records in memory, with their indexes, and every change in the storage before it is answered.

A change is made in memory at once, so that whoever comes next sees it, and takes its turn in the storage's queue in the same
order. Should the storage not take one, memory is read anew from what is there, and until then nothing is changed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from continuo.iot.hub import model
from continuo.iot.hub.feed import Event, Feed
from continuo.iot.hub.model import Record
from continuo.storage.database import Database, Session, StorageFailed

log = logging.getLogger(__name__)
R = TypeVar("R", bound=Record)
_PAUSE = 0.5
"""Seconds between two attempts to read everything anew."""

INDEXES: Mapping[type[Record], tuple[str, ...]] = {
    model.Board: ("name", "fleet", "code_hash", "realm_hash", "project"),
    model.Fleet: ("name", "project"),
    model.Plugin: ("name", "project"),
    model.Service: ("name", "project"),
    model.Network: ("name", "project"),
    model.Injection: ("board", "plugin"),
    model.Exposed: ("board", "service", "public_port"),
    model.Port: ("board", "network", "project"),
    model.Workload: ("board", "fleet", "parent", "project"),
    model.Request: ("main", "destination", "done"),
    model.Result: ("request", "board", "result", "open_at"),
}


class Table(Generic[R]):
    """The records of one kind in the order of their creation, found by key and by indexed fields."""

    def __init__(self, indexes: tuple[str, ...]) -> None:
        self._rows: dict[str, R] = {}
        self._serials: dict[str, int] = {}
        self._indexes: dict[str, dict[Any, dict[str, R]]] = {name: {} for name in indexes}

    def get(self, key: str) -> R | None:
        """The record with this key."""
        return self._rows.get(key)

    def all(self) -> list[R]:
        """Every record."""
        return list(self._rows.values())

    def by(self, name: str, value: Any) -> list[R]:
        """The records whose indexed field has this value."""
        return list(self._indexes[name].get(value, {}).values())

    def count(self, name: str, value: Any) -> int:
        """How many those are."""
        return len(self._indexes[name].get(value, ()))

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, record: R, serial: int) -> None:
        """Let there be this record."""
        old = self._rows.get(record.uuid)
        self._rows[record.uuid] = record
        self._serials.setdefault(record.uuid, serial)
        for name, index in self._indexes.items():
            value = getattr(record, name)
            if old is not None and (before := getattr(old, name)) != value:
                self._unlist(index, before, record.uuid)
            index.setdefault(value, {})[record.uuid] = record

    def drop(self, key: str) -> None:
        """Let there be none."""
        old = self._rows.pop(key, None)
        self._serials.pop(key, None)
        if old is not None:
            for name, index in self._indexes.items():
                self._unlist(index, getattr(old, name), key)

    def serial(self, key: str) -> int | None:
        """Its place in the order of creation."""
        return self._serials.get(key)

    @staticmethod
    def _unlist(index: dict[Any, dict[str, R]], value: Any, key: str) -> None:
        listed = index.get(value)
        if listed is not None:
            listed.pop(key, None)
            if not listed:
                del index[value]


@dataclass(slots=True)
class Change:
    """Records to write and to drop, and what is told of it: one transaction."""

    put: dict[tuple[type[Record], str], Record] = field(default_factory=dict)
    """Each record once, as it was added last."""
    drop: list[Record] = field(default_factory=list)
    tell: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    """Project, event, data."""

    def add(self, *records: Record) -> Change:
        """Write these too."""
        for record in records:
            place = type(record), record.uuid
            self.put.pop(place, None)
            self.put[place] = record
        return self

    def remove(self, *records: Record) -> Change:
        """Drop these too."""
        self.drop.extend(records)
        return self

    def event(self, project: str, kind: str, **data: Any) -> Change:
        """Tell this too."""
        self.tell.append((project, kind, data))
        return self


class Records:
    """The hub's memory."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database, self.feed = database, feed
        self._tables: dict[type[Record], Table[Any]] = {}
        self._serial = 0
        self._event = 0
        self._reading: asyncio.Task[None] | None = None
        self._writing: dict[asyncio.Task[Any], None] = {}
        """In the order in which the storage takes them."""
        self._clear()

    def table(self, kind: type[R]) -> Table[R]:
        """The records of a kind."""
        return self._tables[kind]

    @property
    def trouble(self) -> str:
        """Why changes are not taken now."""
        if self._reading is not None:
            return self._database.trouble or "the storage failed, and everything is read anew"
        return self._database.trouble

    @property
    def reading(self) -> bool:
        """Whether everything is read anew: what is in memory may not be what is stored."""
        return self._reading is not None

    async def load(self) -> None:
        """Take over what the storage holds."""
        rows, events = await self._database.do(_read)
        self._take(rows)
        kept = [Event(number, project, kind, bytes(body)) for number, project, kind, body in events]
        self._event = kept[-1].number if kept else 0
        self.feed.load(kept[-self.feed.keep :], self._event)

    async def commit(self, change: Change) -> None:
        """Make a change; it is on disk when this returns. Raises StorageFailed, and then nothing was changed."""
        task = self.begin(change)
        await asyncio.shield(task)

    def begin(self, change: Change) -> asyncio.Task[None]:
        """Make a change in memory now, and on disk soon; the task's end says that it is there."""
        if self._reading is not None or self._database.taken_over.is_set():
            raise StorageFailed(self.trouble or "another hub has taken the storage over")
        put = []
        for record in change.put.values():
            table = self._tables[type(record)]
            serial = table.serial(record.uuid)
            if serial is None:
                self._serial += 1
                serial = self._serial
            table.put(record, serial)
            put.append((model.kind_of(record), record.uuid, serial, msgspec.json.encode(record)))
        drop = [(model.kind_of(record), record.uuid) for record in change.drop]
        for record in change.drop:
            self._tables[type(record)].drop(record.uuid)
        events = [self._numbered(*told) for told in change.tell]
        prune = self._event - 2 * self.feed.keep if events and events[-1].number % 1000 < len(events) else 0

        def write(session: Session) -> None:
            _write(session, put, drop, events, prune)

        task = asyncio.create_task(self._database.do(write, lambda _: self.feed.add(events)))
        self._writing[task] = None
        task.add_done_callback(self._written)
        return task

    async def flushed(self) -> None:
        """What is in memory now is on disk; raises StorageFailed where it will not be."""
        last = next(reversed(self._writing), None)
        if last is not None:
            await asyncio.shield(last)  # the storage takes them in turn, so those before it are there, too
            if self._reading is not None:
                raise StorageFailed(self.trouble)

    async def close(self) -> None:
        """Wait for what is on its way to the disk."""
        if self._reading is not None:
            self._reading.cancel()
        await asyncio.gather(*self._writing, return_exceptions=True)

    def _numbered(self, project: str, kind: str, data: dict[str, Any]) -> Event:
        self._event += 1
        return Event(self._event, project, kind, msgspec.json.encode(data))

    def _written(self, task: asyncio.Task[Any]) -> None:
        self._writing.pop(task, None)
        if task.cancelled() or task.exception() is None or self._reading is not None:
            return
        log.error("a change was not stored, so everything is read anew: %s", task.exception())
        self._reading = asyncio.create_task(self._read_anew())

    async def _read_anew(self) -> None:
        while not self._database.taken_over.is_set():
            try:
                rows, _ = await self._database.do(_read)
            except StorageFailed:
                await asyncio.sleep(_PAUSE)
                continue
            self._clear()
            self._take(rows)
            self._reading = None
            return

    def _clear(self) -> None:
        for kind in model.KINDS.values():
            self._tables[kind] = Table(INDEXES.get(kind, ()))

    def _take(self, rows: Iterable[tuple[Any, ...]]) -> None:
        decoders = {name: msgspec.json.Decoder(kind) for name, kind in model.KINDS.items()}
        for kind, _, serial, body in rows:
            record = decoders[kind].decode(bytes(body))
            self._tables[type(record)].put(record, serial)
            self._serial = max(self._serial, serial)


def _read(session: Session) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    rows = session.all("SELECT kind, id, serial, body FROM records ORDER BY serial")
    return rows, session.all("SELECT number, project, event, body FROM events ORDER BY number")


def _write(
    session: Session, put: list[tuple[Any, ...]], drop: list[tuple[str, str]], events: list[Event], prune: int
) -> None:
    for row in put:
        session.run(
            "INSERT INTO records VALUES (?, ?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body", *row
        )
    for kind, id in drop:
        session.run("DELETE FROM records WHERE kind = ? AND id = ?", kind, id)
    for event in events:
        session.run(
            "INSERT INTO events VALUES (?, ?, ?, ?)", event.number, event.project, event.kind, event.data
        )  # fmt: skip
    if prune > 0:
        session.run("DELETE FROM events WHERE number <= ?", prune)
