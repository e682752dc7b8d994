"""The rules of one schema as a tree: what to evaluate at each level, and how to go on below."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from continuo.embedded.machinery.cel_runtime import Program, RuleFailure, compile_program
from continuo.embedded.machinery.cel_values import Convert, converter
from continuo.embedded.machinery.fields import ErrorType, FieldError, Place, path_of
from continuo.embedded.machinery.typed import MergeType, item_key, merge_type

_OLD = re.compile(r"\boldSelf\b")
_TYPES: dict[str, ErrorType] = {
    "FieldValueInvalid": "Invalid",
    "FieldValueForbidden": "Forbidden",
    "FieldValueRequired": "Required",
    "FieldValueDuplicate": "Duplicate",
}
_EMBEDDED = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
_METADATA = {"type": "object", "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}}}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule where it stands."""

    text: str
    program: Program
    message: str
    expression: Program | None
    type: ErrorType
    field_path: str
    transition: bool
    optional_old: bool


@dataclass(slots=True)
class Node:
    """The rules at one level and the levels below that have rules."""

    schema: Mapping[str, Any]
    convert: Convert | None
    rules: list[Rule]
    merge: MergeType
    fields: dict[str, Node] = field(default_factory=dict)
    extra: Node | None = None
    items: Node | None = None

    def check(self, value: Any, old: Any, place: Place, errors: list[FieldError]) -> None:
        """Evaluate the rules here and below; what is absent or null is not looked at."""
        if value is None:
            return
        if self.rules:
            self._evaluate(value, old, place, errors)
        if isinstance(value, dict):
            before = old if isinstance(old, dict) else {}
            for name, child in value.items():
                node = self.fields.get(name, self.extra)
                if node is not None:
                    node.check(child, before.get(name), (place, name), errors)
        elif isinstance(value, list) and self.items is not None:
            self._check_items(value, old, place, errors)

    def _check_items(self, value: list[Any], old: Any, place: Place, errors: list[FieldError]) -> None:
        assert self.items is not None
        before: dict[str, Any] = {}
        if isinstance(old, list) and self.merge.shape == "list":
            before = {item_key(self.merge, item): item for item in old}
        for index, item in enumerate(value):
            former = before.get(item_key(self.merge, item)) if before else None
            self.items.check(item, former, (place, index), errors)

    def _evaluate(self, value: Any, old: Any, place: Place, errors: list[FieldError]) -> None:
        shown = value if self.convert is None else self.convert(value)
        former = old if self.convert is None or old is None else self.convert(old)
        for rule in self.rules:
            if rule.transition and old is None and not rule.optional_old:
                continue
            data = {"self": shown, "oldSelf": former}
            try:
                if rule.program.holds(data, rule.optional_old):
                    continue
                errors.append(self._error(rule, data, place, value))
            except RuleFailure as failure:
                detail = f'rule evaluation error: {failure}'
                errors.append(FieldError(path_of(place) + rule.field_path, "Invalid", value, detail))

    def _error(self, rule: Rule, data: dict[str, Any], place: Place, value: Any) -> FieldError:
        detail = rule.message or f"failed rule: {rule.text}"
        if rule.expression is not None:
            detail = rule.expression.text_of(data, rule.optional_old) or detail
        return FieldError(path_of(place) + rule.field_path, rule.type, _shown(value), detail)


def _shown(value: Any) -> Any:
    """Objects and lists are named by their type in errors."""
    return value if not isinstance(value, dict | list) else ("object" if isinstance(value, dict) else "array")


def compile_node(schema: Mapping[str, Any], path: str, errors: list[FieldError], root: bool = False) -> Node | None:
    """The node of a schema; None when there is no rule in it or below it."""
    if root or schema.get("x-kubernetes-embedded-resource"):
        schema = _with_identity(schema)
    rules = [
        _compile_rule(rule, schema, f"{path}.x-kubernetes-validations[{index}]", errors)
        for index, rule in enumerate(schema.get("x-kubernetes-validations") or ())
    ]
    node = Node(schema, converter(schema), [rule for rule in rules if rule is not None], merge_type(schema))
    for name, child in (schema.get("properties") or {}).items():
        below = compile_node(child, f"{path}.properties[{name}]", errors)
        if below is not None:
            node.fields[name] = below
    if isinstance(schema.get("additionalProperties"), Mapping):
        node.extra = compile_node(schema["additionalProperties"], f"{path}.additionalProperties", errors)
    if isinstance(schema.get("items"), Mapping):
        node.items = compile_node(schema["items"], f"{path}.items", errors)
    return node if node.rules or node.fields or node.extra or node.items else None


def _with_identity(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with apiVersion, kind and the two names that rules may look at."""
    properties = {**_EMBEDDED, **(schema.get("properties") or {})}
    if not (properties.get("metadata") or {}).get("properties"):
        properties["metadata"] = {**_METADATA, **(properties.get("metadata") or {})}
    return {**schema, "properties": properties}


def _compile_rule(
    rule: Mapping[str, Any], schema: Mapping[str, Any], path: str, errors: list[FieldError]
) -> Rule | None:
    text = rule.get("rule", "")
    optional = bool(rule.get("optionalOldSelf"))
    try:
        program = compile_program(text, optional)
        message = rule.get("messageExpression")
        expression = compile_program(message, optional) if message else None
    except RuleFailure as failure:
        errors.append(FieldError(f"{path}.rule", "Invalid", text, f"compilation failed: {failure}"))
        return None
    return Rule(
        text,
        program,
        str(rule.get("message") or "").strip(),
        expression,
        _TYPES.get(rule.get("reason", ""), "Invalid"),
        rule.get("fieldPath") or "",
        _OLD.search(text) is not None,
        optional,
    )
