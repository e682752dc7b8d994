"""Groups that are spread over domains, counted in arrays."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from continuo.placement.model import Part, Problem
from continuo.placement.tally import skews
from continuo.placement.terrain import Terrain, vector

if TYPE_CHECKING:
    from continuo.placement.terrain import Bools, Ints


class Spread:
    """One group over one kind of domain. Members differ in which domains could take them: that makes classes."""

    def __init__(self, domains: Ints, count: int, most: int) -> None:
        self.domains = domains
        """The domain of each site; -1: nobody says."""
        self.most = most
        self.counts: Ints = np.zeros(count, np.int64)
        self.eligible: list[Bools] = []
        self.moved: list[Ints] = []
        """By class: how many members each domain has that did not stay where they were, and so must be well spread."""
        self.classes: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        """By unit: how many members of each class."""

    def class_of(self, eligible: Bools) -> int:
        """The number of a class, a new one where there is none like it."""
        for number, known in enumerate(self.eligible):
            if np.array_equal(known, eligible):
                return number
        self.eligible.append(eligible)
        self.moved.append(np.zeros(len(self.counts), np.int64))
        return len(self.eligible) - 1

    def change(self, unit: int, site: int, sign: int, *, stays: bool) -> None:
        """Count a unit in or out."""
        domain = int(self.domains[site])
        if domain < 0:
            return
        for number, members in self.classes[unit].items():
            self.counts[domain] += sign * members
            if not stays:
                self.moved[number][domain] += sign * members

    def refused(self, unit: int, current: int) -> Bools:
        """Sites where a unit that has no place may not be."""
        if not len(self.counts):
            return np.zeros(len(self.domains), bool)
        more = sum(self.classes[unit].values())
        bad: Bools = np.zeros(len(self.counts), bool)
        own: Bools = np.zeros(len(self.counts), bool)
        for number, eligible in enumerate(self.eligible):
            askew = self._askew(eligible, more)
            bad |= askew & (self.moved[number] > 0)
            if number in self.classes[unit]:
                own |= askew
        named = self.domains >= 0
        at: Bools = (bad | own)[self.domains] & named
        if current >= 0:
            at[current] = bool(named[current] and bad[self.domains[current]])
        return at

    def _askew(self, eligible: Bools, more: int) -> Bools:
        """Domains that would have too many with so many more."""
        counts = self.counts
        if not eligible.any():
            return counts + more > self.most
        least, second = _two_least(counts[eligible])
        alone = eligible & (counts == least) & (second > least)
        return counts + more - np.where(alone, min(second, least + more), least) > self.most

    def fine(self) -> bool:
        """Whether those that did not stay are well spread."""
        for eligible, moved in zip(self.eligible, self.moved, strict=True):
            least = self.counts[eligible].min() if eligible.any() else 0
            if (moved > 0).any() and (self.counts[moved > 0] - least).max() > self.most:
                return False
        return True


def _two_least(counts: Ints) -> tuple[int, int]:
    if len(counts) == 1:
        return int(counts[0]), 2**62
    pair = np.partition(counts, 1)[:2]
    return int(pair[0]), int(pair[1])


def spreads(
    problem: Problem, terrain: Terrain, unit_of: dict[str, int], placed: dict[str, int]
) -> tuple[list[Spread], dict[int, list[Spread]]]:
    """All of a problem, and those of each unit; what is placed for good is counted already."""
    groups: dict[str, list[Part]] = defaultdict(list)
    for part in sorted(problem.parts, key=lambda part: part.id):
        if part.spread_group is not None:
            groups[part.spread_group].append(part)
    found: list[Spread] = []
    of: dict[int, list[Spread]] = defaultdict(list)
    for _, members in sorted(groups.items()):
        for across, most in sorted(skews(members).items()):
            domains, names = terrain.domains(across)
            spread = Spread(domains, len(names), most)
            _enrol(spread, members, terrain, unit_of, placed)
            found.append(spread)
            for unit in spread.classes:
                of[unit].append(spread)
    return found, of


def _enrol(
    spread: Spread, members: list[Part], terrain: Terrain, unit_of: dict[str, int], placed: dict[str, int]
) -> None:
    for part in members:
        site = placed.get(part.id, -1)
        if site >= 0 and spread.domains[site] >= 0:
            spread.counts[spread.domains[site]] += 1
        if part.id in unit_of:
            could = terrain.mask(part) & terrain.fits(np.array(vector(part.room), np.int64), terrain.free)
            eligible = np.zeros(len(spread.counts), bool)
            eligible[spread.domains[could & (spread.domains >= 0)]] = True
            spread.classes[unit_of[part.id]][spread.class_of(eligible)] += 1
