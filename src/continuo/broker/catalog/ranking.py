"""Orders of plans, and rows that are kept in one, so that a page of what was asked for before looks at few of them."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias

from continuo.broker.catalog.bounds import Bounds
from continuo.broker.catalog.entries import Entry
from continuo.broker.catalog.rows import Row
from continuo.broker.catalog.turns import Turns, chunks

Key: TypeAlias = tuple[Any, ...]
KeyOf: TypeAlias = Callable[[Row], Key]

_CHUNK = 512
_ORDER = re.compile(
    r"(-?)(id|price|name|region|provider"
    r"|(resources|measured|claimed|effective)\.([A-Za-z0-9][-A-Za-z0-9_./]{0,253}))"
)


class BadQuery(ValueError):
    """A list that cannot be made; `str()` is a sentence."""


def order_of(order: str) -> KeyOf | None:
    """The sort key of a row, or None for the order of ids; raises BadQuery. What has no value comes last either way."""
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
        return _by_number(found[3], found[4], sign)
    value_of = attrgetter(found[2])
    if found[2] == "price":
        return lambda row: (sign * row.price, row.offer)
    return lambda row: (value_of(row), row.offer)


def _by_number(field: str, name: str, sign: int) -> KeyOf:
    values_of = attrgetter(field)

    def by_entry(row: Row) -> Key:
        value = values_of(row).get(name)
        return (1, 0.0, row.offer) if value is None else (0, sign * value, row.offer)

    return by_entry


def _by_effective(name: str, sign: int) -> KeyOf:
    """What is measured comes before what is only claimed, whatever is claimed."""

    def by_source(row: Row) -> Key:
        if (value := row.measured.get(name)) is not None:
            return (0, sign * value, row.offer)
        value = row.claimed.get(name)
        return (2, 0.0, row.offer) if value is None else (1, sign * value, row.offer)

    return by_source


class Ranking:
    """Every row in one order, kept in it by each change."""

    def __init__(self, order: str) -> None:
        key_of = order_of(order)
        assert key_of is not None, "in the order of ids the index is"
        self.key_of, self._order = key_of, order
        self._places: list[Key] = []
        self._rows: list[Row] = []

    async def fill(self, entries: Sequence[Entry], turns: Turns) -> None:
        """Take these rows to begin with, without keeping everybody else waiting."""
        place, runs = self._place, list[list[tuple[Key, Row]]]()
        for chunk in chunks(entries, _CHUNK):
            runs.append(sorted(((place(row), row) for entry in chunk for row in entry.rows), key=itemgetter(0)))
            await turns.give()
        while len(runs) > 1:
            merged = []
            for pair in chunks(runs, 2):  # sorting what is sorted in two parts is merging them
                merged.append(sorted(chain(*pair), key=itemgetter(0)))
                await turns.give()
            runs = merged
        placed = runs[0] if runs else []
        self._places, self._rows = [at for at, _ in placed], [row for _, row in placed]

    def _place(self, row: Row) -> Key:
        return (*self.key_of(row), row.plan)

    def replace(self, before: Entry | None, after: Entry | None) -> None:
        """Take the rows of one version out, and put those of the next in."""
        for row in before.rows if before is not None else ():
            place = self._place(row)
            at = bisect_left(self._places, place)
            assert self._places[at] == place, "what was put in is there"
            del self._places[at], self._rows[at]
        for row in after.rows if after is not None else ():
            place = self._place(row)
            at = bisect_left(self._places, place)
            self._places.insert(at, place)
            self._rows.insert(at, row)

    def rows(self, start: int, end: int) -> list[Row]:
        """The rows in these places."""
        return self._rows[start:end]

    def within(self, bounds: Bounds) -> tuple[int, int]:
        """The first place, and the one after the last, that rows of these prices have here."""
        if self._order == "price":
            low, high = bounds.low, bounds.high
        elif self._order == "-price":
            low, high = -bounds.high, -bounds.low
        else:
            return 0, len(self._rows)
        price = itemgetter(0)
        return bisect_left(self._places, low, key=price), bisect_right(self._places, high, key=price)

    def start(self, key: Key | None) -> int:
        """The place of the first row whose sort key is above this one."""
        if key is None:
            return 0
        try:
            return bisect_right(self._places, key, key=lambda place: place[:-1])
        except TypeError as error:
            raise BadQuery("cursor: is not one of this catalog's; begin again without it") from error
