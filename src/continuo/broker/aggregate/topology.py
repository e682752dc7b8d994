"""Where a pod is best inside an aggregate: replicas of what is critical apart, those that talk much together. Pure.

A score is between 0 and 1 for each wish that the pod has, and says which wishes made it, so that a decision can be
explained. Pods without a wish score alike everywhere, and whatever else a selector weighs decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from continuo.resources.meta import Object, annotations_of, labels_of

CRITICAL = "continuo.dev/critical"
"""Annotation of a pod, `true`: the loss of one provider, or one zone, must not end all replicas."""
TALKS_TO = "continuo.dev/talks-to"
"""Annotation of a pod: names of workloads in its namespace, with commas between."""
ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"

Wish: TypeAlias = Literal["spread", "together"]
_SAME_PROVIDER_AND_ZONE, _SAME_PROVIDER, _SAME_ZONE, _SAME_REGION, _ELSEWHERE = 0.9, 0.85, 0.8, 0.5, 0.1
_HALF = 10.0
"""Milliseconds at which being near is worth half."""


@dataclass(frozen=True, slots=True)
class Spot:
    """One place that a pod could get: a provider's node in the broker's cluster."""

    node: str
    provider: str
    zone: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What one pod asks of topology."""

    workload: str
    critical: bool = False
    talks_to: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Placed:
    """Where pods are already: by workload, how many on each node."""

    pods: Mapping[str, Mapping[str, int]]
    spots: Mapping[str, Spot]
    """All nodes by name, those too that are no candidates."""
    latency: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Measured between two providers, in milliseconds; in either order."""


@dataclass(frozen=True, slots=True)
class Score:
    """How good a place is, and which wishes say so."""

    spot: Spot
    total: float
    parts: Mapping[Wish, float]


def wishes_of(pod: Object, workload: str) -> Wishes:
    """What the pod's annotations say."""
    said = annotations_of(pod)
    names = (name.strip() for name in said.get(TALKS_TO, "").split(","))
    return Wishes(workload, said.get(CRITICAL) == "true", frozenset(name for name in names if name))


def spot_of(node: Object, provider: str) -> Spot:
    """A node as a place."""
    labels = labels_of(node)
    return Spot(node["metadata"]["name"], provider, labels.get(ZONE, ""), labels.get(REGION, ""))


def rank(
    wishes: Wishes, candidates: Iterable[Spot], placed: Placed, weights: Mapping[Wish, float] | None = None
) -> list[Score]:
    """The candidates, best first; equals in the order of their names."""
    scores = (score(wishes, spot, placed, weights) for spot in candidates)
    return sorted(scores, key=lambda each: (-each.total, each.spot.node))


def score(wishes: Wishes, spot: Spot, placed: Placed, weights: Mapping[Wish, float] | None = None) -> Score:
    """How well one place fulfils the pod's wishes: the weighted mean; 1 where it has none."""
    parts: dict[Wish, float] = {}
    if wishes.critical:
        parts["spread"] = _spread(wishes.workload, spot, placed)
    partners = [name for name in sorted(wishes.talks_to) if any(placed.pods.get(name, {}).values())]
    if partners:
        parts["together"] = sum(_nearness(name, spot, placed) for name in partners) / len(partners)
    weight = {wish: (weights or {}).get(wish, 1.0) for wish in parts}
    whole = sum(weight.values())
    total = sum(value * weight[wish] for wish, value in parts.items()) / whole if whole else 1.0
    return Score(spot, total, parts)


def _spread(workload: str, spot: Spot, placed: Placed) -> float:
    """1 where no replica would be lost together with this one; a shared provider weighs more than a shared zone."""
    count = same_provider = same_zone = 0
    for node, pods in placed.pods.get(workload, {}).items():
        there = placed.spots.get(node)
        count += pods
        if there is None:
            continue
        same_provider += pods * (there.provider == spot.provider)
        same_zone += pods * _share_a_zone(there, spot)
    return 1.0 - (2 * same_provider + same_zone) / (3 * count) if count else 1.0


def _nearness(workload: str, spot: Spot, placed: Placed) -> float:
    """The mean over a partner's pods of how near they are."""
    near, count = 0.0, 0
    for node, pods in placed.pods.get(workload, {}).items():
        there = placed.spots.get(node)
        count += pods
        if there is not None:
            near += pods * _near(spot, there, placed.latency)
    return near / count


def _near(one: Spot, other: Spot, latency: Mapping[tuple[str, str], float]) -> float:
    if one.node == other.node:
        return 1.0
    if one.provider == other.provider:
        apart = bool(one.zone and other.zone) and one.zone != other.zone
        return _SAME_PROVIDER if apart else _SAME_PROVIDER_AND_ZONE
    pair = (one.provider, other.provider)
    measured = latency.get(pair, latency.get((pair[1], pair[0])))
    if measured is not None:
        return _SAME_ZONE * _HALF / (_HALF + measured)
    if _share_a_zone(one, other):
        return _SAME_ZONE
    return _SAME_REGION if one.region and one.region == other.region else _ELSEWHERE


def _share_a_zone(one: Spot, other: Spot) -> bool:
    """Zones have names in their region only; without names nothing is known, and providers are told apart anyway."""
    return bool(one.zone) and one.zone == other.zone and one.region == other.region
