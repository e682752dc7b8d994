"""Uptime: what was seen, and only what was seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.broker.measurements.uptime import BUCKET, ENOUGH, LONGEST, Checks

T = 1_800_000_000.0
STEP = 30.0


def checked(outcomes: list[bool], start: float = T) -> Checks:
    checks = Checks()
    for n, ok in enumerate(outcomes):
        checks.add(start + n * STEP, ok)
    return checks


def test_no_data_is_no_uptime() -> None:
    assert Checks().uptime(T, 3600, STEP) is None


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_the_share_is_that_of_the_checks(outcomes: list[bool]) -> None:
    found = checked(outcomes).uptime(T + (len(outcomes) - 1) * STEP, LONGEST, STEP)
    assert found is not None
    assert found.share == sum(outcomes) / len(outcomes) and found.checks == len(outcomes)
    assert 0.9 <= found.coverage <= 1


@given(st.lists(st.booleans(), min_size=1, max_size=200), st.integers(0, 6000))
def test_time_in_which_nobody_looked_only_lowers_the_coverage(outcomes: list[bool], gap: int) -> None:
    whole = checked(outcomes)
    end = T + (len(outcomes) - 1) * STEP
    now, later = whole.uptime(end, LONGEST, STEP), whole.uptime(end + gap, LONGEST, STEP)
    assert now is not None
    if later is None:
        assert gap > 0
    else:
        assert later.share == now.share and ENOUGH <= later.coverage <= now.coverage + 1e-9


def test_after_a_long_gap_there_is_no_uptime_until_enough_was_seen_again() -> None:
    checks = checked([True] * 120)
    assert checks.uptime(T + 3600, 3600, STEP) is not None
    assert checks.uptime(T + 3 * 3600, 3600, STEP) is None
    for n in range(70):
        checks.add(T + 3 * 3600 + n * STEP, False)
    found = checks.uptime(T + 3 * 3600 + 69 * STEP, 3600, STEP)
    assert found is not None and found.share == 0.0, "what is before the window does not count"


@pytest.mark.parametrize("down", [0, 1, 60, 120])
def test_an_outage_shows_in_the_short_window_first(down: int) -> None:
    checks = checked([True] * 2760 + [False] * down + [True] * (120 - down))
    now = T + 2879 * STEP
    hour, day = checks.uptime(now, 3600, STEP), checks.uptime(now, 86_400, STEP)
    assert hour is not None and day is not None
    assert day.share == pytest.approx(1 - down / 2880)
    assert hour.share <= day.share


def test_what_is_kept_is_bounded_and_comes_back() -> None:
    checks, rows = Checks(), {}
    for n in range(2 * LONGEST // BUCKET):
        start, up, down = checks.add(T + n * BUCKET, n % 2 == 0)
        rows[start] = (up, down)
    assert len(checks._buckets) <= LONGEST // BUCKET + 2
    again = Checks((start, *counts) for start, counts in rows.items())
    now = T + (2 * LONGEST // BUCKET - 1) * BUCKET
    assert again.uptime(now, LONGEST, BUCKET) == checks.uptime(now, LONGEST, BUCKET)
