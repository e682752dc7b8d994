"""Server-side apply, and who owns a field after any other write.

`server_side_apply` merges a configuration into an object for one field manager; `record_update` keeps the ownership
right after creates, updates and patches. Both are pure and cost in proportion to what changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

from continuo.embedded.machinery.declared import refuse_misfits
from continuo.embedded.machinery.fieldsets import LEAF, FieldSet, difference, intersection, paths, union
from continuo.embedded.machinery.managed import (
    BEFORE_FIRST_APPLY,
    Entry,
    Owner,
    Owners,
    applier,
    capped,
    decode,
    encode,
    updater,
    without,
)
from continuo.embedded.machinery.merging import merge, withdraw
from continuo.embedded.machinery.roots import object_type
from continuo.embedded.machinery.typed import MergeType, compare, field_set
from continuo.resources.errors import BadRequest, Conflict
from continuo.resources.meta import Object

_UNOWNED_METADATA = {
    "f:" + name: LEAF
    for name in (
        "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
        "resourceVersion",
    )
}  # fmt: skip
_UNOWNED: FieldSet = {"f:apiVersion": LEAF, "f:kind": LEAF, "f:metadata": {".": LEAF, **_UNOWNED_METADATA}}
"""What identifies an object, or is the server's: nobody owns it."""


def server_side_apply(
    live: Object | None,
    applied: Object,
    *,
    manager: str,
    schema: Mapping[str, Any] | None,
    force: bool,
    time: str,
    subresource: str = "",
    api_version: str,
    status_apart: bool = False,
) -> Object:
    """The object after `manager` applied its configuration, with managedFields.

    Returns `live` itself when nothing changed. Raises Conflict when other managers own fields that the configuration
    sets to other values, unless forced, and InternalError (as API servers do) for a configuration that the schema
    does not fit. `status_apart`: the kind has a status subresource, and `status` is set only through it.
    """
    if (applied.get("metadata") or {}).get("managedFields") is not None:
        raise BadRequest("metadata.managedFields must be nil")
    kind = object_type(schema)
    base = _without_owners(live) if live is not None else _blank(applied)
    config = _owned_part(applied, subresource, status_apart)
    refuse_misfits(kind, config, applied)
    before = _owners_before(kind, live, base, api_version)
    me = applier(manager, subresource)
    last = before[me].fields if me in before else LEAF
    named = field_set(kind, config)
    claim = difference(named, _UNOWNED)
    others = {owner: entry for owner, entry in before.items() if owner != me}

    merged = merge(kind, base, config)
    if (
        live is not None
        and merged is base
        and me in before
        and _claimed(before[me], claim, api_version, time, False) is before[me]
    ):
        return live
    if last and last != claim:
        owned = reduce(union, (entry.fields for entry in others.values()), named)
        merged = withdraw(kind, merged, last, owned)
    changed, removed = _ownable(*compare(kind, base, merged))
    if not force:
        _refuse_conflicts(others, changed)
    owners = without(others, union(changed, removed))
    if claim:
        owners[me] = _claimed(before.get(me), claim, api_version, time, live is None or merged is not base)
    return _with_owners(live, base, merged, encode(owners))


def record_update(
    old: Object | None,
    new: Object,
    *,
    manager: str,
    schema: Mapping[str, Any] | None,
    time: str,
    subresource: str = "",
    api_version: str,
    status_apart: bool = False,
) -> list[dict[str, Any]]:
    """The managedFields after `new` was written over `old` by anything but apply.

    `status_apart`: the kind has a status subresource, so other writes never own anything in `status`.
    """
    known = (old or {}).get("metadata", {}).get("managedFields") or []
    given = new["metadata"].get("managedFields")
    wire: list[dict[str, Any]] = given if given and not subresource else known
    if wire == [{}] or (old is not None and not wire):
        return []  # forgotten on request, or never kept: it stays so until somebody applies
    kind = object_type(schema)
    changed, removed = _ownable(*compare(kind, old if old is not None else _blank(new), new))
    if status_apart and not subresource:
        changed = {key: node for key, node in changed.items() if key != "f:status"}
    if not changed and not removed:
        return wire
    owners = without(decode(wire), union(changed, removed))
    if changed:
        me = updater(manager, api_version, subresource)
        mine = owners.get(me)
        known = mine.fields if mine is not None else LEAF
        owners[me] = Entry(api_version, time, union(known, changed))
        owners = capped(owners)
    return encode(owners)


def _blank(obj: Object) -> Object:
    """What a new object is compared with: only its identity."""
    return {"apiVersion": obj.get("apiVersion"), "kind": obj.get("kind"), "metadata": {}}


def _owned_part(applied: Object, subresource: str, status_apart: bool) -> Object:
    """What an applied configuration can set: through `status` only the status, elsewhere all but a status apart."""
    if subresource != "status":
        if not status_apart or "status" not in applied:
            return applied
        return {name: value for name, value in applied.items() if name != "status"}
    return {name: value for name, value in applied.items() if name in ("apiVersion", "kind", "status")}


def _owners_before(kind: MergeType, live: Object | None, base: Object, api_version: str) -> Owners:
    """The known owners; what exists without any belongs to a manager of its own before the first apply."""
    if live is None:
        return {}
    owners = decode(live["metadata"].get("managedFields"))
    if owners:
        return owners
    settled = {name: value for name, value in base.items() if name != "status"}
    changed, _ = _ownable(*compare(kind, _blank(live), settled))
    version = live.get("apiVersion", api_version)
    return {updater(BEFORE_FIRST_APPLY, version): Entry(version, None, changed)} if changed else {}


def _ownable(changed: FieldSet, removed: FieldSet) -> tuple[FieldSet, FieldSet]:
    return difference(changed, _UNOWNED), difference(removed, _UNOWNED)


def _claimed(last: Entry | None, claim: FieldSet, api_version: str, time: str, object_changed: bool) -> Entry:
    """The applier's entry: the former one when it claims the same. Its time tells when it last changed the object."""
    if last is not None and last.fields == claim and last.api_version == api_version and not object_changed:
        return last
    known = last.time if last is not None else None
    return Entry(api_version, time if object_changed else known, claim)


def _without_owners(obj: Object) -> Object:
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    return {**obj, "metadata": metadata}


def _with_owners(live: Object | None, base: Object, merged: Object, wire: list[dict[str, Any]]) -> Object:
    if live is not None and merged is base and wire == (live["metadata"].get("managedFields") or []):
        return live
    return {**merged, "metadata": {**merged["metadata"], "managedFields": wire}}


def _refuse_conflicts(others: Owners, changed: FieldSet) -> None:
    if not changed:
        return
    found: list[tuple[str, str]] = []
    for owner in sorted(others):
        both = intersection(others[owner].fields, changed)
        found += [(_name(owner), path) for path in paths(both)]
    if found:
        raise Conflict(_conflict_message(found), details={"causes": [_cause(name, path) for name, path in found]})


def _name(owner: Owner) -> str:
    """The other manager as the message names it."""
    name = f'"{owner.manager}"'
    if owner.subresource:
        name += f' with subresource "{owner.subresource}"'
    return f"{name} using {owner.api_version}" if owner.operation == "Update" else name


def _cause(name: str, path: str) -> dict[str, str]:
    return {"reason": "FieldManagerConflict", "message": f"conflict with {name}", "field": path}


def _conflict_message(found: list[tuple[str, str]]) -> str:
    if len(found) == 1:
        return f"Apply failed with 1 conflict: conflict with {found[0][0]}: {found[0][1]}"
    lines: list[str] = []
    for name in sorted({name for name, _ in found}):
        lines.append(f"conflicts with {name}:")
        lines += [f"- {path}" for owner, path in found if owner == name]
    return f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
