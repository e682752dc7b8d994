"""What was wanted lately: fewer of something only when fewer were enough for a whole window.

What is remembered covers the window only after it was watched for that long, so a restart makes scaling down later.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from continuo.orchestrator.loops.model import Memory, Want


def remember(memory: Memory, now: datetime, want: int, window: timedelta, gap: timedelta) -> Memory:
    """With what is wanted now. Wants that can no longer be the highest are dropped, so few are kept.

    A look that comes `gap` or longer after the last one begins anew: nobody knows what was wanted in between.
    """
    wants = memory.wants
    if memory.started is None or not wants or not timedelta(0) <= now - wants[-1].at <= gap:
        return replace(memory, started=now, wants=(Want(now, want),))
    kept = tuple(before for before in wants if before.value > want and before.at >= now - window)
    return replace(memory, wants=(*kept, Want(now, want)))


def highest(memory: Memory, now: datetime, window: timedelta) -> int | None:
    """The highest want of the window; None while it was not watched for as long as that."""
    if memory.started is None or now - memory.started < window:
        return None
    return max((want.value for want in memory.wants if want.at >= now - window), default=None)


def free_at(memory: Memory, window: timedelta) -> datetime | None:
    """When the highest want leaves the window, or the window is full; None where nothing is remembered."""
    if memory.started is None or not memory.wants:
        return None
    return max(memory.started, memory.wants[0].at) + window
