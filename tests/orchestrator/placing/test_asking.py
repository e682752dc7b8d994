"""Placement beside the loop: the same decisions, one answer for many, nothing stale, and a turn for everybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from continuo.orchestrator.loops.model import Found, Placer
from continuo.orchestrator.placing import choose as choosing
from continuo.orchestrator.placing.asking import FIRST, Gone, NotNow, Placing, Stale
from continuo.orchestrator.placing.choose import Choice, placer
from continuo.placement import placed as kept
from continuo.placement.jobs import Place
from continuo.placement.pool import Pool
from continuo.resources.meta import Key
from orchestrator.worlds import app, cluster

from .grounds import NOON, Ground, asking, goes

pytestmark = pytest.mark.anyio
KEY = ("default", "o")
LATER = NOON + timedelta(hours=1)


def ground(count: int = 2, name: str = "o", cpu: str = "100m") -> Ground:
    """Applications of two components each, for two clusters."""
    parts = [asking(part, cpu, placement={}) for part in ("a", "b")]
    clusters = [
        cluster("green", packages=["liqo"], cost={"cpu": 1.0}),
        cluster("rose", packages=["liqo"], cost={"cpu": 2.0}),
    ]
    found = Ground({"clusters": clusters, "apps": [app(f"shop{n}", "green", *parts) for n in range(count)]}, name=name)
    found.up()
    return found


@asynccontextmanager
async def asking_of(inline: float = 0.0, woken: list[Key] | None = None, **more: Any) -> AsyncIterator[Placing]:
    """One process for everything."""
    placing = Placing(Pool(1, inline=inline, **more), (woken if woken is not None else []).extend)
    try:
        yield placing
    finally:
        await placing.close()
        assert placing.pool.running == 0


async def chosen(placing: Placing, found: Ground, then: Ground | None = None, **more: Any) -> Choice:
    """What is chosen for a picture when it is another one by the time of the answer."""
    now = more.get("now", LATER)
    return await placing.choose(
        *found.picture(), found.settings, now, {}, lambda: then.picture() if then is not None else None
    )


async def test_the_choice_is_the_same_beside_the_loop() -> None:
    found = ground()
    async with asking_of() as placing:
        choice = await chosen(placing, found, found)
        assert placing.pool.running == 1
    assert choice == found.choose()
    assert choice.decision is not None and choice.decision.explanation and choice.decision.replay


async def test_one_answer_serves_all_decisions_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    def three(parts: Iterable[str], most: int = 3) -> list[list[str]]:
        return kept.batched(parts, most)

    monkeypatch.setattr(choosing, "batched", three)
    found, places = ground(3), list[dict[str, str]]()
    async with asking_of(inline=1e9) as placing:
        runs: list[Place] = []
        run = placing.pool.run

        async def counted(job: Place, *, wait: bool = True) -> Any:
            runs.append(job)
            return await run(job, wait=wait)

        monkeypatch.setattr(placing.pool, "run", counted)
        laid: list[dict[str, Any]] = []
        for _ in range(3):
            choice = await chosen(placing, found, found)
            places.append(goes(choice))
            laid += [{"component": path, "cluster": where} for path, where in places[-1].items()]
            found.lay(places=laid)
        assert (await chosen(placing, found, found)).decision is None
        assert len(runs) == 1
    assert [sorted(each) for each in places] == [[f"shop{n}/a", f"shop{n}/b"] for n in range(3)], "whole applications"


async def test_the_rest_of_an_answer_that_does_not_fit_any_more_is_placed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "batched", lambda parts: kept.batched(parts, 2))
    found = ground(2, cpu="1")
    async with asking_of(inline=1e9) as placing:
        first = goes(await chosen(placing, found, found))
        assert set(first.values()) == {"green"}
        found.lay(places=[{"component": path, "cluster": where} for path, where in first.items()])
        found.busy["green"] = 7.0
        assert set(goes(await chosen(placing, found, found)).values()) == {"rose"}


async def test_an_answer_that_does_not_hold_when_it_comes_is_not_used() -> None:
    full = ground()
    full.busy = {"green": 8.0}
    async with asking_of() as placing:
        with pytest.raises(Stale):
            await chosen(placing, ground(), full)


async def test_a_change_that_does_not_matter_costs_no_answer() -> None:
    busier = ground()
    busier.busy = {"green": 1.0}
    async with asking_of() as placing:
        assert goes(await chosen(placing, ground(), busier)) == goes(ground().choose())


async def test_what_was_declared_anew_or_laid_over_meanwhile_counts() -> None:
    other = ground()
    other.lay(places=[{"component": "shop0/a", "cluster": "rose"}])
    async with asking_of() as placing:
        with pytest.raises(Stale):
            await chosen(placing, ground(), other)
        with pytest.raises(Gone):
            await chosen(placing, ground(), None)


async def test_loops_that_ask_for_room_are_asked_again_when_it_is_known() -> None:
    found = ground()
    asked: list[str] = []

    def say(place: Placer) -> list[Found]:
        asked.append("")
        return [place(["shop0/a"], frozenset({"green"})), place(["shop1/b"], frozenset())]

    picture = found.picture()
    async with asking_of() as placing:
        told = await placing.with_room(*picture, LATER, found.picture, say)
        assert placing.pool.running == 1
    assert told == say(placer(*picture)) and len(asked) == 4
    assert told[0].places == {"shop0/a": "rose"}


async def test_who_finds_all_processes_taken_says_so_and_is_woken() -> None:
    found, other, woken = ground(), ground(name="p"), list[Key]()
    async with asking_of(woken=woken) as placing:
        task = asyncio.create_task(chosen(placing, found, found))
        async with asyncio.timeout(30):
            while placing.pool.running == 0:  # noqa: ASYNC110 - a moment
                await asyncio.sleep(0)
        choice = await chosen(placing, other, other)
        assert choice.held and choice.decision is None
        assert "waits for its turn" in choice.waiting["shop0/a"].message
        with pytest.raises(NotNow, match="waits for its turn"):
            await placing.with_room(
                *other.picture(), LATER, other.picture, lambda place: place(["shop0/a"], frozenset())
            )
        await task
        assert woken == [("default", "p")]
        assert goes(await chosen(placing, other, other))


async def test_what_fails_is_told_and_tried_again_later_and_later(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    found = ground()
    async with asking_of(command=(str(program),)) as placing:
        first = await chosen(placing, found, found)
        assert first.held and "ended with code 3 (2 times)" in first.waiting["shop0/a"].message
        assert first.again == LATER + timedelta(seconds=FIRST)
        assert await chosen(placing, found, found, now=LATER + timedelta(seconds=FIRST - 1)) == first, (
            "nothing is begun"
        )
        again = LATER + timedelta(seconds=FIRST)
        assert (await chosen(placing, found, found, now=again)).again == again + timedelta(seconds=2 * FIRST)
        placing.forget(KEY)
        assert (await chosen(placing, found, found)).again == first.again


async def test_a_round_that_is_cancelled_leaves_no_process() -> None:
    found = ground(12)
    async with asking_of() as placing:
        task = asyncio.create_task(chosen(placing, found, found))
        async with asyncio.timeout(30):
            while placing.pool.running == 0:  # noqa: ASYNC110 - a moment
                await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert placing.pool.running == 0


async def test_a_home_to_come_is_asked_for_in_the_other_process_too_and_what_is_weighed_goes_by_it() -> None:
    clusters = [
        cluster("green"),
        cluster("rose", cost={"cpu": 1.0}),
        cluster("blue", packages=["liqo"], cost={"cpu": 2.0}),
    ]
    found = Ground({"clusters": clusters, "apps": [app("shop", "green", asking("a", "1", "green"))]})
    found.up()
    picture, leave = found.picture(), frozenset({"green"})

    def say(place: Placer) -> list[Found]:
        return [place(["shop/a"], leave, homes) for homes in ({}, {"shop": ""}, {"shop": "blue"})]

    async with asking_of() as placing:
        told = await placing.with_room(*picture, LATER, found.picture, say)
        here = await placing.weighed(*picture, {"shop/a": "rose"})
        there = await placing.weighed(*picture, {"shop/a": "rose"}, {"shop": "rose"})
    assert [each.places for each in told] == [{}, {"shop/a": "rose"}, {"shop/a": "blue"}]
    assert "cannot be linked with green" in str(here) and "cannot be linked with green" not in str(there)
