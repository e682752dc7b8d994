"""What a LowLevelOrchestration's status says of tasks: those under way, and the events of theirs that are to be told.

Both stand in the object whose state they speak of, and are written with it in one request: no state is without its event,
and no event without its state.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

MAX_TASKS, MAX_OUTBOX = 1024, 1024
"""What the schema allows; how much is used of it, the ledger and the outbox decide."""


class TaskStage(StrEnum):
    """Whether a task is still worked at."""

    OPEN = "Open"
    FAILED = "Failed"
    REFUSED = "Refused"


Word = Annotated[str, Meta(max_length=128)]
Sentence = Annotated[str, Meta(max_length=512)]
Number = Annotated[int, Meta(ge=0, extra={"format": "int32"})]
Moment = Annotated[str, Meta(max_length=40, extra={"format": "date-time"})]


class TaskStatus(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One task: under way, or failed and not made good yet. What succeeded or was cancelled is no longer here."""

    id: Annotated[Word, Meta(description="Its name in events.")]
    operation: Annotated[Word, Meta(description="What it does, such as `cluster.create`.")]
    target: Annotated[Annotated[str, Meta(max_length=253)], Meta(description="To what, such as `cluster/green`.")]
    stage: Annotated[TaskStage, Meta(description="Whether it is under way, failed, or was refused.")] = TaskStage.OPEN
    attempt: Annotated[Number, Meta(description="The how manieth task for the same wish.")] = 1
    sequence: Annotated[Number, Meta(description="The number of its last event.")] = 0
    percent: Annotated[Number, Meta(description="How far it is.")] = 0
    started_at: Annotated[Moment, Meta(description="When it began.")]
    since: Annotated[
        Annotated[str, Meta(max_length=40)], Meta(description="From when its deadline counts, where later than its start.")
    ] = ""  # fmt: skip
    paused: Annotated[
        Annotated[str, Meta(max_length=40)], Meta(description="Since when its deadline stands still, where it does.")
    ] = ""  # fmt: skip
    tries: Annotated[Number, Meta(description="How many of its tries failed.")] = 0
    told: Annotated[Number, Meta(description="The failed tries in a row, as last told.")] = 0
    wish: Annotated[Annotated[str, Meta(max_length=32)], Meta(description="A digest of what was declared.")] = ""
    tenant: Annotated[Annotated[str, Meta(max_length=253)], Meta(description="Whose application it is about.")] = ""


class OutboxEntry(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One event that tells of a change of this status; kept until everybody who asked for events has it."""

    id: Annotated[Word, Meta(description="The event's id: TASK/SEQUENCE.")]
    position: Annotated[Number, Meta(description="Its place among all events of this orchestration, without a gap.")]
    type: Annotated[Word, Meta(description="Its type, such as `dev.continuo.cluster.create.started.v1`.")]
    subject: Annotated[Annotated[str, Meta(max_length=253)], Meta(description="What it is about: `cluster/green`.")]
    time: Annotated[Moment, Meta(description="When it happened.")]
    generation: Annotated[
        Annotated[int, Meta(ge=0, extra={"format": "int64"})], Meta(description="The declaration it served.")
    ] = 0
    attempt: Annotated[Number, Meta(description="The how manieth task for the same wish.")] = 1
    percent: Annotated[Number, Meta(description="How far the task is.")] = 0
    done: Annotated[Number, Meta(description="Steps that are done.")] = 0
    steps: Annotated[Number, Meta(description="Steps in all.")] = 0
    tries: Annotated[Number, Meta(description="How many of its tries failed.")] = 0
    message: Annotated[Sentence, Meta(description="What, in a few words or one sentence.")] = ""
    error: Annotated[Sentence, Meta(description="What failed, in one sentence.")] = ""
    seconds: Annotated[Number | None, Meta(description="How long the task took, where it ended.")] = None
    tenant: Annotated[Annotated[str, Meta(max_length=253)], Meta(description="Whose application it is about.")] = ""
    traceparent: Annotated[Annotated[str, Meta(max_length=64)], Meta(description="The trace that it belongs to.")] = ""
