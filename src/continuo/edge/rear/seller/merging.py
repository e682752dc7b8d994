"""Rests of K8Slices go back into the flavor that they are of, once nobody has either; else a cluster ends as crumbs.

Two objects cannot be written at once. So the rest is taken off the market first, then its amounts are added together with
a note of its UID, then it goes: whoever comes after a kill at any line sees by the note whether they are added already.
"""

from __future__ import annotations

import logging

import msgspec

from continuo.edge.rear import holds, slices
from continuo.edge.rear.names import K8SLICE, REST_OF, WITHDRAWN
from continuo.edge.rear.refusals import Refusal
from continuo.edge.rear.seller.books import Books
from continuo.edge.rear.seller.writes import Writes
from continuo.resources.kinds import FLAVOR
from continuo.resources.meta import Object, annotations_of, deleting

log = logging.getLogger(__name__)

REST = "rear.continuo.dev/rest"
"""Annotation of a K8Slice's flavor: what is left after a purchase, until a flavor of its own offers that."""
MERGING = "rear.continuo.dev/merging"
"""Annotation of a rest on its way back: where to."""
MERGED = "rear.continuo.dev/merged"
"""Annotation of a flavor: the UIDs of rests whose amounts are in it, as long as they may still be there."""


class Merging:
    """Puts rests back."""

    def __init__(self, books: Books, writes: Writes) -> None:
        self._books, self._writes = books, writes

    async def tidy(self, name: str) -> None:
        """Somebody has let go of a flavor: put together what belongs together and is free. May be done again."""
        flavor = self._books.flavor(name)
        if flavor is None or flavor["spec"]["flavorType"]["typeIdentifier"] != K8SLICE:
            return
        origin = annotations_of(flavor).get(REST_OF) or name
        async with self._writes.turn(f"flavor {origin}"):
            for rest in sorted(self._books.rests(origin)):
                await self._merge(origin, rest)

    async def _merge(self, origin: str, name: str) -> None:
        whole = await self._books.live_flavor(origin)
        rest = await self._books.live_flavor(name)
        if rest is None or (MERGING not in annotations_of(rest) and (whole is None or not _free(whole))):
            return
        try:
            rest = await self._writes.change(name, lambda found: _taken(found, origin))
            if MERGING not in annotations_of(rest):
                return  # somebody has it, or had it taken off the market
            if not await self._is_in(origin, rest):
                await self._writes.change(name, _given_back)
                return
        except Refusal as refusal:
            if refusal.status != 404:
                raise
            return  # the rest is gone
        meta = rest["metadata"]
        await self._writes.remove(FLAVOR, name, meta["namespace"], uid=meta["uid"])
        log.info("flavor %s is back in flavor %s", name, origin)

    async def _is_in(self, origin: str, rest: Object) -> bool:
        """Add a rest's amounts to the flavor that it is of; whether they are in it now."""
        there = set(self._books.rests(origin).values())
        try:
            merged = await self._writes.change(origin, lambda found: _added(found, rest, there))
        except Refusal as refusal:
            if refusal.status != 404:
                raise
            return False  # that one is gone
        return rest["metadata"]["uid"] in _merged(merged)


def _free(flavor: Object) -> bool:
    """Whether nobody has it or reserved it, and it is for sale."""
    sold = flavor["spec"].get("availability", True)
    return bool(
        sold
        and not deleting(flavor)
        and not holds.read(flavor)
        and not {WITHDRAWN, REST} & annotations_of(flavor).keys()
    )


def _merged(flavor: Object) -> list[str]:
    try:
        return msgspec.json.decode(annotations_of(flavor).get(MERGED) or "[]", type=list[str])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return []


def _taken(rest: Object, origin: str) -> Object | None:
    """Take a rest off the market, if it is on it."""
    if not _free(rest):
        return None
    notes = {MERGING: origin, WITHDRAWN: f"it is being put back into flavor {origin}"}
    return {"metadata": {"annotations": notes}, "spec": {"availability": False}}


def _added(origin: Object, rest: Object, there: set[str]) -> Object | None:
    """Add a rest's amounts, if they are not in already and nobody has a hold by now. `there`: UIDs of rests that are left."""
    uid, known = rest["metadata"]["uid"], _merged(origin)
    if uid in known or not _free(origin):
        return None
    amounts = slices.together(slices.amounts_of(origin), slices.amounts_of(rest))
    note = msgspec.json.encode([*(each for each in known if each in there), uid]).decode()
    data = {"typeData": slices.resizing(amounts)}
    return {"metadata": {"annotations": {MERGED: note}}, "spec": {"flavorType": data}}


def _given_back(rest: Object) -> Object | None:
    """Offer a rest again: the flavor that it is of is wanted by somebody, or gone."""
    if MERGING not in annotations_of(rest):
        return None
    return {"metadata": {"annotations": {MERGING: None, WITHDRAWN: None}}, "spec": {"availability": True}}
