"""The catalog itself: publish, withdraw, measure. Every accepted change has a revision, is durable, and is told to all."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from continuo.broker.catalog.entries import Change, Entry
from continuo.broker.catalog.feed import Feed
from continuo.broker.catalog.index import Index
from continuo.broker.offers.model import Offer
from continuo.storage.database import Database, Session

log = logging.getLogger(__name__)

MOST_OFFERS = 100_000
_encoder = msgspec.json.Encoder()
_offers = msgspec.json.Decoder(Offer)


class Refused(Exception):
    """What was asked cannot be done; `str()` is a sentence, `code` never changes for the same cause."""

    code = "refused"


class NoSuchOffer(Refused):
    """There is none, or none that the caller may know of."""

    code = "offer-unknown"


class Stale(Refused):
    """The offer is not what the caller believes."""

    code = "offer-changed"


class Full(Refused):
    """A bound of the catalog is reached."""

    code = "catalog-full"


Guard = Callable[[Entry | None], None]
"""Looks at the current version before a write, and raises Refused."""


class Catalog:
    """All offers of all providers, over one database."""

    def __init__(
        self, database: Database, *, keep: int = 20_000, interval: float = 0.1, clock: Callable[[], float] = time.time
    ) -> None:
        self.database, self.clock = database, clock
        self.index = Index()
        self.feed = Feed(keep, interval)
        self._keep = keep
        self._measured: dict[str, dict[str, float]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def load(self) -> None:
        """Take over what the database holds."""
        keep = self._keep

        def read(session: Session) -> tuple[Any, ...]:
            head = session.number("revision")
            session.run("DELETE FROM changes WHERE revision <= ?", head - keep)
            offers = session.all("SELECT id, provider, revision, updated, body FROM offers")
            changes = session.all("SELECT revision, id, provider, updated, body FROM changes ORDER BY revision")
            return head, offers, changes, session.all("SELECT provider, body FROM measured")

        revision, offers, changes, measured = await self.database.do(read)
        self._measured = {provider: msgspec.json.decode(bytes(body)) for provider, body in measured}
        for _, _, at, updated, body in offers:
            self.index.put(self._entry(_offers.decode(bytes(body)), at, updated))
        self.index.revision = revision
        self.feed.load(revision, self._history(changes))

    def _entry(self, offer: Offer, revision: int, updated: float) -> Entry:
        return Entry.of(offer, revision, updated, self._measured.get(offer.provider, {}))

    def _history(self, rows: list[tuple[Any, ...]]) -> list[Change]:
        """The kept changes; what was before the first of each offer is not known any more."""
        latest: dict[str, Entry | None] = {}
        history = []
        for revision, id, provider, updated, body in rows:
            current = self.index.get(id)
            after: Entry | None = None
            if current is not None and current.revision == revision:
                after = current
            elif body is not None:
                after = self._entry(_offers.decode(bytes(body)), revision, updated)
            history.append(Change(revision, id, provider, latest.get(id), after, forgotten=id not in latest))
            latest[id] = after
        return history

    async def publish(self, offer: Offer, guard: Guard | None = None) -> tuple[Entry, bool]:
        """Create or replace an offer; returns it, and whether it is new. Publishing the same again changes nothing."""
        async with self._lock(offer.id):
            current = self._own(offer.id, offer.provider, may_be_new=True)
            if guard is not None:
                guard(current)
            if current is not None and current.offer == offer:
                return current, False
            if current is None and len(self.index) >= MOST_OFFERS:
                raise Full(f"the catalog holds {MOST_OFFERS} offers, which is its bound; withdraw some first")
            await self._write(offer.id, offer.provider, offer)
            entry = self.index.get(offer.id)
            assert entry is not None
            return entry, current is None

    async def withdraw(self, id: str, provider: str | None, guard: Guard | None = None) -> None:
        """Delete an offer of this provider; None: of whomever it is."""
        async with self._lock(id):
            current = self._own(id, provider)
            assert current is not None
            if guard is not None:
                guard(current)
            await self._write(id, current.offer.provider, None)

    def own(self, id: str, provider: str | None) -> Entry:
        """An offer of this provider; one of others is as good as none."""
        entry = self._own(id, provider)
        assert entry is not None
        return entry

    async def measure(self, provider: str, values: Mapping[str, float]) -> None:
        """What was measured of a provider: all of its offers show it from now on."""
        kept = dict(values)
        if self._measured.get(provider, {}) == kept:
            return
        body = _encoder.encode(kept)

        def write(session: Session) -> None:
            session.run("DELETE FROM measured WHERE provider = ?", provider)
            session.run("INSERT INTO measured VALUES (?, ?)", provider, body)

        await self.database.do(write, lambda _: self._measured.__setitem__(provider, kept))
        for entry in self.index.of_provider(provider):
            async with self._lock(entry.offer.id):
                current = self.index.get(entry.offer.id)
                if current is not None and current.offer.provider == provider:
                    await self._write(current.offer.id, provider, current.offer)

    def _own(self, id: str, provider: str | None, *, may_be_new: bool = False) -> Entry | None:
        entry = self.index.get(id)
        if entry is None and may_be_new:
            return None
        if entry is None or (provider is not None and entry.offer.provider != provider):
            raise NoSuchOffer(f"there is no offer {id} of yours" if provider else f"there is no offer {id}")
        return entry

    def _lock(self, id: str) -> asyncio.Lock:
        """One writer for each offer; locks that nobody holds are forgotten."""
        if len(self._locks) > 1024:
            self._locks = {key: lock for key, lock in self._locks.items() if lock.locked()}
        return self._locks.setdefault(id, asyncio.Lock())

    async def _write(self, id: str, provider: str, offer: Offer | None) -> None:
        now = self.clock()
        body = None if offer is None else _encoder.encode(offer)

        def write(session: Session) -> int:
            revision = session.next_number("revision")
            if body is None:
                session.run("DELETE FROM offers WHERE id = ?", id)
            else:
                session.run(
                    "INSERT INTO offers VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET provider = excluded.provider,"
                    " revision = excluded.revision, updated = excluded.updated, body = excluded.body",
                    id, provider, revision, now, body,
                )  # fmt: skip
            session.run("INSERT INTO changes VALUES (?, ?, ?, ?, ?)", revision, id, provider, now, body)
            if revision % 1024 == 0:
                session.run("DELETE FROM changes WHERE revision <= ?", revision - self._keep)
            return revision

        await self.database.do(write, lambda revision: self._take(revision, id, provider, offer, now))

    def _take(self, revision: int, id: str, provider: str, offer: Offer | None, now: float) -> None:
        """Runs for every committed change, in the order of revisions."""
        after = None if offer is None else self._entry(offer, revision, now)
        before = self.index.remove(id) if after is None else self.index.put(after)
        self.index.revision = revision
        self.feed.add(Change(revision, id, provider, before, after))
