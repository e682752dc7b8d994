"""Budgets as arrays: what a unit spends on each site, and what has to be kept for those that come after."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from continuo.placement.model import Problem
from continuo.placement.tally import SLACK
from continuo.placement.terrain import Terrain

if TYPE_CHECKING:
    from continuo.placement.terrain import Bools, Floats, Ints


class Purse:
    """What one owner may spend of one thing."""

    def __init__(self, limit: float, spent: float) -> None:
        self.limit = limit + SLACK * max(1.0, abs(limit))
        self.spent = spent
        self.prices: dict[int, Floats] = {}
        """By unit: what it spends on each site."""
        self.least: dict[int, float] = {}
        """By unit: what it spends at least."""
        self.waiting = 0.0
        """What those that have no place yet will spend at least."""
        self.careful = True
        """Whether that is kept for them: not once it is known that some fit nowhere."""

    def enrol(self, unit: int, price: Floats, mask: Bools) -> None:
        """A unit of the owner's that has no place yet."""
        known = self.prices.get(unit)
        self.prices[unit] = price if known is None else known + price
        self.waiting -= self.least.get(unit, 0.0)
        self.least[unit] = float(self.prices[unit][mask].min()) if mask.any() else 0.0
        self.waiting += self.least[unit]

    def refused(self, unit: int) -> Bools:
        """Sites that are too dear: what others need at least is kept for them, if there is enough for all."""
        price = self.prices[unit]
        kept = self.waiting - self.least[unit]
        if not self.careful or self.spent + self.waiting > self.limit:
            kept = 0.0
        bad: Bools = (price > 0) & (price + (self.spent + kept) > self.limit)
        return bad

    def change(self, unit: int, site: int, sign: int) -> None:
        """Count a unit in or out."""
        self.spent += sign * float(self.prices[unit][site])
        self.waiting -= sign * self.least[unit]


def purses(
    problem: Problem,
    terrain: Terrain,
    rooms: dict[str, Ints],
    unit_of: dict[str, int],
    placed: dict[str, int],
    masks: list[Bools],
) -> dict[int, list[Purse]]:
    """The purses of each unit."""
    owned: dict[str, list[str]] = defaultdict(list)
    for each in sorted(problem.parts, key=lambda part: part.id):
        owned[each.owner].append(each.id)
    found: dict[int, list[Purse]] = defaultdict(list)
    carbon = np.zeros_like(terrain.price)
    carbon[:, 0] = terrain.carbon
    for budget in sorted(problem.budgets, key=lambda budget: (budget.owner, repr(budget))):
        for limit, spent, prices in (
            (budget.cost, budget.spent_cost, terrain.price),
            (budget.carbon, budget.spent_carbon, carbon),
        ):
            if limit is None:
                continue
            purse = Purse(limit, spent)
            for part in owned[budget.owner]:
                price = (prices * rooms[part]).sum(axis=1)
                if placed.get(part, -1) >= 0:
                    purse.spent += float(price[placed[part]])
                elif part in unit_of:
                    purse.enrol(unit_of[part], price, masks[unit_of[part]])
            for unit in purse.prices:
                found[unit].append(purse)
    return found
