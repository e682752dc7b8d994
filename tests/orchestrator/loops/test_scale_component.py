"""More pods at once, fewer after a while; bounds, steps, and what a restart costs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.orchestrator.loops.model import Figure, Memory
from continuo.orchestrator.loops.policies.measured import Reading
from continuo.orchestrator.loops.policies.scaling import Bounds, judge
from continuo.resources.loop import Operation
from continuo.resources.orchestration import LoopStage
from orchestrator.loops.given import Bench, at, component, one, policy, used

CPU = {"component": "shop/web", "metric": {"target": 0.7}, "max": 8, "down-after": 60}


def bench(replicas: int = 2, **fields: Any) -> Bench:
    rule = policy("scale-component", **{"scale-component": {**CPU, **fields}})
    return Bench(rule, components=[component("shop/web", "west", replicas=replicas)])


def scaled(world: Bench, replicas: int) -> None:
    world.put(component("shop/web", "west", replicas=replicas))


def test_load_rises_and_there_are_more_pods_at_once() -> None:
    world = bench()
    world.figure = used(0.93, 0.93)
    output = world.look(0)
    assert (output.stage, output.observation) == (LoopStage.DECIDE, "cpu 0.93 of 0.70 on 2 pods")
    action = one(output)
    assert (action.op, action.component, action.replicas) == (Operation.SCALE_COMPONENT, "shop/web", 3)
    assert output.reason == "cpu 0.93 of 0.70 on 2 pods: 3 are needed"


def test_load_falls_and_pods_go_only_when_fewer_were_enough_all_the_time() -> None:
    world = bench(4)
    for seconds, load in ((0, 0.65), (15, 0.2), (30, 0.65), (45, 0.2), (60, 0.2), (75, 0.2), (90, 0.2)):
        world.figure = used(*[load] * 4, seconds=seconds)
        output = world.look(seconds)
        assert not output.actions, seconds
        assert output.stage is LoopStage.ORIENT
    assert output.message == "2 pods would be enough now; fewer come when that was so for 60 s"
    world.figure = used(0.2, 0.2, 0.2, 0.2, seconds=105)
    output = world.look(105)
    assert one(output).replicas == 2
    assert output.reason == "cpu 0.20 of 0.70 on 4 pods; 2 were enough for 60 s"


def test_a_restart_makes_fewer_later_never_earlier() -> None:
    world = bench(4)
    for seconds in range(0, 50, 15):
        world.figure = used(*[0.1] * 4, seconds=seconds)
        world.look(seconds)
    world.memory = Memory()
    for seconds in range(60, 120, 15):
        world.figure = used(*[0.1] * 4, seconds=seconds)
        assert not world.look(seconds).actions
    world.figure = used(*[0.1] * 4, seconds=120)
    assert one(world.look(120)).replicas == 1


def test_a_missing_figure_begins_the_window_anew() -> None:
    world = bench(4)
    for seconds in range(0, 60, 15):
        world.figure = used(*[0.1] * 4, seconds=seconds)
        world.look(seconds)
    world.figure = Figure(at(60), problem="the metrics API of west does not answer")
    output = world.look(60)
    assert (output.stage, output.actions) == (LoopStage.OBSERVE, ())
    assert output.message == "the metrics API of west does not answer"
    world.figure = used(*[0.1] * 4, seconds=75)
    assert not world.look(75).actions


def test_a_loop_that_was_not_looking_knows_nothing_of_the_time_between() -> None:
    world = bench(4)
    world.figure = used(*[0.1] * 4)
    world.look(0)
    world.figure = used(*[0.1] * 4, seconds=70)
    assert not world.look(70).actions


@pytest.mark.parametrize(
    ("replicas", "load", "fields", "want", "says"),
    [
        (2, 7.0, {}, 6, "20 are needed, at most 6 for now"),  # a step of 4
        (6, 7.0, {}, 8, "60 are needed, at most 8 for now"),
        (8, 0.1, {"max": 3}, 3, "8 pods, and `max` says 3"),
        (1, 0.1, {"min": 2}, 2, "1 pod, and `min` says 2"),
        (8, 0.1, {"down-after": 0, "step": 2}, 6, "2 were enough"),
        (8, 0.0, {"down-after": 0, "step": 100}, 1, "1 was enough"),
    ],
)
def test_bounds_and_steps(replicas: int, load: float, fields: dict[str, Any], want: int, says: str) -> None:
    world = bench(replicas, **fields)
    world.figure = used(*[load] * replicas)
    output = world.look(0)
    assert one(output).replicas == want
    assert says in output.reason


def test_at_its_bound_it_says_what_it_would_need() -> None:
    world = bench(8)
    world.figure = used(*[1.4] * 8)
    output = world.look(0)
    assert (output.actions, output.message) == ((), "16 pods would be needed, and `max` says 8")


@pytest.mark.parametrize(
    ("parts", "stage", "says"),
    [
        ([], LoopStage.STALLED, "there is no component shop/web"),
        ([component("shop/web", replicas=0)], LoopStage.ORIENT, "switched off"),
        ([component("shop/web", resources={})], LoopStage.STALLED, "requests no cpu"),
    ],
)
def test_what_cannot_be_scaled_says_why(parts: Any, stage: LoopStage, says: str) -> None:
    world = Bench(policy("scale-component", **{"scale-component": CPU}), components=parts)
    world.figure = used(9.0)
    output = world.look(0)
    assert (output.stage, output.actions) == (stage, ())
    assert says in output.message


def test_the_same_figure_looked_at_twice_decides_the_same() -> None:
    world = bench()
    world.figure = used(0.93, 0.93)
    assert world.look(0).actions == world.look(1).actions


LOOKS = st.lists(st.tuples(st.integers(1, 40), st.one_of(st.none(), st.integers(0, 30))), min_size=1, max_size=40)


@given(LOOKS, st.integers(0, 100), st.integers(1, 5), st.integers(1, 10), st.integers(1, 6))
def test_no_window_is_ever_cut_short(
    looks: list[tuple[int, int | None]], down_after: int, least: int, more: int, step: int
) -> None:
    """Against every want that was ever seen: no shortcut that the window takes shows."""
    bounds = Bounds(least, least + more, step, timedelta(seconds=down_after), 15, "pods")
    memory, count, now = Memory(), least, 0
    seen: list[tuple[int, int]] = []
    for pause, want in looks:
        now += pause
        verdict = judge(Reading("x", want), count, bounds, memory, at(now))
        memory = verdict.memory
        seen.append((now, count if want is None else want))
        assert bounds.least <= verdict.count <= bounds.most
        assert abs(verdict.count - count) <= step
        if verdict.count < count:
            ends = [when for when, _ in seen[1:]] + [now + 1]  # what was wanted was wanted until the next look
            within = [value for (_, value), end in zip(seen, ends, strict=True) if end > now - down_after]
            assert seen[0][0] <= now - down_after
            assert verdict.count >= max(max(within), least) or verdict.count == count - step
            assert max(within) < count
        elif verdict.count > count:
            assert want is not None
            assert want >= verdict.count
        else:
            assert verdict.reason == ""
        count = verdict.count
