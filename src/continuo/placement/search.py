"""Ruin and recreate: take a few related units out, put them back, keep what is better or not much worse.

The search is bounded by rounds, never by seconds, and its randomness is a seed: the same problem has the same answer on a
slow machine and a fast one. What fits nowhere comes first: it may push others aside.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np

from continuo.placement.ahead import follow
from continuo.placement.insertion import by_regret, companions, insert, place_best
from continuo.placement.repair import hopeful, in_the_way
from continuo.placement.state import State

LOYALTY = 1e6
"""What it costs that a unit leaves where it is well, unless places may be improved: more than all else together."""
LARGEST = 14
"""Units that are taken out at once, at most."""
TRIED = 256
"""Sites on which others are asked to make way, for all units that fit nowhere."""
COMPANY = 0.5
"""How often everything that talks bind together is placed anew, rather than a few that have to do with each other."""
RIVALS = 12
"""Units that are taken out beside them at most."""
REGRET, SHUFFLE = 0.6, 0.2
"""How often what was taken out is put back by regret, and in any order; else the largest first."""
WARM, COLD = 2.0, 0.02
"""How much worse a change may be at first, and at last: as a share of what one unit costs."""


class Search:
    """The places of a state, and how good they are."""

    def __init__(self, state: State, absent: Sequence[int], seed: int) -> None:
        self.state = state
        self.absent = sorted(absent)
        self.random = random.Random(seed)
        self.hard = [0] * len(state.place)
        """How often each unit was without a place."""
        self.total = 0.0
        """What all placed units cost, less a constant."""
        self.best = (self._missing(self.absent), 0.0, list(state.place))

    def make_way(self, rounds: int) -> None:
        """Place what fits nowhere, by moving others: for each the sites first where the least is in the way."""
        if not self.absent:
            return
        self.state.spend_freely()
        self._try([], list(self.absent), 0.0)
        for unit in list(self.absent):
            for site in hopeful(self.state, unit)[: max(4, TRIED // max(1, len(self.absent)))]:
                if unit in self.absent:
                    self._eject(unit, site)
        for _ in range(rounds):
            if not self.absent:
                return
            self._push()
        self.restore()

    def _push(self) -> None:
        """Let something that fits nowhere have a place, at the cost of others that are easier to place elsewhere.

        How often each was without a place tells who is hard to place: what was so less often may be so instead.
        """
        unit = self.random.choice(self.absent)
        sites = hopeful(self.state, unit)
        if sites and self.random.random() < 0.5:
            self._eject(unit, self.random.choice(sites), extra=self.random.randint(0, LARGEST // 2))
        elif sites:
            self._relocate(unit, self.random.choice(sites))
        for each in self.absent:
            self.hard[each] += 1

    def _eject(self, unit: int, site: int, extra: int = 0) -> None:
        """Let what is in the way on a site make way, and others that are there or that talk to them for good measure."""
        out = in_the_way(self.state, unit, site)
        if out is None:
            return
        place = self.state.place
        near = {
            pair.other for each in (unit, *out) for pair in self.state.talking.pairs[each] if place[pair.other] >= 0
        }
        near = (near | self.state.on[site]).difference(out)
        out += self.random.sample(sorted(near), min(extra, len(near)))
        self._try(sorted(out), [unit], 0.0)

    def _relocate(self, unit: int, site: int) -> None:
        """Take all that a unit's talks bind to it along to another site, and what is in its way there out."""
        placed = {other for other, at in enumerate(self.state.place) if at >= 0}
        company = set(companions(self.state, unit, placed)) - {unit}
        blocking = {other for other in in_the_way(self.state, unit, site) or () if self.state.place[other] == site}
        self._try(sorted(company | blocking), [unit], 0.0, site)

    def improve(self, units: Sequence[int], rounds: int) -> None:
        """Look for cheaper places of these units."""
        free = [unit for unit in sorted(units) if self.state.place[unit] >= 0]
        if not free or (len(free) < 2 and not self.absent):
            return
        scale, allowed = self._scale(free), frozenset(free)
        for turn in range(rounds):
            heat = scale * WARM * (COLD / WARM) ** (turn / rounds)
            if self.absent and self.random.random() < 0.5:
                self._push()
                continue
            tolerance = -heat * math.log(1.0 - self.random.random())
            if self.random.random() < COMPANY:
                self._together(self.random.choice(free), allowed, tolerance)
            else:
                self._try(self._related(free, allowed), [], tolerance)
        self.restore()

    def _together(self, unit: int, allowed: frozenset[int], tolerance: float) -> None:
        """Place anew all that a unit's talks bind to it, and a few that are where it could be."""
        if self.state.place[unit] < 0:
            return
        placed = allowed.difference(self.absent)
        company = companions(self.state, unit, placed)
        rivals: set[int] = set(company)
        self._rivals(rivals, unit, len(company) + self.random.randint(0, RIVALS), placed)
        self._try([*company, *sorted(rivals.difference(company))], [], tolerance, leading=len(company))

    def _missing(self, absent: Sequence[int]) -> int:
        """How many parts have no place."""
        return sum(len(self.state.units[unit].members) for unit in absent)

    def _lost(self, absent: Sequence[int]) -> float:
        """What it counts that units have no place: what they cost at least, and that they leave where they ran well."""
        total = 0.0
        for unit in absent:
            least = float(self.state.units[unit].base.min(initial=math.inf))
            total += 0.0 if least == math.inf else least + LOYALTY if least < -LOYALTY / 2 else least
        return total

    def _scale(self, free: Sequence[int]) -> float:
        """What one unit costs, roughly."""
        state = self.state
        costs = []
        for unit in free[:64]:
            site = state.take(unit)
            cost = state.cost(unit, site)
            state.put(unit, site)
            costs.append(cost + (LOYALTY if cost < -LOYALTY / 2 else 0.0))
        return max(1e-9, sum(costs) / max(1, len(costs)))

    def _related(self, free: Sequence[int], allowed: frozenset[int]) -> list[int]:
        """A few units that have to do with each other: they talk, or want the same sites."""
        count = self.random.randint(2, max(2, min(LARGEST, len(free))))
        seed = self.random.choice(free)
        chosen = {seed}
        if self.random.random() < 0.5:
            self._talking(chosen, seed, count, allowed)
        if len(chosen) < count:
            self._rivals(chosen, seed, count, allowed)
        while len(chosen) < min(count, len(free)):
            chosen.add(self.random.choice(free))
        return sorted(unit for unit in chosen if self.state.place[unit] >= 0)

    def _talking(self, chosen: set[int], seed: int, count: int, allowed: frozenset[int]) -> None:
        edge = [seed]
        while edge and len(chosen) < count:
            unit = edge.pop(0)
            others = [pair.other for pair in self.state.talking.pairs[unit] if pair.other in allowed]
            self.random.shuffle(others)
            for other in others:
                if other not in chosen and len(chosen) < count:
                    chosen.add(other)
                    edge.append(other)

    def _rivals(self, chosen: set[int], seed: int, count: int, allowed: frozenset[int]) -> None:
        """Units on the sites that the first would like best."""
        base = self.state.units[seed].base
        sites = np.argsort(base, kind="stable")[: 3 * count].tolist()
        wanted = {site for site in self.random.sample(sites, min(len(sites), count)) if base[site] < math.inf}
        rivals = sorted({unit for site in wanted for unit in self.state.on[site]}.intersection(allowed) - chosen)
        chosen.update(self.random.sample(rivals, min(len(rivals), count - len(chosen))))

    def _try(self, out: list[int], first: list[int], tolerance: float, at: int | None = None, leading: int = 0) -> bool:
        """Take units out, place the first (at a certain site) and then them; undo it where it is worse than tolerated."""
        state = self.state
        before = state.note(out)
        waiting, delta = [unit for unit in self.absent if unit not in first], 0.0
        for unit in out:
            site = state.take(unit)
            delta -= state.cost(unit, site)
        absent, gained = self._recreate(first, out, at, leading)
        delta += gained
        absent = sorted([*waiting, *absent])
        delta += self._lost(absent) - self._lost(self.absent)
        fewer = self._missing(absent) - self._missing(self.absent)
        easier = delta < LOYALTY / 2 and sum(self.hard[each] for each in absent) < sum(
            self.hard[each] for each in self.absent
        )
        if (fewer < 0 or (fewer == 0 and (delta <= tolerance or easier))) and state.spread_well():
            self.absent, self.total = absent, self.total + delta
            if (self._missing(absent), self.total) < (self.best[0], self.best[1] - 1e-9):
                self.best = (self._missing(absent), self.total, list(state.place))
            return True
        state.back(before, first)
        return False

    def _recreate(self, first: list[int], out: list[int], at: int | None, leading: int) -> tuple[list[int], float]:
        """Put units back: in the order of their regret, of their size, or in any."""
        absent, total = follow(self.state, out[:leading]) if leading else self._begin(first, at)
        out = out[leading:]
        how = self.random.random()
        if how < REGRET:
            more, cost = by_regret(self.state, out)
            return absent + more, total + cost
        order = self._by_size(out)
        if how < REGRET + SHUFFLE:
            self.random.shuffle(order)
        for unit in order:
            placed = place_best(self.state, unit)
            if placed is None:
                absent.append(unit)
            else:
                total += placed
        return absent, total

    def _begin(self, first: list[int], at: int | None) -> tuple[list[int], float]:
        if not first:
            return [], 0.0
        cost = math.inf if at is None else float(self.state.row(first[0])[at])
        if at is None or cost == math.inf:
            return insert(self.state, first)
        self.state.put(first[0], at)
        return [], cost

    def _by_size(self, units: list[int]) -> list[int]:
        return sorted(units, key=lambda unit: (-self.state.share[unit], unit))

    def restore(self) -> None:
        """Go back to the best that was seen."""
        state, (_, total, places) = self.state, self.best
        changed = [unit for unit, site in enumerate(places) if state.place[unit] != site]
        for unit in changed:
            if state.place[unit] >= 0:
                state.take(unit)
        for unit in changed:
            if places[unit] >= 0:
                state.put(unit, places[unit])
        self.absent = [unit for unit in range(len(places)) if places[unit] < 0]
        self.total = total
