"""Fleets: made, and filled with the boards that a selector finds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from continuo.iot.provider.external import Change, Creation, Managed, Neighbours, Observation, Refused
from continuo.iot.provider.kinds.common import extra_of, find, lacks, named, path, text, with_extra
from continuo.iot.provider.lists import Row
from continuo.iot.provider.references import external_name, for_provider
from continuo.iot.provider.world import Connection, Driver, World
from continuo.resources.boards import BOARD, FLEET, FleetObservation, FleetParameters
from continuo.resources.meta import Key, Kind, Object, deleting, key_of, labels_of
from continuo.resources.selectors import LabelSelector, selects

Fleet = Managed[FleetParameters]


class Fleets:
    """Fleets of one endpoint."""

    def __init__(self, connection: Connection, world: World) -> None:
        self._connection, self._world = connection, world
        self._rows, self._boards = connection.lists.fleets, connection.lists.boards

    async def observe(self, managed: Fleet) -> Observation:
        """The fleet, and who belongs to it and should."""
        row = await find(self._rows, managed)
        if row is None:
            return Observation(exists=False)
        uuid = text(row, "uuid")
        boards = {text(board, "uuid"): board for board in await self._boards.all()}
        members = [board for board in boards.values() if board.get("fleet") == uuid]
        come, go, others = self._moves(managed, uuid, boards)
        changes = _changes(managed, row)
        parts = [f"its {', '.join(changes)}"] if changes else []
        parts += [f"{len(come)} boards to join"] if come else []
        parts += [f"{len(go)} boards to leave"] if go else []
        return Observation(
            exists=True,
            up_to_date=not parts,
            at_provider=FleetObservation(
                uuid=uuid,
                members=len(members),
                online=sum(text(board, "status") == "online" for board in members),
                message=others,
            ),
            external_name=uuid,
            difference="; ".join(parts),
            subjects=frozenset(f"board:{text(board, 'uuid')}" for board in members),
        )

    async def create(self, managed: Fleet) -> Creation:
        """Empty; members are a change of their boards."""
        body: dict[str, Any] = {"name": named(managed, managed.parameters.name, 36)}
        if managed.parameters.description is not None:
            body["description"] = managed.parameters.description
        body["extra"] = extra_of(managed, managed.parameters.extra)
        row = (await self._connection.rest.call("POST", "fleets", body)).body
        self._rows.learn(row)
        return Creation(row["uuid"])

    async def update(self, managed: Fleet, seen: Observation) -> Change:  # noqa: ARG002
        """The fleet itself, then who joins and who leaves."""
        uuid = managed.external_name
        row = await self._rows.find(uuid)
        if row is not None and (changes := _changes(managed, row)):
            self._rows.learn((await self._connection.rest.call("PATCH", path("fleets", uuid), changes)).body)
        boards = {text(board, "uuid"): board for board in await self._boards.all()}
        come, go, _ = self._moves(managed, uuid, boards)
        for board in come:
            await self._move(board, uuid)
        for board in go:
            await self._move(board, None)
        return Change()

    async def delete(self, managed: Fleet) -> None:
        """Its members leave first, since the endpoint may refuse otherwise."""
        uuid = managed.external_name
        if not uuid:
            return
        for board in [text(each, "uuid") for each in await self._boards.all() if each.get("fleet") == uuid]:
            await self._move(board, None)
        try:
            await self._connection.rest.call("DELETE", path("fleets", uuid))
        except Refused as error:
            if error.status != 404:
                raise
        self._rows.drop(uuid)

    async def _move(self, board: str, fleet: str | None) -> None:
        try:
            answer = await self._connection.rest.call("PATCH", path("boards", board), {"fleet": fleet})
        except Refused as error:
            if error.status != 404:
                raise
            self._boards.drop(board)
            return
        if isinstance(answer.body, dict) and answer.body.get("uuid") == board:
            self._boards.learn(answer.body)
        else:
            self._boards.changed(board)

    def _moves(self, managed: Fleet, uuid: str, boards: Mapping[str, Row]) -> tuple[list[str], list[str], str]:
        """(who joins, who leaves, who is wanted by another fleet, in a sentence)."""
        if managed.parameters.member_selector is None:
            return [], [], ""
        come, go, taken = [], [], []
        for obj in self._world.neighbours.all(BOARD, managed.namespace):
            row = boards.get(external_name(obj))
            if row is None or for_provider(obj).get("fleetId"):
                continue
            wanted = not deleting(obj) and selects(managed.parameters.member_selector, labels_of(obj))
            owner = self._owner(managed, obj) if wanted else None
            if owner is not None:
                taken.append(f"{obj['metadata']['name']} ({owner})")
            elif wanted and row.get("fleet") != uuid:
                come.append(text(row, "uuid"))
            elif not wanted and row.get("fleet") == uuid:
                go.append(text(row, "uuid"))
        more = f" and {len(taken) - 5} more" if len(taken) > 5 else ""
        return come, go, f"an older fleet has {', '.join(taken[:5])}{more}" if taken else ""

    def _owner(self, managed: Fleet, board: Object) -> str | None:
        """An older Fleet whose selector wants the board, too: the oldest has it."""
        return next(
            (
                fleet["metadata"]["name"]
                for fleet in self._world.neighbours.all(FLEET, managed.namespace)
                if fleet["metadata"].get("uid") != managed.uid
                and not deleting(fleet)
                and _age(fleet) < self._own_age(managed)
                and wants(fleet, board)
            ),
            None,
        )

    def _own_age(self, managed: Fleet) -> tuple[str, str]:
        own = self._world.neighbours.get(FLEET, managed.namespace, managed.name)
        return _age(own) if own is not None else ("", managed.name)


def _age(obj: Object) -> tuple[str, str]:
    return str(obj["metadata"].get("creationTimestamp") or ""), obj["metadata"]["name"]


def _changes(managed: Fleet, row: Row) -> dict[str, Any]:
    said = managed.parameters
    changes: dict[str, Any] = {}
    if row.get("name") != named(managed, said.name, 36):
        changes["name"] = named(managed, said.name, 36)
    if said.description is not None and row.get("description") != said.description:
        changes["description"] = said.description
    extra = extra_of(managed, said.extra)
    if lacks(row, extra):
        changes["extra"] = with_extra(row, extra)
    return changes


def wants(fleet: Object, board: Object) -> bool:
    """Whether a Fleet's selector finds a Board."""
    said = for_provider(fleet).get("memberSelector")
    if said is None:
        return False
    try:
        return selects(msgspec.convert(said, LabelSelector), labels_of(board))
    except msgspec.ValidationError:
        return False


def concerned(kind: Kind, old: Object | None, new: Object | None, neighbours: Neighbours) -> Iterable[Key]:  # noqa: ARG001
    """The Fleets that a Board is, or was, in the selection of."""
    states = [each for each in (old, new) if each is not None]
    if old is not None and new is not None and _same(old, new):
        return
    yield from _selecting(states, neighbours)


def _selecting(boards: list[Object], neighbours: Neighbours) -> Iterator[Key]:
    for fleet in neighbours.all(FLEET, boards[0]["metadata"].get("namespace") or ""):
        if any(wants(fleet, board) for board in boards):
            yield key_of(fleet)


def _same(old: Object, new: Object) -> bool:
    return (
        labels_of(old) == labels_of(new)
        and external_name(old) == external_name(new)
        and deleting(old) == deleting(new)
        and for_provider(old).get("fleetId") == for_provider(new).get("fleetId")
        and _status(old) == _status(new)
    )


def _status(board: Object) -> tuple[Any, Any]:
    seen = (board.get("status") or {}).get("atProvider") or {}
    return seen.get("status"), seen.get("fleet")


FLEETS: Driver[FleetParameters] = Driver(FLEET, FleetParameters, Fleets, wakes={BOARD: concerned})
