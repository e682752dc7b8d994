"""Failover where not every two clusters can be linked: places and a home that fit each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from continuo.orchestrator.loops.model import STAY, Found, Homes
from continuo.placement.linking import severed
from orchestrator.loops.given import Bench, at, cluster, component, moves, policy

RULE = {"after": 60, "return-after": 300, "moves-per-minute": 10}
BARE = {"unlinkable": "has no Liqo"}


class Placement:
    """Sends components to the first cluster in a certain order that may take them, as placement would."""

    def __init__(self, *order: str) -> None:
        self.order, self.asked = order, list[dict[str, str]]()
        self.world: Bench

    def __call__(self, paths: Any, avoid: frozenset[str], homes: Homes = STAY) -> Found:
        self.asked.append(dict(homes))
        places, unplaced = {}, {}
        for path in paths:
            app = self.world.components[path].app
            home = homes.get(app.name, app.cluster)
            taking = (name for name in self.order if name not in avoid and not self._cut(name, home))
            if (place := next(taking, None)) is None:
                unplaced[path] = f"no cluster can be linked with {home}"
            else:
                places[path] = place
        return Found(places, unplaced)

    def _cut(self, name: str, home: str) -> bool:
        return bool(home) and bool(severed(self.world.clusters[name], self.world.clusters[home]))


def bench(place: Placement, *views: Any) -> Bench:
    world = place.world = Bench(policy("failover", failover=RULE), [cluster("west")], place=place)
    world.put(*views)
    return world


def lose(world: Bench, name: str) -> None:
    world.put(replace(world.clusters[name], usable=False, lost_since=at(-100)))


def test_a_component_leaves_its_cluster_for_one_that_can_be_linked_with_the_home_that_stays() -> None:
    place = Placement("bare", "south")
    world = bench(place, cluster("bare", **BARE), cluster("south"), cluster("east"), component("shop/c1", "east"))
    lose(world, "east")
    assert moves(world.look(0)) == [("shop/c1", "east", "south", "east")]
    assert place.asked == [{}]


def test_where_none_can_be_linked_it_stays_and_says_so() -> None:
    world = bench(Placement("bare"), cluster("bare", **BARE), cluster("east"), component("shop/c1", "east"))
    lose(world, "east")
    output = world.look(0)
    assert output.actions == () and output.message == "shop/c1 stays on east: no cluster can be linked with west"


def test_from_a_lost_home_everything_goes_to_a_cluster_without_liqo_and_is_at_home_there() -> None:
    place = Placement("bare", "south")
    parts = [component(f"shop/c{n}", "west") for n in range(2)]
    world = bench(place, cluster("west", **BARE), cluster("bare", **BARE), cluster("south"), *parts)
    lose(world, "west")
    assert [(what, to) for what, _, to, _ in moves(world.look(0))] == [
        ("shop", "bare"), ("shop/c0", "bare"), ("shop/c1", "bare"),
    ]  # fmt: skip
    assert place.asked == [{"shop": ""}], "it is looked for once: nothing is apart from the new home"


def test_a_new_home_is_one_that_what_stays_can_be_linked_with_and_the_others_follow() -> None:
    place = Placement("bare", "south")
    parts = [component("shop/c0", "west"), component("shop/c1", "west"), component("shop/c2", "south")]
    world = bench(place, cluster("bare", **BARE), cluster("south"), *parts)
    lose(world, "west")
    assert [(what, to) for what, _, to, _ in moves(world.look(0))] == [
        ("shop", "south"), ("shop/c0", "south"), ("shop/c1", "south"),
    ]  # fmt: skip
    assert place.asked == [{"shop": ""}, {"shop": "south"}]


def test_where_all_can_be_linked_the_majority_still_says_the_home() -> None:
    place = Placement("north", "south")
    parts = [component("shop/c0", "west"), component("shop/c1", "west"), component("shop/c2", "south")]
    world = bench(place, cluster("north"), cluster("south"), *parts)
    lose(world, "west")
    assert moves(world.look(0))[0] == ("shop", "west", "north", "west")
    assert place.asked == [{"shop": ""}]
