"""TOSCA constraint clauses: of inputs, of the bundled types, and of node filters."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from continuo.tosca.cursor import Cursor
from continuo.tosca.problems import did_you_mean, listed, shown
from continuo.tosca.typedefs import Constraint
from continuo.tosca.units import BY_TYPE
from continuo.tosca.yaml_nodes import ListNode, Scalar

ORDERED = frozenset(("greater_than", "greater_or_equal", "less_than", "less_or_equal", "in_range"))
LENGTHS = frozenset(("length", "min_length", "max_length"))
OPERATORS = ORDERED | LENGTHS | {"equal", "valid_values", "pattern", "schema"}
_NUMERIC = frozenset(("integer", "float")) | BY_TYPE.keys()

Convert = Callable[[Cursor], Any]
"""Turns an operand into the value that it means for the property's type; None when it was reported."""

_WORDS = {
    "equal": "must be",
    "greater_than": "must be greater than",
    "greater_or_equal": "must be at least",
    "less_than": "must be less than",
    "less_or_equal": "must be at most",
    "length": "must have the length",
    "min_length": "must be at least this long:",
    "max_length": "must be at most this long:",
}


def parse(cursor: Cursor, type_: str, convert: Convert) -> tuple[Constraint, ...]:
    """The clauses of `constraints:` or of one filtered property; what is wrong with them is reported."""
    entries = cursor.items("constraints") if isinstance(cursor.value, ListNode) else iter((cursor,))
    return tuple(found for entry in entries for found in _clause(entry, type_, convert))


def _clause(cursor: Cursor, type_: str, convert: Convert) -> list[Constraint]:
    if isinstance(cursor.value, Scalar):
        if cursor.value.is_null:
            return []
        cursor.warn(
            "bad-value",
            f"the bare value {shown(cursor.value.text)} is read as equal: {shown(cursor.value.text)}.",
        )
        value = convert(cursor)
        return [] if value is None else [Constraint("equal", value)]
    found = []
    for operator, operand in cursor.fields("a constraint").items():
        value = _operand(cursor, operator, operand, type_, convert)
        if value is not None:
            found.append(Constraint(operator, value))
    return found


def _operand(cursor: Cursor, operator: str, operand: Cursor, type_: str, convert: Convert) -> Any:
    if operator not in OPERATORS:
        hint = did_you_mean(operator, OPERATORS) or f"known: {', '.join(sorted(OPERATORS))}"
        cursor.report("unknown-key", f"{operator} is not a constraint.", hint=hint, at=cursor.key(operator))
        return None
    if operator in ("pattern", "schema"):
        cursor.warn("unsupported-section", f"the constraint {operator} is not checked.", at=cursor.key(operator))
        return None
    if operator in ORDERED and type_ not in _NUMERIC:
        cursor.report(
            "bad-value",
            f"{operator} does not fit a {type_}; use equal or valid_values.",
            at=cursor.key(operator),
        )
        return None
    if operator in LENGTHS:
        return _length(operand, operator)
    if operator == "in_range":
        return _range(operand, convert)
    if operator == "valid_values":
        values = tuple(convert(item) for item in operand.items("valid_values"))
        return values if values and None not in values else None
    return convert(operand)


def _length(operand: Cursor, operator: str) -> int | None:
    value = operand.value.value if isinstance(operand.value, Scalar) else None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    operand.report("bad-value", f"{operator} must be a whole number.")
    return None


def _range(operand: Cursor, convert: Convert) -> tuple[Any, Any] | None:
    if not isinstance(operand.value, ListNode) or len(operand.value.items) != 2:
        operand.report("bad-value", "in_range must be a list of two numbers.", hint="write [1, 4] or [1, UNBOUNDED]")
        return None
    low, high = operand.items("in_range")
    bounds: tuple[Any, ...] = tuple(_unbounded if _is_unbounded(end) else convert(end) for end in (low, high))
    if None in bounds:
        return None
    floor, ceiling = (None if bound is _unbounded else bound for bound in bounds)
    if floor is not None and ceiling is not None and floor > ceiling:
        operand.report("out-of-range", f"in_range begins at {show(floor)}, above its end {show(ceiling)}.")
        return None
    return floor, ceiling


_unbounded = object()


def _is_unbounded(cursor: Cursor) -> bool:
    return isinstance(cursor.value, Scalar) and cursor.value.text == "UNBOUNDED"


def broken(value: Any, constraint: Constraint) -> str | None:
    """What the value would have to be, or None when it is."""
    operator, operand = constraint.operator, constraint.operand
    if operator == "valid_values":
        return None if value in operand else f"must be {listed(show(item) for item in operand)}"
    if operator == "in_range":
        low, high = operand
        inside = (low is None or value >= low) and (high is None or value <= high)
        return None if inside else f"must be {_span(low, high)}"
    if operator in LENGTHS:
        ok = _compare(operator, len(value), operand) if isinstance(value, str | dict | list) else True
    else:
        ok = _compare(operator, value, operand)
    return None if ok else f"{_WORDS[operator]} {show(operand)}"


def _compare(operator: str, value: Any, operand: Any) -> bool:
    match operator:
        case "equal" | "length":
            return bool(value == operand)
        case "greater_than":
            return bool(value > operand)
        case "greater_or_equal" | "min_length":
            return bool(value >= operand)
        case "less_than":
            return bool(value < operand)
        case _:
            return bool(value <= operand)


def _span(low: Any, high: Any) -> str:
    if low is None or high is None:
        return f"at least {show(low)}" if high is None else f"at most {show(high)}"
    return f"from {show(low)} to {show(high)}"


def show(value: Any) -> str:
    """A value for a message."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Fraction):
        return str(value.numerator) if value.denominator == 1 else str(float(value))
    return shown(str(value))
