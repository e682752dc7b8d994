"""A component goes only where a link with its application's home can be, and everybody who says why not says so."""

from __future__ import annotations

import asyncio
import importlib.util

import msgspec
import pytest

from continuo.placement.check import check
from continuo.placement.demands import refused
from continuo.placement.exact import solve
from continuo.placement.heuristic import place
from continuo.placement.linking import severed
from continuo.placement.model import Part, Problem, Site
from continuo.placement.reasons import Cause
from continuo.placement.replay import pack, unpack
from continuo.placement.whynot import why_not
from placement.worlds import part, problem, site

WEB = "default/o/shop/web"
BARE = {"unlinkable": "has no Liqo"}


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        (site("a"), site("b"), ""),
        (site("a", **BARE), site("a", **BARE), ""),
        (site("a", **BARE), site("b"), "a has no Liqo"),
        (site("a"), site("b", **BARE), "b has no Liqo"),
        (site("a", shared_id="x"), site("b", shared_id="x"), "both call themselves 'x' in Liqo"),
        (site("a", shared_id="x"), site("b", shared_id="y"), ""),
        (site("a", shared_id="x"), site("b"), ""),
    ],
)
def test_which_sites_no_link_can_join(one: Site, other: Site, why: str) -> None:
    assert severed(one, other) == why


SITES = {each.name: each for each in (site("home"), site("near"), site("bare", **BARE))}


@pytest.mark.parametrize(
    ("asking", "where", "why"),
    [
        (part(WEB, root="home"), "home", None),
        (part(WEB, root="home"), "near", None),
        (part(WEB, root="home"), "bare", "it cannot be linked with home, the home of shop: bare has no Liqo"),
        (part(WEB, root="bare"), "near", "it cannot be linked with bare, the home of shop: bare has no Liqo"),
        (part(WEB, root="bare"), "bare", None),
        (part(WEB), "bare", None),
        (part(WEB, root="gone"), "bare", None),
        (part(WEB, root="home", pinned="bare"), "bare", None),
        (
            part("w", root="home"),
            "bare",
            "it cannot be linked with home, the home of its application: bare has no Liqo",
        ),
    ],
)
def test_what_a_part_demands_of_links(asking: Part, where: str, why: str | None) -> None:
    found = refused(asking, SITES[where], SITES)
    assert (found and found.message) == why
    assert found is None or found.cause is Cause.LINK


def asked(**fields: object) -> Problem:
    """The cheapest site cannot be linked with the home, which is too small for both parts."""
    some = [site("home", 1, cost_cpu=1.0), site("near", cost_cpu=2.0), site("bare", cost_cpu=0.1, **BARE)]
    return problem(some, [part("n/o/shop/web", root="home"), part("n/o/shop/db", root="home")], **fields)


def test_a_dearer_site_takes_what_cannot_be_linked_elsewhere() -> None:
    answer = place(asked())
    assert sorted(answer.places.values()) == ["home", "near"]
    assert check(asked(), answer.places) == ()
    assert place(unpack(pack(asked()))) == answer
    away = next(part for part, where in answer.places.items() if where == "near")
    said = why_not(asked(), answer, away, "bare")
    assert said == "bare: it cannot be linked with home, the home of shop: bare has no Liqo"
    (wrong,) = check(asked(), {**answer.places, away: "bare"})
    assert (wrong.part, wrong.cause) == (away, Cause.LINK)


def test_what_can_be_linked_nowhere_says_so() -> None:
    some = [site("home", 0), site("b1", **BARE), site("b2", **BARE)]
    answer = place(problem(some, [part("n/o/shop/web", root="home")]))
    assert answer.places == {}
    assert answer.unplaced["n/o/shop/web"] == (
        "fits on none of 3 clusters: 2 cannot be linked with its home (b1: it cannot be linked with home, the home of shop: "
        "b1 has no Liqo); 1 has too little cpu (home: cpu 1 of 0 free)"
    )


def test_what_is_not_known_of_links_is_as_it_was() -> None:
    """A problem that was kept before links were asked for has the same text, and the same answer."""
    old = problem([site("a", cost_cpu=1.0), site("b", cost_cpu=2.0)], [part("p")])
    text = msgspec.json.encode(old)
    assert not any(word in text for word in (b"unlinkable", b"sharedId", b"root"))
    assert place(msgspec.json.decode(text, type=Problem)).places == {"p": "a"}


def test_spread_counts_no_domain_that_cannot_be_linked() -> None:
    some = [site("home"), site("bare", **BARE)]
    parts = [part(f"n/o/shop/{n}", root="home", spread_group="g") for n in "ab"]
    assert set(place(problem(some, parts)).places.values()) == {"home"}


@pytest.mark.skipif(importlib.util.find_spec("ortools") is None, reason="OR-Tools is not installed")
def test_the_exact_solver_sees_it_the_same_way() -> None:
    found = asyncio.run(solve(asked(exact_within=20.0, rounds=0)))
    assert sorted(found.places.values()) == ["home", "near"]
    assert check(asked(), found.places) == ()
