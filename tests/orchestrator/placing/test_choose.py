"""Which components are placed in a round, where they go, and what is said of the others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec import json

from continuo.orchestrator.loops.model import Capacity
from continuo.orchestrator.observe import Reach
from continuo.orchestrator.placing.choose import placer, whole_problem
from continuo.placement.model import Room
from continuo.placement.replay import unpack
from continuo.resources.loop import MAX_ACTIONS, Operation
from continuo.resources.meta import Object
from continuo.resources.orchestration import encode
from orchestrator.worlds import app, cluster

from .grounds import NOON, Ground, asking, cpus, goes

GREEN = cluster(
    "green",
    packages=["liqo"],
    tier="edge",
    cost={"cpu": 1.0},
    labels={"iso": "true"},
    location={"country": "IT", "latitude": "45.5"},
)
ROSE = cluster("rose", packages=["liqo"], tier="cloud", cost={"cpu": 2.0, "memory": 0.5, "carbon": 30})


def ground(*components: Object, clusters: tuple[Object, ...] = (GREEN, ROSE), **spec: Any) -> Ground:
    links = spec.pop("links_asked", ())
    shop = {**app("shop", "green", *components), **({"link-requirements": links} if links else {})}
    found = Ground({"clusters": list(clusters), "apps": [shop], **spec})
    found.up()
    return found


def test_what_has_no_place_is_placed_once_and_the_whole_input_is_kept() -> None:
    choice = ground(asking("web", "1", placement={})).choose()
    assert goes(choice) == {"shop/web": "green"}
    assert choice.decision is not None and choice.decision.reason.startswith("shop/web on green: green is ")
    assert choice.decision.actions[0].op is Operation.PLACE_COMPONENT
    assert unpack(choice.decision.replay or "").parts[0].id == "default/o/shop/web"


def test_what_runs_or_was_placed_is_left_alone() -> None:
    placed = ground(asking("web", "1", placement={}))
    placed.lay(places=[{"component": "shop/web", "cluster": "rose"}])
    assert goes(placed.choose()) == {}
    runs = ground(asking("web", "1", placement={}))
    runs.runs("shop", "web", "green", "rose")
    assert goes(runs.choose()) == {}, "nobody says where it is, and it runs on rose"


@pytest.mark.parametrize(
    ("bounds", "there"),
    [
        ({"clusters": {"matchLabels": {"iso": "false"}}}, None),
        ({"clusters": {"matchLabels": {"iso": "true"}}}, "green"),
        ({"locations": [{"country": "IT"}]}, "green"),
        ({"apart-from": ["db"]}, "rose"),
        ({"beside": ["db"]}, "green"),
        ({"spread": {"group": "all"}}, "green"),
    ],
)
def test_bounds(bounds: Object, there: str | None) -> None:
    found = ground(asking("web", "1", placement=bounds), asking("db", "1", "green")).choose()
    assert goes(found) == ({"shop/web": there} if there else {})


def test_what_the_declaration_no_longer_allows_moves() -> None:
    found = ground(asking("web", "1", placement={"locations": [{"country": "IT"}]}))
    found.lay(places=[{"component": "shop/web", "cluster": "rose"}])
    choice = found.choose()
    assert goes(choice) == {"shop/web": "green"}
    assert choice.decision is not None and choice.decision.actions[0].other == "rose"


def test_what_fits_nowhere_says_why_of_every_cluster() -> None:
    found = ground(asking("web", "9", placement={}))
    found.room["rose"] = Capacity(cordoned=True, nodes=1)
    choice = found.choose()
    assert goes(choice) == {}
    assert choice.waiting["shop/web"].reason == "Unplaceable"
    assert choice.waiting["shop/web"].message == (
        "shop/web fits nowhere: green: cpu 9 of 8 free; rose: all of its nodes are cordoned"
    )
    assert choice.unplaced[0].component == "shop/web"


def test_one_that_grew_too_large_moves_and_stays_where_there_is_no_room_either() -> None:
    found = ground(asking("web", "3", placement={}, replicas=2))
    found.lay(places=[{"component": "shop/web", "cluster": "green"}])
    found.busy, found.ours = {"green": 4}, {"green": 3}
    assert goes(found.choose()) == {"shop/web": "rose"}
    found.busy = {"green": 4, "rose": 4}
    choice = found.choose()
    assert goes(choice) == {} and not choice.waiting
    assert choice.unplaced[0].reason == "green: cpu 6 of 4 free; rose: cpu 6 of 4 free"


def test_a_cluster_that_does_not_answer_is_not_too_full() -> None:
    found = ground(asking("web", "3", placement={}))
    found.lay(places=[{"component": "shop/web", "cluster": "green"}])
    found.reach["o-green"] = Reach.LOST
    assert goes(found.choose()) == {} and found.choose().unplaced == ()


def test_clusters_that_come_up_are_waited_for_but_not_for_ever() -> None:
    found = Ground({"clusters": [GREEN, ROSE], "apps": [app("shop", "green", asking("web", "1", placement={}))]})
    found.up()
    status = {"clusters": [{"name": "green", "phase": "Ready", "lastTransitionTime": "2026-01-01T12:00:00Z"}]}
    found.object = {**found.object, "status": status}
    found.management.drop(*_control_plane(found, "o-rose"))
    choice = found.choose(after=10)
    assert (
        choice.waiting["shop/web"].reason == "Placing"
        and "waiting for rose to come up" in choice.waiting["shop/web"].message
    )
    assert choice.again == NOON + timedelta(seconds=30)
    assert goes(found.choose(after=31)) == {"shop/web": "green"}


def _control_plane(found: Ground, name: str) -> tuple[Any, str, str]:
    from continuo.resources import kinds

    return kinds.CLUSTER, name, "default"


def test_an_external_scheduler_has_its_time_and_then_the_built_in_decides_and_says_so() -> None:
    found = ground(asking("web", "1", placement={}), placement={"scheduler": "external", "decide-within": 30})
    seen = {"shop/web": NOON}
    waits = found.choose(after=29, seen=seen)
    assert goes(waits) == {} and waits.waiting["shop/web"].reason == "AwaitingScheduler"
    assert waits.again == NOON + timedelta(seconds=30)
    late = found.choose(after=30, seen=seen)
    assert goes(late) == {"shop/web": "green"}
    assert late.decision is not None and "the external scheduler did not decide in time" in late.decision.reason


def test_paused_nothing_is_placed() -> None:
    choice = ground(asking("web", "1", placement={}), paused=True).choose()
    assert goes(choice) == {} and choice.waiting["shop/web"].reason == "Paused"


def test_whoever_fails_over_finds_room_for_pinned_components_too() -> None:
    found = ground(asking("web", "1", "green"), asking("db", "1", placement={"locations": [{"country": "IT"}]}))
    found.lay(places=[{"component": "shop/db", "cluster": "green"}])
    answer = placer(*found.picture())(["shop/web", "shop/db"], frozenset({"green"}))
    assert answer.places == {"shop/web": "rose"}
    assert answer.unplaced["shop/db"].startswith("green: it is to be left")


def test_the_problem_of_an_orchestration() -> None:
    asked = [{"name": "near", "members": ["web", "db"], "latencyMs": 5.0}]
    found = ground(
        asking("web", "500m", placement={}, replicas=3), asking("db", "1", "rose"), links_asked=asked,
        placement={"budgets": [{"owner": "ann", "cost": 9}], "weights": {"cost": 3.0}},
    )  # fmt: skip
    found.busy, found.ours = {"rose": 3}, {"rose": 1}
    problem = whole_problem(*found.picture(), None)
    green, rose = problem.sites
    assert (green.country, green.latitude, green.labels, green.cost_cpu) == ("IT", 45.5, {"iso": "true"}, 1.0)
    assert (rose.cost_memory, rose.carbon_cpu, rose.free.cpu_millis, rose.size.cpu_millis) == (0.5, 30, 5000, 8000)
    web, db = problem.parts
    assert web.room == Room(cpu_millis=1500) and web.pinned is None and web.current is None
    assert db.pinned == db.current == "rose" and db.owner == "ann"
    assert problem.talks[0].members == (web.id, db.id) and problem.talks[0].latency_ms == 5.0
    assert problem.budgets[0].cost == 9 and problem.weights.cost == 3.0 and cpus(1).cpu_millis == 1000


def test_one_decision_holds_no_more_than_it_can() -> None:
    apps = [app(f"a{i}", "green", *(asking(f"c{j}", "1m", placement={}) for j in range(32))) for i in range(9)]
    ground = Ground({"clusters": [cluster("green")], "apps": apps})
    ground.up()
    first = ground.choose().decision
    assert first is not None and len(encode(first)["actions"]) == MAX_ACTIONS
    assert len(json.encode(encode(first))) < 1_000_000
    ground.lay(places=[{"component": a.component, "cluster": a.cluster} for a in first.actions])
    assert len(goes(ground.choose())) == 9 * 32 - MAX_ACTIONS
