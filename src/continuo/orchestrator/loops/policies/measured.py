"""From a figure to how many pods (or workers) are wanted, in the manner of the HorizontalPodAutoscaler.

A pod of which nothing is known counts as idle when there would be more, and never lets there be fewer. One that is not ready
counts as busy then: pods that find no node must not keep those from going that nobody needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from continuo.orchestrator.loops.model import Figure
from continuo.resources.orchestration_policies import Metric, MetricSource

FUZZ = 1e-9
"""What floating point may add to a whole number before it counts as more."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a figure says."""

    text: str
    """Such as `cpu 0.93 of 0.70 on 2 pods`."""
    want: int | None = None
    """How many there should be; none where that is not known."""
    problem: str = ""
    numbers: dict[str, object] = field(default_factory=dict)


def up(value: float) -> int:
    """Rounded up, except for what floating point added."""
    return math.ceil(value - FUZZ)


def short(value: float) -> str:
    """A number for people: `0.93`, `215`, `1.2e+07`."""
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.4g}"


def stale_after(every: int) -> timedelta:
    """How old a figure may be that is asked for so often."""
    return timedelta(seconds=2 * every + 30)


def read(
    metric: Metric, figure: Figure | None, now: datetime, every: int, units: int, ready: int, noun: str
) -> Reading:
    """What is wanted of `units` pods or workers, `ready` of which are."""
    name = metric.resource if metric.source is MetricSource.RESOURCE else "query"
    unknown = f"{name} is not known"
    if figure is None:
        return Reading(unknown, problem="waiting for the first figure")
    if figure.problem:
        return Reading(unknown, problem=figure.problem)
    age = now - figure.at
    if age > stale_after(every):
        return Reading(unknown, problem=f"the newest figure is {int(age.total_seconds())} s old")
    if metric.source is MetricSource.RESOURCE:
        return _of_samples(metric, figure, units, ready, noun)
    return _of_query(metric, figure, units, ready, noun)


def _of_samples(metric: Metric, figure: Figure, units: int, ready: int, noun: str) -> Reading:
    known = [sample.value for sample in figure.samples if sample.ready and sample.value is not None]
    lag = max(units, len(figure.samples)) - len(known)
    if not known:
        return Reading(
            f"{metric.resource} is not known", problem=f"there is no figure of any ready one of {units} {noun}"
        )
    total, average = sum(known), sum(known) / len(known)
    of = f"{len(known)} of {len(known) + lag}" if lag else f"{len(known)}"
    text = f"{metric.resource} {short(average)} of {short(metric.target)} on {of} {noun if lag or units != 1 else noun[:-1]}"
    numbers: dict[str, object] = {
        "average": round(average, 4),
        "target": metric.target,
        "known": len(known),
        "unknown": lag,
    }
    ratio = average / metric.target
    if lag and ratio <= 1:
        dark = lag - max(sum(not sample.ready for sample in figure.samples), units - ready)
        fewer = units if dark > 0 else up(total / metric.target + lag)  # as if each of them did all that it should
        return Reading(text, min(fewer, units), numbers=numbers)
    if _near(total / (len(known) + lag) / metric.target, metric) or (lag and total / metric.target < len(known) + lag):
        return Reading(text, units, numbers=numbers)
    want = up(total / metric.target)
    return Reading(text, max(want, units) if lag else want, numbers=numbers)


def _of_query(metric: Metric, figure: Figure, units: int, ready: int, noun: str) -> Reading:
    value = figure.value
    if value is None or not math.isfinite(value) or value < 0:
        return Reading("query is not known", problem=f"the query returned {value}, which is no number to scale by")
    per_unit = value if metric.per_unit else value / max(units, 1)
    text = f"query {short(per_unit)} of {short(metric.target)} per {noun[:-1]} on {units} {noun if units != 1 else noun[:-1]}"
    numbers: dict[str, object] = {"value": value, "target": metric.target, "perUnit": metric.per_unit}
    if _near(per_unit / metric.target, metric):
        return Reading(text, units, numbers=numbers)
    if not metric.per_unit:
        return Reading(text, up(value / metric.target), numbers=numbers)
    want = up(value / metric.target * ready)
    # The average is of those that are ready: what the others would change is not known.
    return Reading(text, max(want, units) if ready < units else want, numbers=numbers)


def _near(ratio: float, metric: Metric) -> bool:
    return abs(ratio - 1) <= metric.tolerance + FUZZ
