"""Validation, pruning and defaulting beyond what was recorded."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from continuo.embedded.machinery.quantities import parse_quantity
from continuo.embedded.machinery.schema import apply_defaults, prune, validate

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["a"],
            "properties": {
                "a": {"type": "string", "enum": ["x", "y"], "default": "x"},
                "list": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"n": {"type": "integer", "default": 1}}},
                },
                "map": {
                    "type": "object",
                    "additionalProperties": {"type": "object", "properties": {"n": {"type": "integer"}}},
                },
                "open": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": True,
                    "properties": {"known": {"type": "object", "properties": {"n": {"type": "integer"}}}},
                },
            },
        }
    },
}
values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["x", "y"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["spec", "a", "list", "map", "open", "known", "n"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(values)
def test_pruning_and_defaulting_settle(value: Any) -> None:
    before = copy.deepcopy(value)
    pruned, unknown = prune(SCHEMA, value)
    assert prune(SCHEMA, pruned) == (pruned, [])
    assert (pruned is value) == (unknown == [])
    filled = apply_defaults(SCHEMA, pruned)
    assert apply_defaults(SCHEMA, filled) is filled
    assert value == before


def test_unknown_fields_are_named_and_gone() -> None:
    value = {
        "apiVersion": "v1",
        "metadata": {"labels": {"a": "b"}},
        "other": 1,
        "spec": {"list": [{"n": 1, "u": 2}], "map": {"k": {"u": 1}}, "open": {"u": 1, "known": {"u": 1}}},
    }
    pruned, unknown = prune(SCHEMA, value)
    assert unknown == ["other", "spec.list[0].u", "spec.map.k.u", "spec.open.known.u"]
    assert pruned["metadata"] is value["metadata"]
    assert pruned["spec"] == {"list": [{"n": 1}], "map": {"k": {}}, "open": {"u": 1, "known": {}}}


def test_defaults_reach_into_lists_and_nulls_count_as_absent() -> None:
    value = {"spec": {"a": None, "list": [{}], "map": None}}
    assert apply_defaults(SCHEMA, value) == {"spec": {"a": "x", "list": [{"n": 1}]}}


def test_every_problem_is_reported_at_once() -> None:
    value = {"spec": {"a": "z", "list": [{"n": "1"}], "map": []}}
    assert [error.message() for error in validate(SCHEMA, value)] == [
        'spec.a: Unsupported value: "z": supported values: "x", "y"',
        'spec.list[0].n: Invalid value: "string": spec.list[0].n in body must be of type integer: "string"',
        'spec.map: Invalid value: "array": spec.map in body must be of type object: "array"',
    ]
    assert [error.cause()["reason"] for error in validate(SCHEMA, {"spec": {}})] == ["FieldValueRequired"]


def test_quantities_are_exact() -> None:
    assert parse_quantity("0.1") * 10 == parse_quantity("1") == parse_quantity("1e3m".replace("e3m", ""))
    assert parse_quantity("1Ki") == 1024
    assert parse_quantity("1e3") == parse_quantity("1k")
