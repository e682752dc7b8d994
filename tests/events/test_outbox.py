"""The outbox in a status: what it keeps, what gives way, and how it is told."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.events import outbox
from continuo.events.ledger import Ledger
from continuo.events.outbox import event_of, events_of, put, read, written
from continuo.events.types import Outcome, type_of
from continuo.resources.orchestration_tasks import MAX_OUTBOX, OutboxEntry, TaskStatus

UID = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"


def entry(number: int, outcome: Outcome = Outcome.PROGRESS) -> OutboxEntry:
    return OutboxEntry(
        id=f"t-{number}/000001", position=number, type=type_of("app.deploy", outcome), subject="app/shop",
        time="2026-01-31T09:00:00.000Z",
    )  # fmt: skip


def row(count: int, outcome: Outcome = Outcome.PROGRESS) -> list[OutboxEntry]:
    return [entry(number, outcome) for number in range(1, count + 1)]


def ids(entries: Iterable[OutboxEntry]) -> set[str]:
    return {found.id for found in entries}


def test_what_everybody_has_goes_with_the_next_write_but_for_the_newest() -> None:
    box = row(outbox.KEPT + 10)
    assert put(box, [], ids(box)) == tuple(box), "no write only for that"
    assert put(box, [], ids(box), writing=True) == tuple(box[10:])
    assert put(box, [entry(99)], ids(box)) == (*box[11:], entry(99))


def test_a_quarter_is_worth_a_write() -> None:
    box = row(outbox.KEPT + outbox.FULL)
    assert put(box, [], ids(box)) == tuple(box)
    assert len(put([*box, entry(999)], [], {*ids(box), entry(999).id})) == outbox.KEPT


def test_what_nobody_has_stays() -> None:
    box = row(outbox.KEPT + 50)
    assert put(box, [], (), writing=True) == tuple(box)


def test_progress_gives_way_then_beginnings_and_never_an_end() -> None:
    ends, begins, steps = (
        [entry(number + offset, outcome) for number in range(150)]
        for offset, outcome in ((0, Outcome.FAILED), (1000, Outcome.STARTED), (2000, Outcome.PROGRESS))
    )
    kept = put([*steps, *begins, *ends], [], ())
    assert len(kept) == outbox.ROOM
    assert ids(ends) | ids(begins) <= ids(kept)
    assert kept[0] == steps[66], "the oldest goes first"
    more = [entry(number + 5000, Outcome.SUCCEEDED) for number in range(300)]
    kept = put([*steps, *begins, *ends], more, ())
    assert ids(ends) | ids(more) == ids(kept) and len(kept) == 450


@given(st.lists(st.sampled_from([Outcome.STARTED, Outcome.PROGRESS, Outcome.FAILED]), max_size=600), st.randoms())
def test_it_is_bounded_and_in_order(outcomes: list[Outcome], random: object) -> None:
    box: tuple[OutboxEntry, ...] = ()
    for start in range(0, len(outcomes), 97):
        new = [entry(start + n, outcome) for n, outcome in enumerate(outcomes[start : start + 97])]
        box = put(box, new, {e.id for e in box if random.random() < 0.5})  # type: ignore[attr-defined]
        positions = [found.position for found in box]
        assert positions == sorted(positions) and len(box) <= MAX_OUTBOX
        assert ids(new[-outbox.KEPT :]) <= ids(box) or len(box) >= outbox.ROOM


def test_what_was_written_is_read() -> None:
    task = TaskStatus(id="t-1", operation="app.deploy", target="app/shop", started_at="2026-01-31T09:00:00.000Z")
    ledger, box = Ledger(UID, 4, 9, (task,)), tuple(row(3))
    obj = {"metadata": {"uid": UID, "name": "o", "namespace": "d"}, "status": written(ledger, box)}
    assert read(obj) == (ledger, box)
    assert [event.id for event in events_of(obj)] == ["t-1/000001", "t-2/000001", "t-3/000001"]


@pytest.mark.parametrize("status", [None, {}, {"tasks": "x", "outbox": 3, "taskCounter": "many", "eventCounter": -2}])
def test_a_status_that_holds_none(status: object) -> None:
    assert read({"metadata": {"uid": UID}, "status": status}) == (Ledger(UID), ())


def test_what_others_wrote_into_it_costs_no_id() -> None:
    """A task that cannot be read is lost; the next one has another id all the same."""
    status = {"tasks": [{"id": "t-1"}], "outbox": [{"id": 3}], "taskCounter": 5, "eventCounter": 7}
    assert read({"metadata": {"uid": UID}, "status": status}) == (Ledger(UID, 6, 7), ())


def test_how_it_is_told() -> None:
    told = OutboxEntry(
        id="t-1/000003", position=12, type=type_of("app.deploy", Outcome.FAILED), subject="app/shop",
        time="2026-01-31T09:00:00.000Z", generation=4, attempt=2, percent=50, done=1, steps=2, tries=3,
        error="no room", seconds=61, tenant="ann", traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    )  # fmt: skip
    event = event_of(told, "/orchestrations/default/o", UID)
    assert event.to_json() == {
        "specversion": "1.0", "id": "t-1/000003", "source": "/orchestrations/default/o",
        "type": "dev.continuo.app.deploy.failed.v1", "time": "2026-01-31T09:00:00.000Z", "subject": "app/shop",
        "datacontenttype": "application/json", "partitionkey": "default/o", "taskid": "t-1", "sequence": "000003",
        "correlationid": f"{UID}/4", "tenant": "ann", "traceparent": told.traceparent,
        "data": {
            "taskId": "t-1", "operation": "app.deploy", "resource": {"kind": "app", "name": "shop", "generation": 4},
            "position": 12, "attempt": 2, "percent": 50, "stepIndex": 1, "stepCount": 2, "durationSeconds": 61,
            "error": {"detail": "no room", "failedTries": 3},
        },
    }  # fmt: skip
