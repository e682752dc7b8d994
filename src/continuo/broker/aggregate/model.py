"""What the aggregator decides about, as frozen data: aggregates, what providers have, what consumers use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

from continuo.broker.readers.amounts import accepted
from continuo.resources.broker import AggregateSpec, Selector, decode_spec
from continuo.resources.meta import Object, labels_of

Amounts: TypeAlias = Mapping[str, Fraction]


@dataclass(frozen=True, slots=True)
class Want:
    """One aggregate, as its owner declared it."""

    name: str
    consumer: str
    """The ID that the consumer has among clusters."""
    providers: tuple[str, ...]
    """Those that its selector chose, in order."""
    created: str = ""
    quota: Amounts = field(default_factory=dict)
    provider_quota: Amounts = field(default_factory=dict)
    factor: Fraction = Fraction(1)


@dataclass(frozen=True, slots=True)
class Pool:
    """What one provider has for all of the broker's consumers, what they use already included."""

    has: Amounts | None = None
    """None while it does not answer."""
    used: Mapping[str, Amounts] = field(default_factory=dict)
    """By consumer."""
    why: str = ""
    """Why it does not answer, as a sentence."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that the decision rests on."""

    wants: tuple[Want, ...]
    pools: Mapping[str, Pool]


@dataclass(frozen=True, slots=True)
class Offer:
    """What one aggregate shows its consumer."""

    capacity: Amounts
    shares: Mapping[str, Amounts]
    """By provider: how much of the capacity stands on it. Never shown to the consumer."""
    answering: tuple[str, ...]
    silent: Mapping[str, str] = field(default_factory=dict)
    """By provider that adds nothing because it does not answer: why."""
    short: Amounts = field(default_factory=dict)
    """By how much the quota of a resource cannot be met."""


def want_of(aggregate: Object, consumer: str, providers: tuple[str, ...]) -> Want:
    """An Aggregate as the decision sees it; Invalid when its spec cannot be read."""
    spec = decode_spec(aggregate, AggregateSpec)
    return Want(
        aggregate["metadata"]["name"],
        consumer,
        providers,
        aggregate["metadata"].get("creationTimestamp", ""),
        accepted(spec.quota),
        accepted(spec.provider_quota),
        Fraction(str(spec.oversubscription)),
    )


def selected(selector: Selector, obj: Object) -> bool:
    """Whether a selector means the object."""
    labels = labels_of(obj)
    if selector.names and obj["metadata"]["name"] not in selector.names:
        return False
    if any(labels.get(key) != value for key, value in selector.match_labels.items()):
        return False
    return all(_fulfilled(each.key, each.operator, each.values, labels) for each in selector.match_expressions)


def _fulfilled(key: str, operator: str, values: tuple[str, ...], labels: Mapping[str, str]) -> bool:
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels
