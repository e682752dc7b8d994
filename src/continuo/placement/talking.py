"""Who talks to whom, as pairs of units, and what the network between sites makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from continuo.placement.model import Problem
from continuo.placement.network import Network
from continuo.placement.score import Yardstick, share_of
from continuo.placement.terrain import Terrain, Wires
from continuo.placement.units import Unit

if TYPE_CHECKING:
    from continuo.placement.terrain import Floats, Ints


@dataclass(frozen=True, slots=True)
class Pair:
    """What one unit has to do with another, or with something that stays at a site."""

    other: int
    """The unit; of what stays: the site."""
    weight: float
    latency: float
    jitter: float
    bandwidth: int
    lenient: bool
    """Whether both run already, so that what nobody measured does not tear them apart."""


class Talking:
    """Pairs of units, and pairs with what stays, which are in the units' costs already."""

    def __init__(
        self,
        problem: Problem,
        terrain: Terrain,
        stick: Yardstick,
        units: Sequence[Unit],
        unit_of: Mapping[str, int],
        placed: Mapping[str, int],
    ) -> None:
        self.problem, self.stick, self.units = problem, stick, units
        self._unit_of, self._placed = unit_of, placed
        self.wires = Wires(
            terrain,
            Network(problem.paths),
            stick.unknown_ms,
            bandwidth=any(talk.bandwidth_bps for talk in problem.talks),
            jitter=any(talk.jitter_ms is not None for talk in problem.talks),
        )
        self.used: Ints | None = None if self.wires.room is None else np.zeros_like(self.wires.room)
        """Bits per second between sites that what stays uses."""
        self.pairs: list[list[Pair]] = [[] for _ in units]
        self.partners: list[set[int]] = [set() for _ in units]
        self.anchors: list[list[Pair]] = [[] for _ in units]
        """Pairs with what stays, by the unit."""
        for (unit, _, stays), pair in sorted(self._merged().items()):
            (self.anchors if stays else self.pairs)[unit].append(pair)
            if not stays:
                self.partners[unit].add(pair.other)
            else:
                self.add(units[unit].base, units[unit], pair, pair.other, True)

    def _merged(self) -> dict[tuple[int, int, bool], Pair]:
        """All talks between the same two as one."""
        merged: dict[tuple[int, int, bool], Pair] = {}
        for talk in sorted(self.problem.talks, key=lambda talk: talk.name):
            members = sorted({member for member in talk.members if member in self._unit_of or member in self._placed})
            weight = share_of(talk) * self.problem.weights.latency / self.stick.latency_ms
            latency = np.inf if talk.latency_ms is None else talk.latency_ms
            jitter = np.inf if talk.jitter_ms is None else talk.jitter_ms
            for a, b in combinations(members, 2):
                self._use(talk.bandwidth_bps or 0, self._placed.get(a, -1), self._placed.get(b, -1))
                for key in (self._key(a, b), self._key(b, a)):
                    if key is not None:
                        before = merged.get(key) or Pair(key[1], 0.0, np.inf, np.inf, 0, self._lenient(*key))
                        merged[key] = Pair(
                            key[1],
                            before.weight + weight,
                            min(before.latency, latency),
                            min(before.jitter, jitter),
                            before.bandwidth + (talk.bandwidth_bps or 0),
                            before.lenient,
                        )
        return merged

    def _lenient(self, unit: int, other: int, stays: bool) -> bool:
        return self.units[unit].current >= 0 and (stays or self.units[other].current >= 0)

    def _use(self, bps: int, here: int, there: int) -> None:
        if self.used is not None and min(here, there) >= 0 and here != there:
            self.used[here, there] += bps
            self.used[there, here] += bps

    def _key(self, one: str, other: str) -> tuple[int, int, bool] | None:
        """The unit, what it talks to, and whether that stays."""
        unit = self._unit_of.get(one)
        if unit is None or self._unit_of.get(other) == unit:
            return None
        return (unit, self._placed[other], True) if other in self._placed else (unit, self._unit_of[other], False)

    def row(self, pair: Pair, there: int) -> Floats:
        """What it costs to be on each site while the other is there; infinite where a bound is broken."""
        return self.wires.rows(there, pair.weight, pair.latency, pair.jitter)

    def matrix(self, pair: Pair) -> Floats | None:
        """All its rows, by where the other is; none where that would be too much to keep."""
        return self.wires.matrix(pair.weight, pair.latency, pair.jitter)

    def rows(self, pair: Pair, there: Ints) -> Floats:
        """The same for several sites of the other."""
        return self.wires.rows(there, pair.weight, pair.latency, pair.jitter)

    def add(self, costs: Floats, unit: Unit, pair: Pair, there: int, stays: bool) -> None:
        """Add that row to costs; `stays` says that the other runs there already."""
        here = unit.current
        kept = None
        if stays and pair.lenient and here != there and self._unmeasured(pair, here, there):
            kept = costs[here] + pair.weight * float(self.wires.assumed[there, here])
        costs += self.row(pair, there)
        if kept is not None:
            costs[here] = kept

    def cost(self, pair: Pair, here: int, there: int) -> float:
        """What the pair costs where no bound is broken."""
        return pair.weight * float(self.wires.assumed[there, here])

    def _unmeasured(self, pair: Pair, here: int, there: int) -> bool:
        """Whether the only thing wrong with the pair is that figures are missing."""
        figures = [(pair.latency, self.wires.latency[there, here])]
        if self.wires.jitter is not None:
            figures.append((pair.jitter, self.wires.jitter[there, here]))
        bounded = [(bound, is_) for bound, is_ in figures if bound < np.inf]
        return any(np.isinf(is_) for _, is_ in bounded) and not any(bound < is_ < np.inf for bound, is_ in bounded)
