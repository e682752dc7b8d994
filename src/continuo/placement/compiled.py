"""A problem as arrays: what is left to place, what each unit costs where, who talks to whom.

What may not move is no unit: its room is taken, its money spent, and to others it is part of the ground.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from continuo.placement.model import Problem
from continuo.placement.purses import Purse, purses
from continuo.placement.score import Yardstick, move_of, yardstick
from continuo.placement.spreading import spreads
from continuo.placement.talking import Talking
from continuo.placement.tally import fixed
from continuo.placement.terrain import RESOURCES, Terrain, vector
from continuo.placement.units import Clump, Unit, possible

if TYPE_CHECKING:
    from continuo.placement.model import Part
    from continuo.placement.terrain import Floats, Ints


class Compiled:
    """Arrays for one search."""

    def __init__(self, problem: Problem, dropped: frozenset[str] = frozenset()) -> None:
        self.problem = problem
        self.stick: Yardstick = yardstick(problem)
        self.terrain = terrain = Terrain(problem)
        self.parts = {part.id: part for part in sorted(problem.parts, key=lambda part: part.id)}
        self.staying = {part.id: part.current or "" for part in self.parts.values() if fixed(problem, part)}
        self.placed = {part: terrain.index[site] for part, site in self.staying.items()}
        self.left: Ints = terrain.free - self._load()
        free = [part for part in self.parts if part not in self.staying and part not in dropped]
        clumps, out = possible(self.parts, free, self.possible)
        self.dropped = dropped.union(out)
        self.unit_of = {part: number for number, clump in enumerate(clumps) for part in clump}
        self.units = [self._unit(clump) for clump in clumps]
        self.apart = self._apart()
        self._balance()
        self.talking = Talking(problem, terrain, self.stick, self.units, self.unit_of, self.placed)
        self.spreads, self.spreads_of = spreads(problem, terrain, self.unit_of, self.placed)
        rooms = {part: np.array(vector(self.parts[part].room)) for part in self.parts}
        masks = [np.isfinite(unit.base) & terrain.fits(np.array(unit.room, np.int64), self.left) for unit in self.units]
        self.purses: dict[int, list[Purse]] = purses(problem, terrain, rooms, self.unit_of, self.placed, masks)

    def _load(self) -> Ints:
        load: Ints = np.zeros((self.terrain.count, RESOURCES), np.int64)
        for part, site in self.placed.items():
            load[site] += vector(self.parts[part].room)
        return load

    def _room(self, clump: Clump) -> tuple[int, int, int]:
        rooms = [vector(self.parts[part].room) for part in clump]
        return sum(r[0] for r in rooms), sum(r[1] for r in rooms), sum(r[2] for r in rooms)

    def _mask(self, clump: Clump) -> Floats:
        fine = np.ones(self.terrain.count, bool)
        inside = set(clump)
        for part in clump:
            fine &= self.terrain.mask(self.parts[part])
            for other in self.parts[part].beside:
                if other in self.parts and other not in inside:
                    fine &= np.arange(self.terrain.count) == self.placed.get(other, -1)
            if inside.intersection(self.parts[part].apart_from) - {part}:
                fine[:] = False
        return np.where(fine, 0.0, np.inf)

    def possible(self, clump: Clump) -> bool:
        """Whether parts could be together on some site if nothing else were placed."""
        room = np.array(self._room(clump), np.int64)
        return bool((np.isfinite(self._mask(clump)) & self.terrain.fits(room, self.left)).any())

    def _unit(self, clump: Clump) -> Unit:
        room, base = self._room(clump), self._mask(clump)
        weights, stick, terrain = self.problem.weights, self.stick, self.terrain
        for resource, wanted in enumerate(room):
            if wanted and weights.cost:
                base += weights.cost / stick.cost * wanted * terrain.price[:, resource]
        if weights.carbon:
            base += weights.carbon / stick.carbon * room[0] * terrain.carbon
        members = [self.parts[part] for part in clump]
        if weights.moves:
            self._moves(members, base)
        here = {part.current for part in members if part.current is not None}
        current = terrain.index.get(here.pop(), -1) if len(here) == 1 else -1
        return Unit(clump, room, base, current if current >= 0 and np.isfinite(base[current]) else -1)

    def _moves(self, members: list[Part], base: Floats) -> None:
        for part in members:
            if part.current is not None or part.home is not None:
                base += self.problem.weights.moves
            for name in sorted({part.current, part.home} - {None}, key=str):
                if name in self.terrain.index:
                    base[self.terrain.index[name]] += self.problem.weights.moves * (move_of(part, name) - 1.0)

    def _apart(self) -> dict[int, list[int]]:
        found: dict[int, set[int]] = defaultdict(set)
        for part in self.parts.values():
            for other in part.apart_from:
                here, there = self.unit_of.get(part.id), self.unit_of.get(other)
                if here is not None and there is not None and here != there:
                    found[here].add(there)
                    found[there].add(here)
                for unit, stays in ((here, other), (there, part.id)):
                    if unit is not None and stays in self.placed:
                        self.units[unit].base[self.placed[stays]] = np.inf
        return {unit: sorted(others) for unit, others in found.items()}

    def _balance(self) -> None:
        """Squares of fullness: what one more costs is a line in what is there already."""
        terrain, weight = self.terrain, self.problem.weights.balance / max(1, self.stick.resources)
        used = np.maximum(0, terrain.size - terrain.free) + (terrain.free - self.left)
        self.steep: Floats = np.zeros((RESOURCES, terrain.count))
        self.slope: Floats = np.zeros((RESOURCES, terrain.count))
        for resource, mean in enumerate(self.stick.room):
            if mean > 0 and weight > 0:
                size = terrain.size[:, resource]
                self.steep[resource] = np.where(size > 0, weight / np.maximum(1, size * mean), 0.0)
                self.slope[resource] = 2 * used[:, resource] * self.steep[resource]
        for unit in self.units:
            for resource, wanted in enumerate(unit.room):
                if wanted and weight:
                    unit.base += float(wanted) * wanted * self.steep[resource]
