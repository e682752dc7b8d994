"""What a change of an object tells that its state alone does not: how long a phase took, how a task or a decision ended.

Pure: from the state before and after to what is to be counted. What happened while nobody looked is not counted, since it
may have been counted by whoever looked then.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from continuo.resources.loop import DecisionStage
from continuo.resources.meta import Object
from continuo.resources.orchestration_status import LoopStage

ENDED = frozenset({"succeeded", "failed", "cancelled"})
"""How tasks end."""
_PREFIX, _VERSION = "dev.continuo.", ".v1"
_ASKS = {LoopStage.WAITING: "approval", LoopStage.STALLED: "stalled"}
OVER = frozenset(DecisionStage) - {DecisionStage.RECEIVED, DecisionStage.WAITING, DecisionStage.APPLIED}


def phases_left(old: Object, new: Object) -> Iterator[tuple[str, str, float]]:
    """(item, phase, seconds) of each cluster, link and application that went on to another phase."""
    before, after = old.get("status") or {}, new.get("status") or {}
    for item, field in (("cluster", "clusters"), ("link", "links"), ("application", "apps")):
        known = {_name(entry): entry for entry in before.get(field) or ()}
        for entry in after.get(field) or ():
            was = known.get(_name(entry))
            if was is None or was.get("phase") == entry.get("phase"):
                continue
            seconds = _between(was.get("lastTransitionTime"), entry.get("lastTransitionTime"))
            if seconds is not None:
                yield item, was.get("phase") or "", seconds


def tasks_ended(old: Object, new: Object) -> Iterator[tuple[str, str, float]]:
    """(operation, outcome, seconds) of each task whose end is new in the outbox."""
    known = {entry.get("id") for entry in (old.get("status") or {}).get("outbox") or ()}
    for entry in (new.get("status") or {}).get("outbox") or ():
        operation, outcome = parts_of(entry.get("type") or "")
        if entry.get("id") not in known and outcome in ENDED:
            yield operation, outcome, float(entry.get("seconds") or 0)


def operations(obj: Object) -> set[str]:
    """The operations that the outbox speaks of."""
    return {parts_of(entry.get("type") or "")[0] for entry in (obj.get("status") or {}).get("outbox") or ()} - {""}


def parts_of(type_: str) -> tuple[str, str]:
    """Operation and outcome of an event's type, such as `cluster.create` and `succeeded`; empty for others."""
    operation, _, outcome = type_.removeprefix(_PREFIX).removesuffix(_VERSION).rpartition(".")
    return (operation, outcome) if type_.startswith(_PREFIX) else ("", "")


def escalated(old: Object, new: Object) -> Iterator[str]:
    """Why each closed loop that stopped since stopped."""
    before = {entry.get("name"): entry.get("stage") for entry in (old.get("status") or {}).get("loops") or ()}
    for entry in (new.get("status") or {}).get("loops") or ():
        reason = _ASKS.get(entry.get("stage"))
        if reason is not None and before.get(entry.get("name")) != entry.get("stage"):
            yield reason


def actions_of(decision: Object) -> set[tuple[str, str]]:
    """(source, operation) of each action of a decision."""
    spec = decision.get("spec") or {}
    source = str(spec.get("source") or "").partition("/")[0]
    return {(source, action.get("op") or "") for action in spec.get("actions") or ()}


def decided(old: Object | None, new: Object) -> Iterator[tuple[str, str, str]]:
    """(source, operation, result) of each action of a decision that is over now and was not before."""
    before = ((old or {}).get("status") or {}).get("stage")
    after = (new.get("status") or {}).get("stage")
    if after == before or after not in OVER:
        return
    spec = new.get("spec") or {}
    source = str(spec.get("source") or "").partition("/")[0]
    for action in spec.get("actions") or ():
        yield source, action.get("op") or "", after


def _name(entry: Object) -> object:
    return tuple(entry["clusters"]) if "clusters" in entry else entry.get("name")


def _between(start: str | None, end: str | None) -> float | None:
    try:
        if start and end:
            begun, ended = datetime.datetime.fromisoformat(start), datetime.datetime.fromisoformat(end)
            return max(0.0, (ended - begun).total_seconds())
    except (ValueError, TypeError):
        return None  # somebody else wrote the status
    return None
