"""Lists of offers: filtered, ranked, in pages. A page ends with the sort key of its last offer, never with a count."""

from __future__ import annotations

import base64
import hashlib
import re
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

import msgspec

from continuo.broker.catalog.entries import Entry
from continuo.broker.catalog.index import Index
from continuo.broker.catalog.rows import CLAIMED, FIELDS, MEASURED, Row
from continuo.broker.catalog.where import compile_where

MOST = 1000
_REMEMBERED = 64
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
    """Answers lists; whole results are kept as long as the catalog does not change."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._results: OrderedDict[Asked, tuple[int, list[Match]]] = OrderedDict()

    def page(self, asked: Asked, limit: int = 100, cursor: str | None = None) -> Page:
        """One page; raises BadQuery and BadExpression."""
        key_of = _ranking(asked.order)
        after = _read_cursor(cursor, asked) if cursor else None
        if key_of is None:
            found = list(islice(self._by_id(asked, str(after[-1]) if after else ""), limit + 1))
        else:
            ranked = self._ranked(asked, key_of)
            try:
                start = bisect_right(ranked, after, key=lambda match: match[0]) if after else 0
            except TypeError as error:
                raise BadQuery("cursor: is not one of this catalog's") from error
            found = ranked[start : start + limit + 1]
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

    def _ranked(self, asked: Asked, key_of: Callable[[Row], Key]) -> list[Match]:
        known = self._results.get(asked)
        if known is not None and known[0] == self._index.revision:
            self._results.move_to_end(asked)
            return known[1]
        result = self._rank(asked, key_of)
        self._results[asked] = (self._index.revision, result)
        self._results.move_to_end(asked)
        if len(self._results) > _REMEMBERED:
            self._results.popitem(last=False)
        return result

    def _rank(self, asked: Asked, key_of: Callable[[Row], Key]) -> list[Match]:
        """Every matching offer at the place of its best matching plan, its plans from the best on."""
        index = self._index
        entries = index.of_provider(asked.provider) if asked.provider else index.values()
        keep = compile_where(asked.where or "true")
        keyed = sorted(((key_of(row), row) for row in keep(entry.rows for entry in entries)), key=lambda pair: pair[0])
        best: dict[str, tuple[Key, list[str]]] = {}
        for key, row in keyed:
            best.setdefault(row[0], (key, []))[1].append(row[1])
        found = [(key, index.get(id), tuple(plans)) for id, (key, plans) in best.items()]
        return [(key, entry, plans) for key, entry, plans in found if entry is not None]


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
