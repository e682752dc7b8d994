"""Whether a run is due, from what was written down alone; and that an agent killed at any line runs no job twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.iot.agent.workloads import Workloads, record
from continuo.iot.agent.workloads.record import LOST, Record, Store
from continuo.iot.agent.workloads.runtime import End, Task
from continuo.iot.agent.workloads.spec import Spec, read
from iot.tunnels.bed import Changes
from iot.workloads.bed import UUID, job, shell


def spec(**more: Any) -> Spec:
    return read(shell("true", **more))


def ran(which: Spec, codes: list[int | None], seconds: float = 1.0) -> Record:
    known, now = Record(generation=1), 0.0
    for code in codes:
        known = record.begin(known, now)
        now += seconds
        known = record.end(which, known, code, f"it ended with exit code {code}", now)
    return known


ALWAYS, ON_FAILURE, NEVER = spec(), spec(restart="OnFailure"), spec(restart="Never")
JOB, JOB_NEVER, RETRIED = spec(job=True), spec(job={}, restart="Never"), spec(job={"retry": True})


@pytest.mark.parametrize(
    ("which", "codes", "phase", "final"),
    [
        (ALWAYS, [0], "Pending", False),
        (ALWAYS, [1], "Pending", False),
        (ON_FAILURE, [0], "Succeeded", True),
        (ON_FAILURE, [1], "Pending", False),
        (ON_FAILURE, [1, None, 0], "Succeeded", True),
        (NEVER, [0], "Succeeded", True),
        (NEVER, [1], "Failed", True),
        (NEVER, [None], "Failed", True),
        (JOB, [0], "Succeeded", True),
        (JOB, [1, 1, 0], "Succeeded", True),
        (JOB, [1] * 5, "Pending", False),
        (JOB, [1] * 6, "Failed", True),
        (JOB_NEVER, [1], "Failed", True),
    ],
)
def test_when_it_is_over(which: Spec, codes: list[int | None], phase: str, final: bool) -> None:
    known = ran(which, codes)
    assert (known.phase, known.final, known.exit_code) == (phase, final, codes[-1])


@pytest.mark.parametrize(
    ("which", "phase", "final"),
    [
        (ALWAYS, "Pending", False),
        (ON_FAILURE, "Pending", False),
        (NEVER, "Failed", True),
        (JOB, "Failed", True),
        (JOB_NEVER, "Failed", True),
        (RETRIED, "Pending", False),
    ],
)
def test_when_nobody_saw_the_end(which: Spec, phase: str, final: bool) -> None:
    known = record.lost(which, record.begin(Record(generation=1), 0.0), 1.0)
    assert (known.phase, known.final, known.open) == (phase, final, False)
    assert (known.message == LOST) is final


def test_pauses_grow_to_five_minutes_and_begin_anew_after_a_steady_run() -> None:
    assert [record.pause(ran(ALWAYS, [1] * n), float(n)) for n in range(1, 6)] == [1, 2, 4, 8, 16]
    assert record.pause(ran(ALWAYS, [1] * 40), 40.0) == 300
    assert record.pause(ran(ALWAYS, [1] * 40, seconds=61.0), 40 * 61.0) == 1
    assert record.pause(ran(ALWAYS, [1] * 3), 1000.0) == 0
    assert record.pause(ran(ALWAYS, [1] * 3), -(10.0**9)) == 4  # a board without a battery for its clock
    assert record.pause(Record(generation=1), 0.0) == 0


def test_a_record_is_written_whole(tmp_path: Path) -> None:
    store = Store(tmp_path / "record.json")
    assert store.read() is None
    known = record.begin(Record(generation=7), 3.0)
    store.write(known)
    assert store.read() == known
    (tmp_path / "record.json").write_text("{")
    with pytest.raises(ValueError, match=r"record\.json is no record"):
        store.read()


class Killed(BaseException):
    """The agent ends here."""


class World:
    """What outlives agents: how often each generation was begun, and finished."""

    def __init__(self) -> None:
        self.begun: Counter[int] = Counter()
        self.finished: Counter[int] = Counter()


class Runs:
    """A runtime whose runs end at once, in an agent that may be killed at any of its steps."""

    def __init__(self, world: World, step: Callable[[], None]) -> None:
        self._world, self._step = world, step

    async def start(self, task: Task) -> Runs._Run:
        self._step()
        self._world.begun[task.spec.generation] += 1
        self._step()
        return Runs._Run(self._world, task.spec.generation, self._step)

    async def adopt(self, _task: Task) -> None:
        self._step()

    async def clear(self, _uuid: str) -> None:
        self._step()

    class _Run:
        def __init__(self, world: World, generation: int, step: Callable[[], None]) -> None:
            self._world, self._generation, self._step = world, generation, step

        async def wait(self) -> End:
            self._world.finished[self._generation] += 1
            self._step()
            return End(0, "it ended with exit code 0")

        async def stop(self) -> None:
            return


async def life(home: Path, world: World, wanted: dict[str, Any], steps: int | None) -> dict[str, Any] | None:
    """An agent that is killed at its `steps`th step, if it makes that many; else what it says in the end."""
    left, dead, changes = steps, asyncio.Event(), Changes()

    def step() -> None:
        nonlocal left
        if dead.is_set():
            raise Killed
        if left is not None:
            left -= 1
            if left < 0:
                dead.set()
                changes()
                raise asyncio.CancelledError

    class Counting(Store):
        def write(self, record: Record) -> None:
            step()
            super().write(record)
            step()

    import continuo.iot.agent.workloads.one as one
    import continuo.iot.agent.workloads.workloads as workloads

    before = one.Store, workloads.Store
    one.Store = workloads.Store = Counting  # type: ignore[misc, attr-defined]
    board = Workloads(changes, home, {"process": Runs(world, step)}, again=0.0)
    try:
        await board.set({UUID: wanted})
        await changes.until(lambda: dead.is_set() or board.status()[UUID]["phase"] in ("Succeeded", "Failed"))
        return None if dead.is_set() else board.status()[UUID]
    except (Killed, asyncio.CancelledError):
        return None
    finally:
        one.Store, workloads.Store = before  # type: ignore[misc, attr-defined]
        for has in board._has.values():
            if has.task is not None:
                has.task.cancel()
                await asyncio.gather(has.task, return_exceptions=True)


@given(
    kills=st.lists(st.integers(0, 12), max_size=4),
    generations=st.lists(st.integers(1, 2), min_size=5, max_size=5).map(sorted),
    retry=st.booleans(),
)
def test_killed_at_any_step_a_job_runs_as_often_as_declared(
    tmp_path_factory: pytest.TempPathFactory, kills: list[int], generations: list[int], retry: bool
) -> None:
    world, home = World(), tmp_path_factory.mktemp("board")

    async def lives() -> dict[str, Any]:
        for kill, generation in zip(kills, generations, strict=False):
            await life(home, world, job("true", generation=generation) | {"job": {"retry": retry}}, kill)
        said = await life(home, world, job("true", generation=2) | {"job": {"retry": retry}}, None)
        assert said is not None
        return said

    said = asyncio.run(lives())
    assert said["generation"] == 2
    if retry:
        assert said["phase"] == "Succeeded" and world.finished[2] >= 1
    else:
        assert all(times <= 1 for times in world.begun.values())
        assert said["phase"] == "Succeeded" or (said["message"] == LOST and world.begun[2] <= 1)


def test_a_record_that_cannot_be_read_is_as_if_it_had_run(tmp_path: Path) -> None:
    world = World()
    (tmp_path / UUID).mkdir()
    (tmp_path / UUID / "record.json").write_text("{")
    said = asyncio.run(life(tmp_path, world, job("true"), None))
    assert said is not None and said["message"] == LOST
    assert world.begun[1] == 0
