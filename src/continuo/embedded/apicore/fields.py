"""`metadata.managedFields`: exact where someone may apply beside the writer, coarse for the stand-ins' own writes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from continuo.embedded.apicore.served import Served
from continuo.embedded.machinery import apply, managed
from continuo.embedded.machinery.fieldsets import FieldSet
from continuo.embedded.port import Write
from continuo.resources.meta import Object


def after_write(
    served: Served, old: Object | None, new: Object, write: Write, time: str, subresource: str = ""
) -> list[Any]:
    """The managed fields after a create, update or patch."""
    if write.trusted:
        return coarse(old, new, write.manager, time, subresource)
    return apply.record_update(
        old, new, manager=write.manager, schema=served.schema, time=time, subresource=subresource,
        api_version=served.api_version, status_apart=served.type.status,
    )  # fmt: skip


def of_alike(served: Served, owned: FieldSet, write: Write, time: str) -> list[Any]:
    """The managed fields of a new object whose creator owns these."""
    return managed.encode(
        {managed.updater(write.manager, served.api_version): managed.Entry(served.api_version, time, owned)}
    )


def coarse(old: Object | None, new: Object, manager: str, time: str, subresource: str = "") -> list[Any]:
    """One entry that names what the writer set by its top levels only.

    An entry that already says so stays as it is, with its time: a status written a thousand times costs no new entry.
    """
    entries: list[Any] = (old or new)["metadata"].get("managedFields") or [] if old else []
    api_version = new["apiVersion"]
    names = _changed(old, new, subresource)
    for index, entry in enumerate(entries):
        if (
            entry["manager"] == manager
            and entry.get("subresource", "") == subresource
            and entry["operation"] == "Update"
            and entry["apiVersion"] == api_version
        ):
            fields = entry["fieldsV1"]
            missing = [name for name in names if name not in fields]
            if not missing:
                return entries
            widened = {**entry, "time": time, "fieldsV1": {**fields, **{name: {} for name in missing}}}
            return [*entries[:index], widened, *entries[index + 1 :]]
    entry = {
        "manager": manager, "operation": "Update", "apiVersion": api_version, "time": time,
        "fieldsType": "FieldsV1", "fieldsV1": _fields(names),
    }  # fmt: skip
    if subresource:
        entry["subresource"] = subresource
    return [*entries, entry]


@lru_cache(maxsize=256)
def _fields(names: tuple[str, ...]) -> dict[str, Any]:
    # Shared by all objects with the same shape, and as all stored objects never mutated.
    return {name: {} for name in names}


def _changed(old: Object | None, new: Object, subresource: str) -> tuple[str, ...]:
    if subresource == "status":
        return ("f:status",)
    return tuple(
        f"f:{name}"
        for name, value in new.items()
        if name not in ("apiVersion", "kind", "metadata") and (old is None or old.get(name) != value)
    )
