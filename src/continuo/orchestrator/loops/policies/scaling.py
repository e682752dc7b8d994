"""Bounds, steps and windows between what a figure wants and what is done: the same for pods and for workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from continuo.orchestrator.loops.model import Memory
from continuo.orchestrator.loops.policies import window
from continuo.orchestrator.loops.policies.measured import Reading, stale_after


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many there may be, and how quickly that changes."""

    least: int
    most: int
    step: int
    down_after: timedelta
    every: int | None
    """Seconds between two looks at a figure; none where whatever changes is looked at."""
    noun: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many there should be now, and why."""

    count: int
    reason: str = ""
    """Empty where nothing changes."""
    message: str = ""
    next_look: datetime | None = None
    memory: Memory = field(default_factory=Memory)


def judge(reading: Reading, count: int, bounds: Bounds, memory: Memory, now: datetime) -> Verdict:
    """More at once, fewer only when fewer were enough all the time; never beyond the bounds, never by more than a step."""
    wanted = count if reading.want is None else reading.want
    kept = window.remember(
        memory, now, wanted, bounds.down_after, None if bounds.every is None else stale_after(bounds.every)
    )
    if (outside := _outside(count, bounds)) is not None:
        return Verdict(outside[0], outside[1], memory=kept)
    if reading.want is None:
        return Verdict(count, message=reading.problem, memory=kept)
    if reading.want > count:
        return _more(reading, count, bounds, kept)
    return _fewer(reading, count, bounds, kept, now)


def _outside(count: int, bounds: Bounds) -> tuple[int, str] | None:
    if count < bounds.least:
        return bounds.least, f"{_many(count, bounds)}, and `min` says {bounds.least}"
    if count > bounds.most:
        return bounds.most, f"{_many(count, bounds)}, and `max` says {bounds.most}"
    return None


def _many(count: int, bounds: Bounds) -> str:
    return f"{count} {bounds.noun[:-1] if count == 1 else bounds.noun}"


def _more(reading: Reading, count: int, bounds: Bounds, memory: Memory) -> Verdict:
    want = reading.want or 0
    chosen = min(want, bounds.most, count + bounds.step)
    capped = f"{_many(want, bounds)} would be needed, and `max` says {bounds.most}" if want > bounds.most else ""
    if chosen <= count:
        return Verdict(count, message=capped, memory=memory)
    told = f"{reading.text}: {want} {'are' if want != 1 else 'is'} needed"
    return Verdict(chosen, told + (f", at most {chosen} for now" if chosen < want else ""), capped, memory=memory)


def _fewer(reading: Reading, count: int, bounds: Bounds, memory: Memory, now: datetime) -> Verdict:
    want = max(reading.want or 0, bounds.least)
    if want >= count:
        return Verdict(count, memory=memory)
    high = window.highest(memory, now, bounds.down_after)
    seconds = int(bounds.down_after.total_seconds())
    if high is None or max(high, bounds.least) >= count:
        free = window.free_at(memory, bounds.down_after)
        message = f"{_many(want, bounds)} would be enough now; fewer come when that was so for {seconds} s"
        return Verdict(count, message=message, next_look=free, memory=memory)
    high = max(high, bounds.least)
    chosen = max(high, count - bounds.step)
    told = f"{reading.text}; {high} {'were' if high != 1 else 'was'} enough"
    return Verdict(chosen, f"{told} for {seconds} s" if seconds else told, memory=memory)
