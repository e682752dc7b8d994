"""Which of claim and measurement counts, how far they are apart, and who comes first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.broker.measurements.effective import (
    boldest,
    claims_of,
    effective,
    effective_values,
    gap,
    rank_key,
    ranked,
)
from continuo.broker.measurements.records import Record
from continuo.broker.offers.model import Offer, Plan

NOW = 1_800_000_000.0


def record(value: float, age: float = 10, metric: str = "latency") -> Record:
    return Record("green", metric, value, "ms", int((NOW - age) * 1000), 90, "broker", 1)


def test_a_fresh_measurement_counts_whatever_is_claimed() -> None:
    found = effective("latency", 5.0, record(20.0), NOW)
    assert found is not None
    assert (found.value, found.source, found.age) == (20.0, "measured", 10.0)
    assert found.gap is not None and (found.gap.absolute, found.gap.relative, found.gap.holds) == (-15.0, -3.0, False)


def test_a_stale_one_gives_way_to_the_claim_and_is_still_shown() -> None:
    found = effective("latency", 5.0, record(20.0, age=91), NOW)
    assert found is not None and (found.value, found.source, found.measured) == (5.0, "claimed", 20.0)
    assert effective("latency", None, record(20.0, age=91), NOW) is None
    assert effective("latency", None, None, NOW) is None


@pytest.mark.parametrize(
    ("metric", "claimed", "measured", "holds"),
    [("latency", 10, 9, True), ("latency", 10, 11, False), ("uptime", 0.99, 0.98, False), ("uptime", 0.99, 1.0, True),
     ("bandwidth_down", 100, 100, True)],
)  # fmt: skip
def test_less_latency_is_better_and_less_uptime_worse(
    metric: str, claimed: float, measured: float, holds: bool
) -> None:
    assert gap(metric, claimed, measured).holds is holds


def test_a_claim_of_nothing_has_no_relative_gap() -> None:
    assert gap("jitter", 0.0, 1.0).relative is None


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.booleans())
def test_what_is_measured_ranks_before_what_is_claimed(measured: float, claimed: float, descending: bool) -> None:
    known, said = effective("latency", None, record(measured), NOW), effective("latency", claimed, None, NOW)
    keys = [rank_key(value, descending=descending) for value in (known, said, None)]
    assert keys == sorted(keys) and len(set(keys)) == 3


def test_ranking() -> None:
    values = {
        "slow": effective("latency", 1.0, record(50.0), NOW),
        "quick": effective("latency", None, record(5.0), NOW),
        "boaster": effective("latency", 0.1, None, NOW),
        "silent": None,
    }
    assert ranked(values, "latency") == ["quick", "slow", "boaster", "silent"]


def offer(id: str, cpu: str, claims: dict[str, float]) -> Offer:
    plans = (
        Plan("s", "s", "1", {"cpu": "1", "memory": "1Gi"}),
        Plan("l", "l", "2", {"cpu": cpu, "example.com/gpu": True}),
    )
    return Offer(id, "green", id, "compute", plans, claims=claims)


def test_an_offer_claims_that_its_largest_plan_has_room() -> None:
    assert claims_of(offer("a", "2500m", {"latency": 5})) == {"cpu_free": 2.5, "memory_free": 2.0**30, "latency": 5}
    both = [offer("a", "2", {"latency": 5, "uptime": 0.99}), offer("b", "8", {"latency": 9, "uptime": 0.999})]
    assert boldest(both) == {
        "latency": (5, "a"), "uptime": (0.999, "b"), "cpu_free": (8.0, "b"), "memory_free": (2.0**30, "a"),
    }  # fmt: skip


def test_all_metrics_together() -> None:
    found = effective_values(
        {"uptime": 0.9, "latency": 5}, {"latency": record(6), "jitter": record(1, 91, "jitter")}, NOW
    )
    assert {name: value.source for name, value in found.items()} == {"uptime": "claimed", "latency": "measured"}
