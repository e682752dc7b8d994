"""Claim against measurement: which of the two counts, how far they are apart, and how offers are ranked by them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from continuo.broker.measurements.records import Record
from continuo.broker.offers.amounts import quantity
from continuo.broker.offers.model import Offer

Source: TypeAlias = Literal["measured", "claimed"]

LESS_IS_BETTER = frozenset(
    {"latency", "latency_p95", "latency_p99", "jitter", "pods_running", "cpu_requested", "memory_requested"}
)
"""Metrics of which a small value is the good one; of all others a large one is."""


@dataclass(frozen=True, slots=True)
class Gap:
    """How far a measurement is from the claim. Positive: better than was said; negative: worse."""

    absolute: float
    relative: float | None
    """In parts of the claim; None where the claim is 0."""

    @property
    def holds(self) -> bool:
        """Whether the claim is kept."""
        return self.absolute >= 0


@dataclass(frozen=True, slots=True)
class Effective:
    """The value that counts, and where it is from."""

    metric: str
    value: float
    source: Source
    claimed: float | None = None
    measured: float | None = None
    """The newest measurement, even when it is too old to count."""
    age: float | None = None
    """Seconds since it was measured."""
    gap: Gap | None = None


def better(metric: str) -> int:
    """1 where more is better, -1 where less is."""
    return -1 if metric in LESS_IS_BETTER else 1


def gap(metric: str, claimed: float, measured: float) -> Gap:
    """How far apart they are, seen by whoever buys."""
    apart = better(metric) * (measured - claimed)
    return Gap(apart, None if claimed == 0 else apart / abs(claimed))


def effective(metric: str, claimed: float | None, record: Record | None, now: float) -> Effective | None:
    """The measurement as long as it is fresh, else the claim, marked as such; None where there is neither."""
    if record is None:
        return None if claimed is None else Effective(metric, claimed, "claimed", claimed)
    apart = None if claimed is None else gap(metric, claimed, record.value)
    age = max(0.0, now - record.at / 1000)
    if record.fresh(now):
        return Effective(metric, record.value, "measured", claimed, record.value, age, apart)
    if claimed is None:
        return None
    return Effective(metric, claimed, "claimed", claimed, record.value, age, apart)


def effective_values(claims: Mapping[str, float], records: Mapping[str, Record], now: float) -> dict[str, Effective]:
    """The same for every metric that is claimed or measured."""
    found = {}
    for metric in sorted(claims.keys() | records.keys()):
        value = effective(metric, claims.get(metric), records.get(metric), now)
        if value is not None:
            found[metric] = value
    return found


def rank_key(value: Effective | None, *, descending: bool = False) -> tuple[int, float]:
    """What is measured comes before what is only claimed, whatever is claimed; who has neither comes last."""
    if value is None:
        return 2, 0.0
    return (0 if value.source == "measured" else 1), -value.value if descending else value.value


def ranked(values: Mapping[str, Effective | None], metric: str) -> list[str]:
    """Names of providers, the best first."""
    down = better(metric) > 0
    return sorted(values, key=lambda name: (*rank_key(values[name], descending=down), name))


_FROM_PLANS = {"cpu": "cpu_free", "memory": "memory_free"}


def claims_of(offer: Offer) -> dict[str, float]:
    """What an offer says of itself: its claims, and that its largest plan has room."""
    claims: dict[str, float] = {}
    for resource, metric in _FROM_PLANS.items():
        amounts = [plan.resources[resource] for plan in offer.plans if resource in plan.resources]
        numbers = [float(quantity(amount)) for amount in amounts if amount is not True]
        if numbers:
            claims[metric] = max(numbers)
    return claims | offer.claims


def boldest(offers: Iterable[Offer]) -> dict[str, tuple[float, str]]:
    """For each metric the claim that promises most, and the offer that makes it."""
    found: dict[str, tuple[float, str]] = {}
    for offer in offers:
        for metric, value in claims_of(offer).items():
            known = found.get(metric)
            if known is None or better(metric) * value > better(metric) * known[0]:
                found[metric] = (value, offer.id)
    return found
