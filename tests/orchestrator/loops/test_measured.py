"""What figures want: tables of what users of the HorizontalPodAutoscaler know, and what never happens."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.orchestrator.loops.model import Figure
from continuo.orchestrator.loops.policies.measured import read
from continuo.resources.orchestration_policies import Metric, MetricSource
from orchestrator.loops.given import at, told, used

CPU = Metric(target=0.7)
PER_POD = Metric(source=MetricSource.PROMETHEUS, query="q", target=100)


@pytest.mark.parametrize(
    ("figure", "units", "want", "text"),
    [
        (used(0.93, 0.93), 2, 3, "cpu 0.93 of 0.70 on 2 pods"),
        (used(0.70, 0.70), 2, 2, "cpu 0.70 of 0.70 on 2 pods"),
        (used(0.76), 1, 1, "cpu 0.76 of 0.70 on 1 pod"),  # within the tolerance
        (used(0.78), 1, 2, "cpu 0.78 of 0.70 on 1 pod"),
        (
            used(0.70, 0.70, 0.70),
            3,
            3,
            "cpu 0.70 of 0.70 on 3 pods",
        ),  # 2.1 / 0.7 is a little more than 3 in floating point
        (used(0.1, 0.1, 0.1, 0.1), 4, 1, "cpu 0.10 of 0.70 on 4 pods"),
        (used(0.0, 0.0), 2, 0, "cpu 0.00 of 0.70 on 2 pods"),
        (used(5.6), 1, 8, "cpu 5.60 of 0.70 on 1 pod"),
        # Pods that are not ready count as idle when there would be more ...
        (used(1.4, 1.4, None, None, not_ready=2), 4, 4, "cpu 1.40 of 0.70 on 2 of 4 pods"),
        (used(2.8, 2.8, None, not_ready=1), 3, 8, "cpu 2.80 of 0.70 on 2 of 3 pods"),
        (used(0.9, 0.9, 0.1, not_ready=1), 3, 3, "cpu 0.90 of 0.70 on 2 of 3 pods"),
        # ... and where there is no figure there are never fewer.
        (used(0.1, 0.1, None), 3, 3, "cpu 0.10 of 0.70 on 2 of 3 pods"),
        (used(0.1, 0.1, 0.1, 0.1, None, None, not_ready=2), 6, 3, "cpu 0.10 of 0.70 on 4 of 6 pods"),
        (used(0.1), 3, 3, "cpu 0.10 of 0.70 on 1 of 3 pods"),  # two pods are not even there
        (used(0.1, 0.1, 0.1, 0.1), 2, 1, "cpu 0.10 of 0.70 on 4 pods"),  # two are still going
    ],
)
def test_use_of_requests(figure: Figure, units: int, want: int, text: str) -> None:
    reading = read(CPU, figure, at(0), 15, units, units, "pods")
    assert (reading.want, reading.text, reading.problem) == (want, text, "")


@pytest.mark.parametrize(
    ("metric", "value", "units", "ready", "want"),
    [
        (PER_POD, 430, 2, 2, 5),
        (PER_POD, 205, 2, 2, 2),
        (PER_POD, 0, 3, 3, 0),
        (PER_POD, 120, 3, 0, 2),  # of all together: how many are ready does not matter
        (msgspec.structs.replace(PER_POD, per_unit=True), 215, 2, 2, 5),
        (msgspec.structs.replace(PER_POD, per_unit=True), 300, 4, 2, 6),
        (msgspec.structs.replace(PER_POD, per_unit=True), 120, 4, 1, 4),
        (msgspec.structs.replace(PER_POD, per_unit=True), 10, 4, 3, 4),  # one that is not ready: no fewer
    ],
)
def test_numbers_of_queries(metric: Metric, value: float, units: int, ready: int, want: int) -> None:
    assert read(metric, told(value), at(0), 15, units, ready, "pods").want == want


@pytest.mark.parametrize(
    ("figure", "says"),
    [
        (None, "waiting for the first figure"),
        (Figure(at(0), problem="the metrics API of west is not there"), "the metrics API of west is not there"),
        (used(0.1, seconds=-61), "the newest figure is 61 s old"),
        (used(), "no figure of any ready"),
        (used(None, None), "no figure of any ready"),
        (used(0.5, not_ready=1), "no figure of any ready"),
    ],
)
def test_what_is_not_known_wants_nothing_and_says_so(figure: Figure | None, says: str) -> None:
    reading = read(CPU, figure, at(0), 15, 2, 2, "pods")
    assert reading.want is None
    assert says in reading.problem


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_what_is_no_number_wants_nothing(value: float) -> None:
    reading = read(PER_POD, told(value), at(0), 15, 2, 2, "pods")
    assert (reading.want, "no number to scale by" in reading.problem) == (None, True)


VALUES = st.floats(0, 20, allow_nan=False)


@given(st.lists(VALUES, min_size=1, max_size=12), st.lists(st.booleans(), max_size=6), st.integers(1, 14))
def test_fewer_only_when_everything_is_known(values: list[float], missing: list[bool], units: int) -> None:
    """And whatever is not known only makes the answer smaller than the same load on known pods would."""
    samples = (*values, *(None for _ in missing))
    reading = read(CPU, used(*samples, not_ready=0), at(0), 15, units, units, "pods")
    assert reading.want is not None
    if reading.want < units:
        assert not missing
        assert len(values) >= units
    assert reading.want <= max(units, math.ceil(sum(values) / 0.7))


@given(st.lists(VALUES, min_size=1, max_size=12))
def test_what_is_wanted_brings_the_average_to_the_target(values: list[float]) -> None:
    want = read(CPU, used(*values), at(0), 15, len(values), len(values), "pods").want
    assert want is not None
    if want != len(values):
        assert sum(values) <= 0.7 * want + 1e-6
        assert want == 0 or sum(values) > 0.7 * (want - 1) - 1e-6
    else:
        assert sum(values) <= 0.7 * 1.1 * want + 1e-6


def test_pods_that_find_no_node_do_not_keep_those_that_nobody_needs() -> None:
    reading = read(CPU, used(0.05, 0.05, 0.05, 0.05), at(0), 15, 6, 4, "pods")
    assert reading.want == 3, "the two count as busy"
    assert read(CPU, used(0.05, 0.05, 0.05, 0.05), at(0), 15, 6, 6, "pods").want == 6, "they run, and are not measured"
