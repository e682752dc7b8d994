"""`where` expressions of the catalog: CEL over one plan of one offer, for all plans of all offers at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, TypeAlias

from continuo.broker.catalog.bounds import Bounds, price_bounds
from continuo.broker.catalog.rows import Row
from continuo.broker.offers.amounts import quantity
from continuo.expressions.tree import parse
from continuo.expressions.where import NUMBER, NUMBERS, TEXT, TEXTS, Language, compile_tree

Filter: TypeAlias = Callable[[Iterable[Any]], list[Row]]

TYPES: dict[str, str] = {
    "offer": TEXT, "plan": TEXT, "provider": TEXT, "region": TEXT, "kind": TEXT, "name": TEXT, "currency": TEXT,
    "unit": TEXT, "price": NUMBER, "resources": NUMBERS, "labels": TEXTS, "measured": NUMBERS,
    "claimed": NUMBERS, "effective": NUMBERS,
}  # fmt: skip
_LANGUAGE = Language(
    TYPES,
    "offers",
    maps=("resources", "labels", "measured"),
    flags=("resources",),
    functions={"quantity": (lambda text: float(quantity(text)), "quantity('16Gi')")},
)


def compile_where(text: str) -> Filter:
    """The rows of entries of which the expression is true; raises BadExpression."""
    return _compiled(text)[0]


def bounds_of(text: str) -> Bounds:
    """The prices that the expression allows; raises BadExpression."""
    return _compiled(text)[1]


@lru_cache(maxsize=1024)
def _compiled(text: str) -> tuple[Filter, Bounds]:
    tree = parse(text, tuple(TYPES), {"quantity": quantity})
    return compile_tree(tree, _LANGUAGE), price_bounds(tree)
