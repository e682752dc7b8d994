"""Filters in a query string: `filter[latency][range][max]=16`, in FLUIDOS' spelling and in that of REAR's specification.

Ours beyond both: `[lt]` and `[gt]` for strict bounds, `[regex]`, units in values (`16ms`), and `where=` with an expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from continuo.edge.sensors import terms, units
from continuo.edge.sensors.criteria import Criteria
from continuo.edge.sensors.fields import Field, by_name, flavor_type, on_the_wire
from continuo.edge.sensors.model import BadFilter
from continuo.edge.sensors.where import condition_of
from continuo.expressions.tree import Call, Const, Ident, Node

MOST = 64
_KEY = re.compile(r"(?:filter\[(\w+)\]|\[(\w+)\]|(\w+))((?:\[\w+\]){0,2})")
_OPERATORS: Mapping[str, str] = {
    "": terms.IS, "[match]": terms.IS, "[exact]": terms.IS,
    "[range][min]": terms.LEAST, "[range][max]": terms.MOST, "[min]": terms.LEAST, "[max]": terms.MOST,
    "[lt]": terms.LESS, "[gt]": terms.MORE, "[range][lt]": terms.LESS, "[range][gt]": terms.MORE,
}  # fmt: skip
_REGEX = ("[regex]", "[range][regex]")


def from_query(kind: str, pairs: Iterable[tuple[str, str]]) -> Criteria:
    """What the parameters of a request ask for, decoded but in order; raises BadFilter, to be answered with 400."""
    kind, known = flavor_type(kind), on_the_wire(kind)
    parts: list[Node] = []
    for key, value in pairs:
        if len(parts) == MOST:
            raise BadFilter(f"there are more than {MOST} filters")
        parts.append(_condition(kind, known, key, value))
    return Criteria(kind, terms.every(parts))


def _condition(kind: str, known: Mapping[str, Field], key: str, value: str) -> Node:
    if key == "where":
        try:
            return condition_of(value, kind)
        except BadFilter as problem:
            raise BadFilter(f"where: {problem}") from problem
    found = _KEY.fullmatch(key)
    field = known.get(next(filter(None, found.groups()[:3]))) if found else None
    if found is None or field is None:
        raise BadFilter(f"{key}: there is no such filter for {kind}; there are {', '.join(by_name(kind))}, such as "
                        f"filter[{next(iter(known))}][match]")  # fmt: skip
    operator = found[4]
    if operator not in _OPERATORS and operator not in _REGEX:
        raise BadFilter(
            f"{key}: there is no such operator; there are match, exact, range[min], range[max], lt, gt, regex"
        )
    try:
        return _compared(field, operator, value)
    except BadFilter as problem:
        raise BadFilter(f"{key}: {problem}") from problem


def _compared(field: Field, operator: str, value: str) -> Node:
    if operator in _REGEX:
        return terms.matching(field, value)
    if not value.strip():
        raise BadFilter(f"{field.name} is compared with nothing; give a value")
    if not field.is_number and _OPERATORS[operator] != terms.IS:
        raise BadFilter(f"{field.name} is text, which has no range; use match or regex")
    return terms.compare(field, _OPERATORS[operator], value)


# --- for sellers ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Asked:
    """What a seller is asked. Unless it is `exact`, what comes back has to be looked at with `matches`."""

    pairs: tuple[tuple[str, str], ...]
    exact: bool


_SAID: Mapping[str, str] = {terms.IS: "match", terms.LEAST: "range][min", terms.MOST: "range][max"}
_NEARLY: Mapping[str, str] = {terms.MORE: "range][min", terms.LESS: "range][max"}


def to_query(criteria: Criteria) -> Asked:
    """As much of a condition as every seller understands. Nothing that matches is left out by it."""
    pairs: dict[str, str] = {}
    exact = True
    for part in terms.conjuncts(criteria.condition):
        said = _said(criteria, part)
        if said is None or said[0] in pairs:
            exact = False
            continue
        key, value, whole = said
        pairs[key], exact = value, exact and whole
    return Asked(tuple(pairs.items()), exact)


def _said(criteria: Criteria, node: Node) -> tuple[str, str, bool] | None:
    if not isinstance(node, Call) or node.target is not None or len(node.args) != 2:
        return None
    left, right = node.args
    if not isinstance(left, Ident) or not isinstance(right, Const) or isinstance(right.value, bool):
        return None
    field, operator = by_name(criteria.flavor_type).get(left.name), _SAID.get(node.function)
    if field is None or (operator is None and node.function not in _NEARLY):
        return None
    if not field.is_number and operator != "match":
        return None
    return f"filter[{field.name}][{operator or _NEARLY[node.function]}]", _written(right.value), operator is not None


def _written(value: Any) -> str:
    return units.plain(value) if isinstance(value, Decimal) else str(value)
