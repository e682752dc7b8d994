"""What would become of an orchestration if a cluster were lost: as data, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import to_builtins

from continuo.resources.loop import DecidedAction, Operation
from continuo.resources.meta import Object


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One decision that would be made."""

    after: int
    """Seconds after the loss."""
    source: str
    """`placement`, or `policy/NAME`."""
    reason: str
    actions: tuple[DecidedAction, ...]
    approval: bool = False
    """Somebody would have to approve it first."""


@dataclass(frozen=True, slots=True)
class Bill:
    """What the components that run cost for an hour, and how much carbon that is."""

    cost: float
    carbon: float


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What would become of an orchestration."""

    lost: str
    decisions: tuple[Foreseen, ...] = ()
    moves: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """(from, to) by component."""
    homes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """(from, to) by application."""
    stays: Mapping[str, str] = field(default_factory=dict)
    """Why, by component that would not run."""
    broken: tuple[tuple[str, str], ...] = ()
    """Links that would carry nothing."""
    made: tuple[tuple[str, str], ...] = ()
    """Links that what moves would need."""
    before: Bill = Bill(0, 0)
    later: Bill = Bill(0, 0)
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything would be decided."""
        return bool(self.decisions)


def to_json(found: WhatIf) -> Object:
    """As plain data."""
    return {
        "lost": found.lost,
        "changes": found.changes,
        "decisions": [
            {"after": each.after, "source": each.source, "reason": each.reason, "approval": each.approval,
             "actions": [_action(action) for action in each.actions]}
            for each in found.decisions
        ],
        "moves": [{"component": path, "from": a, "to": b} for path, (a, b) in found.moves.items()],
        "homes": [{"application": name, "from": a, "to": b} for name, (a, b) in found.homes.items()],
        "stays": [{"component": path, "reason": why} for path, why in found.stays.items()],
        "links": {"broken": [list(pair) for pair in found.broken], "made": [list(pair) for pair in found.made]},
        "perHour": {"before": _spent(found.before), "after": _spent(found.later)},
        "notes": list(found.notes),
    }  # fmt: skip


def _action(action: DecidedAction) -> Object:
    plain: Object = to_builtins(action)
    if action.op is Operation.CREATE_CLUSTER and action.template is not None:
        plain["template"] = {"name": action.template.name, "provider": action.template.provider.value}
    return plain


def _spent(bill: Bill) -> Object:
    return {"cost": bill.cost, "carbon": bill.carbon}
