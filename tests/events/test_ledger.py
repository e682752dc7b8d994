"""The ledger: what is observed in, tasks and events out. A model checks what consumers rely on, whatever is observed."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.events import ledger as books
from continuo.events.ledger import Ledger, Work, advance, next_deadline, unbegun
from continuo.events.types import Outcome, parts_of
from continuo.resources.orchestration_tasks import OutboxEntry, TaskStage

UID = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
BEGIN = datetime.datetime(2026, 1, 31, 9, 0, tzinfo=datetime.UTC)


def at(seconds: float) -> datetime.datetime:
    return BEGIN + datetime.timedelta(seconds=seconds)


def work(operation: str = "cluster.create", target: str = "cluster/green", **more: object) -> Work:
    return Work(operation, target, **more)  # type: ignore[arg-type]


def told(entries: tuple[OutboxEntry, ...]) -> list[str]:
    """`create.started 1` and the like: action, outcome, attempt."""
    found = []
    for entry in entries:
        parts = parts_of(entry.type)
        assert parts is not None
        found.append(f"{parts[0].partition('.')[2]}.{parts[1]} {entry.attempt}")
    return found


def story(*looks: tuple[float, list[Work]]) -> tuple[Ledger, list[OutboxEntry]]:
    """The ledger after these looks, and everything that was told."""
    ledger, entries = Ledger(UID), []
    for seconds, works in looks:
        ledger, new = advance(ledger, works, at(seconds), generation=3)
        entries += new
    return ledger, entries


BEGINS = work(begins=True)
GOES_ON = work(done=1, steps=4)


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        pytest.param([(0, [work()])], [], id="what waits is no task yet"),
        pytest.param([(0, [BEGINS])], ["create.started 1"], id="a task begins with its first write"),
        pytest.param(
            [(0, [BEGINS]), (1, [GOES_ON]), (2, [])],
            ["create.started 1", "create.progress 1", "create.succeeded 1"],
            id="and ends when nothing of it is left",
        ),
        pytest.param(
            [(0, [BEGINS]), (1, [GOES_ON]), (2, [GOES_ON]), (3, [work(done=0, steps=4)])],
            ["create.started 1", "create.progress 1"],
            id="what did not change, or fell, is not told",
        ),
        pytest.param(
            [(0, [BEGINS]), (1, [work(withdrawn=True)])],
            ["create.started 1", "create.cancelled 1"],
            id="a wish that went",
        ),
        pytest.param(
            [(0, [BEGINS]), (9, [work(within=10)]), (10, [work(within=10)]), (99, [work(within=10)])],
            ["create.started 1", "create.failed 1"],
            id="too late is told once",
        ),
        pytest.param(
            [(0, [BEGINS]), (10, [work(within=10)]), (20, [work(begins=True, within=10)]), (30, [])],
            ["create.started 1", "create.failed 1", "create.started 2", "create.succeeded 2"],
            id="what was late and is done at last is a second attempt",
        ),
        pytest.param(
            [(0, [work(refused="no")]), (1, [work(refused="no")]), (2, [BEGINS]), (3, [])],
            ["create.started 1", "create.failed 1", "create.started 2", "create.succeeded 2"],
            id="what was refused begins again when it no longer is",
        ),
        pytest.param(
            [(0, [work(refused="no", wish="a")]), (1, [work(refused="no", wish="b")])],
            ["create.started 1", "create.failed 1", "create.started 1", "create.failed 1"],
            id="another wish is refused again",
        ),
        pytest.param(
            [(0, [work(refused="no")]), (1, [work(withdrawn=True)]), (2, [])],
            ["create.started 1", "create.failed 1"],
            id="what failed and is no longer wanted is forgotten",
        ),
        pytest.param(
            [(0, [BEGINS]), (1, [work(tries=1, failure="a")]), (2, [work(tries=1, failure="a")]),
             (3, [work(tries=2, failure="a")]), (4, [work()]), (5, [work(tries=1, failure="a")])],
            ["create.started 1", "create.progress 1", "create.progress 1", "create.progress 1"],
            id="each failing try is told once",
        ),
        pytest.param(
            [(0, [work(begins=True, wish="a")]), (8, [work(wish="b", within=10)]), (12, [work(wish="b", within=10)]),
             (18, [work(wish="b", within=10)])],
            ["create.started 1", "create.failed 1"],
            id="another wish has its whole time",
        ),
        pytest.param(
            [(0, [BEGINS]), (1, [work(withdrawn=True), work("cluster.delete", begins=True)]),
             (2, [work("cluster.delete")]), (3, [])],
            ["create.started 1", "create.cancelled 1", "delete.started 1", "delete.succeeded 1"],
            id="removing is another task",
        ),
        pytest.param(
            [(0, [BEGINS]), (1, [work("cluster.scale", begins=True)]), (2, [])],
            ["create.started 1", "create.succeeded 1"],
            id="a change of what is being made is part of making it",
        ),
    ],
)  # fmt: skip
def test_stories(looks: list[tuple[float, list[Work]]], expected: list[str]) -> None:
    assert told(tuple(story(*looks)[1])) == expected


def test_names_times_and_sentences() -> None:
    failing = work(tries=1, failure="the API server said no", within=600, tenant="ann")
    _, entries = story((0, [work(begins=True, detail="workers 2", tenant="ann")]), (1.25, [failing]), (600, [failing]))
    started, progress, failed = entries
    assert [entry.id for entry in entries] == [f"0a1b2c3d4e5f-1/00000{n}" for n in (1, 2, 3)]
    assert started.time == "2026-01-31T09:00:00.000Z" and progress.time == "2026-01-31T09:00:01.250Z"
    assert started.message == "workers 2" and started.subject == "cluster/green" and started.tenant == "ann"
    assert progress.error == "the API server said no" and progress.tries == 1
    assert failed.error == "it is not done after 600 s: the API server said no" and failed.seconds == 600
    assert {entry.generation for entry in entries} == {3}


def test_the_next_deadline_is_looked_for() -> None:
    ledger, _ = story((0, [BEGINS, work(target="cluster/rose", begins=True)]))
    works = [work(within=600), work(target="cluster/rose", within=500)]
    assert next_deadline(ledger, works, at(20)) == 480
    assert next_deadline(ledger, works, at(900)) == 0
    assert next_deadline(ledger, [], at(20)) is None


def test_too_much_at_once_begins_in_rounds() -> None:
    many = [work(target=f"cluster/c{n}", begins=True) for n in range(books.AT_ONCE + 5)]
    ledger, entries = advance(Ledger(UID), many, BEGIN)
    assert len(entries) == books.AT_ONCE
    assert unbegun(ledger, many) == {item.key for item in many[books.AT_ONCE :]}
    ledger, entries = advance(ledger, many, BEGIN)
    assert len(entries) == 5 and not unbegun(ledger, many)


def test_a_ledger_has_an_end() -> None:
    ledger = Ledger(UID)
    many = [work(target=f"cluster/c{n}", begins=True) for n in range(books.MOST_TASKS + 50)]
    for _ in range(20):
        ledger, _ = advance(ledger, many, BEGIN)
    assert len(ledger.tasks) == books.MOST_TASKS


def works() -> st.SearchStrategy[Work]:
    return st.builds(
        Work,
        st.sampled_from(["cluster.create", "cluster.scale", "cluster.delete", "app.rollback"]),
        st.sampled_from(["cluster/a", "cluster/b"]),
        begins=st.booleans(),
        done=st.integers(0, 3),
        steps=st.just(3),
        failure=st.sampled_from(["", "no"]),
        tries=st.integers(0, 2),
        within=st.sampled_from([None, 5.0]),
        refused=st.sampled_from(["", "", "", "never"]),
        withdrawn=st.sampled_from([False, False, False, True]),
        wish=st.sampled_from(["", "x"]),
    )


@given(st.lists(st.tuples(st.floats(0, 4), st.lists(works(), max_size=4)), max_size=25))
def test_whatever_is_observed(looks: list[tuple[float, list[Work]]]) -> None:
    """Started first, one end and last, no gap, percent never falls; looking twice says nothing new."""
    ledger, seconds = Ledger(UID), 0.0
    by_task: dict[str, list[OutboxEntry]] = {}
    for passed, seen in looks:
        seconds += passed
        ledger, entries = advance(ledger, seen, at(seconds))
        for entry in entries:
            by_task.setdefault(entry.id.partition("/")[0], []).append(entry)
        assert advance(ledger, seen, at(seconds)) == (ledger, ())
    open_tasks = {task.id for task in ledger.tasks if task.stage is TaskStage.OPEN}
    for task, entries in by_task.items():
        outcomes = [Outcome(parts_of(entry.type)[1]) for entry in entries]  # type: ignore[index]
        assert [entry.id for entry in entries] == [f"{task}/{n:06d}" for n in range(1, len(entries) + 1)]
        assert outcomes[0] is Outcome.STARTED and outcomes.count(Outcome.STARTED) == 1
        assert [outcome.terminal for outcome in outcomes[:-1]] == [False] * (len(outcomes) - 1)
        assert outcomes[-1].terminal != (task in open_tasks)
        percents = [entry.percent for entry in entries]
        assert percents == sorted(percents) and (percents[-1] == 100) == (outcomes[-1] is Outcome.SUCCEEDED)
    assert len({task.id for task in ledger.tasks}) == len(ledger.tasks) <= ledger.counter
