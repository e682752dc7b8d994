"""What a ResourceSlice of our class is answered. Pure.

Real Liqo authenticates every slice itself and leaves the resources of a foreign class to an external controller: that is
the door through which an unmodified Liqo consumer peers with a broker. Rules of Liqo that shape this:

- The consumer updates its virtual node only while `Authentication` and `Resources` are both Accepted. So what was accepted
  once is never denied later: withdrawn resources are published as zeros, and the consumer's node turns NotReady.
- Labels and annotations of a slice are not synchronised: what may change stands in the status.
- While a tenant is cordoned new slices are Liqo's to deny, and while it is drained all are.
- A consumer writes its slices itself. Who it is, is what its tenant says, never what the slice says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from continuo.broker.offers.amounts import BadAmount
from continuo.broker.readers.amounts import ZERO, parse, spell
from continuo.broker.readers.port import Resources
from continuo.resources.meta import Object, condition

_ALWAYS = "pods"
"""A node that names no pods takes none, and consumers seldom ask for them by name."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the status of a slice has to say."""

    accepted: bool
    reason: str
    message: str
    resources: Mapping[str, str]


def consumer_of(tenant: Object | None) -> str:
    """The cluster that the tenant namespace belongs to; empty while nobody is authorised in it."""
    if tenant is None or "deletionTimestamp" in tenant["metadata"]:
        return ""
    identifier: str = (tenant.get("spec") or {}).get("clusterID") or ""
    return identifier


def answer(slice_: Object, tenant: Object | None, offered: Resources | None, why: str = "") -> Answer | None:
    """None where there is nothing to say (yet). `offered` is None while it is not known, and `why` tells why."""
    consumer, spec = consumer_of(tenant), slice_.get("spec") or {}
    if tenant is None or not consumer:
        return None
    was = _was_accepted(slice_)
    mood = (tenant.get("spec") or {}).get("tenantCondition") or "Active"
    if mood == "Drained" or (mood == "Cordoned" and not was):
        return None
    if spec.get("consumerClusterID") != consumer:
        said = spec.get("consumerClusterID") or "nobody"
        return _refusal(slice_, "WrongConsumer", f"the slice is for {said}, and its tenant is {consumer}")
    if offered is None:
        return _refusal(slice_, "NotKnown", why) if was else None
    try:
        asked = parse(spec.get("resources") or {})
    except BadAmount as error:
        return _refusal(slice_, "InvalidRequest", str(error))
    granted = _granted(asked, offered)
    if not was and not any(granted.values()):
        return Answer(False, "NothingOffered", f"nothing is offered to cluster {consumer} here", {})
    short = sorted(name for name, amount in asked.items() if granted.get(name, ZERO) < amount)
    text = f"less than asked for of {', '.join(short)}" if short else "as asked for"
    return Answer(True, "ResourcesAccepted", text, _with_zeros(slice_, spell(granted)))


def _granted(asked: Resources, offered: Resources) -> Resources:
    if not asked:
        return offered
    granted = {name: min(amount, offered.get(name, ZERO)) for name, amount in asked.items()}
    if _ALWAYS in offered:
        granted.setdefault(_ALWAYS, offered[_ALWAYS])
    return granted


def _refusal(slice_: Object, reason: str, message: str) -> Answer:
    """Denied, or zeros where it had been accepted."""
    if not _was_accepted(slice_):
        return Answer(False, reason, message, {})
    return Answer(True, reason, f"nothing for now: {message}", _with_zeros(slice_, {}))


def _with_zeros(slice_: Object, resources: Mapping[str, str]) -> dict[str, str]:
    """What was granted before and is not any more is zero, not absent: absent could be read as unlimited."""
    before = (slice_.get("status") or {}).get("resources") or {}
    return {**dict.fromkeys(before, "0"), **resources}


def _was_accepted(slice_: Object) -> bool:
    return (condition(slice_, "Resources") or {}).get("status") == "Accepted"


def patch_of(slice_: Object, said: Answer, labels: Mapping[str, str], now: str) -> Object | None:
    """The merge patch of the status, bound to the version that was seen; None when it says so already.

    Conditions are one list, in which Liqo writes too: without the version one of us would undo the other's.
    """
    status = slice_.get("status") or {}
    before = condition(slice_, "Resources")
    value = "Accepted" if said.accepted else "Denied"
    same = before is not None and before.get("status") == value
    entry = {
        "type": "Resources",
        "status": value,
        "reason": said.reason,
        "message": said.message,
        "lastTransitionTime": before["lastTransitionTime"] if before is not None and same else now,
    }
    resources = dict(said.resources) if said.accepted else {}
    unchanged = dict(status.get("resources") or {}) == resources and dict(status.get("nodeLabels") or {}) == dict(
        labels
    )
    if unchanged and before == entry:
        return None
    conditions = [entry if each["type"] == "Resources" else each for each in status.get("conditions") or ()]
    if before is None:
        conditions.append(entry)
    wanted = {
        "conditions": conditions,
        "resources": _replacing(status.get("resources"), resources),
        "nodeLabels": _replacing(status.get("nodeLabels"), labels),
    }
    return {"metadata": {"resourceVersion": slice_["metadata"]["resourceVersion"]}, "status": wanted}


def _replacing(before: Mapping[str, str] | None, after: Mapping[str, str]) -> dict[str, str | None]:
    """A merge patch that leaves nothing but `after`."""
    return {**dict.fromkeys(before or {}), **after}
