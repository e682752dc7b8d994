"""What is said about an aggregate in its status. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from continuo.broker.aggregate.model import Offer
from continuo.broker.readers.amounts import spell
from continuo.resources.broker import AggregateStatus
from continuo.resources.decoding import same
from continuo.resources.meta import Object, condition
from continuo.resources.orchestration_status import Condition

_LONGEST = 1024


def status_of(aggregate: Object, offer: Offer | None, problem: tuple[str, str] | None, now: str) -> Object:
    """The whole status; the time of the condition moves only when its value does."""
    ready, reason, message = _verdict(offer, problem)
    before = condition(aggregate, "Ready")
    same = before is not None and before.get("status") == ready
    said = Condition(
        type="Ready",
        status=ready,
        observed_generation=aggregate["metadata"].get("generation"),
        last_transition_time=before["lastTransitionTime"] if before is not None and same else now,
        reason=reason,
        message=message[:_LONGEST],
    )
    status = AggregateStatus(
        capacity=spell(offer.capacity) if offer is not None else {},
        providers=len(offer.answering) if offer is not None else 0,
        conditions=(said,),
    )
    made: Object = msgspec.json.decode(msgspec.json.encode(status))  # as it comes back: tuples are lists there
    return made


def said_already(status: Object, aggregate: Object) -> bool:
    """Whether the aggregate has that status."""
    return same(AggregateStatus, status, aggregate.get("status") or {})


def _verdict(offer: Offer | None, problem: tuple[str, str] | None) -> tuple[str, str, str]:
    if problem is not None or offer is None:
        reason, message = problem or ("NotDecided", "nothing is known of it yet")
        return "False", reason, message
    if not offer.answering and not offer.silent:
        return "False", "NoProviders", "no Provider is meant by its selector: make one, or widen spec.providers"
    silent = _silent(offer.silent)
    if not offer.answering:
        return "False", "NoProviderAnswers", silent
    if offer.short:
        lacking = ", ".join(f"{amount} of {name}" for name, amount in spell(offer.short).items())
        more = f"; {silent}" if silent else ""
        return "False", "QuotaNotMet", f"the providers cannot give {lacking} of what its quota promises{more}"
    count = len(offer.answering)
    if silent:
        return "True", "SomeProvidersAnswer", f"{count} of {count + len(offer.silent)} providers answer; {silent}"
    return "True", "ProvidersAnswer", f"all {count} providers answer" if count > 1 else "its provider answers"


def _silent(silent: Mapping[str, str]) -> str:
    return "; ".join(silent.values())
