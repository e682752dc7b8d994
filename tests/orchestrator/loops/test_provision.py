"""Clusters for what fits nowhere: never two for the same component, never one that does not help, gone when empty."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuo.orchestrator.loops.model import LoopOutput
from continuo.resources.loop import Operation
from continuo.resources.orchestration import ClusterPhase, ClusterSpec, LoopStage, Spec
from orchestrator.loops.given import (
    Bench,
    Past,
    capacity,
    cluster,
    cluster_spec,
    component,
    moves,
    one,
    policy,
    to,
)

TEMPLATE = {"name": "burst", "provider": "kubeadm", "kubernetes-version": "v1.32.4", "tier": "cloud"}


def rule(**fields: Any) -> Any:
    base = {"template": TEMPLATE, "max": 2, "capacity": {"cpu": "4", "memory": "16Gi"}, "remove-after": 60}
    return policy("provision-cluster", **{"provision-cluster": {**base, **fields}})


def bench(*views: Any, **fields: Any) -> Bench:
    world = Bench(rule(**fields), [cluster("west", capacity(2, 2))])
    world.put(*views)
    return world


def burst(number: int = 1, room: Any = None, **fields: Any) -> Any:
    """A cluster of this loop's."""
    spec = {key: value for key, value in TEMPLATE.items() if key != "name"}
    return cluster(f"burst-{number}", room or capacity(4), **{"policy": "loop", **spec, **fields})


def names(output: LoopOutput, op: Operation) -> list[str | None]:
    return [action.cluster for action in output.actions if action.op is op]


def test_a_cluster_is_created_for_what_fits_nowhere() -> None:
    world = bench(component("shop/web", "west", cpu=3))
    world.nothing_fits("shop/web")
    output = world.look(0)
    action = one(output)
    assert (action.op, action.cluster) == (Operation.CREATE_CLUSTER, "burst-1")
    assert action.template == msgspec.structs.replace(msgspec.convert(TEMPLATE, ClusterSpec), name="burst-1")
    assert output.reason == "shop/web fits nowhere: burst-1 for it"
    assert output.observation == "1 component fits nowhere; 0 of at most 2 burst"
    assert output.explanation == {"fitNowhere": {"shop/web": "cpu 2000m of 1000m on west"}}


def test_the_same_component_never_gets_a_second_one() -> None:
    """Not while it is coming up, and not when it is there and placement does not take it."""
    world = bench(component("shop/web", cpu=3), burst(phase=ClusterPhase.PROVISIONING, usable=False))
    world.nothing_fits("shop/web")
    output = world.look(0)
    assert (output.stage, output.actions, output.message) == (LoopStage.ACT, (), "burst-1 is on the way")
    world.put(burst())
    output = world.look(15)
    assert output.actions == ()
    assert output.message == "shop/web: burst-1 has room for it, and placement does not take it"


def test_what_did_not_help_is_removed_and_not_tried_again_for_an_hour() -> None:
    world = bench(component("shop/web", cpu=3), burst())
    world.nothing_fits("shop/web")
    assert not any(world.look(seconds).actions for seconds in range(0, 60, 20))
    output = world.look(75)
    assert names(output, Operation.DELETE_CLUSTER) == ["burst-1"]
    world.clusters.pop("burst-1")
    output = world.look(90)
    assert output.actions == ()
    assert "a cluster was there for it" in output.message
    assert names(world.look(3700), Operation.CREATE_CLUSTER) == ["burst-1"]


@pytest.mark.parametrize(
    ("asks", "views", "says"),
    [
        ({"cpu": 5}, (), "would not fit an empty burst either: cpu 5000m of 4000m"),
        ({"placement-hint": "EDGE"}, (), "it asks for tier edge, and the cluster is of cloud"),
        ({"placement": {"clusters": {"matchLabels": {"gpu": "yes"}}}}, (), "has not the labels"),
        ({"placement": {"locations": [{"country": "IT"}]}}, (), "does not stand where"),
        ({"cluster-selector": "west"}, (), "its cluster is chosen by who declared it"),
        ({"cpu": 3}, (burst(1, capacity(4, 3)), burst(2, capacity(4, 3))), "there are 2 of at most 2 burst already"),
        ({}, (cluster("new", phase=ClusterPhase.PROVISIONING, usable=False),), "cluster new is still coming up"),
        ({}, (cluster("west", unlinkable="has no Liqo"),), "can be linked with west, the home of shop: it has no Liqo"),
    ],
)
def test_no_cluster_is_created_that_would_not_help(asks: dict[str, Any], views: Any, says: str) -> None:
    world = bench(
        component("shop/web", **asks), component("shop/other", "burst-1"), component("shop/more", "burst-2"), *views
    )
    world.nothing_fits("shop/web")
    output = world.look(0)
    assert output.actions == ()
    assert says in output.message


def test_a_cluster_that_another_loop_makes_larger_comes_first() -> None:
    edge = cluster("edge", capacity(4, 4, nodes=2), **{"worker-machine-count": 2})
    grows = msgspec.structs.replace(
        policy("scale-cluster", **{"scale-cluster": {"cluster": "edge", "max": 3}}), name="g"
    )
    world = bench(component("shop/web", cpu=2), edge)
    world.declared = Spec(policies=(grows,))
    world.nothing_fits("shop/web")
    assert world.look(0).message == "shop/web: cluster edge gets more workers"
    world.put(component("shop/web", cpu=3))  # more than one more worker can take
    assert one(world.look(1)).cluster == "burst-1"
    world.put(component("shop/web", cpu=2))
    world.declared = Spec(policies=(msgspec.structs.replace(grows, hold=True),))
    assert one(world.look(2)).cluster == "burst-1"


def test_several_share_clusters_as_they_fit() -> None:
    world = bench(*(component(f"shop/c{n}", cpu=2) for n in range(3)))
    world.nothing_fits("shop/c0", "shop/c1", "shop/c2")
    output = world.look(0)
    assert names(output, Operation.CREATE_CLUSTER) == ["burst-1", "burst-2"]
    assert output.reason == "shop/c0, shop/c1 fit nowhere: burst-1 for them; shop/c2 fits nowhere: burst-2 for it"


def test_what_one_takes_is_learned_where_nobody_said() -> None:
    world = bench(
        component("shop/a", "burst-1", cpu=4), component("shop/b", cpu=6), burst(1, capacity(4, 4)), capacity={}
    )
    world.nothing_fits("shop/b")
    assert "would not fit an empty burst either" in world.look(0).message
    world.clusters.pop("burst-1")
    assert one(world.look(1)).cluster == "burst-1"


def test_names_are_the_lowest_that_are_free() -> None:
    world = bench(component("shop/b", cpu=3), component("shop/a", "burst-2", cpu=4), burst(2, capacity(4, 4)))
    world.nothing_fits("shop/b")
    assert one(world.look(0)).cluster == "burst-1"
    world.put(replace(burst(1), spec=None, phase=ClusterPhase.DELETING, policy=None))  # still there
    world.declared = Spec(clusters=(cluster_spec("burst-3"),))
    assert one(world.look(1)).cluster == "burst-4"


def test_an_empty_cluster_goes_after_a_while() -> None:
    world = bench(component("shop/web", "burst-1"), burst())
    assert world.look(0).actions == ()
    world.put(component("shop/web", "west", settled=False))
    assert world.look(10).actions == ()
    output = world.look(69)
    assert (output.actions, output.next_look is not None) == ((), True)
    output = world.look(70)
    assert output.actions == ()  # it still moves
    assert output.message == "burst-1 may go once shop/web runs where it is placed now"
    world.put(component("shop/web", "west"))
    output = world.look(75)
    assert one(output).cluster == "burst-1"
    assert output.reason == "burst-1 has not been needed for 60 s"


def test_a_restart_begins_the_wait_anew_and_somebody_who_comes_ends_it() -> None:
    world = bench(burst())
    world.look(0)
    world.memory = type(world.memory)()
    assert world.look(60).actions == ()
    world.put(component("shop/web", "burst-1"))
    world.look(100)
    world.components.clear()
    assert world.look(125).actions == ()
    assert names(world.look(190), Operation.DELETE_CLUSTER) == ["burst-1"]


def test_the_home_of_an_application_stays() -> None:
    world = bench(component("shop/web", "west", app="burst-1"), burst())
    world.look(0)
    assert world.look(500).actions == ()


def test_one_that_is_coming_for_somebody_stays() -> None:
    world = bench(component("shop/web", cpu=3), burst(phase=ClusterPhase.PROVISIONING, usable=False))
    world.nothing_fits("shop/web")
    world.look(0)
    assert world.look(5000).actions == ()
    world.unplaced = ()  # it found room elsewhere
    world.put(component("shop/web", "west"))
    world.look(5010)
    assert names(world.look(5071), Operation.DELETE_CLUSTER) == ["burst-1"]


def test_one_is_emptied_only_when_asked_and_when_all_of_it_fits_elsewhere() -> None:
    views = (component("shop/a", "burst-1"), component("shop/b", "burst-1"), burst(), burst(2))
    room = to({"shop/a": "west", "shop/b": "west"})
    asked = bench(*views, component("shop/c", "burst-2", **{"cluster-selector": "burst-2"}), consolidate=True)
    asked.place = to({"shop/a": "west"})
    assert not asked.look(0).actions
    asked.place = room
    assert not asked.look(10).actions
    output = asked.look(70)
    assert moves(output) == [("shop/a", "burst-1", "west", None), ("shop/b", "burst-1", "west", None)]
    assert output.reason == "shop/a, shop/b could have lived elsewhere than on burst-1 for 60 s"
    asked.history = (Past("d0", asked.given(70).now, "Applied", output.actions),)  # type: ignore[arg-type]
    asked.put(component("shop/a", "west"), component("shop/b", "west"))
    assert names(asked.look(75), Operation.DELETE_CLUSTER) == ["burst-1"]
    silent = bench(*views)
    silent.place = room
    silent.look(0)
    assert [a.op for a in silent.look(70).actions] == [Operation.DELETE_CLUSTER]  # burst-2, which is empty


ROUND = st.lists(
    st.tuples(
        st.integers(1, 80),  # seconds
        st.lists(st.integers(0, 5), max_size=6, unique=True),  # which fit nowhere
        st.booleans(),  # whether what is on its way is there now
    ),
    min_size=1,
    max_size=15,
)


@settings(max_examples=60)
@given(ROUND, st.integers(1, 3), st.lists(st.floats(0.5, 6), min_size=6, max_size=6))
def test_whatever_happens_the_bounds_hold(rounds: list[Any], most: int, sizes: list[float]) -> None:
    world = bench(*(component(f"shop/c{n}", cpu=size) for n, size in enumerate(sizes)), max=most)
    now = 0
    for pause, unplaced, arrived in rounds:
        now += pause
        world.nothing_fits(*(f"shop/c{n}" for n in unplaced))
        for n in range(6):
            view = world.components[f"shop/c{n}"]
            where = None if n in unplaced else view.cluster or next((c for c in world.clusters if "burst" in c), "west")
            world.put(component(view.path, where if where in world.clusters else "west", cpu=sizes[n]))
        output = world.look(now)
        deleted = names(output, Operation.DELETE_CLUSTER)
        occupied = {c.cluster for c in world.components.values() if c.path not in {u.component for u in world.unplaced}}
        assert not occupied & set(deleted)
        for action in output.actions:
            assert action.cluster not in world.clusters or action.op is Operation.DELETE_CLUSTER
            if action.op is Operation.CREATE_CLUSTER:
                world.put(burst(int(str(action.cluster).split("-")[1]), usable=False, phase=ClusterPhase.PENDING))
        for name in deleted:
            world.clusters.pop(str(name))
        own = [c for c in world.clusters.values() if c.policy]
        assert len(own) <= most
        if arrived:
            world.put(*(burst(int(c.name.split("-")[1])) for c in own))


def test_no_cluster_without_liqo_is_created_for_what_has_its_home_elsewhere() -> None:
    world = bench(component("shop/web"), template={**TEMPLATE, "packages": ["ingress"]})
    world.nothing_fits("shop/web")
    output = world.look(0)
    assert output.actions == ()
    assert "a cluster without Liqo cannot be linked with west, the home of shop" in output.message
