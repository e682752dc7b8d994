"""What operator and backends say to each other, as CloudEvents. Pure.

A command says which step of which orchestration, never what it writes: whoever carries it out derives that itself, and
compares. So nothing on the topic is worth stealing, and a forged command can only bring about what is wanted anyway.
"""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from continuo.events.cloudevent import Event
from continuo.events.types import parts_of, type_of
from continuo.orchestrator import naming
from continuo.orchestrator.act import fingerprint
from continuo.orchestrator.observe import Snapshot
from continuo.orchestrator.plan import Step, Write
from continuo.resources import kinds
from continuo.resources.meta import Key, Object, annotations_of

STEP = "step.run"
REQUESTED, STARTED, PROGRESS = "requested", "started", "progress"
SUCCEEDED, FAILED, SUPERSEDED = "succeeded", "failed", "superseded"
TERMINAL = frozenset({SUCCEEDED, FAILED, SUPERSEDED})

Word = Annotated[str, Meta(min_length=1, max_length=512)]
_T = TypeVar("_T")


class Unreadable(ValueError):
    """The data of an event is not what its type promises; `str()` is a sentence."""


class Command(Struct, frozen=True, kw_only=True, rename="camel"):
    """Carry out one step."""

    operator: Word
    """Whose command it is, and to whom the answer goes."""
    number: Annotated[int, Meta(ge=0)]
    namespace: Word
    name: Word
    uid: Word
    generation: int
    step: Word
    mark: Word
    """What the step writes, in short; see `mark`."""
    decided_at: Word
    expires_at: Word

    @property
    def key(self) -> Key:
        """The orchestration."""
        return self.namespace, self.name


class Answer(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How far a command is."""

    operator: Word
    number: Annotated[int, Meta(ge=0)]
    namespace: Word
    name: Word
    step: Word
    backend: Word
    message: Annotated[str, Meta(max_length=4096)] = ""
    done: int = 0
    """Writes that were answered."""
    of: int = 0
    versions: Annotated[tuple[str, ...], Meta(max_length=4096)] = ()
    """What the servers' versions of the written objects are, in the order of the writes; empty for deletions."""


def mark(step: Step, snapshot: Snapshot) -> str:
    """What a step writes, in short, for others to see.

    Values of Secrets are left out: a hash of them is something against which short values can be tried. The versions of
    the Secrets that they come from stand for them.
    """
    if all(write.kind != kinds.SECRET for write in step.writes):
        return fingerprint(step)
    versions = sorted((name, obj["metadata"].get("resourceVersion")) for name, obj in snapshot.secrets.items())
    shown = replace(step, writes=tuple(_without_values(write) for write in step.writes))
    return naming.digest([fingerprint(shown), versions])


def _without_values(write: Write) -> Write:
    if write.kind != kinds.SECRET:
        return write
    obj: Object = dict(write.object)
    for field in ("data", "stringData"):
        if field in obj:
            obj[field] = sorted(obj[field])
    annotations = {key: value for key, value in annotations_of(obj).items() if key != naming.APPLIED}
    obj["metadata"] = {**obj["metadata"], "annotations": annotations}
    return replace(write, object=obj)


def command_event(command: Command, step: Step, traceparent: str | None = None) -> Event:
    """The event that asks for a step."""
    return Event(
        id=f"{command.operator}/{command.number:09}", source=f"/operators/{command.operator}",
        type=type_of(STEP, REQUESTED), subject=f"{step.target.kind}/{step.target.name}", time=command.decided_at,
        partitionkey=_lane(command.namespace, command.name), correlationid=f"{command.uid}/{command.generation}",
        traceparent=traceparent, data=msgspec.to_builtins(command),
    )  # fmt: skip


def answer_event(answer: Answer, outcome: str, sequence: int, cause: Event, now: str) -> Event:
    """The event that says how far a command is; its id is the backend's own."""
    task = f"{answer.backend}/{answer.operator}/{answer.number:09}"
    return Event(
        id=f"{task}/{sequence:04}", source=f"/backends/{answer.backend}", type=type_of(STEP, outcome), time=now,
        subject=cause.subject, partitionkey=cause.partitionkey, taskid=task, sequence=f"{sequence:04}",
        correlationid=cause.correlationid, causationid=cause.id, traceparent=cause.traceparent,
        data=msgspec.to_builtins(answer),
    )  # fmt: skip


def outcome_of(event: Event) -> str | None:
    """What an event says of a step: REQUESTED, or one of the answers; None if it is about something else."""
    operation, outcome = parts_of(event.type) or ("", "")
    return outcome if operation == STEP else None


def read_command(event: Event) -> Command:
    """Raises Unreadable with a sentence."""
    return _read(event, Command)


def read_answer(event: Event) -> Answer:
    """Raises Unreadable with a sentence."""
    return _read(event, Answer)


def _read(event: Event, to: type[_T]) -> _T:
    try:
        return msgspec.convert(event.data, to)
    except msgspec.ValidationError as error:
        raise Unreadable(f"the data of {event.type} does not fit: {error}") from None


def _lane(namespace: str, name: str) -> str:
    """Messages about one orchestration stay in order."""
    return f"{namespace}/{name}"


def stamp(now: float) -> str:
    """Seconds since 1970 as RFC 3339."""
    return datetime.datetime.fromtimestamp(now, datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(text: str) -> float:
    """RFC 3339 as seconds since 1970. Raises Unreadable with a sentence."""
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise Unreadable(f"{text!r} is no time; it looks like 2026-01-31T09:00:00Z")
    return when.timestamp()
