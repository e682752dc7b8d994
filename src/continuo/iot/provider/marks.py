"""What annotations say of a managed resource: its external name, how its creation went, what somebody asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from continuo.resources.boards import EXTERNAL_NAME
from continuo.resources.meta import Object, annotations_of

PENDING = "crossplane.io/external-create-pending"
SUCCEEDED = "crossplane.io/external-create-succeeded"
FAILED = "crossplane.io/external-create-failed"
PAUSED = "crossplane.io/paused"
POLL = "crossplane.io/poll-interval"
REQUESTED = "crossplane.io/reconcile-requested-at"
FINALIZER = "finalizer.managedresource.crossplane.io"
OURS = frozenset({PENDING, SUCCEEDED, FAILED})
"""Annotations that only we write: a change of them is no reason to look again."""

_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Marks:
    """Times are Unix seconds."""

    external_name: str = ""
    pending: float | None = None
    succeeded: float | None = None
    failed: float | None = None
    paused: bool = False
    poll: float | None = None
    requested: str = ""

    @property
    def uncertain(self) -> bool:
        """A creation was begun, and nothing says how it ended."""
        ended = max(self.succeeded or 0.0, self.failed or 0.0)
        return not self.external_name and self.pending is not None and self.pending > ended


def marks_of(obj: Object) -> Marks:
    """What the annotations say; a time or duration that is none counts as absent."""
    said: Mapping[str, str] = annotations_of(obj)
    return Marks(
        said.get(EXTERNAL_NAME, ""), seconds(said.get(PENDING)), seconds(said.get(SUCCEEDED)), seconds(said.get(FAILED)),
        said.get(PAUSED) == "true", duration(said.get(POLL, "")), said.get(REQUESTED, ""),
    )  # fmt: skip


def seconds(text: str | None) -> float | None:
    """An RFC 3339 time."""
    try:
        return datetime.fromisoformat((text or "").replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def stamp(now: float) -> str:
    """A time as annotations and conditions have it. To the microsecond: two within a second have an order."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def duration(text: str) -> float | None:
    """Seconds of a Go duration such as `1m30s`; None where it is none."""
    total, at = 0.0, 0
    for part in _PART.finditer(text):
        if part.start() != at:
            return None
        total, at = total + float(part[1]) * _UNITS[part[2]], part.end()
    return total if at and at == len(text) else None
