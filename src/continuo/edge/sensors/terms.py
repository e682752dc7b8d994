"""The parts of a condition: one comparison of one field with what somebody wrote, in whatever unit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from continuo.edge.sensors import units
from continuo.edge.sensors.fields import Field, Kind
from continuo.edge.sensors.model import BadFilter
from continuo.edge.sensors.names import manufacturer
from continuo.expressions.tree import LONGEST, Call, Const, Ident, Items, Node

LESS, MOST, MORE, LEAST, IS, IS_NOT = "_<_", "_<=_", "_>_", "_>=_", "_==_", "_!=_"
TURNED = {LESS: MORE, MOST: LEAST, MORE: LESS, LEAST: MOST, IS: IS, IS_NOT: IS_NOT}
EVERYTHING = Const(True)


@dataclass(frozen=True, slots=True)
class Literal:
    """A number with its unit, as it stands in an expression."""

    text: str


def compare(field: Field, operator: str, written: Any) -> Node:
    """`field operator written`; raises BadFilter with a sentence that begins with the field."""
    if not field.is_number:
        return Call(operator, None, (Ident(field.name), Const(text_value(field, written))))
    value, turned = number_value(field, written)
    return Call(TURNED[operator] if turned else operator, None, (Ident(field.name), Const(value)))


def matching(field: Field, pattern: Any) -> Node:
    """`field` has a match of a regular expression."""
    if field.is_number:
        raise BadFilter(f"{field.name} is a number, which no regular expression is for; use a range")
    if not isinstance(pattern, str) or not pattern:
        raise BadFilter(f"{field.name}: a regular expression is text, not {units.brief(pattern)}")
    return Call("matches", Ident(field.name), (Const(pattern),))


def one_of(field: Field, written: Sequence[Any]) -> Node:
    """`field` is one of some values."""
    elements = []
    for value in written:
        made = compare(field, IS, value)
        assert isinstance(made, Call)
        elements.append(made.args[1])
    return Call("@in", None, (Ident(field.name), Items(tuple(elements))))


def every(parts: Iterable[Node]) -> Node:
    """All of them, side by side; without any, everything."""
    flat = tuple(one for part in parts for one in conjuncts(part))
    if not flat:
        return EVERYTHING
    return flat[0] if len(flat) == 1 else Call("_&&_", None, flat)


def conjuncts(node: Node) -> list[Node]:
    """What has to hold all at once, in order."""
    waiting, found = [node], []
    while waiting:
        one = waiting.pop()
        if isinstance(one, Call) and one.function == "_&&_":
            waiting += reversed(one.args)
        elif one != EVERYTHING:
            found.append(one)
    return found


def text_value(field: Field, written: Any) -> str:
    """What a text field is compared with."""
    if isinstance(written, Literal):
        raise BadFilter(f"{field.name} is text, not a number with a unit such as {written.text}")
    if isinstance(written, bool) or not isinstance(written, str | int | Decimal):
        raise BadFilter(f"{field.name} is compared with text, not with {units.brief(written)}")
    text = str(written).strip()
    if len(text) > LONGEST:
        raise BadFilter(f"{field.name}: the text has {len(text)} characters; at most {LONGEST} are allowed")
    return manufacturer(text) if field.kind is Kind.MANUFACTURER else text


def number_value(field: Field, written: Any) -> tuple[Decimal, bool]:
    """The number in the unit in which the field is compared, and whether it turns the comparison: a period does."""
    if isinstance(written, float):
        written = Decimal(repr(written))
    value = written.text if isinstance(written, Literal) else written
    try:
        if field.kind is Kind.AMOUNT:
            return units.amount(value), False
        if field.dimension is not None:
            read = units.read(value, field.dimension)
            return read.value, read.inverse
        number, unit = units.split(value)
    except units.BadNumber as problem:
        raise BadFilter(f"{field.name} {problem}") from problem
    if unit and isinstance(written, Literal):
        raise BadFilter(f"{field.name} is compared with a number without a unit, in that of what is measured")
    return number, False
