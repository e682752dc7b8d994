"""Tasks: from plan, assessment and failures to the work that the ledger keeps, and the status that tells of both.

A task is of an item, not of a step: it begins with the first write for the item, and is over when the very status that it
is written with says that the item is ready, or gone. So an event and the state that it tells of cannot differ. Pure.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from continuo.events import outbox
from continuo.events.ledger import Ledger, advance, next_deadline, pause, resume, unbegun
from continuo.orchestrator.act import Attempts
from continuo.orchestrator.assess import Assessment
from continuo.orchestrator.observe import Snapshot
from continuo.orchestrator.orient import Wanted
from continuo.orchestrator.plan import Plan
from continuo.orchestrator.rollback import marked
from continuo.orchestrator.settings import Settings
from continuo.orchestrator.work import Observed, work_of
from continuo.resources.meta import Object, annotations_of
from continuo.resources.orchestration_tasks import OutboxEntry

TRACEPARENT = "continuo.dev/traceparent"
"""Annotation of an orchestration: the trace of the request that declared it."""


@dataclass(frozen=True, slots=True)
class Booked:
    """A round as it is written down before anything of it is done."""

    status: Object
    plan: Plan
    """What may be done now: steps whose task could not begin yet wait without their writes."""
    entries: tuple[OutboxEntry, ...]
    """What is told with this status."""
    next_look: float | None
    """Seconds until a task is late."""
    waiting: bool
    """Some tasks could not begin: there is another round to come at once."""


def book(
    snapshot: Snapshot,
    wanted: Wanted,
    assessment: Assessment,
    plan: Plan,
    attempts: Attempts,
    status: Object,
    settings: Settings,
    now: datetime.datetime,
    confirmed: Collection[str] = (),
) -> Booked:
    """The status with its tasks and events. It differs from what is stored only where there is something to tell."""
    status = marked(status, snapshot)
    ledger, told = outbox.read(snapshot.object)
    ledger = resume(ledger, now)
    observed = Observed(snapshot, wanted, assessment, plan, attempts.tried(), status, settings, ledger)
    works, of_step = work_of(observed)
    after, entries = advance(
        ledger, works, now, generation=snapshot.orchestration.generation or 0,
        traceparent=annotations_of(snapshot.object).get(TRACEPARENT, ""),
    )  # fmt: skip
    held = unbegun(after, works)
    return Booked(
        _with_tasks(snapshot, status, after, told, entries, confirmed), _without(plan, of_step, held), entries,
        next_deadline(after, works, now), bool(held),
    )  # fmt: skip


def paused(snapshot: Snapshot, status: Object, now: datetime.datetime) -> Object:
    """The status while nothing is changed: tasks are as they were, but that their deadlines stand still."""
    before = snapshot.object.get("status") or {}
    ledger, told = outbox.read(snapshot.object)
    kept = outbox.written(pause(ledger, now), told) if ledger.tasks else {}
    return {**before, **status, **kept}


def _with_tasks(
    snapshot: Snapshot,
    status: Object,
    ledger: Ledger,
    told: Iterable[OutboxEntry],
    entries: tuple[OutboxEntry, ...],
    confirmed: Collection[str],
) -> Object:
    before, told = snapshot.object.get("status") or {}, tuple(told)
    new = {**status, **outbox.written(ledger, outbox.put(told, entries, confirmed))}
    if new == before:
        return new
    return {**status, **outbox.written(ledger, outbox.put(told, entries, confirmed, writing=True))}


def _without(plan: Plan, of_step: Mapping[str, tuple[str, str]], held: Collection[tuple[str, str]]) -> Plan:
    """The plan, with nothing to write for what has not begun."""
    if not held:
        return plan
    steps = tuple(replace(step, writes=()) if of_step.get(step.id) in held else step for step in plan.steps)
    return Plan(steps, plan.refusals)
