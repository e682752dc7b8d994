"""The compiled filters keep exactly the rows of which Google's own runtime says true."""

from __future__ import annotations

from typing import Any

import pytest
from cel_expr_python import cel  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from continuo.broker.catalog.rows import FIELDS, Row
from continuo.broker.catalog.where import TYPES, compile_where

NUMBERS = st.sampled_from(["price", "resources.cpu", "resources['memory']", "measured.latency", "1.0", "2.5", "-price"])
TEXTS = st.sampled_from(["region", "labels.tier", "labels['gpu']", "'eu'", "'gold'", "''"])
COMPARE = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
ATOMS = st.one_of(
    st.tuples(NUMBERS, COMPARE, NUMBERS).map(" ".join),
    st.tuples(TEXTS, COMPARE, TEXTS).map(" ".join),
    st.sampled_from(["has(labels.tier)", "has(measured.latency)", "'gpu' in labels", "true", "false"]),
    st.tuples(
        TEXTS, st.sampled_from(["startsWith", "endsWith", "contains"]), st.sampled_from(["'g'", "'eu'", "''"])
    ).map(lambda parts: f"{parts[0]}.{parts[1]}({parts[2]})"),
    TEXTS.map(lambda text: f"{text} in ['eu', 'gold']"),
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda parts: f"({' '.join(parts)})"),
        inner.map(lambda text: f"!({text})"),
        st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} ? {parts[1]} : {parts[2]})"),
    ),
    max_leaves=6,
)
ROWS = st.fixed_dictionaries(
    {
        "price": st.sampled_from([0.0, 1.0, 2.5, 7.0]),
        "region": st.sampled_from(["eu", "us", ""]),
        "labels": st.dictionaries(st.sampled_from(["tier", "gpu"]), st.sampled_from(["gold", "eu", ""])),
        "resources": st.dictionaries(st.sampled_from(["cpu", "memory"]), st.sampled_from([1.0, 2.5])),
        "measured": st.dictionaries(st.just("latency"), st.sampled_from([1.0, 16.0])),
    }
)
ENVIRONMENT = cel.NewEnv(variables=dict.fromkeys(TYPES, cel.Type.DYN))


def judged(where: str, row: dict[str, Any]) -> bool:
    """What the runtime says; an error is not true."""
    result = ENVIRONMENT.compile(where).eval(data={**dict.fromkeys(TYPES, ""), **row})
    return result.type() != cel.Type.ERROR and result.value() is True


@pytest.mark.parametrize(
    "where,kept",
    [
        ("resources['example.com/redis']", ["there"]),
        ("resources['example.com/redis'] == true", ["there"]),
        ("true == resources['example.com/redis'] && price < 2.0", ["there"]),
        ("resources['example.com/redis'] != true", ["none"]),
        ("!(resources['example.com/redis'] == true)", ["none"]),
        ("!resources['example.com/redis']", ["none"]),
        ("resources['example.com/redis'] == false", ["none"]),
        ("!('example.com/redis' in resources)", ["unsaid"]),
    ],
)
def test_what_is_there_or_not_is_a_condition(where: str, kept: list[str]) -> None:
    """Amounts that are `true` are rows' 1; what an offer says nothing of is never true, negated or not."""
    said = {"there": {"example.com/redis": 1.0}, "none": {"example.com/redis": 0.0}, "unsaid": {"cpu": 1.0}}
    rows = [
        Row(**{**dict.fromkeys(FIELDS, ""), "plan": plan, "price": 1.0, "resources": resources})  # type: ignore[arg-type]
        for plan, resources in said.items()
    ]
    assert [row.plan for row in compile_where(where)([rows])] == kept


@settings(max_examples=200)
@given(CONDITIONS, st.lists(ROWS, min_size=1, max_size=4))
def test_filters_agree_with_the_runtime(where: str, rows: list[dict[str, Any]]) -> None:
    flat = [Row(**{field: row.get(field, "") for field in FIELDS}) for row in rows]
    assert compile_where(where)([flat]) == [made for made, row in zip(flat, rows, strict=True) if judged(where, row)]
