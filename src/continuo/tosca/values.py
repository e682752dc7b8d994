"""One value against one property type: from what was written to what it means."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from continuo.tosca.constraints import broken, show
from continuo.tosca.cursor import Cursor
from continuo.tosca.functions import FUNCTIONS
from continuo.tosca.problems import SECRET_NAME, did_you_mean, shown
from continuo.tosca.typedefs import PropertyType, types
from continuo.tosca.units import BY_TYPE, EXAMPLES, quantity
from continuo.tosca.yaml_nodes import MapNode, Scalar, describe

Evaluate = Callable[[Cursor], Cursor | None]
"""Replaces a function call by its value; None when there is none (and whoever has to know was told)."""

_BOOLS = {
    "true": True, "yes": True, "on": True, "false": False, "no": False, "off": False,
}  # fmt: skip
_DECIMAL = re.compile(r"[-+]?(\.[0-9]{1,30}|[0-9]{1,30}(\.[0-9]{0,30})?)([eE][-+]?[0-9]{1,2})?\Z")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}(\.0{0,9})?\Z")
BASIC = frozenset(("string", "integer", "float", "boolean", "timestamp", "range", "map", "list"))


def known_type(name: str) -> bool:
    """Whether values of that type can be checked."""
    return name in BASIC or name in BY_TYPE or name in types().data


def check(cursor: Cursor, type_: PropertyType, evaluate: Evaluate) -> Any:
    """The value as its type says: str, int, Fraction (numbers and quantities), bool, dict, list; None if reported."""
    found = evaluate(cursor)
    if found is None:
        return None
    value = _typed(found, type_, evaluate)
    if value is None:
        return None
    for constraint in type_.constraints:
        wish = broken(value, constraint)
        if wish is not None:
            code = "bad-value" if isinstance(value, str) else "out-of-range"
            hint = _near(value, constraint.operand)
            found.report(code, f"{_name(found)} {wish}{_instead(found)}.", hint=hint)
            return None
    return value


def _near(value: Any, operand: Any) -> str:
    if isinstance(value, str) and isinstance(operand, list | tuple):
        hint = did_you_mean(value.upper(), [str(item) for item in operand])
        return hint if hint.startswith("did") else ""
    return ""


def _typed(cursor: Cursor, type_: PropertyType, evaluate: Evaluate) -> Any:
    name = type_.type
    if name == "map":
        entry = PropertyType(type_.entry)
        pairs = {key: check(inner, entry, evaluate) for key, inner in cursor.fields(_name(cursor)).items()}
        return {key: value for key, value in pairs.items() if value is not None}
    if name in ("list", "range"):
        entry = PropertyType(type_.entry if name == "list" else "integer")
        return [v for item in cursor.items(_name(cursor)) if (v := check(item, entry, evaluate)) is not None]
    if name in types().data:
        return structure(cursor, name, evaluate)
    return _scalar(cursor, name)


def structure(cursor: Cursor, type_name: str, evaluate: Evaluate) -> dict[str, Any] | None:
    """A value of a data type: a map with typed fields."""
    if not isinstance(cursor.value, MapNode):
        cursor.report("bad-value", f"{_name(cursor)} must be a map of type {type_name}, not {describe(cursor.value)}.")
        return None
    definition = types().data[type_name]
    fields = cursor.known(definition, _name(cursor), "unknown-property")
    typed = {name: check(inner, definition[name], evaluate) for name, inner in fields.items()}
    return {name: value for name, value in typed.items() if value is not None}


def _scalar(cursor: Cursor, type_: str) -> Any:
    node = cursor.value
    if not isinstance(node, Scalar) or node.is_null:
        called = next(iter(node.fields)) if isinstance(node, MapNode) and len(node.fields) == 1 else ""
        hint = did_you_mean(called.replace(" ", "_"), FUNCTIONS) if called else ""
        cursor.report(
            "bad-value", f"{_name(cursor)} must be {_article(type_)}, not {describe(node)}.",
            hint=hint if hint.startswith("did") else "",
        )  # fmt: skip
        return None
    if type_ in BY_TYPE:
        return _quantity(cursor, node.text, type_)
    value = _plain(node, type_)
    if value is None:
        cursor.report("bad-value", f"{_name(cursor)} must be {_article(type_)}{_instead(cursor)}.")
    return value


def _plain(node: Scalar, type_: str) -> Any:
    text = node.text
    if type_ == "boolean":
        return _BOOLS.get(text.lower())
    if type_ == "integer":
        return int(text.split(".")[0]) if _INTEGER.match(text) else None
    if type_ == "float":
        return Fraction(text) if _DECIMAL.match(text) else None
    # Text is taken as it was written, so that 1.10 stays 1.10; only the spelling of booleans is made one.
    return show(node.value) if isinstance(node.value, bool) else text


def _quantity(cursor: Cursor, text: str, type_: str) -> Fraction | None:
    if text.strip() in ("0", "0.0"):
        return Fraction(0)
    found = quantity(text, type_)
    if found is None:
        cursor.report(
            "bad-unit",
            f"{_name(cursor)} must be a number with a unit, not {shown(text)}.",
            hint=f"for example {EXAMPLES[type_]}; units: {', '.join(BY_TYPE[type_])}",
        )
        return None
    if found.read_as:
        cursor.warn("bad-unit", f"{_name(cursor)} says {shown(text)}; its unit is read as {found.read_as}.")
    return found.value


def _article(type_: str) -> str:
    words = {
        "boolean": "true or false", "integer": "a whole number", "float": "a number", "string": "text",
        **{name: f"a number with a unit such as {example}" for name, example in EXAMPLES.items()},
    }  # fmt: skip
    return words.get(type_, f"a {type_}")


def _name(cursor: Cursor) -> str:
    return cursor.path.rpartition(".")[2] or "it"


def _instead(cursor: Cursor) -> str:
    """`, not` and the value, unless it may be a secret."""
    if SECRET_NAME.search(".".join(cursor.path.rsplit(".", 2)[-2:])):
        return ""
    return f", not {shown(cursor.value.text) if isinstance(cursor.value, Scalar) else describe(cursor.value)}"
