"""The conditions Ready and Synced, and a status that changes only when something did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from continuo.iot.provider.marks import stamp
from continuo.resources.meta import Object, condition

LONGEST = 2048


def ready(status: bool, reason: str, message: str = "") -> Object:
    """The condition Ready."""
    return _new("Ready", status, reason, message)


def synced(status: bool, reason: str, message: str = "") -> Object:
    """The condition Synced."""
    return _new("Synced", status, reason, message)


AVAILABLE = "Available"
UNAVAILABLE = "Unavailable"
CREATING = "Creating"
DELETING = "Deleting"
SUCCESS = "ReconcileSuccess"
ERROR = "ReconcileError"
PAUSED = "ReconcilePaused"


def _new(type_: str, status: bool, reason: str, message: str) -> Object:
    made: Object = {"type": type_, "status": "True" if status else "False", "reason": reason}
    if message:
        made["message"] = message if len(message) <= LONGEST else message[: LONGEST - 3] + "..."
    return made


def next_status(
    obj: Object, conditions: list[Object], at_provider: Struct | None, now: float, handled: str = ""
) -> Mapping[str, Any] | None:
    """The merge patch that makes the status so; None where it is so already."""
    before = obj.get("status") or {}
    generation = obj["metadata"].get("generation", 0)
    patch: dict[str, Any] = {}
    merged = _merged(obj, conditions, generation, now)
    if merged != before.get("conditions", []):
        patch["conditions"] = merged
    if before.get("observedGeneration") != generation:
        patch["observedGeneration"] = generation
    if at_provider is not None:
        changed = difference(before.get("atProvider") or {}, msgspec.to_builtins(at_provider))
        if changed:
            patch["atProvider"] = changed
    if handled and before.get("lastHandledReconcileAt") != handled:
        patch["lastHandledReconcileAt"] = handled
    return patch or None


def _merged(obj: Object, conditions: list[Object], generation: int, now: float) -> list[Object]:
    told = {each["type"]: each for each in conditions}
    found = []
    known = (obj.get("status") or {}).get("conditions") or []
    for type_ in dict.fromkeys([*(each["type"] for each in known), *told]):
        before, new = condition(obj, type_), told.get(type_)
        if new is None:
            found.append(before)
            continue
        same = before is not None and all(before.get(part) == new.get(part) for part in ("status", "reason", "message"))
        since = before["lastTransitionTime"] if same and before is not None else stamp(now)[:19] + "Z"
        found.append({**new, "lastTransitionTime": since, "observedGeneration": generation})
    return [each for each in found if each is not None]


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch between two objects: what is gone is None."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        known = before.get(key)
        if known == value:
            continue
        patch[key] = difference(known, value) if isinstance(value, Mapping) and isinstance(known, Mapping) else value
    return patch
