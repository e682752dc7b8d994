"""Node filters: what a template asks of the place or network that will carry it.

Both spellings are read: a list of single-entry maps, as TOSCA has it, and one map, as published blueprints have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from continuo.tosca import constraints
from continuo.tosca.blueprint import Bounds, Gpu
from continuo.tosca.cursor import Cursor
from continuo.tosca.typedefs import Constraint, NodeType, PropertyType
from continuo.tosca.values import Evaluate, check
from continuo.tosca.yaml_nodes import ListNode, MapNode, Node, Scalar, Spot, describe


class Filter:
    """What one template's filter asks, by capability and property."""

    def __init__(
        self,
        wishes: Mapping[tuple[str, str], tuple[Constraint, ...]],
        cursors: Mapping[tuple[str, str], Cursor],
    ):
        self._wishes = wishes
        self._cursors = cursors

    def bounds(self, capability: str, name: str) -> Bounds:
        """The wish as bounds of a number."""
        low: Fraction | None = None
        high: Fraction | None = None
        for constraint in self._wishes.get((capability, name), ()):
            floor, ceiling = self._ends(capability, name, constraint)
            low = floor if low is None or (floor is not None and floor > low) else low
            high = ceiling if high is None or (ceiling is not None and ceiling < high) else high
        if low is not None and high is not None and low > high:
            message = f"{name} cannot be at least {constraints.show(low)} and at most {constraints.show(high)}."
            self._cursors[capability, name].report("out-of-range", message)
            return Bounds()
        return Bounds(low, high)

    def _ends(self, capability: str, name: str, wish: Constraint) -> tuple[Fraction | None, Fraction | None]:
        match wish.operator:
            case "equal":
                return Fraction(wish.operand), Fraction(wish.operand)
            case "greater_than" | "greater_or_equal":
                return Fraction(wish.operand), None
            case "less_than" | "less_or_equal":
                return None, Fraction(wish.operand)
            case "in_range":
                low, high = wish.operand
                return None if low is None else Fraction(low), None if high is None else Fraction(high)
        self._unsupported(capability, name, wish)
        return None, None

    def text(self, capability: str, name: str) -> str:
        """The one text that is asked for, or an empty string."""
        for wish in self._wishes.get((capability, name), ()):
            if wish.operator == "equal":
                return str(wish.operand)
            if wish.operator == "valid_values" and len(wish.operand) == 1:
                return str(wish.operand[0])
            self._unsupported(capability, name, wish)
        return ""

    def flag(self, capability: str, name: str) -> bool:
        """Whether `true` is asked for."""
        return self.text(capability, name) == "True"

    def place(self, capability: str, name: str) -> Spot | None:
        """Where that wish is written."""
        cursor = self._cursors.get((capability, name))
        return Spot(cursor.value.line, cursor.value.column) if cursor else None

    def gpu(self) -> Gpu | None:
        """What is asked of graphics processors, if anything."""
        units = self.bounds("gpu", "units")
        wish = Gpu(self.text("gpu", "model"), self.flag("gpu", "dedicated"), int(units.low or 0))
        if not wish.units and (wish.model or wish.dedicated):
            wish = Gpu(wish.model, wish.dedicated, 1)
        return wish if wish.units else None

    def _unsupported(self, capability: str, name: str, wish: Constraint) -> None:
        self._cursors[capability, name].warn(
            "unsupported-section",
            f"{name}: {wish.operator} cannot be used here and is left out.",
            hint="use equal",
        )


def read(cursor: Cursor | None, type_: NodeType, evaluate: Evaluate) -> Filter:
    """The template's `node_filter`; what is wrong with it is reported."""
    wishes: dict[tuple[str, str], tuple[Constraint, ...]] = {}
    cursors: dict[tuple[str, str], Cursor] = {}
    if cursor is None:
        return Filter(wishes, cursors)
    keys = cursor.known(frozenset(("capabilities", "properties")), "node_filter", "unknown-key")
    if "properties" in keys:
        keys["properties"].warn("unsupported-section", "a filter on the template's own properties is left out.")
    if "capabilities" not in keys:
        return Filter(wishes, cursors)
    capabilities = _merged(keys["capabilities"], "capabilities")
    for capability, body in capabilities.known(type_.capabilities, "capabilities", "unknown-key").items():
        fields = body.known(frozenset(("properties",)), capability, "unknown-key")
        if "properties" not in fields:
            continue
        properties = type_.capabilities[capability]
        entries = _merged(fields["properties"], "properties")
        for name, inner in entries.known(properties, capability, "unknown-property").items():
            wishes[capability, name] = _constraints(inner, properties[name], evaluate)
            cursors[capability, name] = inner
    return Filter(wishes, cursors)


def _constraints(cursor: Cursor, type_: PropertyType, evaluate: Evaluate) -> tuple[Constraint, ...]:
    def convert(operand: Cursor) -> object:
        return check(Cursor(operand.value, cursor.path, cursor.node, cursor.problems), type_, evaluate)

    return constraints.parse(cursor, type_.type, convert)


def _merged(cursor: Cursor, what: str) -> Cursor:
    """A list of maps as one map; what stands twice is asked for together."""
    if not isinstance(cursor.value, ListNode):
        return cursor
    fields: dict[str, Node] = {}
    keys: dict[str, Scalar] = {}
    for item in cursor.items(what):
        if not isinstance(item.value, MapNode):
            item.report("bad-value", f"{what} must be a list of maps; this entry is {describe(item.value)}.")
            continue
        for name, value in item.value.fields.items():
            keys.setdefault(name, item.value.keys[name])
            fields[name] = _both(fields[name], value) if name in fields else value
    merged = MapNode(fields, keys, cursor.value.line, cursor.value.column)
    return Cursor(merged, cursor.path, cursor.node, cursor.problems)


def _both(first: Node, second: Node) -> Node:
    if isinstance(first, MapNode) and isinstance(second, MapNode) and "properties" in first.fields:
        inner = _both(
            first.fields["properties"],
            second.fields.get("properties", ListNode((), second.line, second.column)),
        )
        return MapNode({"properties": inner}, first.keys | second.keys, first.line, first.column)
    items = tuple(x for node in (first, second) for x in (node.items if isinstance(node, ListNode) else (node,)))
    return ListNode(items, first.line, first.column)
