"""A problem in the exact solver's words: integers only, and never stricter than the problem itself.

What is rounded is rounded so that the solver's bound holds; what it cannot say (paths that several talks share) is left out.
Its answer is checked like every other, so leaving out costs at most the answer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from continuo.placement.compiled import Compiled
from continuo.placement.model import Answer
from continuo.placement.state import State

if TYPE_CHECKING:
    from continuo.placement.purses import Purse
    from continuo.placement.spreading import Spread
    from continuo.placement.talking import Pair

SCALE = 10_000_000
"""Of objectives, so that they are integers."""
MONEY = 10**9
Json = Any


def size(compiled: Compiled) -> tuple[int, int]:
    """How many choices the solver would have, and how many pairs of choices cost something together."""
    sites = [int(np.isfinite(unit.base).sum()) for unit in compiled.units]
    pairs = sum(sites[n] * sites[pair.other] for n, pairs in enumerate(compiled.talking.pairs) for pair in pairs) // 2
    return sum(sites), pairs


def floor_of(compiled: Compiled) -> float:
    """What the units cost at least, each where it is cheapest if nothing else were placed."""
    state = State(compiled)
    rows = [state.row(unit) for unit in range(len(compiled.units))]
    return float(sum(row.min() for row in rows if len(row) and np.isfinite(row.min())))


def cost_of(compiled: Compiled, places: dict[str, str]) -> float:
    """What the units cost where they are."""
    state, total = State(compiled), 0.0
    for number, unit in enumerate(compiled.units):
        if unit.members[0] in places:
            site = compiled.terrain.index[places[unit.members[0]]]
            total += state.cost(number, site)
            state.put(number, site)
    return total


def said(compiled: Compiled, answer: Answer, seconds: float) -> Json:
    """The solver's input."""
    shares, units = _shares(compiled), range(len(compiled.units))
    costs = [_costs(compiled, number) for number in units]
    most = [int(SCALE * max(by.values(), default=0.0)) + 1 for by in costs]
    pairs: list[tuple[int, int, dict[str, int]]] = [
        (number, pair.other, _pair(compiled, number, pair, costs))
        for number in units
        for pair in compiled.talking.pairs[number]
        if number < pair.other
    ]
    highest = sum(most) + sum(max(by.values(), default=0) for *_, by in pairs) + _highest(compiled)
    loyal = 0 if compiled.problem.improve else highest + 1
    absent = (highest + 1) * (1 + len(units)) + 1
    return {
        "sites": compiled.terrain.count,
        "free": [
            [int(max(0, left) // share) for left, share in zip(row, shares, strict=True)] for row in compiled.left
        ],
        "units": [_unit(compiled, answer, number, costs[number], loyal, absent, shares) for number in units],
        "pairs": pairs,
        "apart": [[a, b] for a, others in sorted(compiled.apart.items()) for b in others if a < b],
        "purses": [_purse(purse, costs) for purse in _all_purses(compiled)],
        "balance": _balance(compiled, shares),
        "spreads": [_spread(compiled, spread) for spread in compiled.spreads],
        "loyal": loyal,
        "seconds": seconds,
        "seed": compiled.problem.seed,
    }


def _shares(compiled: Compiled) -> list[int]:
    """What all requests of a resource are multiples of: rooms in these units are small, and exact."""
    rooms = [unit.room for unit in compiled.units]
    return [max(1, math.gcd(*(room[resource] for room in rooms))) for resource in range(3)]


def _costs(compiled: Compiled, number: int) -> dict[int, float]:
    """By site: what the unit costs there; without its square of fullness, which the solver adds up itself."""
    unit = compiled.units[number]
    base = unit.base.copy()
    for resource, wanted in enumerate(unit.room):
        base -= float(wanted) * wanted * compiled.steep[resource]
    return {int(site): float(base[site]) for site in np.flatnonzero(np.isfinite(unit.base))}


def _unit(
    compiled: Compiled, answer: Answer, number: int, costs: dict[int, float], loyal: int, absent: int, shares: list[int]
) -> Json:
    unit, place = compiled.units[number], answer.places.get(compiled.units[number].members[0])
    off = loyal if unit.current >= 0 else 0
    return {
        "room": [wanted // share for wanted, share in zip(unit.room, shares, strict=True)],
        "costs": {str(site): int(SCALE * cost) + (off if site != unit.current else 0) for site, cost in costs.items()},
        "absent": absent * len(unit.members) + off,
        "hint": None if place is None else compiled.terrain.index[place],
    }


def _pair(compiled: Compiled, number: int, pair: Pair, costs: list[dict[int, float]]) -> dict[str, int]:
    """By `site,site`: what two units cost together; only where no bound is broken."""
    talking, unit, other = compiled.talking, compiled.units[number], compiled.units[pair.other]
    found = {}
    for there in costs[pair.other]:
        row = np.zeros(compiled.terrain.count)
        talking.add(row, unit, pair, there, there == other.current)
        for here in costs[number]:
            if row[here] < math.inf:
                found[f"{here},{there}"] = int(SCALE * row[here])
    return found


def _balance(compiled: Compiled, shares: list[int]) -> Json:
    return [
        [site, resource, SCALE * share**2 * float(compiled.steep[resource, site]), SCALE * share * float(slope)]
        for resource, share in enumerate(shares)
        for site, slope in enumerate(compiled.slope[resource])
        if compiled.steep[resource, site] > 0
    ]


def _highest(compiled: Compiled) -> int:
    """What balance may cost at most."""
    room = np.maximum(0, compiled.left.T)
    return int(SCALE * float((compiled.steep * room * room + compiled.slope * room).sum())) + 10 * room.size


def _all_purses(compiled: Compiled) -> list[Purse]:
    found: list[Purse] = []
    for purses in compiled.purses.values():
        found += [purse for purse in purses if purse not in found]
    return found


def _purse(purse: Purse, costs: list[dict[int, float]]) -> Json:
    left = max(0.0, purse.limit - purse.spent)
    scale = MONEY / max(left, 1e-9)
    prices = [
        [unit, {str(site): min(2 * MONEY, int(scale * float(price[site]))) for site in costs[unit]}]
        for unit, price in sorted(purse.prices.items())
    ]
    return [MONEY + 1, prices]


def _spread(compiled: Compiled, spread: Spread) -> Json:
    members = [
        [unit, count, number, compiled.units[unit].current]
        for unit, classes in sorted(spread.classes.items())
        for number, count in sorted(classes.items())
    ]
    return {
        "most": spread.most,
        "domains": [int(domain) for domain in spread.domains],
        "counts": [int(count) for count in spread.counts],
        "members": members,
        "eligible": [[int(domain) for domain in np.flatnonzero(eligible)] for eligible in spread.eligible],
    }
