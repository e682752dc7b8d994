"""Who may run a pod, best first, and the explanation that is stored with what comes of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from itertools import groupby
from typing import Any

import msgspec

from continuo.broker.policies.facts import ConsumerFacts, PodFacts, ProviderFacts
from continuo.broker.policies.verdicts import Datum, Judge, Removal, Verdict

MOST_TOLD = 32
"""Providers that an explanation tells of; of more it says how many there are."""
LONGEST = 16_384
AGGREGATE = "aggregate"
"""The side of a removal that no policy made: the provider is not behind the node through which the pod came."""
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Decision:
    """All verdicts on the pods of one class of one consumer."""

    consumer: str
    allowed: tuple[Verdict, ...]
    """Best first."""
    removed: tuple[Verdict, ...]
    until: float = math.inf
    """When one of the verdicts must be found anew."""

    @cached_property
    def ranked(self) -> tuple[tuple[Verdict, ...], ...]:
        """Those that are allowed, in groups that are equally good; the best come first."""
        return tuple(tuple(group) for _, group in groupby(self.allowed, key=lambda verdict: verdict.order))

    def verdict(self, provider: str) -> Verdict | None:
        """The verdict on one provider."""
        return next((verdict for verdict in (*self.allowed, *self.removed) if verdict.provider == provider), None)


def consider(
    judge: Judge, consumer: ConsumerFacts, providers: Iterable[ProviderFacts], pod: PodFacts, now: float
) -> Decision:
    """Judge every provider for this pod, and rank those that are allowed."""
    verdicts = [judge.verdict(consumer, provider, pod, now) for provider in providers]
    allowed = sorted((v for v in verdicts if v.allowed), key=lambda v: (*v.order, v.provider))
    removed = sorted((v for v in verdicts if not v.allowed), key=lambda v: v.provider)
    until = min((verdict.until for verdict in verdicts), default=math.inf)
    return Decision(consumer.name, tuple(allowed), tuple(removed), until)


def sentence(decision: Decision, lacking: Sequence[tuple[str, str]] = ()) -> str:
    """Why no provider takes a pod, without numbers that change all the time. `lacking`: what allowed ones lack."""
    total = len(decision.allowed) + len(decision.removed)
    if not total:
        return f"no provider can take this pod of consumer {decision.consumer}: the broker has none"
    reasons: Counter[str] = Counter(_briefly(verdict.removals) for verdict in decision.removed)
    reasons.update(why for _, why in lacking)
    told = [f"{count} {why}" for why, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))]
    more = f", and {len(told) - 8} more reasons" if len(told) > 8 else ""
    return f"none of {total} providers can take this pod of consumer {decision.consumer}: {', '.join(told[:8])}{more}"


def _briefly(removals: Sequence[Removal]) -> str:
    first = removals[0]
    if first.side == AGGREGATE:
        return f"not behind aggregate {first.rule}"
    if not first.policy:
        return "covered by no policy"
    if not first.rule:
        return f"covered by policy {first.policy}, which cannot be used"
    return f"refused by policy {first.policy}, {first.side} rule {first.rule}"


def explanation(decision: Decision) -> dict[str, Any]:
    """The decision as plain data: what `continuo catalog why` shows; the same for every pod of the class."""
    removed = [_removed(verdict) for verdict in decision.removed[:MOST_TOLD]]
    allowed = [_allowed(verdict) for verdict in decision.allowed[:MOST_TOLD]]
    told: dict[str, Any] = {"consumer": decision.consumer, "allowed": allowed, "removed": removed}
    untold = len(decision.allowed) + len(decision.removed) - len(allowed) - len(removed)
    while untold < MOST_TOLD * 2 and removed and len(_encode(told)) > LONGEST:
        removed.pop()
        untold += 1
    return {**told, "untold": untold} if untold else told


def _allowed(verdict: Verdict) -> dict[str, Any]:
    told: dict[str, Any] = {"provider": verdict.provider, "policies": list(verdict.policies)}
    return told if verdict.score is None else {**told, "score": round(verdict.score, 6)}


def _removed(verdict: Verdict) -> dict[str, Any]:
    return {"provider": verdict.provider, "policies": list(verdict.policies), "by": [_by(r) for r in verdict.removals]}


def _by(removal: Removal) -> dict[str, Any]:
    told: dict[str, Any] = {"why": removal.why, "side": removal.side}
    if removal.policy:
        told["policy"] = removal.policy
    if removal.rule:
        told["rule"] = removal.rule
    return {**told, "data": [_datum(datum) for datum in removal.data]} if removal.data else told


def _datum(datum: Datum) -> dict[str, Any]:
    told: dict[str, Any] = {"name": datum.name, "source": datum.source}
    if datum.value is not None:
        told["value"] = datum.value
    return told if datum.at is None else {**told, "at": stamp(datum.at)}


def stamp(at: float) -> str:
    """Seconds since the epoch as a Kubernetes time."""
    return _stamp(int(at))


@lru_cache(maxsize=256)
def _stamp(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
