"""The names of events: `dev.continuo.NOUN.ACTION.OUTCOME.v1`."""

from __future__ import annotations

from enum import StrEnum

PREFIX, VERSION = "dev.continuo.", "v1"
GAP = f"{PREFIX}events.gap.{VERSION}"
"""Events are missing before this one: the log no longer had them, or the reader was too slow."""


class Outcome(StrEnum):
    """What an event says of its task."""

    REQUESTED = "requested"
    STARTED = "started"
    PROGRESS = "progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether the task is over with it."""
        return self in (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.CANCELLED)


def type_of(operation: str, outcome: str) -> str:
    """The type of an event about an operation such as `cluster.create`."""
    return f"{PREFIX}{operation}.{outcome}.{VERSION}"


def parts_of(type_: str) -> tuple[str, str] | None:
    """(operation, outcome) of one of our types; None of others."""
    inner = type_.removeprefix(PREFIX).removesuffix(f".{VERSION}")
    if len(inner) != len(type_) - len(PREFIX) - len(VERSION) - 1:
        return None
    operation, _, outcome = inner.rpartition(".")
    return (operation, outcome) if operation and outcome else None
