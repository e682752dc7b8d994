"""The conditions of a Deployment: is it available, does it get on, has it taken too long. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from continuo.embedded.standins.objects import cond, conditions, timestamp
from continuo.embedded.standins.workload.rollout import bounds
from continuo.resources.meta import Object

_NEVER = (1 << 31) - 1
_COMPLETE, _EXCEEDED = "NewReplicaSetAvailable", "ProgressDeadlineExceeded"


@dataclass(frozen=True, slots=True)
class Look:
    """A Deployment as stored, the name of its newest ReplicaSet, its counts of now, and the time."""

    found: Object
    newest: str
    counts: Object
    now: float

    def count(self, name: str) -> int:
        """One of the counts; those of zero are left out."""
        return int(self.counts.get(name, 0))

    @property
    def before(self) -> Object:
        """The status as stored."""
        status: Object = self.found.get("status") or {}
        return status

    @property
    def progress(self) -> Object | None:
        """The former Progressing condition."""
        return next((entry for entry in self.before.get("conditions") or () if entry["type"] == "Progressing"), None)


def deployment_conditions(look: Look) -> list[Object]:
    """Available and Progressing, with their times."""
    moment = timestamp(look.now)
    old = look.before.get("conditions") or []
    before = {entry["type"]: entry for entry in old}
    result = []
    for entry in conditions(old, [_available(look), _progressing(look)], moment):
        known = before.get(entry["type"])
        same = known is not None and all(known.get(part) == entry[part] for part in ("status", "reason", "message"))
        if entry["type"] == "Progressing" and same and _advanced(look) and entry["reason"] != _COMPLETE:
            same = False  # every step forward starts the deadline anew
        result.append({**entry, "lastUpdateTime": known.get("lastUpdateTime", moment) if same and known else moment})
    return result


def seconds_left(look: Look, fresh: list[Object]) -> float | None:
    """When the deadline has to be looked at; None when there is none to wait for."""
    entry = next(entry for entry in fresh if entry["type"] == "Progressing")
    if entry["reason"] != "ReplicaSetUpdated" or (deadline := _deadline(look)) is None:
        return None
    return max(0.1, _time(entry["lastUpdateTime"]) + deadline - look.now)


def _available(look: Look) -> Object:
    spec = look.found["spec"]
    desired, strategy = spec.get("replicas", 1), spec.get("strategy") or {}
    rolling = strategy.get("rollingUpdate") or {}
    limits = bounds(desired, rolling.get("maxSurge"), rolling.get("maxUnavailable"), default="25%")
    least = desired - (limits.unavailable if strategy.get("type") != "Recreate" else 0)
    if look.count("availableReplicas") >= least:
        return cond("Available", True, "MinimumReplicasAvailable", "Deployment has minimum availability.")
    return cond("Available", False, "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")


def _progressing(look: Look) -> Object:
    desired, total, updated = (
        look.found["spec"].get("replicas", 1),
        look.count("replicas"),
        look.count("updatedReplicas"),
    )
    complete = cond("Progressing", True, _COMPLETE, f'ReplicaSet "{look.newest}" has successfully progressed.')
    old = look.progress
    if look.found["spec"].get("paused"):
        return cond("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused")
    if updated == total == desired and look.count("availableReplicas") >= desired:
        return complete
    if (
        total == updated
        and old is not None
        and (old.get("reason"), old.get("message")) == (_COMPLETE, complete["message"])
    ):
        return complete  # the rollout is over; what is missing now is no matter of its progress
    if _late(look):
        return cond("Progressing", False, _EXCEEDED, f'ReplicaSet "{look.newest}" has timed out progressing.')
    return cond("Progressing", True, "ReplicaSetUpdated", f'ReplicaSet "{look.newest}" is progressing.')


def _advanced(look: Look) -> bool:
    """Whether a new pod came, an old one went, or one more became ready or available."""
    before = look.before
    old_pods = before.get("replicas", 0) - before.get("updatedReplicas", 0)
    return look.count("replicas") - look.count("updatedReplicas") < old_pods or any(
        look.count(name) > before.get(name, 0) for name in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )


def _late(look: Look) -> bool:
    old, deadline = look.progress, _deadline(look)
    if old is None or deadline is None or _advanced(look):
        return False
    if f'"{look.newest}"' not in old.get("message", ""):
        return False  # that was about another ReplicaSet
    if old.get("reason") == _EXCEEDED:
        return True
    return old.get("reason") == "ReplicaSetUpdated" and _time(old["lastUpdateTime"]) + deadline <= look.now


def _deadline(look: Look) -> int | None:
    seconds = int(look.found["spec"].get("progressDeadlineSeconds", 600))
    return None if seconds >= _NEVER else seconds


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
