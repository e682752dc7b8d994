"""The least sum of costs of a few things that cost something each and in pairs: by eliminating one after the other.

Exact wherever no more than three others are bound to the one that goes; beyond, what binds it to one of them counts with its
least value alone, which makes the sum smaller, never larger.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Costs = NDArray[np.float64]

WIDEST = 3


def least(single: dict[int, Costs], pairs: dict[tuple[int, int], Costs]) -> float:
    """The least total over all choices; pairs are named by two different keys of `single`, and are added up."""
    factors: list[tuple[tuple[int, ...], Costs]] = [((each,), costs) for each, costs in single.items()]
    factors += list(pairs.items())
    waiting, total = set(single), 0.0
    while waiting:
        goes = min(waiting, key=lambda each: (len(_bound(factors, each)), each))
        factors, lost = _loosen(factors, goes)
        total += lost
        mine = [factor for factor in factors if goes in factor[0]]
        others = tuple(sorted(_bound(mine, goes)))
        made = _eliminate(mine, goes, others)
        factors = [factor for factor in factors if goes not in factor[0]]
        if others:
            factors.append((others, made))
        else:
            total += float(made)
        waiting.remove(goes)
    return total


def _bound(factors: list[tuple[tuple[int, ...], Costs]], one: int) -> set[int]:
    return {other for names, _ in factors if one in names for other in names} - {one}


def _loosen(
    factors: list[tuple[tuple[int, ...], Costs]], one: int
) -> tuple[list[tuple[tuple[int, ...], Costs]], float]:
    """Without the factors that bind one to more than three others, and the sum of their least values."""
    lost = 0.0
    while len(_bound(factors, one)) > WIDEST:
        widest = max((factor for factor in factors if one in factor[0]), key=lambda factor: (len(factor[0]), factor[0]))
        factors = [factor for factor in factors if factor is not widest]
        lost += float(widest[1].min())
    return factors, lost


def _eliminate(mine: list[tuple[tuple[int, ...], Costs]], goes: int, others: tuple[int, ...]) -> Costs:
    """The least over the one that goes, by all choices of the others; slice by slice where there are three."""
    if len(others) < WIDEST:
        return _least_of([_aligned(factor, (*others, goes)) for factor in mine])
    first, rest = others[0], others[1:]
    size = next(costs.shape[names.index(first)] for names, costs in mine if first in names)
    aligned = [_aligned(factor, (first, *rest, goes)) for factor in mine]
    return np.stack([_least_of([costs[min(at, len(costs) - 1)] for costs in aligned]) for at in range(size)])


def _least_of(aligned: list[Costs]) -> Costs:
    found: Costs = np.asarray(reduce(np.add, aligned).min(axis=-1))
    return found


def _aligned(factor: tuple[tuple[int, ...], Costs], names: tuple[int, ...]) -> Costs:
    """The costs with one axis for each name, of length 1 where they do not depend on it."""
    own, costs = factor
    order = sorted(range(len(own)), key=lambda axis: names.index(own[axis]))
    shape = [costs.shape[own.index(name)] if name in own else 1 for name in names]
    return costs.transpose(order).reshape(shape)
