"""Times as kubectl shows them: `42s`, `3m10s`, `5h`, `12d`."""

from __future__ import annotations

from datetime import UTC, datetime

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400


def human_duration(seconds: float) -> str:
    """A duration in at most two units, precise while it is short."""
    total = int(seconds)
    if seconds < -1:
        return "<invalid>"
    if total < 2 * _MINUTE:
        return f"{max(total, 0)}s"
    if total < 10 * _MINUTE:
        return _two(total, _MINUTE, "m", 1, "s")
    if total < 3 * _HOUR:
        return f"{total // _MINUTE}m"
    if total < 8 * _HOUR:
        return _two(total, _HOUR, "h", _MINUTE, "m")
    if total < 2 * _DAY:
        return f"{total // _HOUR}h"
    if total < 8 * _DAY:
        return _two(total, _DAY, "d", _HOUR, "h")
    if total < 2 * _YEAR:
        return f"{total // _DAY}d"
    if total < 8 * _YEAR:
        return _two(total, _YEAR, "y", _DAY, "d")
    return f"{total // _YEAR}y"


def _two(total: int, unit: int, name: str, small: int, small_name: str) -> str:
    rest = total % unit // small
    return f"{total // unit}{name}{rest}{small_name}" if rest else f"{total // unit}{name}"


def parse_time(text: str) -> float | None:
    """Seconds since the epoch of an RFC 3339 time, or None when it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def age(text: str | None, now: float) -> str:
    """How long ago a time was."""
    if not text:
        return "<unknown>"
    then = parse_time(text)
    return "<invalid>" if then is None else human_duration(now - then)
