"""What is known of links: from Liqo's round trips, from what probers told, and from the status of before."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.federation.state import Objects
from continuo.orchestrator.measuring.figures import LinkFigures, figures_of, figures_of_status, told_at
from continuo.orchestrator.measuring.jitter import Jitters
from continuo.orchestrator.measuring.names import space_of
from continuo.orchestrator.observe import Reach, Workload
from continuo.orchestrator.placing.problem import _paths
from continuo.resources import kinds
from continuo.resources.orchestration_status import LinkPhase, LinkStatus
from continuo.resources.probing import FRESH, MEASURED, Failure, Measurement, Told, told_data
from continuo.telemetry.latency import Jitter

KEY, PAIR, NOW = ("default", "o"), ("green", "rose"), 1_800_000_000.0


def told(peer: str, bps: int | None, at: float = NOW - 60, failed: str = "") -> dict[str, str]:
    links = {peer: Measurement(bps=bps, at=at, bytes=1)} if bps is not None else {}
    failures = {peer: Failure(message=failed, at=at)} if failed else {}
    return told_data(Told(key="k", address="10.0.0.2", links=links, failures=failures))


def world(green: Any = None, rose: Any = None, status: Any = None, reach: Reach = Reach.OK) -> Any:
    """A picture with what both probers wrote."""
    clusters = {}
    for name, data in (("green", green), ("rose", rose)):
        objects = [] if data is None else [kinds.CONFIG_MAP.new(MEASURED, space_of(KEY), data=data)]
        clusters[name] = SimpleNamespace(workload=Workload(reach, caches=Objects(objects)))  # type: ignore[arg-type]
    links = [{"clusters": list(PAIR), "phase": "Connected", **(status or {})}]
    return SimpleNamespace(key=KEY, object={"status": {"links": links}}, clusters=clusters)


def seen(snapshot: Any, now: float | None = NOW) -> LinkFigures:
    return figures_of(snapshot, {PAIR: ("5ms", "2026-01-01T00:00:00Z")}, now)[PAIR]


def test_of_two_directions_the_worse_one_counts_and_is_as_old_as_the_older_one() -> None:
    found = seen(world(told("rose", 9_000, NOW - 10), told("green", 4_000, NOW - 300)))
    assert (found.bandwidth_bps, found.bandwidth_age, found.fresh_bps) == (4_000, 300, 4_000)
    (path,) = _paths({PAIR: found})
    assert (path.bandwidth_bps, path.bandwidth_age_seconds, path.measured, path.latency_ms) == (4_000, 300, True, 5.0)


def test_what_is_too_old_is_told_and_promises_nothing() -> None:
    old = seen(world(told("rose", 9_000, NOW - FRESH - 1), told("green", 9_000)))
    assert old.bandwidth_bps == 9_000 and old.fresh_bps is None
    (path,) = _paths({PAIR: old})
    assert path.bandwidth_bps is None and path.bandwidth_age_seconds is None
    assert seen(world(told("rose", 9_000), told("green", 9_000)), now=None).fresh_bps is None


def test_one_direction_alone_is_not_enough_and_the_reason_is_told() -> None:
    found = seen(world(told("rose", 9_000), told("green", None, failed="the probe green refuses us")))
    assert found.bandwidth_bps is None
    assert found.note == "rose cannot measure it: the probe green refuses us"
    assert seen(world(told("rose", 9_000))).bandwidth_bps is None and seen(world()).note == ""


def test_what_nobody_can_read_measures_nothing() -> None:
    found = seen(world(told("rose", 9_000), {MEASURED: "{"}))
    assert found.bandwidth_bps is None and "cannot be read" in found.note


def test_while_an_end_does_not_answer_what_was_told_before_grows_old() -> None:
    status = {"bandwidthBps": 7_000, "bandwidthMeasuredAt": told_at(NOW - 100), "jitter": "0.250ms"}
    found = seen(world(status=status, reach=Reach.LOST))
    assert (found.bandwidth_bps, found.bandwidth_age, found.jitter_ms) == (7_000, 100, 0.25)
    assert seen(world(status=status)).bandwidth_bps is None, "nobody measures it any more"


def test_a_status_alone_tells_the_same() -> None:
    link = LinkStatus(
        clusters=PAIR, phase=LinkPhase.CONNECTED, latency="5ms", jitter="0.5ms", bandwidth_bps=3,
        bandwidth_measured_at=told_at(NOW - 9),
    )  # fmt: skip
    found = figures_of_status([link], NOW)[PAIR]
    assert (found.latency_ms, found.jitter_ms, found.fresh_bps, found.bandwidth_age) == (5.0, 0.5, 3, 9)
    assert figures_of_status([LinkStatus(clusters=PAIR, phase=LinkPhase.DEGRADED, latency="5ms")], NOW) == {}


# --- jitter -----------------------------------------------------------------------------------------------------------


def after(jitters: Jitters, *latencies: float, begin: int = 0, known: float | None = None) -> float | None:
    found: LinkFigures = LinkFigures()
    for number, latency in enumerate(latencies, begin):
        figure = LinkFigures(latency=f"{latency}ms", latency_at=str(number), jitter_ms=known)
        found = jitters.take(KEY, {PAIR: figure})[PAIR]
    return found.jitter_ms


def test_a_jitter_is_known_after_enough_differences() -> None:
    jitters = Jitters()
    assert after(jitters, *[5, 7] * (Jitter.ENOUGH // 2)) is None, "one difference fewer than samples"
    assert after(jitters, 5, begin=100) == pytest.approx(2.0), "without the zero that it began with"


def test_what_is_told_again_is_no_sample() -> None:
    jitters = Jitters()
    after(jitters, *[5, 7] * 8, 5)
    before = jitters.latest(KEY)[PAIR].value
    for _ in range(5):
        after(jitters, 5, begin=16)
    assert jitters.latest(KEY)[PAIR].value == before
    assert after(jitters, 5, begin=17) < 2.0, "the same round trip at another time is one"  # type: ignore[operator]


def test_a_new_process_goes_on_from_the_status() -> None:
    assert after(Jitters(), 5, known=1.5) == 1.5
    assert after(Jitters(), 5, 5, known=1.6) == pytest.approx(1.5)


def test_a_link_that_was_cut_has_no_difference_to_what_was_before() -> None:
    jitters = Jitters()
    after(jitters, *[5, 7] * 8, 5)
    jitters.take(KEY, {})
    assert after(jitters, 500, begin=50) == pytest.approx(2.0)


@given(st.lists(st.floats(0.1, 100), min_size=2, max_size=80))
def test_a_jitter_lies_between_the_smallest_and_the_largest_difference(latencies: list[float]) -> None:
    found = after(Jitters(), *latencies)
    apart = [abs(b - a) for a, b in pairwise(latencies)]
    assert (found is None) == (len(apart) < Jitter.ENOUGH)
    assert found is None or min(apart) - 1e-6 <= found <= max(apart) + 1e-6
