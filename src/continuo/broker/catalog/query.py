"""Lists of offers: filtered, ranked, in pages. A page ends with the sort key of its last offer, never with a count."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from itertools import islice
from operator import attrgetter, itemgetter
from typing import TypeAlias

import msgspec

from continuo.broker.catalog.entries import Entry
from continuo.broker.catalog.index import Index
from continuo.broker.catalog.ranking import BadQuery, Key, Ranking, order_of
from continuo.broker.catalog.rows import Row
from continuo.broker.catalog.turns import Turns, chunks
from continuo.broker.catalog.where import Filter, bounds_of, compile_where

MOST = 1000
_REMEMBERED = 8
_CHUNK = 512
_AT_ONCE = 7 * _CHUNK
"""So many rows in order are looked at before all of them are, in any order and in turns."""

Match: TypeAlias = tuple[Key, Entry, tuple[str, ...]]
"""The sort key (it ends with the id), the offer, and the plans that match; none where nothing was asked."""

_rows_of = attrgetter("rows")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller wants to see."""

    where: str = ""
    order: str = "id"
    provider: str = ""
    """Only this provider's offers."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some offers, and where the next ones begin."""

    matches: list[Match]
    cursor: str | None
    revision: int


class Queries:
    """Answers lists, each as of one revision. Long ones take turns with whatever else the loop has to do."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._rankings: OrderedDict[str, Ranking] = OrderedDict()
        self._filling: dict[str, tuple[asyncio.Task[Ranking], list[tuple[Entry | None, Entry | None]]]] = {}
        index.listeners.append(self._changed)

    async def prepare(self, order: str) -> None:
        """Make what lists in this order need, before somebody waits for it."""
        await self._filled(order)

    async def page(self, asked: Asked, limit: int = 100, cursor: str | None = None) -> Page:
        """One page; raises BadQuery and BadExpression."""
        after = _read_cursor(cursor, asked) if cursor else None
        if order_of(asked.order) is None:
            revision, found = await self._by_id(asked, str(after[-1]) if after else "", limit + 1)
        else:
            revision, found = await self._ranked(asked, after, limit + 1)
        more = _make_cursor(found[limit - 1][0], asked) if len(found) > limit else None
        return Page(found[:limit], more, revision)

    async def all(self, asked: Asked) -> tuple[int, list[Entry]]:
        """Every offer that matches, by id, and of which revision that is: how a stream begins."""
        revision, found = await self._by_id(asked, "", None)
        return revision, [entry for _, entry, _ in found]

    async def _by_id(self, asked: Asked, after: str, wanted: int | None) -> tuple[int, list[Match]]:
        """In order of ids; only about as many are looked at as are wanted."""
        index = self._index
        revision = index.revision
        source = index.of_provider(asked.provider, after) if asked.provider else index.after(after)
        if not asked.where:
            return revision, [((entry.offer.id,), entry, ()) for entry in islice(source, wanted)]
        found: list[Match] = []
        keep, turns = compile_where(asked.where), Turns()
        for chunk in chunks(source, _CHUNK):
            found += _matches(keep, chunk)
            if wanted is not None and len(found) >= wanted:
                break
            await turns.give()
        return revision, found[:wanted]

    async def _ranked(self, asked: Asked, after: Key | None, wanted: int) -> tuple[int, list[Match]]:
        """In order of the best plan that matches."""
        ranking = self._rankings.get(asked.order)
        if ranking is None:
            ranking = await self._filled(asked.order)
        else:
            self._rankings.move_to_end(asked.order)
        if not asked.provider:
            found, whole = self._first(ranking, asked.where or "true", after, wanted)
            if whole or len(found) >= wanted:
                return self._index.revision, found[:wanted]
        return await self._of_all(ranking, asked, after, wanted)

    def _first(self, ranking: Ranking, where: str, after: Key | None, wanted: int) -> tuple[list[Match], bool]:
        """What matches among the first rows in order, and whether those are all rows that there are."""
        keep, (first, over) = compile_where(where), ranking.within(bounds_of(where))
        at, size, found = max(first, ranking.start(after)), _CHUNK, list[Match]()
        end = min(over, at + _AT_ONCE)
        while at < end and len(found) < wanted:
            for row in keep((ranking.rows(at, min(at + size, over)),)):
                entry = self._index.get(row.offer)
                assert entry is not None
                match = _best(ranking, entry, keep((entry.rows,)))
                if match[2][0] == row.plan:  # else a worse plan of an offer that stood before
                    found.append(match)
            at, size = at + size, 2 * size
        return found, at >= over

    async def _of_all(self, ranking: Ranking, asked: Asked, after: Key | None, wanted: int) -> tuple[int, list[Match]]:
        """The same by looking at every offer, for filters that few of the first rows pass."""
        revision, found = self._index.revision, list[Match]()
        source = self._index.of_provider(asked.provider) if asked.provider else self._index.values()
        keep, turns = compile_where(asked.where or "true"), Turns()
        for chunk in chunks(source, _CHUNK):
            matches = _matches(keep, chunk, ranking)
            found += matches if after is None else [match for match in matches if match[0] > after]
            if len(found) > 4 * wanted:
                found = nsmallest(wanted, found, key=itemgetter(0))
            await turns.give()
        return revision, nsmallest(wanted, found, key=itemgetter(0))

    async def _filled(self, order: str) -> Ranking:
        """The ranking of an order that was not asked for lately; made once for all who ask for it meanwhile."""
        if order not in self._filling:
            self._filling[order] = asyncio.ensure_future(self._fill(order, self._index.values())), []
        return await asyncio.shield(self._filling[order][0])

    async def _fill(self, order: str, entries: list[Entry]) -> Ranking:
        ranking = Ranking(order)
        try:
            await ranking.fill(entries, Turns())
            for before, after in self._filling[order][1]:
                ranking.replace(before, after)
        finally:
            del self._filling[order]
        self._rankings[order] = ranking
        if len(self._rankings) > _REMEMBERED:
            self._rankings.popitem(last=False)
        return ranking

    def _changed(self, before: Entry | None, after: Entry | None) -> None:
        for ranking in self._rankings.values():
            ranking.replace(before, after)
        for _, missed in self._filling.values():
            missed.append((before, after))


def check_order(order: str) -> None:
    """Raises BadQuery for an order that there is not."""
    order_of(order)


def _matches(keep: Filter, entries: Sequence[Entry], ranking: Ranking | None = None) -> Iterator[Match]:
    """The offers of which some plans match; with a ranking the best plan is the first and makes the key."""
    rows = keep(map(_rows_of, entries))
    if not rows:
        return
    held = {entry.offer.id: entry for entry in entries}
    for id, mine in _grouped(rows):
        if ranking is None:
            yield (id,), held[id], tuple(row.plan for row in mine)
        else:
            yield _best(ranking, held[id], mine)


def _best(ranking: Ranking, entry: Entry, rows: list[Row]) -> Match:
    best, *others = sorted((ranking.key_of(row), row.plan) for row in rows)
    return best[0], entry, (best[1], *(plan for _, plan in others))


def _grouped(rows: list[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Rows of the same offer together; they are next to each other."""
    start = 0
    while start < len(rows):
        end = start + 1
        while end < len(rows) and rows[end].offer == rows[start].offer:
            end += 1
        yield rows[start].offer, rows[start:end]
        start = end


def _fingerprint(asked: Asked) -> str:
    return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()[:16]


def _make_cursor(key: Key, asked: Asked) -> str:
    """Nothing in it is secret, and nothing is believed of it but a place in the order."""
    return base64.urlsafe_b64encode(msgspec.json.encode([_fingerprint(asked), *key])).decode().rstrip("=")


def _read_cursor(cursor: str, asked: Asked) -> Key:
    try:
        fingerprint, *key = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError) as error:
        raise BadQuery("cursor: is not one of this catalog's; begin again without it") from error
    if fingerprint != _fingerprint(asked):
        raise BadQuery("cursor: belongs to another where or order; begin again without it")
    if not key or not isinstance(key[-1], str) or not all(isinstance(part, int | float | str) for part in key):
        raise BadQuery("cursor: is not one of this catalog's; begin again without it")
    return tuple(key)
