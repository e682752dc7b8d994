"""Lists of offers: filtered, ranked, in pages. A page ends with the sort key of its last offer, never with a count."""

from __future__ import annotations

import base64
import hashlib
import re
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

import msgspec

from continuo.broker.catalog.entries import Entry
from continuo.broker.catalog.index import Index
from continuo.broker.catalog.rows import CLAIMED, FIELDS, MEASURED, Row
from continuo.broker.catalog.where import Filter, compile_where

MOST = 1000
_REMEMBERED = 8
_CHUNK = 512
_ORDER = re.compile(
    r"(-?)(id|price|name|region|provider"
    r"|(resources|measured|claimed|effective)\.([A-Za-z0-9][-A-Za-z0-9_./]{0,253}))"
)

Key: TypeAlias = tuple[Any, ...]
Match: TypeAlias = tuple[Key, Entry, tuple[str, ...]]
"""The sort key (it ends with the id), the offer, and the plans that match; none where nothing was asked."""


class BadQuery(ValueError):
    """A list that cannot be made; `str()` is a sentence."""


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
    """Answers lists. What was asked for in some order is kept in that order, so that a page looks at few rows."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._rankings: OrderedDict[str, Ranking] = OrderedDict()
        index.listeners.append(self._changed)

    def page(self, asked: Asked, limit: int = 100, cursor: str | None = None) -> Page:
        """One page; raises BadQuery and BadExpression."""
        after = _read_cursor(cursor, asked) if cursor else None
        if _ranking(asked.order) is None:
            matches = self._by_id(asked, str(after[-1]) if after else "")
        else:
            matches = self._ranked(asked, after)
        found = list(islice(matches, limit + 1))
        more = _make_cursor(found[limit - 1][0], asked) if len(found) > limit else None
        return Page(found[:limit], more, self._index.revision)

    def all(self, asked: Asked) -> list[Entry]:
        """Every offer that matches, by id: how a stream begins."""
        return [entry for _, entry, _ in self._by_id(asked, "")]

    def _by_id(self, asked: Asked, after: str) -> Iterator[Match]:
        """In order of ids; only as many are looked at as are taken."""
        source = self._candidates(asked, after)
        if not asked.where:
            for entry in source:
                yield (entry.offer.id,), entry, ()
            return
        keep = compile_where(asked.where)
        while chunk := list(islice(source, _CHUNK)):
            entries = {entry.offer.id: entry for entry in chunk}
            for id, rows in _grouped(keep(entry.rows for entry in chunk)):
                yield (id,), entries[id], tuple(row[1] for row in rows)

    def _candidates(self, asked: Asked, after: str) -> Iterator[Entry]:
        if not asked.provider:
            return self._index.after(after)
        return (entry for entry in self._index.of_provider(asked.provider) if entry.offer.id > after)

    def _ranked(self, asked: Asked, after: Key | None) -> Iterator[Match]:
        """In order of the best plan that matches; only as many are looked at as are taken."""
        ranking, index = self._ranking(asked.order), self._index
        keep = compile_where(asked.where or "true")
        for row in ranking.rows_after(after, keep):
            entry = index.get(row[0])
            if entry is None or (asked.provider and row[2] != asked.provider):
                continue
            best, *others = sorted((ranking.key_of(other), other[1]) for other in keep((entry.rows,)))
            if best[1] == row[1]:  # a worse plan of an offer that stood before
                yield best[0], entry, (best[1], *(plan for _, plan in others))

    def _ranking(self, order: str) -> Ranking:
        found = self._rankings.get(order)
        if found is None:
            key_of = _ranking(order)
            assert key_of is not None
            found = self._rankings[order] = Ranking(key_of, self._index.values())
            if len(self._rankings) > _REMEMBERED:
                self._rankings.popitem(last=False)
        self._rankings.move_to_end(order)
        return found

    def _changed(self, before: Entry | None, after: Entry | None) -> None:
        for ranking in self._rankings.values():
            ranking.replace(before, after)


class Ranking:
    """Every row in one order, kept in it by each change."""

    def __init__(self, key_of: Callable[[Row], Key], entries: list[Entry]) -> None:
        self.key_of = key_of
        placed = sorted((self._place(row), row) for entry in entries for row in entry.rows)
        self._places = [place for place, _ in placed]
        self._rows = [row for _, row in placed]

    def _place(self, row: Row) -> Key:
        return (*self.key_of(row), row[1])

    def replace(self, before: Entry | None, after: Entry | None) -> None:
        """Take the rows of one version out, and put those of the next in."""
        for row in before.rows if before is not None else ():
            at = bisect_left(self._places, self._place(row))
            del self._places[at], self._rows[at]
        for row in after.rows if after is not None else ():
            place = self._place(row)
            at = bisect_left(self._places, place)
            self._places.insert(at, place)
            self._rows.insert(at, row)

    def rows_after(self, after: Key | None, keep: Filter) -> Iterator[Row]:
        """The rows that a filter keeps, from the first one whose sort key is above this one."""
        at = 0
        if after is not None:
            try:
                at = bisect_right(self._places, after, key=lambda place: place[:-1])
            except TypeError as error:
                raise BadQuery("cursor: is not one of this catalog's; begin again without it") from error
        size = _CHUNK
        while at < len(self._rows):
            yield from keep((self._rows[at : at + size],))
            at, size = at + size, 2 * size


def check_order(order: str) -> None:
    """Raises BadQuery for an order that there is not."""
    _ranking(order)


def _ranking(order: str) -> Callable[[Row], Key] | None:
    """The sort key of a row, or None for the order of ids. What has no value comes last either way."""
    found = _ORDER.fullmatch(order)
    if not found or (found[1] and found[2] in ("id", "name", "region", "provider")):
        raise BadQuery(
            f"order: {order!r} is none; there are id, name, region, provider, price, resources.NAME, measured.NAME, "
            "claimed.NAME, effective.NAME, and for the numbers - before them to begin with the largest"
        )
    sign = -1 if found[1] else 1
    if found[2] == "id":
        return None
    if found[3] == "effective":
        return _by_effective(found[4], sign)
    if found[3]:
        at, name = FIELDS.index(found[3]), found[4]

        def by_entry(row: Row) -> Key:
            value = row[at].get(name)
            return (1, 0.0, row[0]) if value is None else (0, sign * value, row[0])

        return by_entry
    at = FIELDS.index(found[2])
    if found[2] == "price":
        return lambda row: (sign * row[at], row[0])
    return lambda row: (row[at], row[0])


def _by_effective(name: str, sign: int) -> Callable[[Row], Key]:
    """What is measured comes before what is only claimed, whatever is claimed."""

    def by_source(row: Row) -> Key:
        if (value := row[MEASURED].get(name)) is not None:
            return (0, sign * value, row[0])
        value = row[CLAIMED].get(name)
        return (2, 0.0, row[0]) if value is None else (1, sign * value, row[0])

    return by_source


def _grouped(rows: list[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Rows of the same offer together; they are next to each other."""
    start = 0
    while start < len(rows):
        end = start + 1
        while end < len(rows) and rows[end][0] == rows[start][0]:
            end += 1
        yield rows[start][0], rows[start:end]
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
