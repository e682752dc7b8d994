"""Regret insertion: first whoever loses most by waiting."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

from continuo.placement.state import State

if TYPE_CHECKING:
    from continuo.placement.terrain import Floats

FEW_CELLS = 100_000
COMPANY = 12
"""Units that are placed together at most."""


def least_two(row: Floats) -> tuple[float, float]:
    """The least cost and the next; infinite where there is none."""
    if len(row) < 2:
        return (float(row[0]) if len(row) else math.inf), math.inf
    copy = row.copy()
    copy.partition(1)
    return float(copy[0]), float(copy[1])


def regret(state: State, unit: int) -> float:
    """What it would cost a unit to lose its best site; -infinity where it has none."""
    return _loss(least_two(state.row(unit)))


def insert(state: State, units: Sequence[int]) -> tuple[list[int], float]:
    """Place units at their cheapest sites, in the order of their regret; who fits nowhere, and what the others cost.

    With many units and sites, regrets are computed again only after a part of them was placed. Whom a unit's talks bind to it
    comes right after it, before others take the sites around.
    """
    parts = 16 if len(units) * state.compiled.terrain.count <= FEW_CELLS else 3
    waiting, absent, total = sorted(units), [], 0.0
    while waiting:
        left = set(waiting)
        for unit in _ranked(state, waiting)[: max(1, len(waiting) // parts)]:
            if unit in left:
                group = companions(state, unit, left)
                left.difference_update(group)
                missing, cost = _together(state, group)
                absent += missing
                total += cost
        waiting = sorted(left)
    return absent, total


def companions(state: State, unit: int, among: Set[int]) -> list[int]:
    """A unit and those that its bounded talks bind to it, the nearest first."""
    group = [unit]
    for each in group:
        for pair in state.talking.pairs[each]:
            bound = min(pair.latency, pair.jitter) < math.inf
            if bound and pair.other in among and pair.other not in group and len(group) < COMPANY:
                group.append(pair.other)
    return group


def _together(state: State, group: Sequence[int]) -> tuple[list[int], float]:
    """Place a group, by regret; once more from those that found no place, if that places more of them."""
    absent, cost = by_regret(state, group)
    if not absent or len(group) == 1:
        return absent, cost
    placed = [(unit, state.place[unit]) for unit in group if state.place[unit] >= 0]
    for unit, _ in placed:
        state.take(unit)
    first, more = by_regret(state, absent)
    second, most = by_regret(state, [unit for unit, _ in placed])
    if len(first) + len(second) < len(absent):
        return first + second, more + most
    for unit in group:
        if state.place[unit] >= 0:
            state.take(unit)
    for unit, site in placed:
        state.put(unit, site)
    return absent, cost


def by_regret(state: State, group: Sequence[int]) -> tuple[list[int], float]:
    """Place each by itself, whoever regrets most first; who found no place, and what the others cost."""
    rows = dict(zip(group, state.rows(group), strict=True))
    two = {unit: least_two(row) for unit, row in rows.items()}
    absent, total = [], 0.0
    while rows:
        unit = min(rows, key=lambda each: (-_loss(two[each]), -state.share[each], each))
        cost = _put_at_least(state, unit, rows.pop(unit))
        if cost is None:
            absent.append(unit)
            continue
        total += cost
        site, partners = state.place[unit], state.talking.partners[unit]
        for other, row in rows.items():
            if state.strict:
                rows[other] = row = state.row(other)
            elif other in partners:
                state.catch_up(row, other, (unit,))
            else:
                before = row[site]
                state.crowd(row, other, unit)
                if before > two[other][1]:
                    continue
            two[other] = least_two(row)
    return absent, total


def _loss(two: tuple[float, float]) -> float:
    best, second = two
    return -math.inf if best == math.inf else second - best


def _ranked(state: State, units: Sequence[int]) -> list[int]:
    return sorted(units, key=lambda unit: (-regret(state, unit), -state.share[unit], unit))


def place_best(state: State, unit: int) -> float | None:
    """Place a unit at its cheapest site; what that costs, or None where it fits nowhere."""
    return _put_at_least(state, unit, state.row(unit))


def _put_at_least(state: State, unit: int, row: Floats) -> float | None:
    if not len(row):
        return None
    site = int(row.argmin())
    cost = float(row[site])
    if cost == math.inf:
        return None
    state.put(unit, site)
    return cost
