"""The outbox: the last events of an orchestration, in its own status. Pure.

What everybody has may go, but the newest of it stays for those who were away for a moment. Where somebody is away for
long, progress goes first, then what began; how things ended stays as long as the status can hold it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from msgspec import ValidationError, convert, to_builtins

from continuo.events.cloudevent import JSON, Event
from continuo.events.ledger import Ledger, task_prefix
from continuo.events.types import GAP, Outcome, parts_of
from continuo.resources.meta import Object, key_of
from continuo.resources.orchestration_tasks import MAX_OUTBOX, OutboxEntry, TaskStage, TaskStatus

KEPT = 32
"""Entries that stay after everybody has them."""
ROOM = 384
"""Entries from which on the less important ones make place."""
FULL = ROOM // 4
"""Entries that everybody has, from which on a write is worth it only to remove them."""

_CUT_SHORT = "it is gone, and how its last tasks ended is not known"
_LATER = (Outcome.PROGRESS, Outcome.STARTED)


def put(
    outbox: Sequence[OutboxEntry],
    new: Sequence[OutboxEntry],
    confirmed: Collection[str] = (),
    *,
    writing: bool = False,
) -> tuple[OutboxEntry, ...]:
    """The outbox with what is new, without what everybody has (`confirmed`); as it was if there is no cause to write it.

    `writing`: the status is written anyway.
    """
    kept = [*outbox, *new]
    if writing or new or _had(outbox, confirmed) > FULL:
        newest = len(kept) - KEPT
        kept = [entry for index, entry in enumerate(kept) if index >= newest or entry.id not in confirmed]
    for outcome in _LATER:
        if len(kept) > ROOM:
            kept = _without(kept, outcome, len(kept) - ROOM)
    return tuple(kept[-MAX_OUTBOX:])


def _had(outbox: Sequence[OutboxEntry], confirmed: Collection[str]) -> int:
    """How many could go."""
    return sum(entry.id in confirmed for entry in outbox[: max(0, len(outbox) - KEPT)])


def _without(entries: list[OutboxEntry], outcome: Outcome, surplus: int) -> list[OutboxEntry]:
    """The oldest of one outcome give way; the end of a task never does for another's."""
    kept: list[OutboxEntry] = []
    for entry in entries:
        if surplus > 0 and outcome_of(entry) == outcome:
            surplus -= 1
        else:
            kept.append(entry)
    return kept


def outcome_of(entry: OutboxEntry) -> str:
    """What the entry says of its task."""
    parts = parts_of(entry.type)
    return parts[1] if parts is not None else ""


def read(obj: Object) -> tuple[Ledger, tuple[OutboxEntry, ...]]:
    """The ledger and the outbox in an orchestration's status.

    What somebody else wrote there, and is neither, is left out: the ledger begins anew then, with a higher counter.
    """
    status = obj.get("status") or {}
    tasks, lost = _entries(status.get("tasks"), TaskStatus)
    outbox, _ = _entries(status.get("outbox"), OutboxEntry)
    counter, events = (_number(status.get(name)) for name in ("taskCounter", "eventCounter"))
    return Ledger(str(obj["metadata"].get("uid") or ""), counter + lost, events, tuple(tasks)), tuple(outbox)


def _number(found: Any) -> int:
    return found if isinstance(found, int) and found >= 0 else 0


def _entries(found: Any, of: Any) -> tuple[list[Any], int]:
    """Those that are what they should be, and how many are not."""
    entries: list[Any] = []
    lost = 0
    for entry in found if isinstance(found, list) else ():
        try:
            entries.append(convert(entry, of))
        except ValidationError:
            lost += 1
    return entries, lost


def written(ledger: Ledger, outbox: Sequence[OutboxEntry]) -> Object:
    """The status fields that hold both; empty lists too, for a merge patch leaves what it does not name."""
    return {
        "taskCounter": ledger.counter,
        "eventCounter": ledger.events,
        "tasks": [to_builtins(task) for task in ledger.tasks],
        "outbox": [to_builtins(entry) for entry in outbox],
    }


def cut_short(obj: Object, time: str) -> Object:
    """One that is gone, as last seen; where tasks had not ended, its last events say that their ends are missing."""
    ledger, entries = read(obj)
    tenants = sorted({task.tenant for task in ledger.tasks if task.stage is TaskStage.OPEN})
    if not tenants:
        return obj
    last = [
        OutboxEntry(
            id=f"{task_prefix(ledger.uid)}-gap/{ledger.events + number:06d}", position=ledger.events + number, type=GAP,
            subject="orchestration", time=time, tenant=tenant, message=_CUT_SHORT,
        )
        for number, tenant in enumerate(tenants, 1)
    ]  # fmt: skip
    return {**obj, "status": {**obj["status"], **written(ledger, (*entries, *last))}}


def source_of(obj: Object) -> str:
    """The events' source: which orchestration they are of."""
    namespace, name = key_of(obj)
    return f"/orchestrations/{namespace}/{name}"


def events_of(obj: Object) -> tuple[Event, ...]:
    """The events in an orchestration's outbox, as they are told; the same every time."""
    _, outbox = read(obj)
    source, uid = source_of(obj), str(obj["metadata"].get("uid") or "")
    return tuple(event_of(entry, source, uid) for entry in outbox)


def event_of(entry: OutboxEntry, source: str, uid: str) -> Event:
    """One entry as it is told."""
    task, _, sequence = entry.id.rpartition("/")
    kind, _, name = entry.subject.partition("/")
    namespace = source.split("/")[2]
    data: dict[str, Any] = {
        "taskId": task,
        "operation": (parts_of(entry.type) or ("", ""))[0],
        "resource": {"kind": kind, "name": name, "generation": entry.generation},
        "position": entry.position,
        "attempt": entry.attempt,
        "percent": entry.percent,
    }
    if entry.steps:
        data |= {"stepIndex": entry.done, "stepCount": entry.steps}
    for field, value in (("message", entry.message), ("durationSeconds", entry.seconds)):
        if value not in ("", None):
            data[field] = value
    if entry.error:
        data["error"] = {"detail": entry.error, "failedTries": entry.tries}
    return Event(
        id=entry.id, source=source, type=entry.type, time=entry.time, subject=entry.subject, datacontenttype=JSON,
        partitionkey=f"{namespace}/{source.rpartition('/')[2]}", taskid=task, sequence=sequence,
        correlationid=f"{uid}/{entry.generation}", tenant=entry.tenant or None,
        traceparent=entry.traceparent or None, data=data,
    )  # fmt: skip
