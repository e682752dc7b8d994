"""The exact solver beside the rounds: what it says counts only while nothing else was decided, and where it pays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from continuo.orchestrator.observe import Reach
from continuo.orchestrator.placing.improve import Improver
from continuo.placement.model import Answer, Method, Problem
from orchestrator.worlds import app, cluster

from .grounds import Ground, asking

pytestmark = pytest.mark.anyio
KEY = ("default", "o")


class Solver:
    """Answers with the places that it was told, once it may."""

    def __init__(self, **places: str) -> None:
        self.places = {f"default/o/shop/{name}": site for name, site in places.items()}
        self.asked: list[Problem] = []
        self.may = asyncio.Event()

    async def __call__(self, problem: Problem) -> Answer:
        self.asked.append(problem)
        await self.may.wait()
        here = {part.id: part.current for part in problem.parts if part.current}
        return Answer(places={**here, **self.places}, method=Method.EXACT, gap=0.0)


def ground(within: int = 5, **placement: Any) -> Ground:
    clusters = [
        cluster("green", packages=["liqo"], cost={"cpu": 1.0}),
        cluster("rose", packages=["liqo"], cost={"cpu": 9.0}),
    ]
    web = asking("web", "1", placement={})
    how = {"exact-within": within, "weights": {"moves": 0.01, "cost": 1.0, "balance": 0.0}, **placement}
    found = Ground({"clusters": clusters, "apps": [app("shop", "green", web)], "placement": how})
    found.up()
    found.lay(places=[{"component": "shop/web", "cluster": "rose"}])
    return found


async def looked(found: Ground, solver: Solver, *, then: str = "1") -> Any:
    """What is decided at the look after the solver answered, with the Adjustment in that version."""
    woken = asyncio.Event()
    improver = Improver(lambda _: woken.set(), solver)
    improver.placed(KEY, ["shop/web"])
    assert improver.look(*found.picture(), "1") is None
    assert improver.look(*found.picture(), "1") is None, "one solve at a time"
    solver.may.set()
    await woken.wait()
    try:
        return improver.look(*found.picture(), then)
    finally:
        await improver.close()


async def test_what_pays_is_moved_and_says_what_it_brings() -> None:
    solver = Solver(web="green")
    decision = await looked(ground(), solver)
    assert [(a.component, a.other, a.cluster) for a in decision.actions] == [("shop/web", "rose", "green")]
    assert "the exact solver's objective is" in decision.reason and decision.source == "placement"
    assert solver.asked[0].improve and solver.asked[0].exact_within == 5.0
    assert solver.asked[0].movable == frozenset({"default/o/shop/web"}), "only what was just placed"


async def test_what_does_not_pay_stays() -> None:
    stays = ground()
    stays.lay(places=[{"component": "shop/web", "cluster": "green"}])
    assert await looked(stays, Solver(web="rose")) is None
    assert await looked(ground(), Solver()) is None


async def test_an_answer_to_an_old_picture_is_dropped() -> None:
    assert await looked(ground(), Solver(web="green"), then="2") is None


async def asked_anew(found: Ground, improver: Improver) -> bool:
    """Whether a look begins a solve; it is ended at once."""
    improver.solve = solver = Solver()
    improver.look(*found.picture(), "1")
    await asyncio.sleep(0)
    await improver.close()
    await asyncio.sleep(0)
    return bool(solver.asked)


async def test_what_runs_is_looked_at_again_on_other_ground_and_only_then() -> None:
    found, improver = ground(), Improver(lambda _: None)
    found.object["metadata"]["generation"] = 1
    assert await asked_anew(found, improver), "the operator began anew: nobody knows what was looked at before"
    assert not await asked_anew(found, improver)
    found.object["metadata"]["generation"] = 2
    assert await asked_anew(found, improver), "it is another declaration"
    assert not await asked_anew(found, improver)
    found.reach["o-green"] = Reach.LOST
    assert not await asked_anew(found, improver)
    found.reach["o-green"] = Reach.OK
    assert not await asked_anew(found, improver), "what it came back to was looked at"


@pytest.mark.parametrize("entry", [{"policy": "away"}, {"home": "green"}])
async def test_what_a_loop_moved_is_left_to_it(entry: dict[str, str]) -> None:
    found = ground()
    found.lay(places=[{"component": "shop/web", "cluster": "rose", **entry}])
    assert not await asked_anew(found, Improver(lambda _: None))


async def test_an_external_scheduler_has_its_way() -> None:
    assert not await asked_anew(ground(scheduler="external"), Improver(lambda _: None))


async def test_nobody_is_asked_where_nobody_is_wanted() -> None:
    solver, improver = Solver(web="green"), Improver(lambda _: None)
    improver.solve = solver
    improver.placed(KEY, ["shop/web"])
    assert improver.look(*ground(within=0).picture(), "1") is None
    await asyncio.sleep(0)
    assert solver.asked == []


async def test_what_is_gone_is_not_solved_any_more() -> None:
    solver, woken = Solver(web="green"), asyncio.Event()
    improver = Improver(lambda _: woken.set(), solver)
    improver.placed(KEY, ["shop/web"])
    improver.look(*ground().picture(), "1")
    await asyncio.sleep(0)
    assert len(solver.asked) == 1
    improver.forget(KEY)
    solver.may.set()
    await improver.close()
    await asyncio.sleep(0)
    assert not woken.is_set() and improver.look(*ground().picture(), "1") is None


async def test_a_solver_that_fails_changes_nothing() -> None:
    async def fails(_: Problem) -> Answer:
        over.set()
        raise RuntimeError("no solver")

    over = asyncio.Event()
    improver = Improver(lambda _: None, fails)
    improver.placed(KEY, ["shop/web"])
    improver.look(*ground().picture(), "1")
    await over.wait()
    await asyncio.sleep(0)
    assert improver.look(*ground().picture(), "1") is None
