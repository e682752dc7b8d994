"""The log of events: the newest of them, in order, each once; in memory, and where a database is named, there too.

It is a sink. What it has already it drops, so whatever is published again after a restart changes nothing. Each entry has
a number in this log; a reader is a number, so that a slow one costs nothing but is too late at last, and is told so.

Every event carries its position among all events of its orchestration. Where the log sees one missing it says so, by an
event of the type `dev.continuo.events.gap.v1` in its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from continuo.events.cloudevent import JSON, Event, decode
from continuo.events.ledger import stamp
from continuo.events.sink import SinkUnavailable
from continuo.events.types import GAP
from continuo.storage.database import Database, Session, StorageFailed
from continuo.storage.schema import Schema

SCHEMA = Schema(
    owner="log of events", extra="broker", lock=0x436F4C67, version=1,
    tables=(
        "CREATE TABLE IF NOT EXISTS events (number BIGINT PRIMARY KEY, source TEXT NOT NULL, id TEXT NOT NULL, "
        "body BLOB NOT NULL, UNIQUE (source, id))",
    ),
)  # fmt: skip

Clock = Callable[[], datetime.datetime]


@dataclass(frozen=True, slots=True)
class Entry:
    """One event in the log, with what it is looked for by."""

    number: int
    id: str
    source: str
    type: str
    subject: str
    tenant: str
    time: str
    body: bytes
    """Structured JSON."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is kept: at most so many events, of at most so many seconds ago."""

    count: int = 10_000
    seconds: float = 7 * 86_400.0


class EventLog:
    """Implements `Sink`. `open` comes first where there is a database."""

    name = "log"

    def __init__(
        self,
        url: str | None = None,
        bounds: Bounds | None = None,
        *,
        clock: Clock = lambda: datetime.datetime.now(datetime.UTC),
        rng: random.Random | None = None,
    ) -> None:
        self._bounds, self._clock = bounds or Bounds(), clock
        self._database = Database(url, SCHEMA) if url else None
        self._entries: dict[int, Entry] = {}
        """By number, without a gap."""
        self.oldest = 1
        """The number of the first entry that is kept; one more than the newest where there is none."""
        self._ids: dict[tuple[str, str], None] = {}
        self._last: OrderedDict[str, tuple[str, int]] = OrderedDict()
        """By source: which object it was (the first part of its tasks' ids), and the position of its last event."""
        self._tenants: dict[str, frozenset[str]] = {}
        """By source: whose applications were spoken of."""
        self.epoch = (rng or random.SystemRandom()).getrandbits(40)
        """Which log this is: numbers of another one mean nothing here."""
        self.newest = 0
        """The number of the last entry; 0 before the first."""
        self._changed = asyncio.Event()
        self._one = asyncio.Lock()

    async def open(self) -> None:
        """Read what an earlier process kept. Raises StorageFailed."""
        if self._database is None:
            return
        await self._database.open()
        epoch = self.epoch

        def load(session: Session) -> tuple[int, int, list[tuple[Any, ...]]]:
            if not session.number("epoch"):
                session.set_number("epoch", epoch)
            rows = session.all("SELECT number, body FROM events ORDER BY number")
            return session.number("epoch"), session.number("newest"), rows

        self.epoch, self.newest, rows = await self._database.do(load)
        self.oldest = rows[0][0] if rows else self.newest + 1
        for number, body in rows:
            event = decode(bytes(body))
            self._remember(_entry(number, event, bytes(body)), event)
        await self._prune()

    async def close(self) -> None:
        """Write what is waiting, and end."""
        if self._database is not None:
            await self._database.close()

    def trouble(self) -> str:
        """Why events are not taken now; empty while they are."""
        return self._database.trouble if self._database is not None else ""

    # --- writing ------------------------------------------------------------------------------------------------------

    async def publish(self, events: Sequence[Event]) -> None:
        """Keep those that are not there yet. Raises SinkUnavailable where the database does not take them."""
        async with self._one:
            added = self._new(events)
            if added and self._database is not None:
                rows = [(entry.number, entry.source, entry.id, entry.body) for entry, _ in added]
                try:
                    await self._database.do(lambda session: _insert(session, rows))
                except StorageFailed as error:
                    raise SinkUnavailable(str(error)) from error
            for entry, event in added:
                self.newest = entry.number
                self._remember(entry, event)
            if added:
                await self._prune()
                self.wake()

    def _new(self, events: Sequence[Event]) -> list[tuple[Entry, Event]]:
        added: list[tuple[Entry, Event]] = []
        known: set[tuple[str, str]] = set()
        last = dict(self._last)
        for event in events:
            if (event.source, event.id) in self._ids or (event.source, event.id) in known or _passed(event, last):
                continue
            for one in (*self._gap_before(event, last), event):
                known.add((one.source, one.id))
                added.append((_entry(self.newest + len(added) + 1, one, one.encode()), one))
            if (place := _place(event)) is not None:
                last[event.source] = place
        return added

    def _gap_before(self, event: Event, last: dict[str, tuple[str, int]]) -> Iterator[Event]:
        place, before = _place(event), last.get(event.source)
        if place is None or before is None or before[0] != place[0] or place[1] <= before[1] + 1:
            return
        missing = place[1] - before[1] - 1
        told = f"{missing} event{'' if missing == 1 else 's'} of {event.source} went by while nobody listened"
        tenants = self._tenants.get(event.source, frozenset()) | ({event.tenant} if event.tenant else set())
        for tenant in sorted(tenants) or [""]:  # whose they were, nobody knows: everybody is told
            id_ = f"{place[0]}-gap/{place[1]:06d}{f'/{tenant}' if tenant else ''}"
            yield gap(id_, event.source, self._clock(), tenant=tenant or None, message=told, missing=missing)

    def _remember(self, entry: Entry, event: Event) -> None:
        self._entries[entry.number] = entry
        self._ids[(entry.source, entry.id)] = None
        if (place := _place(event)) is not None:
            self._last[entry.source] = place
            self._last.move_to_end(entry.source)
            if entry.tenant:
                self._tenants[entry.source] = self._tenants.get(entry.source, frozenset()) | {entry.tenant}
            if len(self._last) > self._bounds.count:
                self._tenants.pop(self._last.popitem(last=False)[0], None)

    async def _prune(self) -> None:
        """Forget what is too much or too old."""
        limit, before = self._clock() - datetime.timedelta(seconds=self._bounds.seconds), self.oldest
        while self._entries and (len(self._entries) > self._bounds.count or _older(self._entries[self.oldest], limit)):
            entry = self._entries.pop(self.oldest)
            del self._ids[(entry.source, entry.id)]
            self.oldest += 1
        if self.oldest > before and self._database is not None:
            await self._database.run("DELETE FROM events WHERE number < ?", self.oldest)

    # --- reading ------------------------------------------------------------------------------------------------------

    def after(self, number: int, limit: int = 256) -> list[Entry]:
        """The entries that follow a number, oldest first. Whoever asks for one before the oldest has missed some."""
        start = max(number + 1, self.oldest)
        return [self._entries[index] for index in range(start, min(start + limit, self.newest + 1))]

    async def wait(self, after: int, seconds: float) -> None:
        """Return when there is an entry after that number, or after so many seconds, or when all are woken."""
        if self.newest > after:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    def wake(self) -> None:
        """Let everybody look who waits."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def gap(
    id_: str, source: str, now: datetime.datetime, *, message: str, tenant: str | None = None, **data: Any
) -> Event:
    """An event that says that others are missing before it."""
    return Event(
        id=id_, source=source, type=GAP, time=stamp(now),
        datacontenttype=JSON, tenant=tenant, data={"message": message, **data},
    )  # fmt: skip


def _entry(number: int, event: Event, body: bytes) -> Entry:
    return Entry(
        number, event.id, event.source, event.type, event.subject or "", event.tenant or "", event.time or "", body
    )


def _place(event: Event) -> tuple[str, int] | None:
    """Which object the event is of, and its position there; None of others' events, which count nothing."""
    position = event.data.get("position") if isinstance(event.data, dict) else None
    return (event.id.partition("-")[0], position) if isinstance(position, int) else None


def _passed(event: Event, last: dict[str, tuple[str, int]]) -> bool:
    """Whether a later event of the same object is known: then this one was, too, and is forgotten."""
    place, before = _place(event), last.get(event.source)
    return place is not None and before is not None and place[0] == before[0] and place[1] <= before[1]


def _older(entry: Entry, limit: datetime.datetime) -> bool:
    try:
        return datetime.datetime.fromisoformat(entry.time) < limit
    except ValueError:
        return False


def _insert(session: Session, rows: Sequence[tuple[Any, ...]]) -> None:
    for row in rows:
        session.run("INSERT INTO events VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", *row)
        session.set_number("newest", row[0])
