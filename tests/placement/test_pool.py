"""Placement in processes: the same answer, a loop that goes on, nothing left of who went away, and ends that are survived."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from continuo.placement import pool as pools
from continuo.placement.exact import solve
from continuo.placement.jobs import Place, Weigh
from continuo.placement.model import Problem
from continuo.placement.placed import placed
from continuo.placement.pool import Busy, Failed, Pool
from placement.worlds import crowded

pytestmark = pytest.mark.anyio
ASKED = crowded(9, 4, 8, seed=3)
LARGE = crowded(160, 40, 80, seed=3)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def away(**more: Any) -> AsyncIterator[Pool]:
    """A pool that does nothing at once; nothing of it may be left."""
    made = Pool(1, inline=0.0, **more)
    try:
        yield made
    finally:
        pids = pids_of(made)
        await made.close()
        assert made.running == 0
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


def pids_of(pool: Pool) -> list[int]:
    return [child.process.pid for child in pool._children]


def program(tmp_path: Path, text: str) -> tuple[str, ...]:
    """A process that is not the one it should be."""
    path = tmp_path / "program.py"
    path.write_text(text)
    return sys.executable, str(path)


async def begun(pool: Pool, count: int = 1) -> None:
    """Wait until so many processes were started."""
    async with asyncio.timeout(30):
        while pool.running < count:  # noqa: ASYNC110 - a moment
            await asyncio.sleep(0)


@pytest.mark.parametrize("tell", [True, False])
async def test_the_answer_is_the_same_wherever_it_is_computed(tell: bool) -> None:
    job = Place(ASKED, tell=tell)
    async with away() as pool:
        there = await pool.run(job)
        assert pool.running == 1
    assert there == await Pool(inline=1e9).run(job) == placed(ASKED, tell=tell)
    assert bool(there.told.replay) is tell


async def test_a_process_is_kept_for_the_next_job_and_ended_when_none_comes() -> None:
    async with away(idle=600.0) as pool:
        await pool.run(Place(ASKED))
        pids = pids_of(pool)
        await pool.run(Place(ASKED))
        assert pids_of(pool) == pids
    async with away(idle=0.0) as pool:
        await pool.run(Place(ASKED))
        async with asyncio.timeout(30):
            while pool.running:  # noqa: ASYNC110 - a moment
                await asyncio.sleep(0)


async def test_the_loop_goes_on_while_something_is_placed() -> None:
    """Of what is placed at once nobody else sees anything; a process leaves turns to others."""

    async def turns(pool: Pool, job: Place) -> int:
        count, task = 0, asyncio.ensure_future(pool.run(job))
        while not task.done():
            await asyncio.sleep(0.001)
            count += 1
        await task
        return count

    await Pool(inline=1e9).run(Place(ASKED))  # what it counts with is loaded once
    assert await turns(Pool(inline=1e9), Place(LARGE)) <= 1
    async with away() as pool:
        await pool.run(Place(ASKED))
        assert await turns(pool, Place(LARGE)) > 10


async def test_who_goes_away_takes_the_process_along() -> None:
    async with away() as pool:
        task = asyncio.create_task(pool.run(Place(LARGE)))
        await begun(pool)
        (pid,) = pids_of(pool)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pool.running == 0
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert (await pool.run(Place(ASKED))).answer == placed(ASKED).answer, "and its turn is free"


async def test_a_process_that_is_killed_is_replaced_once() -> None:
    async with away() as pool:
        task = asyncio.create_task(pool.run(Place(LARGE, tell=False)))
        await begun(pool)
        os.kill(pids_of(pool)[0], signal.SIGKILL)
        assert await task == placed(LARGE, tell=False)


async def test_one_that_ends_while_it_rests_is_not_missed() -> None:
    async with away(idle=600.0) as pool:
        await pool.run(Place(ASKED))
        (child,) = pool._children
        child.kill()
        await child.process.wait()
        assert await pool.run(Place(ASKED)) == placed(ASKED)


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        ("raise SystemExit(3)", {}, "the process that places ended with code 3 (2 times)"),
        ("import sys; sys.stdin.read()", {"longest": 0.2}, "a placement did not end within 0.2 s"),
        (
            "import sys; sys.stdout.buffer.write((8).to_bytes(8, 'big') + b'-no luck'); sys.stdout.flush(); sys.stdin.read()",
            {},
            "a placement failed: no luck",
        ),
    ],
)
async def test_what_fails_is_told(text: str, more: dict[str, float], said: str, tmp_path: Path) -> None:
    async with away(command=program(tmp_path, text), **more) as pool:
        with pytest.raises(Failed) as failed:
            await pool.run(Place(ASKED))
        assert str(failed.value) == said


async def test_a_job_that_raises_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with away() as pool:
        with pytest.raises(Failed, match="KeyError"):
            await pool.run(Weigh(ASKED, placed(ASKED).answer, ("no/such/part",)))
        assert await pool.run(Place(ASKED)) == placed(ASKED)


async def test_where_no_process_can_be_started_it_is_counted_here() -> None:
    async with away(command=("/nowhere/python",)) as pool:
        assert await pool.run(Place(ASKED)) == placed(ASKED)


async def test_who_does_not_want_to_wait_is_told_that_it_would() -> None:
    async with away() as pool:
        task = asyncio.create_task(pool.run(Place(LARGE)))
        await begun(pool)
        with pytest.raises(Busy):
            await pool.run(Place(ASKED), wait=False)
        task.cancel()


async def test_whoever_waits_when_it_is_closed_is_told() -> None:
    async with away() as pool:
        task = asyncio.create_task(pool.run(Place(LARGE)))
        await begun(pool)
        await pool.close()
        with pytest.raises(Failed, match="being stopped"):
            await task


async def test_a_process_ends_with_who_started_it() -> None:
    """Even in the middle of a job: its stdin says so."""
    async with away() as pool:
        task = asyncio.create_task(pool.run(Place(LARGE)))
        await begun(pool)
        (child,) = pool._children
        assert child.process.stdin is not None
        child.process.stdin.close()
        assert await child.process.wait() == 0
        task.cancel()


async def test_the_solver_asks_in_the_same_way() -> None:
    asked: Problem = crowded(9, 4, 8, seed=3)
    async with away() as pool:
        assert await solve(asked, pool=pool) == await solve(asked)
        assert pool.running == 1


def test_small_problems_stay_and_large_ones_go() -> None:
    assert Place(crowded(3, 4, 2, seed=1)).milliseconds() < pools.INLINE < Place(ASKED).milliseconds()
