from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_double import run

from continuo.runtime.backoff import Backoff
from continuo.runtime.queue import IN_A_ROW, Closed, WorkQueue

KEYS = st.sampled_from("abcd")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), KEYS),
        st.tuples(st.just("urgent"), KEYS),
        st.tuples(st.just("later"), KEYS, st.floats(0.0, 5.0)),
        st.tuples(st.just("retry"), KEYS),
        st.tuples(st.just("wait"), st.floats(0.0, 3.0)),
    ),
    max_size=60,
)


async def drained(queue: WorkQueue[str]) -> list[str]:
    found = []
    while len(queue):
        found.append(await queue.get())
        queue.done(found[-1])
    return found


def test_what_is_urgent_goes_first_and_each_in_its_order() -> None:
    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        for key in "ab":
            queue.add(key)
        for key in "cda":
            queue.add(key, urgent=True)  # a waits already, and stays where it is
        assert len(queue) == 4 and not queue.idle
        assert await drained(queue) == ["c", "d", "a", "b"] and queue.idle
        queue.add("e", urgent=True)
        queue.close()
        assert not len(queue)

    run(main())


def test_however_much_is_urgent_the_others_have_their_turn() -> None:
    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        for number in range(2):
            queue.add(f"other-{number}")
        for number in range(3 * IN_A_ROW):
            queue.add(f"urgent-{number}", urgent=True)
        found = await drained(queue)
        assert [found.index(f"other-{number}") for number in range(2)] == [IN_A_ROW, 2 * IN_A_ROW + 1]

    run(main())


@settings(max_examples=150)
@given(steps=STEPS, workers=st.integers(1, 4), seed=st.integers(0, 9))
def test_no_key_is_lost_none_runs_twice_at_once(steps: list[tuple], workers: int, seed: int) -> None:
    """Whatever is added is worked on after it was added; a key has one worker; a queue at rest is empty."""

    async def main() -> None:
        rng = random.Random(seed)
        queue: WorkQueue[str] = WorkQueue(Backoff(0.1, cap=1.0), rng)
        active: set[str] = set()
        asked: dict[str, int] = {}
        served: dict[str, int] = {}
        clock = 0

        async def worker() -> None:
            nonlocal clock
            while True:
                try:
                    key = await queue.get()
                except Closed:
                    return
                assert key not in active
                active.add(key)
                clock += 1
                served[key] = clock
                await asyncio.sleep(rng.random())
                active.discard(key)
                queue.done(key)

        tasks = [asyncio.create_task(worker()) for _ in range(workers)]
        for step in steps:
            clock += 1
            match step:
                case ("add" | "urgent" as how, key):
                    asked[key] = clock
                    queue.add(key, urgent=how == "urgent")
                case ("later", key, seconds):
                    asked[key] = clock
                    queue.add_after(key, seconds)
                case ("retry", key):
                    asked[key] = clock
                    queue.retry(key)
                case ("wait", seconds):
                    await asyncio.sleep(seconds)
        await asyncio.sleep(100)
        assert {key for key, when in asked.items() if served.get(key, -1) <= when} == set()
        assert len(queue) == 0
        queue.close()
        await asyncio.gather(*tasks)

    run(main())


def test_a_key_that_waits_is_not_queued_twice() -> None:
    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        for key in "aba":
            queue.add(key)
        assert [await queue.get(), await queue.get()] == ["a", "b"]
        assert len(queue) == 0

    run(main())


def test_what_changes_while_it_is_worked_on_is_worked_on_again() -> None:
    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a")
        key = await queue.get()
        queue.add("a")
        queue.add("a")
        taken = asyncio.create_task(queue.get())
        await asyncio.sleep(1)
        assert not taken.done()
        queue.done(key)
        assert await taken == "a"
        assert len(queue) == 0

    run(main())


def test_of_two_times_for_a_key_the_earlier_counts() -> None:
    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        start = asyncio.get_running_loop().time()
        queue.add_after("a", 10)
        queue.add_after("a", 3)
        queue.add_after("a", 7)
        await queue.get()
        assert asyncio.get_running_loop().time() - start == pytest.approx(3)
        queue.done("a")
        await asyncio.sleep(20)
        assert len(queue) == 0

    run(main())


def test_delays_grow_to_the_cap_and_start_anew_after_forget() -> None:
    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue(Backoff(base=1.0, factor=2.0, cap=10.0, jitter=0.0))
        delays = []
        for _ in range(6):
            delays.append(queue.retry("a"))
            queue.done(await queue.get())
        assert delays == [1, 2, 4, 8, 10, 10]
        assert not queue.idle
        queue.forget("a")
        assert queue.idle
        assert queue.retry("a") == 1

    run(main())


@given(failures=st.integers(1, 10_000), seed=st.integers(0, 99))
def test_a_delay_is_never_above_the_cap_and_its_jitter(failures: int, seed: int) -> None:
    backoff = Backoff(base=0.5, cap=60, jitter=0.3)
    assert 0.5 <= backoff.delay(failures, random.Random(seed)) <= 78.0


def test_a_cancelled_worker_leaves_its_key_to_another() -> None:
    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        first.cancel()
        assert await second == "a"

    run(main())


def test_a_closed_queue_lets_everybody_go() -> None:
    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
        await asyncio.sleep(0)
        queue.add_after("later", 5)
        queue.close()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [Closed] * 3
        queue.add("a")
        assert len(queue) == 0

    run(main())
