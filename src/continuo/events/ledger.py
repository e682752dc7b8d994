"""The ledger of tasks: from what is seen of the work to tasks that begin, go on and end, and to the events that tell it.

Pure, and its own only memory: the ledger stands in the status of the orchestration that the tasks serve. A task has one
`started` first, one end last, and a percentage that never falls; whoever advances the same ledger twice by the same
observations gets the same events with the same ids.

    open ──gone──> succeeded          open ──withdrawn──> cancelled        open ──late, refused──> failed, remembered
    failed ──gone──> the next attempt: started, succeeded                  failed ──withdrawn──> forgotten
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from continuo.events.types import Outcome, type_of
from continuo.resources.orchestration_tasks import OutboxEntry, TaskStage, TaskStatus

AT_ONCE = 128
"""Tasks that begin in one round: their events have to find room in the outbox."""

MOST_TASKS = 768
"""Tasks in one ledger; what would be more waits until others have ended."""

STRIDE = 10
"""Percent: how far a task gets between two events that say nothing else."""

SENTENCE, WORDS = 512, 240
_UID = 12


@dataclass(frozen=True, slots=True)
class Work:
    """What is seen of one thing to do that is not done. What is done is not mentioned."""

    operation: str
    target: str
    begins: bool = False
    """Something of it is about to be written. A task begins with that, or with being refused."""
    done: int = 0
    steps: int = 1
    detail: str = ""
    failure: str = ""
    """Why its last try failed; empty after one that did not."""
    tries: int = 0
    """How often in a row it was tried and failed."""
    within: float | None = None
    """Seconds after which it counts as failed."""
    refused: str = ""
    """Why it will not be done as it was declared."""
    withdrawn: bool = False
    """Nobody wants it any more."""
    wish: str = ""
    """A digest of what is wanted: a task that failed is taken up again for another one."""
    tenant: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.target, family(self.operation)


@dataclass(frozen=True, slots=True)
class Ledger:
    """The tasks of one orchestration that are under way or failed, and how many tasks there ever were."""

    uid: str
    counter: int = 0
    events: int = 0
    """How many events there ever were: the position of the last one."""
    tasks: tuple[TaskStatus, ...] = ()


def family(operation: str) -> str:
    """Making and changing a thing are one task after the other; removing it and rolling it back are others beside."""
    action = operation.rpartition(".")[2]
    return {"delete": "removal", "uninstall": "removal", "remove": "removal", "undeploy": "removal",
            "leave": "leave", "rollback": "rollback"}.get(action, "")  # fmt: skip


def task_prefix(uid: str) -> str:
    """What the ids of an object's tasks begin with."""
    return uid.replace("-", "")[:_UID]


def key_of(task: TaskStatus) -> tuple[str, str]:
    """What a task is found by: its target, and the family of what it does."""
    return task.target, family(task.operation)


def stamp(now: datetime.datetime) -> str:
    """RFC 3339, to the millisecond."""
    return now.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def advance(
    ledger: Ledger, observed: Iterable[Work], now: datetime.datetime, *, generation: int = 0, traceparent: str = ""
) -> tuple[Ledger, tuple[OutboxEntry, ...]]:
    """The ledger after this look, and the events that tell the difference. The same ledger where there is none."""
    works = {work.key: work for work in observed}
    book = _Book(ledger, now, generation, traceparent)
    for task in ledger.tasks:
        work = works.pop(key_of(task), None)
        if task.stage is TaskStage.OPEN:
            book.go_on(task, work)
        else:
            book.remember(task, work)
    for work in works.values():
        if (work.begins or work.refused) and not work.withdrawn:
            book.begin(work, 1)
    if not book.entries and tuple(book.tasks) == ledger.tasks:
        return ledger, ()
    return Ledger(ledger.uid, book.counter, ledger.events + len(book.entries), tuple(book.tasks)), tuple(book.entries)


def unbegun(ledger: Ledger, observed: Iterable[Work]) -> frozenset[tuple[str, str]]:
    """The keys of what could begin and did not, because too much begins at once: it has to wait for the next round."""
    known = {key_of(task) for task in ledger.tasks}
    return frozenset(work.key for work in observed if work.begins and not work.withdrawn and work.key not in known)


def next_deadline(ledger: Ledger, observed: Iterable[Work], now: datetime.datetime) -> float | None:
    """Seconds until the first open task is late; None where none can be."""
    works = {work.key: work for work in observed}
    left = [
        work.within - _seconds(task, now)
        for task in ledger.tasks
        if task.stage is TaskStage.OPEN
        and (work := works.get(key_of(task))) is not None
        and work.within is not None
    ]  # fmt: skip
    return max(0.0, min(left)) if left else None


def pause(ledger: Ledger, now: datetime.datetime) -> Ledger:
    """The ledger while nothing is worked at: deadlines stand still."""
    tasks = (
        replace(task, paused=stamp(now)) if task.stage is TaskStage.OPEN and not task.paused else task
        for task in ledger.tasks
    )
    return dataclasses.replace(ledger, tasks=tuple(tasks))


def resume(ledger: Ledger, now: datetime.datetime) -> Ledger:
    """The ledger when work goes on: what was left of each task's time is left."""
    return dataclasses.replace(ledger, tasks=tuple(_resumed(t, now) if t.paused else t for t in ledger.tasks))


def _resumed(task: TaskStatus, now: datetime.datetime) -> TaskStatus:
    stood = max(datetime.timedelta(), now - datetime.datetime.fromisoformat(task.paused))
    since = datetime.datetime.fromisoformat(task.since or task.started_at) + stood
    return replace(task, since=stamp(since), paused="")


def _seconds(task: TaskStatus, now: datetime.datetime, *, whole: bool = False) -> float:
    since = task.started_at if whole else task.since or task.started_at
    return (now - datetime.datetime.fromisoformat(since)).total_seconds()


def _attempt(task: TaskStatus, work: Work) -> int:
    """Another wish has its first attempt."""
    return task.attempt + 1 if work.wish == task.wish else 1


def _percent(work: Work) -> int:
    """A hundred is said at the end only."""
    return min(99, 100 * work.done // max(1, work.steps))


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


@dataclass(slots=True)
class _Book:
    """One advance, as it is written."""

    ledger: Ledger
    now: datetime.datetime
    generation: int
    traceparent: str
    tasks: list[TaskStatus] = field(default_factory=list)
    entries: list[OutboxEntry] = field(default_factory=list)
    counter: int = 0
    _begun: int = 0

    def __post_init__(self) -> None:
        self.counter = self.ledger.counter

    def begin(self, work: Work, attempt: int) -> TaskStatus | None:
        """A new task, told; None where it has to wait. One that is refused ends at once."""
        if self._begun >= AT_ONCE or max(len(self.ledger.tasks), len(self.tasks)) >= MOST_TASKS:
            return None
        task = self._new(work.operation, work.target, attempt, work.wish, work.tenant)
        task = replace(task, percent=_percent(work), told=work.tries if work.failure else 0)
        told = self._tell(task, Outcome.STARTED, work, message=work.detail)
        self.tasks.append(self._fail(told, work, TaskStage.REFUSED, work.refused) if work.refused else told)
        return told

    def go_on(self, task: TaskStatus, work: Work | None) -> None:
        """An open task: it ends, or tells how far it is."""
        if work is None:
            self._tell(task, Outcome.SUCCEEDED, None)
        elif work.withdrawn:
            self._tell(task, Outcome.CANCELLED, work, message=work.detail)
        elif work.refused:
            self.tasks.append(self._fail(task, work, TaskStage.REFUSED, work.refused))
        else:
            task = self._renewed(task, work)
            if work.within is not None and _seconds(task, self.now) >= work.within:
                why = work.failure or work.detail
                told = f"it is not done after {work.within:g} s{f': {why}' if why else ''}"
                self.tasks.append(self._fail(task, work, TaskStage.FAILED, told))
            else:
                self.tasks.append(self._progress(task, work))

    def remember(self, task: TaskStatus, work: Work | None) -> None:
        """A failed task: forgotten when nobody wants it, made good by another one, or still failed."""
        if work is None:
            self._make_good(task)
        elif work.withdrawn:
            return
        elif not self._again(task, work) or self.begin(work, _attempt(task, work)) is None:
            self.tasks.append(task)

    @staticmethod
    def _again(task: TaskStatus, work: Work) -> bool:
        """Whether a failed task is taken up by a new one. What was late goes on being tried, and is told when it works."""
        if task.stage is TaskStage.REFUSED and not work.refused:
            return work.begins
        return work.wish != task.wish and (work.begins or bool(work.refused))

    def _make_good(self, task: TaskStatus) -> None:
        """What had failed is done: the next attempt began and succeeded."""
        if self._begun >= AT_ONCE:
            self.tasks.append(task)
            return
        again = self._new(task.operation, task.target, task.attempt + 1, task.wish, task.tenant)
        again = self._tell(again, Outcome.STARTED, None)
        self._tell(again, Outcome.SUCCEEDED, None)

    def _new(self, operation: str, target: str, attempt: int, wish: str, tenant: str) -> TaskStatus:
        self.counter += 1
        self._begun += 1
        return TaskStatus(
            id=f"{task_prefix(self.ledger.uid)}-{self.counter}", operation=operation, target=target, attempt=attempt,
            started_at=stamp(self.now), wish=wish, tenant=tenant,
        )  # fmt: skip

    def _renewed(self, task: TaskStatus, work: Work) -> TaskStatus:
        """Another wish for the same thing goes into the task under way, which has its whole time again."""
        return task if work.wish == task.wish else replace(task, wish=work.wish, since=stamp(self.now))

    def _progress(self, task: TaskStatus, work: Work) -> TaskStatus:
        percent = max(task.percent, _percent(work))
        failing = bool(work.failure) and work.tries != task.told
        known = replace(task, told=work.tries if work.failure else 0, tries=task.tries + failing)
        if failing:
            return self._tell(replace(known, percent=percent), Outcome.PROGRESS, work, error=work.failure)
        if percent // STRIDE > task.percent // STRIDE:
            return self._tell(replace(known, percent=percent), Outcome.PROGRESS, work, message=work.detail)
        return known

    def _fail(self, task: TaskStatus, work: Work, stage: TaskStage, why: str) -> TaskStatus:
        return replace(self._tell(task, Outcome.FAILED, work, error=why), stage=stage, wish=work.wish)

    def _tell(
        self, task: TaskStatus, outcome: Outcome, work: Work | None, *, message: str = "", error: str = ""
    ) -> TaskStatus:
        """The task with one more event."""
        task = replace(task, sequence=task.sequence + 1)
        self.entries.append(
            OutboxEntry(
                id=f"{task.id}/{task.sequence:06d}", type=type_of(task.operation, outcome), subject=task.target,
                position=self.ledger.events + len(self.entries) + 1, time=stamp(self.now), generation=self.generation,
                attempt=task.attempt,
                percent=100 if outcome is Outcome.SUCCEEDED else task.percent,
                done=work.done if work is not None else 0, steps=work.steps if work is not None else 0,
                tries=task.tries, message=_cut(message, WORDS), error=_cut(error, SENTENCE),
                seconds=max(0, round(_seconds(task, self.now, whole=True))) if outcome.terminal else None,
                tenant=task.tenant, traceparent=self.traceparent,
            )
        )  # fmt: skip
        return task
