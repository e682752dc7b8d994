"""Why a part may not be on a site: the kinds of reasons, and how figures are written in their sentences."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Cause(StrEnum):
    """What rules a site out."""

    UNAVAILABLE = "unavailable"
    PINNED = "pinned"
    HINT = "hint"
    LABELS = "labels"
    LOCATION = "location"
    LINK = "link"
    FIXED = "fixed"
    CPU = "cpu"
    MEMORY = "memory"
    GPU = "gpu"
    BESIDE = "beside"
    APART = "apart"
    SPREAD = "spread"
    LATENCY = "latency"
    JITTER = "jitter"
    BANDWIDTH = "bandwidth"
    NOT_MEASURED = "not-measured"
    COST = "cost-budget"
    CARBON = "carbon-budget"


class Refusal(Struct, frozen=True, rename="camel", omit_defaults=True):
    """One reason, in words that follow the site's name and a colon."""

    cause: Cause
    message: str
    age_seconds: float | None = None
    """How old the figures are that it rests on, where they were measured or declared at some time."""


def cpu(millis: int) -> str:
    """`1500m`, as Kubernetes writes it."""
    return f"{millis}m" if millis % 1000 else str(millis // 1000)


def memory(count: int) -> str:
    """`1.5Gi`, in the largest unit of which there is at least one; rounded to two places."""
    size = float(count)
    for unit in ("", "Ki", "Mi", "Gi"):
        if abs(size) < 1024:
            return f"{size:.2f}".rstrip("0").rstrip(".") + unit
        size /= 1024
    return f"{size:.2f}".rstrip("0").rstrip(".") + "Ti"


def milliseconds(value: float) -> str:
    """`12.5 ms`."""
    return f"{value:.4g} ms"


def rate(bps: int) -> str:
    """`10 Mbit/s`."""
    size = float(bps)
    for unit in ("bit/s", "kbit/s", "Mbit/s"):
        if abs(size) < 1000:
            return f"{size:.4g} {unit}"
        size /= 1000
    return f"{size:.4g} Gbit/s"


def age(seconds: float | None) -> str:
    """`, 3 min old`, or nothing where it is not known."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f", {seconds / length:.0f} {unit} old"
    return f", {seconds:.0f} s old"
