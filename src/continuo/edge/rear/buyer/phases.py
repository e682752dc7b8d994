"""FLUIDOS' phases, and when something has taken too long. Pure."""

from __future__ import annotations

from continuo.edge.rear.times import seconds, stamp
from continuo.resources.meta import Object

SOLVED, FAILED, RUNNING, IDLE, TIMED_OUT, ACTIVE, PENDING, INACTIVE = (
    "Solved", "Failed", "Running", "Idle", "Timed Out", "Active", "Pending", "Inactive",
)  # fmt: skip
ENDS = (SOLVED, FAILED, TIMED_OUT, INACTIVE)
PATIENCE, SOLVING = 120.0, 300.0
"""Seconds for which one step, and a whole Solver, may be running."""


def word(obj: Object | None, field: str = "phase") -> str:
    """The phase in a PhaseStatus of an object's status."""
    return str((((obj or {}).get("status") or {}).get(field) or {}).get("phase") or "")


def message(obj: Object | None, field: str = "phase") -> str:
    """The message in it."""
    return str((((obj or {}).get("status") or {}).get(field) or {}).get("message") or "")


def phase(obj: Object, name: str, text: str, now: float, field: str = "phase") -> Object:
    """The PhaseStatus after a change; times move only with the phase."""
    before = (obj.get("status") or {}).get(field) or {}
    if before.get("phase") == name and before.get("message") == text:
        return dict(before)
    at = stamp(now)
    began = before.get("startTime") if before.get("phase") in (RUNNING, TIMED_OUT, IDLE) else None
    told: Object = {"phase": name, "message": text, "startTime": began or at}
    told["lastChangeTime"] = before.get("lastChangeTime", at) if before.get("phase") == name else at
    # An empty text ends what a merge patch would keep.
    return {**told, "endTime": at if name in ENDS else ""}


def running_for(obj: Object, now: float, field: str = "phase") -> float:
    """Seconds since a phase began to run; 0 if it has not."""
    before = (obj.get("status") or {}).get(field) or {}
    began = seconds(before.get("startTime"))
    return max(0.0, now - began) if began is not None and before.get("phase") in (RUNNING, TIMED_OUT) else 0.0


def begun(obj: Object, text: str, now: float, field: str = "phase") -> Object:
    """Running; what runs already is left as it is, since each of our own writes makes us look again."""
    if word(obj, field) in (RUNNING, TIMED_OUT):
        return dict(obj["status"][field])
    return phase(obj, RUNNING, text, now, field)


def waiting(obj: Object, text: str, now: float, field: str = "phase", patience: float = PATIENCE) -> Object:
    """Running, or Timed Out once that has taken too long; what timed out is still tried, ever more rarely."""
    late = running_for(obj, now, field) > patience
    return phase(obj, TIMED_OUT if late else RUNNING, text, now, field)
