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


def delivery_of(status: RouteStatus) -> Object:
    """`status.delivery` of a contract."""
    told: Object = {
        "received": status.received, "lastReceived": status.last_received,
        "targets": msgspec.to_builtins(status.targets),
    }  # fmt: skip
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
