"""How good an answer could be at best: a bound that is proven, and computed without the engine's search.

Capacities get prices; then every application chooses for itself, its components and talks as a whole, and no real placement
is cheaper than what all choose together. Prices are found by subgradients, for which what each talk costs is divided among
its two ends by passing messages (both are long known). Applications do not see how others fill a cluster but by its price, as
if one could be cut in pieces: so the true best lies somewhere above the bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.elimination import least
from continuo.placement import exactly
from continuo.placement.compiled import Compiled
from continuo.placement.model import Answer, Problem

if TYPE_CHECKING:
    from continuo.placement.terrain import Floats

DEAR = 60.0
"""What a forbidden site or pair counts: more than a component ever saves."""
EVERY, PATIENCE, SHRINK = 4, 20, 0.7


class Bound:
    """The relaxed problem. All arrays are by component, by resource, and by cluster, in this order."""

    def __init__(self, problem: Problem) -> None:
        self.compiled = compiled = Compiled(problem)
        self.rooms: Floats = np.array([unit.room for unit in compiled.units], float)
        self.mean = np.where(self.rooms.any(axis=0), self.rooms.mean(axis=0), 1.0)
        self.left = np.maximum(0, compiled.left.T).astype(float)
        costs = np.stack([unit.base for unit in compiled.units]) - (self.rooms**2) @ compiled.steep
        fits = np.all((self.rooms[:, :, None] <= self.left[None]) | (self.rooms[:, :, None] == 0), axis=1)
        self.node: Floats = np.where(np.isfinite(costs) & fits, costs, DEAR)
        count = compiled.terrain.count
        self.edges = []
        for number, pairs in enumerate(compiled.talking.pairs):
            for pair in pairs:
                if number < pair.other:
                    rows = np.stack([np.minimum(compiled.talking.row(pair, there), DEAR) for there in range(count)])
                    costs = np.ascontiguousarray(rows.T)
                    np.fill_diagonal(costs, np.where(self._fit(number, pair.other), costs.diagonal(), DEAR))
                    self.edges.append((number, pair.other, costs))
        self.messages = [(np.zeros(count), np.zeros(count)) for _ in self.edges]
        self.shared = np.zeros(len(self.edges))
        self.alone: Floats = self.node.copy()
        """What components cost by themselves, before anything of their talks was divided."""

    def _fit(self, one: int, other: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Clusters with room for both."""
        both = self.rooms[one] + self.rooms[other]
        fine: np.ndarray[tuple[int], np.dtype[np.bool_]] = ((both[:, None] <= self.left) | (both[:, None] == 0)).all(
            axis=0
        )
        return fine

    def pass_messages(self, price: Floats) -> None:
        """Divide what each talk costs anew among its ends."""
        for number, (one, other, costs) in enumerate(self.edges):
            to_one, to_other = self.messages[number]
            here = self.node[one] - to_one + price[one]
            there = self.node[other] - to_other + price[other]
            new_one = 0.5 * ((costs + there).min(axis=1) - here)
            new_other = 0.5 * ((costs + here[:, None]).min(axis=0) - there)
            self.node[one] += new_one - to_one
            self.node[other] += new_other - to_other
            self.messages[number] = new_one, new_other
            self.shared[number] = (costs - new_one[:, None] - new_other).min()

    def full(self, prices: Floats) -> tuple[float, Floats]:
        """What the clusters' fullness costs less what their room is paid, at best, and how full that makes them."""
        steep, slope = self.compiled.steep, self.compiled.slope
        paid = prices / self.mean[:, None]
        curved = np.divide(paid - slope, 2 * steep, out=np.where(paid > slope, np.inf, 0.0), where=steep > 0)
        load = np.clip(curved, 0, self.left)
        return float((steep * load**2 + (slope - paid) * load).sum()), load

    def climb(self, above: float, rounds: int) -> Floats:
        """The prices with the highest bound that is found; `above` is what some answer costs."""
        prices = np.zeros_like(self.left)
        best, kept, step, stalled = -np.inf, prices, 1.0, 0
        for turn in range(rounds):
            price = (self.rooms / self.mean) @ prices
            if turn % EVERY == 0:
                self.pass_messages(price)
            reduced = self.node + price
            paid, load = self.full(prices)
            value = float(reduced.min(axis=1).sum() + self.shared.sum()) + paid
            stalled = 0 if value > best else stalled + 1
            if value > best:
                best, kept = value, prices
            if stalled > PATIENCE:
                step, stalled, prices = SHRINK * step, 0, kept
                continue
            slack = (self._asked(reduced.argmin(axis=1)) - load) / self.mean[:, None]
            prices = np.maximum(0, prices + step * (above - value) / max(1e-9, float((slack**2).sum())) * slack)
        return kept

    def at(self, prices: Floats) -> float:
        """The bound at some prices: applications choose for themselves, each as a whole."""
        price = (self.rooms / self.mean) @ prices
        total, _ = self.full(prices)
        for members in self._groups():
            pairs: dict[tuple[int, int], Floats] = {}
            for one, other, costs in self.edges:
                if one in members:
                    pairs[one, other] = costs
            total += least({each: self.alone[each] + price[each] for each in sorted(members)}, pairs)
        return total

    def _groups(self) -> list[set[int]]:
        """Components by what binds them together."""
        groups: list[set[int]] = [{number} for number in range(len(self.node))]
        for one, other, _ in self.edges:
            first, second = (next(group for group in groups if each in group) for each in (one, other))
            if first is not second:
                groups.remove(second)
                first |= second
        return groups

    def _asked(self, sites: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Floats:
        load = np.zeros_like(self.left)
        for resource in range(len(load)):
            np.add.at(load[resource], sites, self.rooms[:, resource])
        return load


def gap(problem: Problem, answer: Answer, rounds: int = 900) -> float:
    """How far above the best an answer may be, at most, as a share of the best."""
    bound = Bound(problem)
    cost = exactly.cost_of(bound.compiled, answer.places)
    lowest = answer.objective - cost + bound.at(bound.climb(cost, rounds))
    return (answer.objective - lowest) / lowest
