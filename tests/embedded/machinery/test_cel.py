"""Validation rules: where they are evaluated, on what, and what they say."""

from __future__ import annotations

from typing import Any

import pytest

from continuo.embedded.machinery.cel import CompiledRules, InvalidRules
from continuo.embedded.machinery.cel_values import escape

TEXT = {"type": "string"}


def said(schema: dict[str, Any], value: Any, old: Any = None) -> list[str]:
    return [error.message() for error in CompiledRules.compile(schema).validate(value, old)]


def an_object(properties: dict[str, Any], *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "x-kubernetes-validations": list(rules), **more}


def holds(expression: str, value: Any = None, **schema: Any) -> bool:
    field = {"type": "string", **schema, "x-kubernetes-validations": [{"rule": expression}]}
    return said({"type": "object", "properties": {"x": field}}, {"x": "v" if value is None else value}) == []


def test_rules_stand_at_every_level() -> None:
    odd = {"type": "integer", "x-kubernetes-validations": [{"rule": "self % 2 == 1", "message": "must be odd"}]}
    schema = {
        "type": "object",
        "properties": {
            "list": {"type": "array", "items": {"type": "object", "properties": {"control-plane-count": odd}}},
            "map": {"type": "object", "additionalProperties": odd},
        },
    }
    value = {"list": [{"control-plane-count": 1}, {"control-plane-count": 2}], "map": {"a-b": 4}}
    assert said(schema, value) == [
        "list[1].control-plane-count: Invalid value: 2: must be odd",
        "map.a-b: Invalid value: 4: must be odd",
    ]


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("plain", "plain"),
        ("a-b", "a__dash__b"),
        ("a.b/c", "a__dot__b__slash__c"),
        ("a__b", "a__underscores__b"),
        ("in", "__in__"),
        ("1a", None),
    ],
)
def test_names_are_escaped(name: str, identifier: str | None) -> None:
    assert escape(name) == identifier


def test_only_declared_names_are_escaped() -> None:
    schema = an_object({"m": {"type": "object", "additionalProperties": TEXT}}, {"rule": "'a-b' in self.m"})
    assert said(schema, {"m": {"a-b": "x"}}) == []
    assert said(schema, {"m": {"a": "x"}}) == [": Invalid value: failed rule: 'a-b' in self.m"]


def test_messages_reasons_and_paths() -> None:
    schema = an_object(
        {
            "spec": an_object(
                {"a": TEXT},
                {"rule": "self.a == 'x'"},
                {"rule": "self.a == 'x'", "messageExpression": "'bad ' + self.a", "fieldPath": ".a"},
                {"rule": "self.a == 'x'", "reason": "FieldValueForbidden", "message": " no "},
            )
        }
    )
    assert said(schema, {"spec": {"a": "z"}}) == [
        "spec: Invalid value: failed rule: self.a == 'x'",
        "spec.a: Invalid value: bad z",
        "spec: Forbidden: no",
    ]


def test_a_rule_that_cannot_be_evaluated_fails() -> None:
    schema = an_object({"spec": an_object({"a": TEXT, "n": {"type": "integer"}}, {"rule": "self.a == 'x'"})})
    assert said(schema, {"spec": {}}) == [
        "spec: Invalid value: \"object\": no such key: a evaluating rule: self.a == 'x'"
    ]


def test_rules_on_what_was_before_need_a_before() -> None:
    schema = an_object({"spec": an_object({"a": TEXT}, {"rule": "self.a == oldSelf.a", "message": "is immutable"})})
    assert said(schema, {"spec": {"a": "1"}}) == []
    assert said(schema, {"spec": {"a": "1"}}, {"spec": {"a": "1"}}) == []
    assert said(schema, {"spec": {"a": "1"}}, {"spec": {"a": "2"}}) == ["spec: Invalid value: is immutable"]
    assert said(schema, {"spec": {"a": "1"}}, {}) == []


def test_what_a_change_left_alone_is_held_to_rules_about_changes_only() -> None:
    even = {"rule": "self.n % 2 == 0", "message": "be even"}
    item = {**an_object({"name": TEXT, "n": {"type": "integer"}}, even), "required": ["name"]}
    keyed = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    schema = an_object(
        {"l": {"type": "array", "items": item, **keyed}}, {"rule": "self.l.size() < 3", "message": "few"}
    )
    odd = {"name": "a", "n": 1}
    assert said(schema, {"l": [odd]}) == ["l[0]: Invalid value: be even"]
    assert said(schema, {"l": [odd]}, {"l": [dict(odd)]}) == []
    assert said(schema, {"l": [{"name": "b", "n": 3}, odd]}, {"l": [odd]}) == ["l[0]: Invalid value: be even"]
    growing = an_object(
        {"spec": an_object({"n": {"type": "integer"}}, {"rule": "self.n > oldSelf.n", "message": "grow"})}
    )
    assert said(growing, {"spec": {"n": 1}}, {"spec": {"n": 1}}) == ["spec: Invalid value: grow"]


def test_items_find_their_former_self_by_key() -> None:
    item = an_object(
        {"name": TEXT, "n": {"type": "integer"}}, {"rule": "self.n >= oldSelf.n", "message": "may not shrink"}
    )
    schema = an_object(
        {
            "l": {
                "type": "array",
                "items": {**item, "required": ["name"]},
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            }
        }
    )
    old = {"l": [{"name": "a", "n": 1}, {"name": "b", "n": 5}]}
    assert said(schema, {"l": [{"name": "b", "n": 4}, {"name": "a", "n": 2}, {"name": "c", "n": 0}]}, old) == [
        "l[0]: Invalid value: may not shrink"
    ]


def test_optional_old_self_is_there_on_creation() -> None:
    rule = {"rule": "oldSelf.hasValue() || self == 'first'", "optionalOldSelf": True, "message": "start with first"}
    schema = an_object({"x": {"type": "string", "x-kubernetes-validations": [rule]}})
    assert said(schema, {"x": "first"}) == []
    assert said(schema, {"x": "other"}) == ['x: Invalid value: "other": start with first']
    assert said(schema, {"x": "other"}, {"x": "first"}) == []


def test_formats_become_times_and_durations() -> None:
    assert holds("self > timestamp('2020-01-01T00:00:00Z')", "2026-01-01T00:00:00Z", format="date-time")
    assert holds("self == duration('90m')", "1h30m", format="duration")
    assert holds("size(self) == 2", "aGk=", format="byte")


def test_names_of_the_object_are_known_at_the_root() -> None:
    schema = an_object({}, {"rule": "self.metadata.name == 'x' && self.kind == 'K'"})
    assert said(schema, {"apiVersion": "v1", "kind": "K", "metadata": {"name": "x", "labels": {}}}) == []


@pytest.mark.parametrize(
    "expression",
    [
        "'abc123'.find('[0-9]+') == '123'",
        "'a1b2'.findAll('[0-9]') == ['1', '2'] && 'a1b2'.findAll('[0-9]', 1) == ['1']",
        "[1, 2, 2].isSorted() && [1, 2].sum() == 3 && [3, 1].min() == 1 && [3, 1].max() == 3",
        "[1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2 && 'abc'.indexOf('c') == 2",
        "quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('1') == quantity('1000m')",
        "quantity('1500m').add(quantity('500m')).compareTo(quantity('2')) == 0",
        "quantity('2').asInteger() == 2 && !isQuantity('1x')",
        "url('https://a.b:80/x').getPort() == '80' && url('https://a.b/x').getHostname() == 'a.b' && !isURL('x')",
        "ip('::1').isLoopback() && ip('10.0.0.1').family() == 4 && !isIP('10.0.0') && ip.isCanonical('::1')",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')",
        "'a,b'.split(',') == ['a', 'b'] && 'A'.lowerAscii() == 'a' && ' x '.trim() == 'x'",
        "sets.contains([1, 2], [1]) && sets.intersects([1], [1, 2]) && sets.equivalent([1], [1, 1])",
        "self.matches('^v$') && [1, 2].all(i, i < 3) && type(self) == string",
    ],
)
def test_functions(expression: str) -> None:
    assert holds(expression)


def test_wrong_rules_are_named() -> None:
    schema = an_object({"a": TEXT}, {"rule": "self.b == 'x'"}, {"rule": "self.a =="}, {"rule": "has(self.a)"})
    with pytest.raises(InvalidRules) as caught:
        CompiledRules.compile(schema)
    first, second = caught.value.errors
    assert first.field == "spec.validation.openAPIV3Schema.x-kubernetes-validations[0].rule"
    assert "undefined field 'b'" in first.detail
    assert "Syntax error" in second.detail


def test_text_in_strings_is_no_code() -> None:
    schema = an_object({"a": TEXT}, {"rule": "self.a != 'self.nope and oldSelf'"})
    assert said(schema, {"a": "x"}) == []


def test_a_schema_without_rules_says_nothing() -> None:
    assert said({"type": "object", "properties": {"a": TEXT}}, {"a": 1}) == []
