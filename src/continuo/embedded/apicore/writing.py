"""Changes of what is there: update, the common end of every patch, and status writes."""

from __future__ import annotations

from typing import Any

from continuo.embedded.apicore import failures, fields, shaping
from continuo.embedded.apicore import metadata as meta
from continuo.embedded.apicore.served import Served
from continuo.embedded.apicore.state import State
from continuo.embedded.apicore.steps import (
    MISSHAPEN,
    NAMESPACES,
    admitted,
    metadata_of,
    prepared,
    problems_of,
    raise_problems,
    refuse_misshapen,
    served_of,
)
from continuo.embedded.port import Write
from continuo.resources.meta import Kind, Object

_MISSING: Any = object()


def current(served: Served, namespace: str, name: str) -> Object:
    """The object in this version; raises NotFound."""
    found = served.table.get(namespace, name)
    if found is None:
        raise failures.not_found(served.kind, name)
    return found if served.storage_served is None else served.view(found)


def update(state: State, obj: Object, write: Write, subresource: str = "") -> Object:
    """Replace what the writer may replace."""
    served = served_of(state, obj)
    given = metadata_of(obj)
    name = given.get("name")
    if not name:
        raise failures.invalid(served.kind, "", meta.check_name(served.key, given))
    old = current(served, given.get("namespace") or "", name)
    return replace(state, served, old, obj, write, subresource)


def replace(
    state: State, served: Served, old: Object, obj: Object, write: Write, subresource: str = "",
    managed: list[Any] | None = None,
) -> Object:  # fmt: skip
    """The common end of update, patch and apply: `obj` is what the object should become."""
    _preconditions(served.kind, old["metadata"], obj.get("metadata") or {})
    shaped = shaping.shape(served, obj, write, subresource, old, applied=managed is not None)
    new = _merge(served, old, shaped, subresource)
    name = old["metadata"]["name"]
    if subresource != "status":
        try:
            new = admitted(state, served, "UPDATE", served.strategy.defaults(new), old)
            new = prepared(state, served, new, old)
        except MISSHAPEN:
            refuse_misshapen(served, shaped)
            raise
    raise_problems(served, name, problems_of(state, served, new, old, write, subresource))
    if _same(new, old, managed):
        return old
    metadata = new["metadata"]
    if served.strategy.generation and _specified(served, new) != _specified(served, old):
        metadata["generation"] = old["metadata"].get("generation", 0) + 1
    metadata["managedFields"] = (
        managed if managed is not None else fields.after_write(served, old, new, write, state.stamp(), subresource)
    )
    if not metadata["managedFields"]:
        del metadata["managedFields"]
    return store(state, served, new, old, write.dry_run)


def store(state: State, served: Served, new: Object, old: Object, dry_run: bool = False) -> Object:
    """Commit a change; an object whose deletion only waited for this goes."""
    if dry_run:
        return new
    previous = served.table.get(old["metadata"].get("namespace") or "", old["metadata"]["name"])
    stored = served.stored(new)
    if "deletionTimestamp" in new["metadata"] and released(served, new):
        return served.view(state.commit(served, "DELETED", stored, previous))
    return served.view(state.commit(served, "MODIFIED", stored, previous))


def released(served: Served, obj: Object) -> bool:
    """Whether nothing holds an object that is being deleted."""
    metadata = obj["metadata"]
    if metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds"):
        return False
    return not (served.key == NAMESPACES and (obj.get("spec") or {}).get("finalizers"))


def _preconditions(kind: Kind, old: Object, given: Object) -> None:
    name, uid = old["name"], given.get("uid")
    if uid and uid != old["uid"]:
        raise failures.conflict(
            kind, name, f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['uid']}"
        )
    version = given.get("resourceVersion")
    if version and version != old["resourceVersion"]:
        raise failures.stale(kind, name)


def _merge(served: Served, old: Object, obj: Object, subresource: str) -> Object:
    """The parts that this endpoint may change from `obj`, the rest from `old`; equal parts are shared with `old`."""
    before = old["metadata"]
    if subresource == "status":
        new = {**old, "metadata": {**before}}
        if served.key == _PODS:  # whose status endpoint takes labels and annotations along
            given = meta.owned_by_writer(obj.get("metadata") or {})
            for name in ("labels", "annotations"):
                if name in given and given[name] != before.get(name):
                    new["metadata"][name] = given[name]
        status = obj.get("status", _MISSING)
        if status is _MISSING:
            new.pop("status", None)
        elif status != old.get("status"):
            new["status"] = status
        return new
    metadata = {name: value for name, value in before.items() if name not in _BY_WRITER}
    for name, value in meta.owned_by_writer(obj.get("metadata") or {}).items():
        metadata[name] = before[name] if before.get(name) == value else value
    owners = (obj.get("metadata") or {}).get("managedFields")
    if owners and owners != before.get("managedFields"):
        metadata["managedFields"] = owners
    new = {"apiVersion": served.api_version, "kind": served.kind.kind, "metadata": metadata}
    for name, value in obj.items():
        if name not in new:
            earlier = old.get(name, _MISSING)
            new[name] = earlier if earlier == value else value
    if served.type.status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    return new


_BY_WRITER = frozenset(("labels", "annotations", "ownerReferences", "finalizers"))
_PODS = ("", "pods")
_HEAD = frozenset(("apiVersion", "kind", "metadata"))


def _same(new: Object, old: Object, managed: list[Any] | None) -> bool:
    """Whether the write changes nothing that deserves a version."""
    if new.keys() != old.keys():
        return False
    for name, value in new.items():
        if name != "metadata" and value is not old[name] and value != old[name]:
            return False
    before, after = old["metadata"], new["metadata"]
    owners = managed if managed is not None else after.get("managedFields") or []
    known = before.get("managedFields") or []
    if owners is not known and _timeless(owners) != _timeless(known):
        return False
    return {**after, "managedFields": None} == {**before, "managedFields": None}


def _timeless(managed: list[Any]) -> list[Any]:
    return [{name: value for name, value in entry.items() if name != "time"} for entry in managed]


def _specified(served: Served, obj: Object) -> Object:
    """Everything whose change is a new generation."""
    ignored = _HEAD | {"status"} if served.type.status else _HEAD
    return {name: value for name, value in obj.items() if name not in ignored}


def set_status(state: State, obj: Object, status: Any, manager: str) -> Object:
    """The stand-ins' way to write a status: no schema, coarse managed fields."""
    served = served_of(state, obj)
    metadata = obj["metadata"]
    old = current(served, metadata.get("namespace") or "", metadata["name"])
    if old.get("status") == status:
        return old
    new = {**old, "status": status}
    new["metadata"] = {
        **old["metadata"], "managedFields": fields.coarse(old, new, manager, state.stamp(), "status"),
    }  # fmt: skip
    return store(state, served, new, old)
