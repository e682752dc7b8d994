"""The blueprint's inputs: what is declared, what was supplied, and the value each of them has in the end."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from continuo.tosca import constraints
from continuo.tosca.cursor import Cursor
from continuo.tosca.functions import Functions, called, references
from continuo.tosca.problems import Place, Problems, TooMany, did_you_mean
from continuo.tosca.typedefs import Constraint, PropertyType
from continuo.tosca.values import BASIC, check, known_type
from continuo.tosca.yaml_nodes import ListNode, MapNode, Node, Scalar, Spot, parse

MAX_NESTING = 20
TLS_CERT, TLS_KEY = "tls_cert", "tls_key"
"""Inputs that mean the same in every blueprint, declared or not: the certificate of the public ports."""

_KEYS = frozenset(
    ("type", "description", "required", "default", "constraints", "status", "metadata", "entry_schema", "key_schema",
     "value")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Declaration:
    """One declared input."""

    name: str
    type: PropertyType
    default: Node | None
    description: str
    at: Spot

    @property
    def required(self) -> bool:
        """Whether somebody has to supply a value."""
        return self.type.required and self.default is None


def declare(section: Cursor) -> dict[str, Declaration]:
    """What `topology_template.inputs` declares; `inputs:` with nothing behind it declares nothing."""
    return {
        name: _declaration(name, Cursor(inner.value, inner.path, f"input {name}", inner.problems), section.key(name))
        for name, inner in section.fields("inputs").items()
    }


def _declaration(name: str, cursor: Cursor, at: Place) -> Declaration:
    fields = cursor.known(_KEYS, "an input", "unknown-key")
    type_name = _type(fields.get("type"))
    convert = _converter(PropertyType(type_name))
    found: tuple[Constraint, ...] = ()
    if "constraints" in fields:
        found = constraints.parse(fields["constraints"], type_name, convert)
    type_ = PropertyType(type_name, _required(fields.get("required")), _entry(fields.get("entry_schema")), found)
    default = fields.get("default") or fields.get("value")
    if default is not None and isinstance(default.value, Scalar) and default.value.is_null:
        default = None
    if default is not None:
        check(default, type_, _no_functions)
    about = fields.get("description")
    text = about.value.text if about and isinstance(about.value, Scalar) else ""
    return Declaration(name, type_, default.value if default else None, text, Spot(at.line, at.column))


def _type(field: Cursor | None) -> str:
    if field is None:
        return "string"
    if isinstance(field.value, Scalar) and known_type(field.value.text):
        return field.value.text
    written = field.value.text if isinstance(field.value, Scalar) else "?"
    hint = did_you_mean(written, BASIC | {"Charity.geolocation"})
    field.report("unknown-type", f"the type {written} is not known.", hint=hint)
    return "string"


def _required(field: Cursor | None) -> bool:
    if field is None:
        return True
    value = check(field, PropertyType("boolean"), _no_functions)
    return bool(value) if value is not None else True


def _entry(field: Cursor | None) -> str:
    if field is None:
        return "string"
    inner = field.value.fields.get("type") if isinstance(field.value, MapNode) else field.value
    return inner.text if isinstance(inner, Scalar) and known_type(inner.text) else "string"


def _converter(type_: PropertyType) -> constraints.Convert:
    return lambda operand: check(operand, type_, _no_functions)


def _no_functions(cursor: Cursor) -> Cursor | None:
    name = called(cursor.value)
    if not name:
        return cursor
    cursor.report("bad-value", f"{name} cannot be used in an input's declaration; write a literal value.")
    return None


def bind(
    declared: Mapping[str, Declaration], supplied: Mapping[str, Any] | None, section: Cursor, root: Node
) -> Functions:
    """The inputs with their values. Without `supplied` nothing is missed: that is checking before deployment."""
    given = {name: value for name, value in (supplied or {}).items() if value is not None}
    values: dict[str, Node | None] = {name: declaration.default for name, declaration in declared.items()}
    used = frozenset(references(root)) if given.keys() - declared.keys() else frozenset()
    for name, value in given.items():
        cursor = _cursor_for(name, declared, section)
        node = _node(value, Spot(cursor.value.line, cursor.value.column), cursor)
        if name in declared:
            values[name] = _checked(node, declared[name], cursor)
        elif name in used:
            cursor.warn("input-unknown", "it has a value and is used, but the blueprint does not declare it.",
                        hint="declare it under topology_template.inputs")  # fmt: skip
            values[name] = node
        elif name not in (TLS_CERT, TLS_KEY):
            cursor.report("input-unknown", "the blueprint has no such input.", hint=did_you_mean(name, declared))
    for name, declaration in declared.items():
        if supplied is not None and declaration.required and name not in given:
            _cursor_for(name, declared, section).report(
                "input-required", "it needs a value and has no default.", hint=f"supply {name}"
            )
    return Functions(values, frozenset(given))


def _cursor_for(name: str, declared: Mapping[str, Declaration], section: Cursor) -> Cursor:
    at: Node = section.value
    if name in declared:
        at = Scalar("", False, declared[name].at.line, declared[name].at.column)
    return Cursor(at, f"{section.path}.{name}", f"input {name}", section.problems)


def _checked(node: Node | None, declaration: Declaration, cursor: Cursor) -> Node | None:
    if node is None:
        return None
    structured = declaration.type.type not in ("string", "timestamp") and not isinstance(node, MapNode | ListNode)
    if structured and declaration.type.type in ("map", "list", "range", "Charity.geolocation"):
        node = _written_out(node, cursor)
        if node is None:
            return None
    typed = check(Cursor(node, cursor.path, cursor.node, cursor.problems), declaration.type, _no_functions)
    return None if typed is None else node


def _written_out(node: Node, cursor: Cursor) -> Node | None:
    """A map or list that came as text, as command lines give it: YAML (so JSON too)."""
    assert isinstance(node, Scalar)
    inner = Problems(cursor.problems.file)
    found: Node | None = None
    with suppress(TooMany):
        found = parse(node.text, inner)
    if found is None or inner.failed:
        cursor.report("bad-value", "its value must be a map or list, written in JSON or YAML.")
        return None
    return _moved(found, Spot(node.line, node.column))


def _moved(node: Node, spot: Spot) -> Node:
    """The same value with every place set to the declaration's: the text that it came from is not the file's."""
    if isinstance(node, Scalar):
        return Scalar(node.text, node.plain, spot.line, spot.column)
    if isinstance(node, ListNode):
        return ListNode(tuple(_moved(item, spot) for item in node.items), spot.line, spot.column)
    fields = {name: _moved(value, spot) for name, value in node.fields.items()}
    return MapNode(
        fields, {name: Scalar(name, True, spot.line, spot.column) for name in fields}, spot.line, spot.column
    )


def _node(value: Any, spot: Spot, cursor: Cursor, depth: int = 0) -> Node | None:
    """A supplied JSON value as a located one. Texts stay texts: an empty one is not `null`."""
    if depth > MAX_NESTING:
        cursor.report("yaml-limit", f"its value is nested more than {MAX_NESTING} levels deep.")
        return None
    if isinstance(value, dict):
        inner = {str(name): _node(item, spot, cursor, depth + 1) for name, item in value.items()}
        fields = {name: node for name, node in inner.items() if node is not None}
        keys = {name: Scalar(name, True, spot.line, spot.column) for name in fields}
        return MapNode(fields, keys, spot.line, spot.column)
    if isinstance(value, list | tuple):
        nodes = (_node(item, spot, cursor, depth + 1) for item in value)
        return ListNode(tuple(node for node in nodes if node is not None), spot.line, spot.column)
    if isinstance(value, bool) or value is None:
        return Scalar({True: "true", False: "false", None: "null"}[value], True, spot.line, spot.column)
    if isinstance(value, str):
        return Scalar(value, False, spot.line, spot.column)
    return Scalar(repr(value), True, spot.line, spot.column)
