"""Workers by what is requested of them, and never fewer than hold it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.orchestrator.loops.model import Amounts
from continuo.resources.loop import Operation
from continuo.resources.orchestration import LoopStage
from orchestrator.loops.given import Bench, at, capacity, cluster, component, one, policy, told

EDGE = {"cluster": "edge", "max": 6, "down-after": 60}


def bench(workers: int, cpu: float, used: float, **fields: Any) -> Bench:
    """A cluster whose every node is a worker with `cpu` CPUs."""
    rule = policy("scale-cluster", **{"scale-cluster": {**EDGE, **fields.pop("loop", {})}})
    room = capacity(cpu * workers, used, nodes=workers, **fields)
    return Bench(rule, [cluster("edge", room, **{"worker-machine-count": workers})])


@pytest.mark.parametrize(
    ("workers", "used", "want", "says"),
    [
        (2, 3.9, 3, "requested cpu 0.97 of 0.75 on 2 workers: 3 are needed"),
        (2, 3.0, 2, ""),
        (2, 3.2, 2, ""),  # within the tolerance
        (1, 2.0, 2, "requested cpu 1.00 of 0.75 on 1 worker: 2 are needed"),
    ],
)
def test_requested_cpu_is_kept_at_three_quarters(workers: int, used: float, want: int, says: str) -> None:
    output = bench(workers, 2, used).look(0)
    assert output.reason == says
    if want == workers:
        assert output.actions == ()
    else:
        action = one(output)
        assert (action.op, action.cluster, action.workers) == (Operation.SCALE_CLUSTER, "edge", want)


def test_workers_go_when_fewer_were_enough_all_the_time() -> None:
    world = bench(4, 2, 1.5)
    for seconds in range(0, 60, 15):
        assert not world.look(seconds).actions
    output = world.look(60)
    assert one(output).workers == 2  # a step of two; one would be enough
    assert output.reason == "requested cpu 0.19 of 0.75 on 4 workers; 1 was enough for 60 s"


def test_what_was_asked_for_until_just_now_holds_however_long_nobody_looked() -> None:
    """Nothing changes, so nobody looks: the window goes on, and what was needed was needed until it was not."""
    world = bench(4, 2, 6)
    assert not world.look(0).actions
    world.put(cluster("edge", capacity(8, 1.5, nodes=4), **{"worker-machine-count": 4}))
    output = world.look(5000)
    assert (output.actions, output.next_look) == ((), at(5060))
    assert one(world.look(5060)).workers == 2


def test_no_worker_goes_whose_pods_would_not_fit_on_the_others() -> None:
    """One CPU in use, but memory for three workers."""
    world = bench(4, 2, 0, loop={"down-after": 0})
    room = replace(world.clusters["edge"].capacity or capacity(8), requested=Amounts(1000, 40 << 30))
    world.put(cluster("edge", room, **{"worker-machine-count": 4}))
    assert one(world.look(0)).workers == 3


def test_pods_and_components_that_wait_ask_for_workers() -> None:
    assert one(bench(2, 2, 2.0, pending=2).look(0)).workers == 3
    world = bench(2, 2, 2.0)
    world.put(component("shop/web", cpu=2))
    world.nothing_fits("shop/web")
    assert one(world.look(0)).workers == 3
    world.put(component("shop/web", cpu=2, **{"placement-hint": "EDGE"}))  # this cluster is of no tier: nothing for it
    assert world.look(1).actions == ()


def test_there_is_no_hurry_while_machines_are_on_their_way() -> None:
    world = bench(4, 2, 1, loop={"down-after": 0})
    world.put(cluster("edge", capacity(6, 1, nodes=3), workers_ready=3, **{"worker-machine-count": 4}))
    output = world.look(0)
    assert (output.stage, output.actions) == (LoopStage.ACT, ())
    assert output.message == "3 of 4 workers are ready"


def test_control_planes_that_take_pods_are_no_workers() -> None:
    """Three nodes, one of them a control plane: two more nodes means two more workers."""
    world = bench(2, 2, 0)
    world.put(cluster("edge", capacity(6, 6, nodes=3), **{"worker-machine-count": 2}))
    assert one(world.look(0)).workers == 3


def test_a_first_worker_comes_when_something_waits_for_one() -> None:
    world = bench(1, 2, 0, loop={"min": 0})
    world.put(cluster("edge", capacity(0, nodes=0, pending=1), **{"worker-machine-count": 0}))
    assert one(world.look(0)).workers == 1
    world.put(cluster("edge", capacity(0, nodes=0), **{"worker-machine-count": 0}))
    output = world.look(1)
    assert (output.stage, output.actions) == (LoopStage.OBSERVE, ())


def test_a_query_may_say_how_many() -> None:
    metric = {"source": "Prometheus", "query": "sum(queue)", "target": 10}
    world = bench(2, 2, 0, loop={"metric": metric})
    world.figure = told(38)
    output = world.look(0)
    assert one(output).workers == 4
    assert output.observation == "query 19.00 of 10.00 per worker on 2 workers"


@pytest.mark.parametrize(
    ("view", "stage", "says"),
    [
        ([], LoopStage.STALLED, "there is no cluster edge"),
        ([cluster("edge", provider="existing", kubeconfig="x")], LoopStage.STALLED, "adopted"),
        ([cluster("edge", usable=False, **{"worker-machine-count": 1})], LoopStage.OBSERVE, "not ready"),
        ([cluster("edge", lost_since=at(-5), **{"worker-machine-count": 1})], LoopStage.OBSERVE, "not ready"),
    ],
)
def test_what_cannot_be_scaled_says_why(view: Any, stage: LoopStage, says: str) -> None:
    output = Bench(policy("scale-cluster", **{"scale-cluster": EDGE}), view).look(0)
    assert (output.stage, output.actions) == (stage, ())
    assert says in output.message


@given(st.integers(1, 12), st.floats(0.5, 8), st.lists(st.floats(0, 1.2), min_size=1, max_size=12), st.integers(1, 4))
def test_what_is_requested_always_fits_and_nothing_swings(
    workers: int, cpu: float, loads: list[float], step: int
) -> None:
    """Whatever the load does: what is left holds it, and carrying a decision out never calls for undoing it at once."""
    world = bench(workers, cpu, 0, loop={"max": 20, "step": step, "down-after": 30})
    for turn, load in enumerate(loads):
        asked = load * cpu * workers
        world.put(cluster("edge", capacity(cpu * workers, asked, memory=16 * workers, nodes=workers),
                          **{"worker-machine-count": workers}))  # fmt: skip
        output = world.look(turn * 15)
        for action in output.actions:
            assert action.workers is not None
            assert 1 <= action.workers <= 20
            assert abs(action.workers - workers) <= step
            if action.workers < workers:
                assert asked <= cpu * action.workers + 0.02
                assert asked <= 16 * action.workers + 0.02
            workers = action.workers
