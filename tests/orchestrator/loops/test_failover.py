"""Away from clusters that failed, and home again: when, how fast, and what stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuo.orchestrator.loops.model import STAY, Homes, LoopOutput
from continuo.resources.loop import AdjustmentSpec, HomeAdjustment
from continuo.resources.orchestration import LoopStage
from orchestrator.loops.given import Bench, at, capacity, cluster, component, moves, policy, to

RULE = {"after": 60, "return-after": 300, "moves-per-minute": 10}
TO_EAST = to({f"shop/c{n}": "east" for n in range(40)})


def bench(*views: Any, place: Any = TO_EAST, **fields: Any) -> Bench:
    world = Bench(policy("failover", failover={**RULE, **fields}), [cluster("west"), cluster("east")], place=place)
    world.put(*views)
    return world


def lose(world: Bench, name: str, seconds: float) -> None:
    world.put(replace(world.clusters[name], usable=False, lost_since=at(seconds)))


def heal(world: Bench, name: str) -> None:
    world.put(replace(world.clusters[name], usable=True, lost_since=None, capacity=capacity(40)))


def carry_out(world: Bench, seconds: float, output: LoopOutput) -> None:
    """What a frame does with a decision, as far as failover sees it."""
    world.done(seconds, output)
    for path, _, target, home in moves(output):
        if path in world.components:
            world.put(replace(world.components[path], cluster=target, home=home))
        else:
            kept = tuple(entry for entry in world.adjustment.homes if entry.app != path)
            assert path is not None and target is not None
            new = (HomeAdjustment(app=path, cluster=target, home=home, decision="d", since=""),) if home else ()
            world.adjustment = AdjustmentSpec(homes=(*kept, *new))


def test_a_lost_cluster_is_left_after_a_while_and_its_application_gets_another_home() -> None:
    world = bench(component("shop/c1", "west"), component("shop/c2", "west"), component("shop/c3", "east"))
    lose(world, "west", 0)
    output = world.look(30)
    assert (output.stage, output.actions, output.next_look) == (LoopStage.ORIENT, (), at(60))
    assert output.message == "west does not answer: components leave it from 12:01:00 UTC on"
    output = world.look(60)
    assert (output.stage, output.reason) == (LoopStage.DECIDE, "west does not answer for 60 s or more")
    assert output.observation == "west does not answer since 12:00:00 UTC"
    assert moves(output) == [
        ("shop", "west", "east", "west"),
        ("shop/c1", "west", "east", "west"),
        ("shop/c2", "west", "east", "west"),
    ]


@pytest.mark.parametrize(
    ("room", "says"),
    [
        (capacity(4, cordoned=True), "is cordoned"),
        (capacity(4, ready=False), "has no node that is Ready"),
    ],
)
def test_a_cluster_that_takes_no_pods_is_left_and_stays_a_home(room: Any, says: str) -> None:
    """Its API answers, so what is declared there is still reached."""
    world = bench(component("shop/c1", "west"), cluster("west", room))
    assert world.look(0).actions == ()
    output = world.look(60)
    assert output.reason == f"west {says} for 60 s or more"
    assert moves(output) == [("shop/c1", "west", "east", "west")]


def test_pinned_components_move_too_and_remember_where_they_belong() -> None:
    world = bench(component("shop/c1", "west", app="east", **{"cluster-selector": "west"}))
    lose(world, "west", -100)
    assert moves(world.look(0)) == [("shop/c1", "west", "east", "west")]


def test_what_fits_nowhere_stays_and_says_so() -> None:
    world = bench(component("shop/c1", "west", app="east"), component("shop/big", "west", app="east"))
    lose(world, "west", -100)
    output = world.look(0)
    assert moves(output) == [("shop/c1", "west", "east", "west")]
    assert output.message == "shop/big stays on west: no room"
    world.place = to({})
    assert world.look(1).actions == ()


def test_nothing_moves_faster_than_allowed() -> None:
    world = bench(*(component(f"shop/c{n:02}", "west", app="east") for n in range(25)), **{"moves-per-minute": 10})
    world.place = to({f"shop/c{n:02}": "east" for n in range(25)})
    lose(world, "west", -100)
    moved: list[tuple[int, int]] = []
    for seconds in range(0, 200, 5):
        output = world.look(seconds)
        if output.actions:
            moved.append((seconds, len(output.actions)))
            carry_out(world, seconds, output)
            assert seconds >= 120 or output.message == "15 more moves later: 10 a minute" or seconds == 60
    assert moved == [(0, 10), (60, 10), (120, 5)]


def test_components_go_home_after_a_while_and_at_the_same_pace() -> None:
    world = bench(*(component(f"shop/c{n}", "west") for n in range(3)), **{"moves-per-minute": 4})
    lose(world, "west", -100)
    carry_out(world, 0, world.look(0))
    assert world.look(10).observation == "west does not answer since 11:58:20 UTC; 3 components away from home"
    heal(world, "west")
    output = world.look(20)
    assert (output.actions, output.next_look) == ((), at(320))
    assert output.message == "west is well again: components go home from 12:05:20 UTC on"
    assert world.look(319).actions == ()
    output = world.look(320)
    assert output.reason == "west has been well for 300 s"
    assert moves(output) == [
        ("shop", "east", "west", None),
        *((f"shop/c{n}", "east", "west", None) for n in range(3)),
    ]
    carry_out(world, 320, output)
    assert world.look(400).observation == "2 clusters watched, none ill"
    assert world.adjustment.homes == ()


def test_they_stay_away_where_that_is_declared() -> None:
    world = bench(component("shop/c1", "east", home="west"), **{"return-home": False})
    world.look(0)
    assert world.look(1000).actions == ()


def test_a_home_without_room_is_waited_for() -> None:
    world = bench(component("shop/c1", "east", home="west", cpu=2), cluster("west", capacity(4, 3)))
    world.look(0)
    output = world.look(300)
    assert (output.actions, output.message) == (
        (),
        "shop/c1 stays on east: west has no room for it (cpu 2000m of 1000m)",
    )


def test_a_cluster_that_flaps_is_waited_for_longer_each_time() -> None:
    world = bench(component("shop/c1", "west", app="east"), **{"return-after": 100})
    now, waits = 0.0, []
    for _ in range(4):
        lose(world, "west", now)
        carry_out(world, now + 60, world.look(now + 60))
        heal(world, "west")
        began = now = now + 70
        while not (output := world.look(now)).actions:
            now += 10
        waits.append(now - began)
        carry_out(world, now, output)
    assert waits == [100, 200, 400, 800]


def test_a_cluster_that_was_only_gone_for_a_moment_is_waited_for_from_then_on() -> None:
    world = bench(component("shop/c1", "east", home="west", app="east"))
    world.look(0)
    lose(world, "west", 290)
    world.look(295)
    heal(world, "west")
    assert world.look(300).actions == ()
    assert world.look(599).actions == ()
    assert moves(world.look(600)) == [("shop/c1", "east", "west", None)]


def test_when_the_refuge_fails_too_the_home_is_still_remembered() -> None:
    world = bench(
        cluster("south"), component("shop/c1", "east", home="west", app="south"), place=to({"shop/c1": "south"})
    )
    lose(world, "west", -500)
    lose(world, "east", -100)
    assert moves(world.look(0)) == [("shop/c1", "east", "south", "west")]
    heal(world, "west")
    world.place = to({"shop/c1": "west"})
    assert moves(world.look(1)) == [("shop/c1", "east", "west", None)]  # home, because it has to leave anyway


def test_only_clusters_of_the_policy_are_looked_after() -> None:
    world = bench(
        cluster("west", labels={"failover": "no"}), component("shop/c1", "west", app="east"),
        clusters={"matchExpressions": [{"key": "failover", "operator": "NotIn", "values": ["no"]}]},
    )  # fmt: skip
    lose(world, "west", -100)
    output = world.look(0)
    assert (output.actions, output.observation) == ((), "1 cluster watched, none ill")


def test_a_restart_waits_again_unless_the_status_tells_since_when() -> None:
    cordoned = bench(component("shop/c1", "west"), cluster("west", capacity(4, cordoned=True)))
    cordoned.look(0)
    cordoned.memory = type(cordoned.memory)()
    assert cordoned.look(60).actions == ()
    lost = bench(component("shop/c1", "west", app="east"))
    lose(lost, "west", -59)
    assert lost.look(0).actions == ()
    lost.memory = type(lost.memory)()
    assert lost.look(1).actions != ()


EVENTS = st.lists(
    st.tuples(st.integers(1, 90), st.sampled_from(["west", "east", "south"]), st.booleans()), min_size=1, max_size=25
)


@settings(max_examples=80)
@given(EVENTS, st.integers(1, 5), st.integers(1, 8))
def test_whatever_fails_nothing_moves_to_what_is_ill_and_the_pace_is_kept(
    events: list[tuple[int, str, bool]], pace: int, parts: int
) -> None:
    everywhere = ("west", "east", "south")

    def place(paths: Any, avoid: frozenset[str], homes: Homes = STAY) -> Any:
        free = [name for name in everywhere if name not in avoid]
        return to({path: free[0] for path in paths} if free else {})(paths, avoid)

    views = [component(f"shop/c{n}", everywhere[n % 3]) for n in range(parts)]
    world = bench(cluster("south"), *views, place=place, **{"moves-per-minute": pace, "return-after": 60})
    homes = {view.path: view.cluster for view in views}
    now, made = 0, []
    for pause, name, up in events:
        now += pause
        if up:
            heal(world, name)
        elif world.clusters[name].lost_since is None:
            lose(world, name, now)
        output = world.look(now)
        for path, source, target, home in moves(output):
            assert world.clusters[str(target)].lost_since is None
            assert target != source
            if path in homes:
                assert home == (None if target == homes[path] else homes[path])
            made.append(now)
        assert sum(1 for when in made if when > now - 60) <= pace
        carry_out(world, now, output)
    for name in everywhere:
        heal(world, name)
    for later in range(now + 1, now + 8000, 30):
        carry_out(world, later, world.look(later))
    assert {c.path: c.cluster for c in world.components.values()} == homes
    assert world.adjustment.homes == ()
    assert timedelta(0) <= at(now) - at(0)


@pytest.mark.parametrize(("db", "gap"), [("south", True), ("east", False)])
def test_a_move_home_that_leaves_a_gap_is_told_before_it_happens(db: str, gap: bool) -> None:
    world = bench(
        component("shop/web", "east", home="west", app="east"), component("shop/db", db, app="east"), cluster("south")
    )
    entry = HomeAdjustment(app="shop", cluster="east", home="west", decision="d", since="")
    world.adjustment = AdjustmentSpec(homes=(entry,))
    world.look(0)
    said = "application shop does not answer for a while when its home moves, for it has parts on east and south"
    assert (said in world.look(10).message) == gap
    assert (said in world.look(400).reason) == gap
