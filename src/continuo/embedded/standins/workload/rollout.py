"""The arithmetic of a rolling update, shared by Deployments and MachineDeployments. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation of replicas (a ReplicaSet or MachineSet): what it should have, has, and has in working order."""

    name: str
    replicas: int
    """spec.replicas"""
    available: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """`desired` replicas, at most `surge` more, at most `unavailable` fewer working."""

    desired: int
    surge: int
    unavailable: int


def share(value: int | str | None, total: int, *, up: bool, default: str | int) -> int:
    """An absolute number or a percentage of the total."""
    value = default if value is None else value
    if isinstance(value, int):
        return value
    if not value.endswith("%"):
        return int(value)
    product = int(value[:-1]) * total
    return -(-product // 100) if up else product // 100


def bounds(desired: int, surge: int | str | None, unavailable: int | str | None, *, default: int | str) -> Bounds:
    """Resolve percentages; never both zero, or nothing could ever move."""
    more = share(surge, desired, up=True, default=1 if isinstance(default, int) else default)
    fewer = share(unavailable, desired, up=False, default=default)
    if more == 0 and fewer == 0:
        fewer = 1
    return Bounds(desired, more, min(fewer, desired))


def step(limits: Bounds, new: Generation, old: Sequence[Generation]) -> dict[str, int]:
    """The replica counts to set now, by name (old ones oldest first); empty when nothing is to do or to wait for."""
    total = new.replicas + sum(entry.replicas for entry in old)
    target = new.replicas
    if new.replicas > limits.desired:
        target = limits.desired
    elif new.replicas < limits.desired:
        room = limits.desired + limits.surge - total
        if room > 0:
            target = min(limits.desired, new.replicas + room)
    changes = {new.name: target} if target != new.replicas else {}
    if not changes:
        changes.update(_shrink(limits, new, old, total))
    return changes


def _shrink(limits: Bounds, new: Generation, old: Sequence[Generation], total: int) -> dict[str, int]:
    least = limits.desired - limits.unavailable
    removable = total - least - max(0, new.replicas - new.available)
    if removable <= 0:
        return {}
    left = {entry.name: entry.replicas for entry in old}
    for entry in old:  # what does not work anyway goes first
        broken = min(removable, max(0, entry.replicas - entry.available))
        left[entry.name] -= broken
        removable -= broken
    spare = new.available + sum(min(entry.available, left[entry.name]) for entry in old) - least
    for entry in old:
        fewer = max(0, min(left[entry.name], spare, removable))
        left[entry.name] -= fewer
        spare -= fewer
        removable -= fewer
    return {entry.name: left[entry.name] for entry in old if left[entry.name] != entry.replicas}
