"""Which prices a condition allows at all: in the order of prices, rows outside need not be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from continuo.expressions.tree import Call, Const, Ident, Node

_FLIPPED = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_", "_==_": "_==_"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """From and to, both included: what lies outside surely does not match, what lies inside may."""

    low: float = float("-inf")
    high: float = float("inf")


def price_bounds(tree: Node) -> Bounds:
    """What the comparisons of the price demand that all have to hold."""
    low, high = float("-inf"), float("inf")
    for function, value in _comparisons(tree):
        if function in ("_<_", "_<=_", "_==_"):
            high = min(high, value)
        if function in ("_>_", "_>=_", "_==_"):
            low = max(low, value)
    return Bounds(low, high)


def _comparisons(node: Node) -> Iterator[tuple[str, float]]:
    """`price OPERATOR number` wherever nothing but && stands above it."""
    if not isinstance(node, Call):
        return
    if node.function == "_&&_":
        for arg in node.args:
            yield from _comparisons(arg)
    elif node.function in _FLIPPED:
        left, right = node.args
        if left == Ident("price") and (value := _number(right)) is not None:
            yield node.function, value
        elif right == Ident("price") and (value := _number(left)) is not None:
            yield _FLIPPED[node.function], value


def _number(node: Node) -> float | None:
    if not isinstance(node, Const) or isinstance(node.value, bool) or not isinstance(node.value, int | float):
        return None
    return float(node.value)
