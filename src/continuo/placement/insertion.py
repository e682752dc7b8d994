"""Regret insertion: first whoever loses most by waiting."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from continuo.placement.state import State

FEW_CELLS = 100_000


def least_two(row: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, float]:
    """The least cost and the next; infinite where there is none."""
    if len(row) < 2:
        return (float(row[0]) if len(row) else math.inf), math.inf
    pair = np.partition(row, 1)[:2]
    return float(pair[0]), float(pair[1])


def regret(state: State, unit: int) -> float:
    """What it would cost a unit to lose its best site; -infinity where it has none."""
    best, second = least_two(state.row(unit))
    return -math.inf if best == math.inf else second - best


def insert(state: State, units: Sequence[int]) -> tuple[list[int], float]:
    """Place units at their cheapest sites, in the order of their regret; who fits nowhere, and what the others cost.

    With many units and sites, regrets are computed again only after a part of them was placed.
    """
    compiled = state.compiled
    parts = 16 if len(units) * compiled.terrain.count <= FEW_CELLS else 3
    size = {unit: sum(_shares(state, unit)) for unit in units}
    waiting, absent, total = sorted(units), [], 0.0
    while waiting:
        ranked = sorted(waiting, key=lambda unit: (-regret(state, unit), -size[unit], unit))
        count = max(1, len(ranked) // parts)
        for unit in ranked[:count]:
            cost = place_best(state, unit)
            if cost is None:
                absent.append(unit)
            else:
                total += cost
        waiting = sorted(ranked[count:])
    return absent, total


def place_best(state: State, unit: int) -> float | None:
    """Place a unit at its cheapest site; what that costs, or None where it fits nowhere."""
    row = state.row(unit)
    if not len(row):
        return None
    site = int(row.argmin())
    cost = float(row[site])
    if cost == math.inf:
        return None
    state.put(unit, site)
    return cost


def _shares(state: State, unit: int) -> list[float]:
    """A unit's size, by resource, in average parts."""
    means = state.compiled.stick.room
    return [wanted / mean for wanted, mean in zip(state.units[unit].room, means, strict=True) if mean > 0]
