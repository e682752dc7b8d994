"""What the relay delivered, as contracts show it. Pure but for `Reports`, which remembers the newest."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from continuo.edge.relay.model import RouteStatus
from continuo.resources.meta import Object

QUIET = 30.0
"""Seconds of silence at the least before a source is thought to have been forgotten by its node."""
CYCLES = 5.0
"""Readings that must be missing."""


@dataclass(frozen=True, slots=True)
class Report:
    """How a contract's path is doing."""

    state: str
    """Of the Allocation: Provisioning, Active or Error."""
    message: str


class Earlier(msgspec.Struct, frozen=True, omit_defaults=True):
    """What relays before this one did for a route: each counts from nothing when it starts."""

    received: int = 0
    unproven: int = 0
    targets: dict[str, dict[str, int]] = {}
    """By URL."""


NEVER = Earlier()
_COUNTED = ("delivered", "bytes", "failed", "dead", "dropped")


def summed(status: RouteStatus, earlier: Earlier) -> RouteStatus:
    """The status with what earlier relays did added."""
    targets = tuple(
        msgspec.structs.replace(each, **{name: getattr(each, name) + count for name, count in before.items()})
        if (before := earlier.targets.get(each.url)) else each
        for each in status.targets
    )  # fmt: skip
    return msgspec.structs.replace(
        status,
        received=status.received + earlier.received,
        unproven=status.unproven + earlier.unproven,
        targets=targets,
    )


def ended(status: RouteStatus) -> Earlier:
    """What a relay that is no more had done, with those before it."""
    targets = {each.url: {name: getattr(each, name) for name in _COUNTED} for each in status.targets}
    return Earlier(status.received, status.unproven, targets)


def earlier_of(contract: Object | None, relay: str) -> Earlier:
    """What a contract says that relays before this one did; nothing where it cannot be understood."""
    told = ((contract or {}).get("status") or {}).get("delivery") or {}
    try:
        if told.get("relay") == relay:
            return msgspec.convert(told.get("earlier") or {}, Earlier)
        targets = {
            each["url"]: {name: int(each.get(name) or 0) for name in _COUNTED} for each in told.get("targets") or ()
        }
        return Earlier(int(told.get("received") or 0), int(told.get("unproven") or 0), targets)
    except (msgspec.ValidationError, KeyError, TypeError, ValueError, AttributeError):
        return NEVER


def delivery_of(status: RouteStatus, relay: str = "", earlier: Earlier = NEVER) -> Object:
    """`status.delivery` of a contract. `relay`: whose counters are in it; `earlier`: what of it was before that one."""
    told: Object = {
        "received": status.received, "lastReceived": status.last_received,
        "targets": msgspec.to_builtins(status.targets),
    }  # fmt: skip
    told |= {"relay": relay} if relay else {}
    told |= {"earlier": msgspec.to_builtins(earlier)} if earlier != NEVER else {}
    if status.unproven:
        told["unproven"] = status.unproven
    return {**told, "trouble": status.trouble} if status.trouble else told


def report(status: RouteStatus | None) -> Report:
    """What a contract whose path is made says of it."""
    if status is None or not status.received:
        return Report("Active", "the path is there, no reading has come yet")
    total, well = len(status.targets), [each for each in status.targets if not each.trouble]
    count = sum(each.delivered for each in status.targets)
    told = f"{count} readings delivered to {_endpoints(total)}"
    if status.trouble:
        some = any(not flow.trouble for flow in status.flows)
        return Report("Active" if some else "Error", f"{told}; {status.trouble}")
    if len(well) == total:
        return Report("Active", told)
    ill = next(each for each in status.targets if each.trouble)
    more = f", and {total - len(well) - 1} more" if total - len(well) > 1 else ""
    state = "Active" if well else "Error"
    return Report(state, f"{told}; {ill.url}: {ill.trouble}{more}")


def silent(status: RouteStatus, rates: dict[str, float]) -> list[str]:
    """The sensors of which readings should have come long ago. `rates`: readings a second that are expected, by sensor."""
    found = []
    for flow in status.flows:
        rate = rates.get(flow.sensor, 0.0)
        if rate > 0 and flow.silent > max(QUIET, CYCLES / rate):
            found.append(flow.sensor)
    return found


def is_news(before: RouteStatus | None, after: RouteStatus) -> bool:
    """Whether it is to be told at once: the first reading, or that a target began or ceased to have trouble."""
    if before is None or bool(before.received) != bool(after.received) or before.trouble != after.trouble:
        return True
    return [bool(each.trouble) for each in before.targets] != [bool(each.trouble) for each in after.targets]


def _endpoints(count: int) -> str:
    return "1 endpoint" if count == 1 else f"{count} endpoints"
