"""Who has a flavor, and until when: an annotation on it, always written with the resource version that was read.

That one write is what makes a reservation, a purchase and an expiry exclude each other. Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from continuo.edge.rear.names import DEVICE, FINALIZER, HOLDS, WITHDRAWN
from continuo.edge.rear.refusals import Refusal
from continuo.edge.rear.times import seconds, stamp
from continuo.resources.meta import Object, annotations_of, labels_of


@dataclass(frozen=True, slots=True)
class Hold:
    """What one transaction has of one flavor."""

    exclusive: bool
    until: float | None
    """Seconds since the epoch; None once it is bought."""
    contract: str = ""
    """The contract's name, once it is bought."""
    primary: str = ""
    """The flavor that was asked for, where this one only goes with it: whether that one is bought decides."""

    def lapsed(self, now: float) -> bool:
        """Whether it was not bought in time."""
        return not self.contract and (self.until is None or self.until <= now)


Holds = Mapping[str, Hold]


def read(flavor: Object) -> dict[str, Hold]:
    """The holds of a flavor by transaction; raises Refusal where the annotation cannot be read."""
    text = annotations_of(flavor).get(HOLDS)
    if not text:
        return {}
    try:
        found = msgspec.json.decode(text, type=dict[str, dict[str, bool | str | None]])
        return {transaction: _hold(said) for transaction, said in found.items()}
    except (msgspec.DecodeError, ValueError, TypeError, AttributeError) as error:
        name = flavor["metadata"]["name"]
        raise Refusal(
            503,
            "holds-unreadable",
            f"flavor {name} cannot be sold: its annotation {HOLDS} is no list of holds any more",
        ) from error


def _hold(said: Mapping[str, bool | str | None]) -> Hold:
    until = said.get("until")
    at = seconds(str(until)) if until is not None else None
    if until is not None and at is None:
        raise ValueError(until)
    return Hold(bool(said.get("exclusive")), at, str(said.get("contract") or ""), str(said.get("primary") or ""))


def transactions(flavor: Object) -> list[str]:
    """The transactions that hold it; none where that cannot be read."""
    try:
        return list(read(flavor))
    except Refusal:
        return []


def patch(flavor: Object, holds: Holds) -> Object:
    """The write that gives the flavor exactly these holds, its finalizer, and its availability, where that follows."""
    meta, before = flavor["metadata"], read(flavor)
    kept = [each for each in meta.get("finalizers") or () if each != FINALIZER]
    text = msgspec.json.encode({name: _told(hold) for name, hold in holds.items()}).decode() if holds else None
    changed: Object = {
        "metadata": {
            "resourceVersion": meta["resourceVersion"],
            "annotations": {HOLDS: text},
            "finalizers": [*kept, FINALIZER] if holds else kept,
        }
    }
    sold, was_sold = _exclusive(holds), _exclusive(before)
    if sold:
        changed["spec"] = {"availability": False}
    elif was_sold and WITHDRAWN not in annotations_of(flavor) and DEVICE not in labels_of(flavor):
        changed["spec"] = {"availability": True}  # of a sensor's flavor the Edge Resource Manager knows better
    return changed


def _exclusive(holds: Holds) -> bool:
    return any(hold.exclusive for hold in holds.values())


def _told(hold: Hold) -> Object:
    told: Object = {
        "exclusive": hold.exclusive, "until": stamp(hold.until) if hold.until is not None else None,
        "contract": hold.contract,
    }  # fmt: skip
    return told | ({"primary": hold.primary} if hold.primary else {})


def check(flavor: Object, transaction: str, exclusive: bool, now: float) -> dict[str, Hold]:
    """The holds that stay if this transaction gets one; raises Refusal where it must not."""
    name, holds = flavor["metadata"]["name"], read(flavor)
    kept = {each: hold for each, hold in holds.items() if not hold.lapsed(now)}
    others = {each: hold for each, hold in kept.items() if each != transaction}
    if _exclusive(others):
        contract = any(hold.exclusive and hold.contract for hold in others.values())
        said = "is sold to another buyer" if contract else "is reserved for another buyer, who may yet buy it"
        raise Refusal(409, "taken", f"flavor {name} {said}: nobody else can have it meanwhile")
    if exclusive and others:
        count = "another buyer has" if len(others) == 1 else f"{len(others)} others have"
        raise Refusal(409, "shared", f"flavor {name} cannot be had exclusively: {count} it; ask for it shared")
    if transaction in kept:
        return kept
    _offered(flavor, name, bool(_exclusive(holds)))
    return kept


def _offered(flavor: Object, name: str, lapsed: bool) -> None:
    """Whether it can be had by somebody who has no hold of it; `lapsed`: that it seems sold is over."""
    why = annotations_of(flavor).get(WITHDRAWN)
    if why or "deletionTimestamp" in flavor["metadata"]:
        raise Refusal(409, "withdrawn", f"flavor {name} is being withdrawn{f': {why}' if why else ''}")
    if not flavor["spec"].get("availability", True) and not lapsed:
        raise Refusal(409, "unavailable", f"flavor {name} is not available now: its device is offline, or it is sold")
