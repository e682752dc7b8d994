"""What somebody asks of a flavor, whichever way it was said: one condition over named fields.

The fields of a sensor: uid, name, node, model, manufacturer, market, category (text), type (any of the quantities or the
category), samplingRate (Hz), latency (ms), consumption (mW), accuracy. Those of a K8Slice: architecture (text), cpu,
memory, pods, storage, gpu (quantities). Case does not matter, and a flavor that lacks a field matches no comparison with it.

Of a sensor of several quantities, `accuracy` and `samplingRate` are those of the type that is asked for beside them; where
none is, the worst accuracy and the fastest rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from continuo.edge.sensors.fields import by_name
from continuo.edge.sensors.model import SENSOR, BadFilter, Sensor
from continuo.edge.sensors.names import folded
from continuo.edge.sensors.rows import sensor_row
from continuo.edge.sensors.terms import EVERYTHING, IS, conjuncts, every
from continuo.expressions.tree import BadExpression, Call, Const, Ident, Items, Node, Select
from continuo.expressions.where import NUMBER, NUMBERS, TEXT, TEXTS, Filter, Language, compile_tree
from continuo.expressions.where_patterns import pattern

_ENTRIES = {"accuracy": "accuracies", "samplingRate": "rates"}


@dataclass(frozen=True, slots=True)
class Criteria:
    """A condition on the flavors of one type; without one, all of them. Made by `filters`, `query` and `where`."""

    flavor_type: str = SENSOR
    condition: Node = EVERYTHING

    def __post_init__(self) -> None:
        compiled(self)


def matches(criteria: Criteria, sensor: Sensor) -> bool:
    """Whether a sensor is what is asked for."""
    return criteria.flavor_type == SENSOR and bool(compiled(criteria)([[sensor_row(sensor)]]))


@lru_cache(maxsize=512)
def compiled(criteria: Criteria) -> Filter:
    """What finds rows; raises BadFilter where the condition makes no sense."""
    try:
        return compile_tree(_focused(criteria.condition, ()), _language(criteria.flavor_type))
    except BadExpression as problem:
        raise BadFilter(str(problem)) from problem


@lru_cache(maxsize=4)
def _language(flavor_type: str) -> Language:
    fields = {field.name: NUMBER if field.is_number else TEXT for field in by_name(flavor_type).values()}
    entries = {**dict.fromkeys(_ENTRIES.values(), NUMBERS), "types": TEXTS} if flavor_type == SENSOR else {}
    return Language(
        {**fields, **entries}, "flavors", maps=tuple(_ENTRIES) if entries else (), sized=False, pattern=pattern
    )


def _focused(node: Node, types: tuple[str, ...]) -> Node:
    """The condition with text folded, and with accuracies and rates of the types that are asked for beside them."""
    if isinstance(node, Call) and node.function == "_&&_":
        parts = conjuncts(node)
        own = tuple(text for part in parts if (text := _type_of(part)) is not None)
        return every(sorted((_focused(part, own or types) for part in parts), key=_cost))
    if isinstance(node, Call) and node.function in ("_||_", "!_", "_?_:_"):
        return Call(node.function, None, tuple(_focused(arg, types) for arg in node.args))
    text = _type_of(node)
    if text is not None:  # the same as a comparison with `type`, and far quicker
        return Call("@in", None, (Const(text), Ident("types")))
    if types and _mentions(node):
        return every(_folded(node, text) for text in types)
    return _folded(node, None)


def _cost(node: Node) -> int:
    """What is quick to judge comes first: the order makes no difference to what is found."""
    if not isinstance(node, Call):
        return 0
    own = {"matches": 8, "_[_]": 2, "@in": 1}.get(node.function, 0)
    return own + sum(map(_cost, node.args)) + (_cost(node.target) if node.target is not None else 0)


def _type_of(node: Node) -> str | None:
    """The text, where the node is `type == text`."""
    if isinstance(node, Call) and node.function == IS and Ident("type") in node.args:
        for arg in node.args:
            if isinstance(arg, Const) and isinstance(arg.value, str):
                return folded(arg.value)
    return None


def _mentions(node: Node) -> bool:
    if isinstance(node, Ident):
        return node.name in _ENTRIES
    if isinstance(node, Items):
        return any(map(_mentions, node.elements))
    if not isinstance(node, Call) or node.function == "_[_]":
        return False
    return any(map(_mentions, node.args)) or (node.target is not None and _mentions(node.target))


def _folded(node: Node, of: str | None) -> Node:
    if isinstance(node, Const):
        return Const(folded(node.value)) if isinstance(node.value, str) else node
    if isinstance(node, Ident):
        entries = _ENTRIES.get(node.name) if of is not None else None
        return node if entries is None else Call("_[_]", None, (Ident(entries), Const(of)))
    if isinstance(node, Items):
        return Items(tuple(_folded(element, of) for element in node.elements))
    if isinstance(node, Select) and not node.test and isinstance(node.operand, Ident):
        return _folded(Call("_[_]", None, (node.operand, Const(node.field))), of)
    if not isinstance(node, Call):
        return node
    if node.function == "matches":
        return Call("matches", node.target, node.args)
    if node.function == "_[_]" and isinstance(node.args[0], Ident) and node.args[0].name in _ENTRIES:
        return Call("_[_]", None, (Ident(_ENTRIES[node.args[0].name]), _folded(node.args[1], None)))
    target = None if node.target is None else _folded(node.target, of)
    return Call(node.function, target, tuple(_folded(arg, of) for arg in node.args))
