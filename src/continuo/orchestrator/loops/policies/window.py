"""What was wanted lately: fewer of something only when fewer were enough for a whole window.

What is remembered covers the window only after it was watched for that long, so a restart makes scaling down later.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from continuo.orchestrator.loops.model import Memory, Want


def remember(memory: Memory, now: datetime, want: int, window: timedelta, gap: timedelta | None) -> Memory:
    """With what is wanted now; what was wanted before counts as wanted until now.

    Wants that can no longer be the highest are dropped, so few are kept. A look that comes later than `gap` after the last
    one begins anew, because nobody knows what was wanted in between; without a gap whatever changes is looked at.
    """
    wants = memory.wants
    late = gap is not None and bool(wants) and now - wants[-1].at > gap
    if memory.started is None or not wants or late or now < wants[-1].at:
        return replace(memory, started=now, wants=(Want(now, want),))
    held = (*wants[:-1], Want(now, wants[-1].value))
    kept = tuple(before for before in held if before.value > want and before.at > now - window)
    return replace(memory, wants=(*kept, Want(now, want)))


def highest(memory: Memory, now: datetime, window: timedelta) -> int | None:
    """The highest want of the window; None while it was not watched for as long as that."""
    if memory.started is None or not memory.wants or now - memory.started < window:
        return None
    return max(want.value for want in memory.wants if want.at > now - window or want is memory.wants[-1])


def free_at(memory: Memory, window: timedelta) -> datetime | None:
    """When the highest want leaves the window, or the window is full; None where nothing is remembered."""
    if memory.started is None or not memory.wants:
        return None
    return max(memory.started, memory.wants[0].at if len(memory.wants) > 1 else memory.started) + window
