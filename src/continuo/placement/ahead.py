"""Placing what talks together with a look ahead: where the first goes, those that follow must find a place near.

Who talks to whom is taken as a tree from the first on. From its leaves, each tells the one before it what it costs at least
to follow, for every site that the one before may choose; then sites are chosen from the first on. What closes circles counts
only once both ends are placed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from continuo.placement.state import State
from continuo.placement.talking import Pair

if TYPE_CHECKING:
    from continuo.placement.terrain import Floats

LOOKED_AT = 32
"""Sites of one that follows, the cheapest: enough for a look."""


def follow(state: State, group: Sequence[int]) -> tuple[list[int], float]:
    """Place units that have no place, in the order in which talks lead from the first to the others.

    Who found no place, and what the others cost.
    """
    order = _tree(state, group)
    rows = dict(zip((unit for unit, _, _ in order), state.rows([unit for unit, _, _ in order]), strict=True))
    ahead = _ahead(state, order, rows)
    placed: list[int] = []
    absent, total = [], 0.0
    for unit, _, _ in order:
        row = _now(state, unit, rows[unit], placed)
        if not len(row):
            return list(group), 0.0
        both = row + ahead[unit]
        site = int(both.argmin())
        if both[site] == math.inf:
            site = int(row.argmin())
        cost = float(row[site])
        if cost == math.inf:
            absent.append(unit)
        else:
            state.put(unit, site)
            placed.append(unit)
            total += cost
    return absent, total


def _now(state: State, unit: int, row: Floats, placed: Sequence[int]) -> Floats:
    """A unit's row after others were placed."""
    if state.strict:
        return state.row(unit) if placed else row
    state.catch_up(row, unit, placed)
    return row


def _tree(state: State, group: Sequence[int]) -> list[tuple[int, int, Pair | None]]:
    """Each unit with the one before it, and what that one has to do with it; what nothing leads to begins anew."""
    left, order = set(group), []
    for root in group:
        if root not in left:
            continue
        left.remove(root)
        edge: list[tuple[int, int, Pair | None]] = [(root, -1, None)]
        for unit, _, _ in edge:
            for pair in state.talking.pairs[unit]:
                if pair.other in left:
                    left.remove(pair.other)
                    edge.append((pair.other, unit, pair))
        order += edge
    return order


def _ahead(state: State, order: list[tuple[int, int, Pair | None]], rows: Mapping[int, Floats]) -> dict[int, Floats]:
    """By unit and site: what those that follow cost at least."""
    ahead = {unit: np.zeros(state.compiled.terrain.count) for unit, _, _ in order}
    for unit, before, pair in reversed(order):
        if pair is None:
            continue
        costs = rows[unit] + ahead[unit]
        sites = np.argpartition(costs, LOOKED_AT)[:LOOKED_AT] if len(costs) > LOOKED_AT else np.arange(len(costs))
        sites = np.sort(sites[np.isfinite(costs[sites])])
        if len(sites):
            ahead[before] += (state.talking.rows(pair, sites) + costs[sites][:, None]).min(axis=0)
    return ahead
