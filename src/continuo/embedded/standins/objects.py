"""Small pure helpers for building and changing objects without mutating shared ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from continuo.resources.meta import Object

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_canonical = msgspec.json.Encoder(order="deterministic")


def timestamp(now: float) -> str:
    """RFC 3339 with seconds, as Kubernetes writes it."""
    return _second(int(now))


@lru_cache(maxsize=4)
def _second(now: int) -> str:
    """Thousands of objects are written within one second."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp(now: float) -> str:
    """RFC 3339 with microseconds (Leases)."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def short_hash(value: Any, length: int = 10) -> str:
    """A stable short name for a JSON value, in the letters Kubernetes uses for such names."""
    number = int.from_bytes(hashlib.blake2b(_canonical.encode(value), digest_size=8).digest(), "big")
    letters = []
    for _ in range(length):
        number, rest = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[rest])
    return "".join(letters)


def suffix(rng: Any, length: int = 5) -> str:
    """A random name suffix."""
    return "".join(rng.choices(_ALPHABET, k=length))


def cond(type_: str, status: bool | str, reason: str = "", message: str = "", **more: Any) -> Object:
    """A condition without its time, which `conditions` adds."""
    value = status if isinstance(status, str) else ("True" if status else "False")
    made: Object = {"type": type_, "status": value, "reason": reason, "message": message}
    made.update(more)
    return made


def conditions(old: Sequence[Object] | None, new: Iterable[Object], now: str) -> list[Object]:
    """The new conditions; each keeps its transition time while its status stays the same."""
    before = {entry["type"]: entry for entry in old or ()}
    result = []
    for entry in new:
        known = before.get(entry["type"])
        same = known is not None and known.get("status") == entry["status"]
        moment = known["lastTransitionTime"] if same and known and "lastTransitionTime" in known else now
        result.append({**entry, "lastTransitionTime": moment})
    return result


def with_meta(obj: Object, **fields: Any) -> Object:
    """A copy with these metadata fields replaced; None removes a field."""
    metadata = {**obj["metadata"], **fields}
    return {**obj, "metadata": {name: value for name, value in metadata.items() if value is not None}}


def with_finalizer(obj: Object, finalizer: str) -> Object:
    """The object itself when it has the finalizer, else a copy with it."""
    have = obj["metadata"].get("finalizers") or []
    return obj if finalizer in have else with_meta(obj, finalizers=[*have, finalizer])


def without_finalizer(obj: Object, finalizer: str) -> Object:
    """A copy without the finalizer."""
    have = obj["metadata"].get("finalizers") or []
    return with_meta(obj, finalizers=[entry for entry in have if entry != finalizer] or None)


def owner_reference(owner: Object, *, controller: bool = True, block: bool = True) -> Object:
    """The entry for `ownerReferences` of what the owner owns."""
    reference: Object = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    if controller:
        reference["controller"] = True
    if block:
        reference["blockOwnerDeletion"] = True
    return reference


def with_owner(obj: Object, owner: Object, *, controller: bool = False) -> Object:
    """The object itself when it is owned by the owner, else a copy that is."""
    have = obj["metadata"].get("ownerReferences") or []
    uid = owner["metadata"]["uid"]
    if any(entry["uid"] == uid for entry in have):
        return obj
    kept = [
        entry for entry in have if not (entry["kind"] == owner["kind"] and entry["name"] == owner["metadata"]["name"])
    ]
    return with_meta(obj, ownerReferences=[*kept, owner_reference(owner, controller=controller, block=controller)])


def controller_of(obj: Object) -> Object | None:
    """The owner reference of the controller, if there is one."""
    for entry in obj["metadata"].get("ownerReferences") or ():
        if entry.get("controller"):
            found: Object = entry
            return found
    return None


def matches(selector: Object | None, labels: dict[str, str]) -> bool:
    """Whether labels satisfy a LabelSelector; an empty one matches everything, a missing one nothing."""
    if selector is None:
        return False
    for name, value in (selector.get("matchLabels") or {}).items():
        if labels.get(name) != value:
            return False
    return all(requirement_met(entry, labels) for entry in selector.get("matchExpressions") or ())


def requirement_met(requirement: Object, labels: dict[str, str]) -> bool:
    """One `{key, operator, values}` of a label or node selector."""
    operator, value = requirement["operator"], labels.get(requirement["key"])
    values = requirement.get("values") or ()
    if operator == "In":
        return value is not None and value in values
    if operator == "NotIn":
        return value is None or value not in values
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    return _compared(operator, value, values)


def _compared(operator: str, value: str | None, values: Sequence[str]) -> bool:
    if operator not in ("Gt", "Lt") or value is None or len(values) != 1:
        return False
    try:
        have, want = int(value), int(values[0])
    except ValueError:
        return False
    return have > want if operator == "Gt" else have < want
