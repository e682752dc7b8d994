"""What most kinds do alike: find by uuid or marker, compare `extra`, read rows that an endpoint may fill with nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from continuo.iot.provider.external import MARKER, Absent, Managed, Observation, Readiness, Refused
from continuo.iot.provider.lists import Collection, Row
from continuo.iot.provider.rest import Rest
from continuo.resources.boards_types import Action


async def find(
    collection: Collection, managed: Managed[Any], also: Callable[[Row], bool] = lambda _row: False
) -> Row | None:
    """The external object: by its name; where nobody knows how its creation ended, by its marker or what `also` says."""
    if managed.external_name:
        return await collection.find(managed.external_name)
    if not managed.uncertain:
        return None  # nothing was ever asked for: nothing can be there
    return await collection.search(lambda row: marked(row, managed) or also(row))


def marked(row: Row, managed: Managed[Any]) -> bool:
    """Whether it was made for this object."""
    return (row.get("extra") or {}).get(MARKER) == managed.marker


def unclaimed(row: Row) -> bool:
    """Whether no object of any cluster has made it."""
    return MARKER not in (row.get("extra") or {})


def named(managed: Managed[Any], name: str | None, most: int) -> str:
    """Its name there; raises Refused where the object's own does not do."""
    found = name or managed.name
    if len(found) > most:
        raise Refused(
            f"the name {found!r} has {len(found)} characters, and the endpoint takes {most}: give a shorter one in "
            "spec.forProvider.name"
        )
    return found


def extra_of(managed: Managed[Any], extra: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """What `extra` has to hold."""
    return {**extra, **{key: value for key, value in more.items() if value}, MARKER: managed.marker}


def lacks(row: Row, wanted: Mapping[str, Any]) -> bool:
    """Whether `extra` does not hold all of it."""
    known = row.get("extra") or {}
    return any(known.get(key) != value for key, value in wanted.items())


def with_extra(row: Row, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """All that `extra` should hold: what others put there stays."""
    return {**(row.get("extra") or {}), **wanted}


def text(row: Mapping[str, Any], name: str) -> str:
    """A field as text; empty where there is none."""
    value = row.get(name)
    return "" if value is None else str(value)


def path(*parts: str) -> str:
    """A path of the endpoint, whatever is in its parts."""
    return "/".join(quote(part, safe="") for part in parts)


def online(board: Row) -> bool:
    """Whether a board is connected."""
    return text(board, "status") == "online"


def untouched(managed: Managed[Any]) -> bool:
    """Whether nothing was ever asked for: nothing of it can be outside."""
    return not managed.external_name and not managed.uncertain


def waiting(managed: Managed[Any], why: str, subjects: frozenset[str]) -> Observation:
    """It cannot be made as things are, which is a state and no error; one of the subjects tells when that changes."""
    if managed.deleting or Action.CREATE not in managed.policies:
        return Observation(exists=False, subjects=subjects)
    return Observation(exists=True, readiness=Readiness(False, why), subjects=subjects)


async def removed(rest: Rest, where: str) -> None:
    """Delete it; what is gone is as good."""
    try:
        await rest.act("DELETE", where)
    except Absent:
        return
