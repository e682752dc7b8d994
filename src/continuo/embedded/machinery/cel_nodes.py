"""The rules of one schema as a tree: what to evaluate at each level, and how to go on below."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from continuo.embedded.machinery.cel_rules import Rule, compile_rule
from continuo.embedded.machinery.cel_runtime import RuleFailure
from continuo.embedded.machinery.cel_values import Convert, rule_converter
from continuo.embedded.machinery.fields import OMITTED, FieldError, Place, path_of
from continuo.embedded.machinery.typed import MergeType, item_key, merge_type

_TEXT = {"type": "string"}
_NAMES = {"name": _TEXT, "generateName": _TEXT}


@dataclass(slots=True)
class Node:
    """The rules at one level and the levels below that have rules."""

    kind: str
    convert: Convert | None
    rules: list[Rule]
    merge: MergeType
    fields: dict[str, Node] = field(default_factory=dict)
    extra: Node | None = None
    items: Node | None = None
    transitions: bool = False
    """Whether a rule here or below looks at `oldSelf`."""

    def check(self, value: Any, old: Any, place: Place, errors: list[FieldError]) -> None:
        """Evaluate the rules here and below; what is absent or null is not looked at.

        What a change left as it was is held to no rule but those about changes: it was accepted before.
        """
        if value is None:
            return
        same = old is not None and (value is old or value == old)
        if same and not self.transitions:
            return
        if self.rules:
            self._evaluate(value, old, place, errors, same)
        if isinstance(value, dict):
            before = old if isinstance(old, dict) else {}
            for name, child in value.items():
                node = self.fields.get(name, self.extra)
                if node is not None:
                    node.check(child, before.get(name), (place, name), errors)
        elif isinstance(value, list) and self.items is not None:
            self._check_items(self.items, value, old, place, errors)

    def _check_items(self, items: Node, value: list[Any], old: Any, place: Place, errors: list[FieldError]) -> None:
        before: dict[str, Any] = {}
        if isinstance(old, list) and self.merge.shape == "list":
            before = {item_key(self.merge, item): item for item in old}
        for index, item in enumerate(value):
            former = before.get(item_key(self.merge, item)) if before else None
            items.check(item, former, (place, index), errors)

    def _evaluate(self, value: Any, old: Any, place: Place, errors: list[FieldError], same: bool) -> None:
        rules = [rule for rule in self.rules if _applies(rule, old, same)]
        if not rules:
            return
        shown = value if self.convert is None else self.convert(value)
        former = None
        if old is not None and any(rule.transition or rule.expression is not None for rule in rules):
            former = old if self.convert is None else self.convert(old)
        for rule in rules:
            try:
                if rule.program.holds(shown, former):
                    continue
                type_, given, detail = rule.type, _given(value), self._detail(rule, shown, former)
            except RuleFailure as failure:
                type_, given, detail = (
                    "Invalid",
                    self.kind,
                    f"{failure} evaluating rule: {rule.message or rule.text}",
                )
            errors.append(FieldError(path_of(place) + rule.field_path, type_, given, detail))

    def _detail(self, rule: Rule, shown: Any, former: Any) -> str:
        said = rule.expression.text_of(shown, former) if rule.expression is not None else ""
        return said or rule.message or f"failed rule: {rule.text}"


def _applies(rule: Rule, old: Any, same: bool) -> bool:
    """Rules about a change need one; the others need something new."""
    if rule.transition:
        return old is not None or rule.optional_old
    return not same


def _given(value: Any) -> Any:
    """Errors show scalars only."""
    return OMITTED if isinstance(value, dict | list) else value


def compile_node(
    schema: Mapping[str, Any],
    path: str,
    errors: list[FieldError],
    *,
    root: bool = False,
    uncorrelated: str = "",
) -> Node | None:
    """The node of a schema; None when there is no rule in it or below it."""
    if root or schema.get("x-kubernetes-embedded-resource"):
        schema = _with_identity(schema)
    compiled = [
        compile_rule(rule, schema, f"{path}.x-kubernetes-validations[{index}]", uncorrelated, errors)
        for index, rule in enumerate(schema.get("x-kubernetes-validations") or ())
    ]
    rules = [rule for rule in compiled if rule is not None]
    node = Node(str(schema.get("type") or ""), rule_converter(schema) if rules else None, rules, merge_type(schema))
    for name, child in (schema.get("properties") or {}).items():
        below = compile_node(child, f"{path}.properties[{name}]", errors, uncorrelated=uncorrelated)
        if below is not None:
            node.fields[name] = below
    if isinstance(schema.get("additionalProperties"), Mapping):
        extra = schema["additionalProperties"]
        node.extra = compile_node(extra, f"{path}.additionalProperties", errors, uncorrelated=uncorrelated)
    if isinstance(schema.get("items"), Mapping):
        loose = uncorrelated or ("" if node.merge.shape == "list" else path)
        node.items = compile_node(schema["items"], f"{path}.items", errors, uncorrelated=loose)
    below_it = [*node.fields.values(), *(entry for entry in (node.extra, node.items) if entry is not None)]
    node.transitions = any(rule.transition for rule in rules) or any(entry.transitions for entry in below_it)
    return node if rules or below_it else None


def _with_identity(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with apiVersion, kind and the two names that rules may look at."""
    properties = {"apiVersion": _TEXT, "kind": _TEXT, **(schema.get("properties") or {})}
    known = (properties.get("metadata") or {}).get("properties") or {}
    properties["metadata"] = {"type": "object", "properties": {**_NAMES, **known}}
    return {**schema, "properties": properties}
