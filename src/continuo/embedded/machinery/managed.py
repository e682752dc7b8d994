"""The entries of `metadata.managedFields`: who owns which fields, through which operation, since when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from continuo.embedded.machinery.fieldsets import LEAF, FieldSet, difference, union

MAX_UPDATE_ENTRIES = 10
ANCIENT = "ancient-changes"
BEFORE_FIRST_APPLY = "before-first-apply"


class Owner(NamedTuple):
    """What tells entries apart. Appliers are one owner whatever version they apply with (`api_version` is "")."""

    manager: str
    operation: str
    api_version: str
    subresource: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One owner's fields. `wire` is the entry as it came, handed out again while nothing in it changes."""

    api_version: str
    time: str | None
    fields: FieldSet
    wire: dict[str, Any] | None = None

    def with_fields(self, fields: FieldSet, time: str | None = None) -> Entry:
        """The entry owning something else; itself when it is the same."""
        if fields is self.fields and time is None:
            return self
        return replace(self, fields=fields, time=time or self.time, wire=None)


Owners = dict[Owner, Entry]


def applier(manager: str, subresource: str = "") -> Owner:
    """Who applies."""
    return Owner(manager, "Apply", "", subresource)


def updater(manager: str, api_version: str, subresource: str = "") -> Owner:
    """Who creates, updates and patches."""
    return Owner(manager, "Update", api_version, subresource)


def decode(wire: list[dict[str, Any]] | None) -> Owners:
    """The owners in `metadata.managedFields`."""
    owners: Owners = {}
    for entry in wire or ():
        version = entry.get("apiVersion", "")
        operation = entry.get("operation", "")
        owner = Owner(
            entry.get("manager", ""),
            operation,
            "" if operation == "Apply" else version,
            entry.get("subresource", ""),
        )
        fields = entry.get("fieldsV1") or LEAF
        known = owners.get(owner)
        if known is not None:
            owners[owner] = known.with_fields(union(known.fields, fields))
        else:
            owners[owner] = Entry(version, entry.get("time"), fields, entry)
    return owners


def encode(owners: Owners) -> list[dict[str, Any]]:
    """The value of `metadata.managedFields`: appliers first, then by time."""
    keep = [(owner, entry) for owner, entry in owners.items() if entry.fields]
    keep.sort(key=_order)
    return [entry.wire or _wire(owner, entry) for owner, entry in keep]


def _order(item: tuple[Owner, Entry]) -> tuple[str, str, str, str, str]:
    owner, entry = item
    return owner.operation, entry.time or "", owner.manager, entry.api_version, owner.subresource


def _wire(owner: Owner, entry: Entry) -> dict[str, Any]:
    wire: dict[str, Any] = {"manager": owner.manager, "operation": owner.operation}
    if entry.api_version:
        wire["apiVersion"] = entry.api_version
    if entry.time:
        wire["time"] = entry.time
    wire["fieldsType"] = "FieldsV1"
    wire["fieldsV1"] = entry.fields
    if owner.subresource:
        wire["subresource"] = owner.subresource
    return wire


def without(owners: Owners, fields: FieldSet) -> Owners:
    """The owners with those fields taken from all of them."""
    if not fields:
        return owners
    return {owner: entry.with_fields(difference(entry.fields, fields)) for owner, entry in owners.items()}


def capped(owners: Owners) -> Owners:
    """At most ten updaters: the oldest of them are folded into one entry per version."""
    updaters = [(owner, entry) for owner, entry in owners.items() if owner.operation == "Update" and entry.fields]
    if len(updaters) <= MAX_UPDATE_ENTRIES:
        return owners
    updaters.sort(key=_order)
    out = dict(owners)
    versions = len({owner.api_version for owner, _ in updaters})
    for owner, entry in updaters[: len(updaters) - max(MAX_UPDATE_ENTRIES - versions, 0)]:
        ancient = updater(ANCIENT, owner.api_version)
        if owner == ancient:
            continue
        del out[owner]
        known = out.get(ancient)
        fields = entry.fields if known is None else union(known.fields, entry.fields)
        out[ancient] = Entry(owner.api_version, entry.time, fields)
    return out
