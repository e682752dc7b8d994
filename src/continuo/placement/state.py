"""Where units are during a search: what one more costs on every site, put and take, each in a few array operations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from continuo.placement.compiled import Compiled
from continuo.placement.talking import Pair

if TYPE_CHECKING:
    from continuo.placement.terrain import Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class Noted:
    """Where some units are, to go back to."""

    places: list[tuple[int, int]]
    """Unit and site."""
    rooms: tuple[Ints, Floats] | None
    """What all sites have left, and how they are filled; none where more than that would have to be noted."""


class State:
    """Places of some units."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self.units = compiled.units
        self.talking = compiled.talking
        self.place = [-1] * len(self.units)
        self.on: list[set[int]] = [set() for _ in range(compiled.terrain.count)]
        """Units by site."""
        self._left, self._slope = np.ascontiguousarray(compiled.left.T), compiled.slope.copy()
        self.left: list[Ints] = list(self._left)
        """By resource: what each site has left."""
        self.slope: list[Floats] = list(self._slope)
        self.steep = [[float(value) for value in row] for row in compiled.steep]
        self.used: Ints | None = None if compiled.talking.used is None else compiled.talking.used.copy()
        self._wanted = [
            [(resource, wanted, bool(compiled.steep[resource].any())) for resource, wanted in enumerate(unit.room) if wanted]
            for unit in self.units
        ]  # fmt: skip
        self._rooms = np.array([unit.room for unit in self.units], np.int64).reshape(-1, len(self.left))
        self._counting = [resource for resource, row in enumerate(self.steep) if any(row)]
        self._ties = [[(pair, self.talking.matrix(pair)) for pair in pairs] for pairs in self.talking.pairs]
        means = [mean or 1.0 for mean in compiled.stick.room]
        self.share = [sum(w / mean for w, mean in zip(unit.room, means, strict=True)) for unit in self.units]
        """How large each unit is, in average parts."""
        self.strict = bool(compiled.apart or compiled.spreads or compiled.purses or self.used is not None)
        """Whether there is more than rooms, costs and bounds of talks."""

    def row(self, number: int) -> Floats:
        """What a unit without a place costs on each site, the others being where they are; infinite where it may not be."""
        row = self.units[number].base.copy()
        self._add_talks(row, number)
        for resource, wanted, counts in self._wanted[number]:
            if counts:
                row += wanted * self.slope[resource]
            np.copyto(row, np.inf, where=self.left[resource] < wanted)
        if self.strict:
            self._rule_out(row, number)
        return row

    def rows(self, numbers: Sequence[int]) -> Floats:
        """The same of several units, by unit and site: what it takes is about one row's."""
        rooms = self._rooms[list(numbers)]
        rows = np.array([self.units[number].base for number in numbers]).reshape(len(rooms), self._left.shape[1])
        for row, number in zip(rows, numbers, strict=True):
            self._add_talks(row, number)
        for resource in range(len(self.left)):
            wanted = rooms[:, resource, None]
            if not wanted.any():
                continue
            if resource in self._counting:
                rows += wanted * self.slope[resource]
            np.copyto(rows, np.inf, where=(self.left[resource] < wanted) & (wanted > 0))
        if self.strict:
            for row, number in zip(rows, numbers, strict=True):
                self._rule_out(row, number)
        return rows

    def _add_talks(self, row: Floats, number: int, only: Sequence[int] | None = None) -> None:
        """What the network to those that have a place makes of it."""
        place, fresh = self.place, self.units[number].current < 0
        for pair, matrix in self._ties[number]:
            there = place[pair.other]
            if there < 0 or (only is not None and pair.other not in only):
                continue
            if fresh and matrix is not None:
                row += matrix[there]
            else:
                self.talking.add(row, self.units[number], pair, there, there == self.units[pair.other].current)

    def catch_up(self, row: Floats, number: int, placed: Sequence[int]) -> None:
        """Bring a unit's row up to date after others were placed; only where rooms and talks are all there is."""
        for other in placed:
            self.crowd(row, number, other)
        self._add_talks(row, number, placed)

    def crowd(self, row: Floats, number: int, placed: int) -> None:
        """Bring a unit's row up to date after another was placed that it has nothing to do with."""
        site = self.place[placed]
        for resource, wanted, counts in self._wanted[number]:
            if counts:
                row[site] += 2.0 * wanted * self.units[placed].room[resource] * self.steep[resource][site]
            if self.left[resource][site] < wanted:
                row[site] = np.inf

    def _rule_out(self, row: Floats, number: int) -> None:
        compiled = self.compiled
        for other in compiled.apart.get(number, ()):
            if self.place[other] >= 0:
                row[self.place[other]] = np.inf
        for spread in compiled.spreads_of.get(number, ()):
            row[spread.refused(number, self.units[number].current)] = np.inf
        for purse in compiled.purses.get(number, ()):
            row[purse.refused(number)] = np.inf
        if self.used is not None:
            for there, bad in self._narrow(number):
                bad[there] = False
                row[bad] = np.inf

    def _narrow(self, number: int) -> list[tuple[int, Bools]]:
        """By site of a partner, the sites from which the path to it is too narrow."""
        room, used, current = self.talking.wires.room, self.used, self.units[number].current
        wanted: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        for pair, there in self._partners(number):
            if pair.bandwidth:
                stays = pair.lenient and (
                    pair in self.talking.anchors[number] or there == self.units[pair.other].current
                )
                wanted[there][0] += pair.bandwidth
                wanted[there][1] += 0 if stays else pair.bandwidth
        found = []
        assert room is not None and used is not None
        for there, (bps, strict) in wanted.items():
            bad = used[there] + bps > room[there]
            if current >= 0 and room[there, current] < 0 and not strict:
                bad[current] = False
            found.append((there, bad))
        return found

    def _partners(self, number: int) -> list[tuple[Pair, int]]:
        moving = [(pair, self.place[pair.other]) for pair in self.talking.pairs[number] if self.place[pair.other] >= 0]
        return moving + [(pair, pair.other) for pair in self.talking.anchors[number]]

    def cost(self, number: int, site: int) -> float:
        """What a unit without a place costs on one site where it may be."""
        total = float(self.units[number].base[site])
        for pair in self.talking.pairs[number]:
            there = self.place[pair.other]
            if there >= 0:
                total += self.talking.cost(pair, site, there)
        for resource, wanted, counts in self._wanted[number]:
            if counts:
                total += wanted * float(self.slope[resource][site])
        return total

    def put(self, number: int, site: int) -> None:
        """Place a unit that has no place."""
        self.place[number] = site
        self.on[site].add(number)
        self._change(number, site, 1)

    def take(self, number: int) -> int:
        """Take a unit from its place."""
        site = self.place[number]
        self._change(number, site, -1)
        self.place[number] = -1
        self.on[site].remove(number)
        return site

    def _change(self, number: int, site: int, sign: int) -> None:
        for resource, wanted, counts in self._wanted[number]:
            self.left[resource][site] -= sign * wanted
            if counts:
                self.slope[resource][site] += sign * 2 * wanted * self.steep[resource][site]
        if self.strict:
            self._change_strict(number, site, sign)

    def _change_strict(self, number: int, site: int, sign: int) -> None:
        for spread in self.compiled.spreads_of.get(number, ()):
            spread.change(number, site, sign, stays=site == self.units[number].current)
        for purse in self.compiled.purses.get(number, ()):
            purse.change(number, site, sign)
        if self.used is not None:
            for pair, there in self._partners(number):
                if pair.bandwidth and there != site:
                    self.used[site, there] += sign * pair.bandwidth
                    self.used[there, site] += sign * pair.bandwidth

    def note(self, units: Iterable[int]) -> Noted:
        """Where units are, to go back to."""
        places = [(unit, self.place[unit]) for unit in units]
        return Noted(places, None if self.strict else (self._left.copy(), self._slope.copy()))

    def back(self, noted: Noted, changed: Iterable[int]) -> None:
        """Undo what was done to units since then, which is to those that were noted and to `changed`, which had no place."""
        if noted.rooms is None:
            for unit in [*changed, *(unit for unit, _ in noted.places)]:
                if self.place[unit] >= 0:
                    self.take(unit)
            for unit, site in noted.places:
                self.put(unit, site)
            return
        for unit in [*changed, *(unit for unit, _ in noted.places)]:
            if self.place[unit] >= 0:
                self.on[self.place[unit]].remove(unit)
                self.place[unit] = -1
        for unit, site in noted.places:
            self.place[unit] = site
            self.on[site].add(unit)
        self._left[:], self._slope[:] = noted.rooms

    def spend_freely(self) -> None:
        """Keep no money any more for what has no place."""
        for purses in self.compiled.purses.values():
            for purse in purses:
                purse.careful = False

    def spread_well(self) -> bool:
        """Whether what was taken elsewhere left the groups well spread."""
        return all(spread.fine() for spread in self.compiled.spreads)
