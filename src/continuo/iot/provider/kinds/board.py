"""Boards: registered with a code, looked at in one list, ready when they are online."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from continuo.iot.provider.external import (
    Change,
    Creation,
    Details,
    Managed,
    NotSent,
    NotYet,
    Observation,
    Readiness,
    Reference,
    Refused,
    Unknown,
)
from continuo.iot.provider.kinds.common import (
    extra_of,
    find,
    lacks,
    marked,
    named,
    online,
    path,
    text,
    unclaimed,
    with_extra,
)
from continuo.iot.provider.lists import Row
from continuo.iot.provider.world import Connection, Driver, World
from continuo.resources.boards import BOARD, FLEET, BoardObservation, BoardParameters

Board = Managed[BoardParameters]
_STAYS = "IoTronic resets a board that is online before it deletes it, and its agent may not know how: stop its agent"
NOWHERE = {"longitude": "0", "latitude": "0", "altitude": "0"}


class Boards:
    """Boards of one endpoint."""

    def __init__(self, connection: Connection, world: World) -> None:
        self._connection, self._world = connection, world
        self._rows = connection.lists.boards

    async def observe(self, managed: Board) -> Observation:
        """By uuid; else by the marker or, where nobody has claimed it, by the code."""
        code = await self._code(managed) if managed.uncertain else ""
        row = await find(self._rows, managed, lambda row: bool(code) and row.get("code") == code and unclaimed(row))
        if row is None:
            gone = bool(managed.status.get("uuid")) and not managed.parameters.recreate and not managed.uncertain
            return Observation(exists=False, lost=gone)
        difference = ", ".join(_changes(managed, row))
        return Observation(
            exists=True,
            up_to_date=not difference,
            readiness=_readiness(managed, row),
            at_provider=_observed(row),
            external_name=text(row, "uuid"),
            late=_late(managed, row),
            details=await self._details(managed, row),
            subjects=frozenset({f"board:{text(row, 'uuid')}"}),
            difference=difference,
        )

    async def create(self, managed: Board) -> Creation:
        """With a code that is written down before anybody else hears of it."""
        code = await self._code(managed, anew=bool(managed.status.get("uuid")))
        if not code:
            code = self._world.make_code()
            await self._world.publish(managed, {"code": code.encode()})
        location = managed.parameters.location
        body = {
            "name": named(managed, managed.parameters.name, 255),
            "code": code,
            "location": [msgspec.to_builtins(location) if location else NOWHERE],
            "extra": _extra(managed),
            **{
                key: value
                for key, value in (
                    ("type", managed.parameters.type),
                    ("mobile", managed.parameters.mobile),
                    ("fleet", managed.parameters.fleet_id),
                )
                if value is not None
            },
        }
        row = (await self._connection.rest.call("POST", "boards", body)).body
        self._rows.learn(row)
        return Creation(row["uuid"], await self._details(managed, row), frozenset({f"board:{row['uuid']}"}))

    async def update(self, managed: Board, seen: Observation) -> Change:  # noqa: ARG002
        """Name, type, fleet, mobile and extra; the endpoint moves no board."""
        row = await self._rows.find(managed.external_name)
        if row is None:
            raise NotYet(f"board {managed.external_name} went just now")
        answer = await self._connection.rest.call(
            "PATCH", path("boards", managed.external_name), _changes(managed, row)
        )
        self._take(answer.body, managed.external_name)
        return Change()

    async def delete(self, managed: Board) -> None:
        """What depends on it went before."""
        if not managed.external_name:
            return
        try:
            await self._connection.rest.call("DELETE", path("boards", managed.external_name))
        except Refused as error:
            if error.status != 404:
                raise
        except NotSent:
            raise
        except Unknown as error:
            row = None if self._connection.ours else await self._rows.find(managed.external_name)
            if row is None or not online(row):
                raise
            raise Unknown(f"{error}: {_STAYS}") from error
        self._rows.drop(managed.external_name)

    def _take(self, body: Any, uuid: str) -> None:
        if isinstance(body, dict) and body.get("uuid") == uuid:
            self._rows.learn(body)
        else:
            self._rows.changed(uuid)

    async def _code(self, managed: Board, *, anew: bool = False) -> str:
        """The registration code; empty where one is to be made."""
        wanted = managed.parameters.code_secret_ref
        if wanted is not None:
            held = await self._world.secret(managed.namespace, wanted.name)
            found = (held or {}).get(wanted.key)
            if not found:
                raise NotYet(f"Secret {managed.namespace}/{wanted.name} has no {wanted.key!r}, the registration code")
            return found.decode("utf-8", "replace").strip()
        if anew:
            return ""  # the one that there is was spent
        held = await self._world.secret(managed.namespace, managed.secret)
        return (held or {}).get("code", b"").decode("utf-8", "replace")

    async def _details(self, managed: Board, row: Row) -> Details:
        details = {"uuid": text(row, "uuid").encode(), "endpoint": self._connection.rest.endpoint.encode()}
        first = row.get("config") if text(row, "status") == "registered" else None
        agent = ((first or {}).get("iotronic") or {}).get("wamp", {}).get("registration-agent")
        if agent and managed.parameters.code_secret_ref is None and (code := await self._code(managed)):
            settings = {"iotronic": {"board": {"code": code}, "wamp": {"registration-agent": agent}}}
            details["settings.json"] = msgspec.json.format(msgspec.json.encode(settings))
        return details


def _extra(managed: Board) -> dict[str, Any]:
    return extra_of(managed, managed.parameters.extra, labels=dict(managed.labels))


def _changes(managed: Board, row: Row) -> dict[str, Any]:
    """What is to be changed; nothing that the endpoint rewrites."""
    wanted: Mapping[str, Any] = {
        "name": named(managed, managed.parameters.name, 255),
        "type": managed.parameters.type,
        "mobile": managed.parameters.mobile,
        "fleet": managed.parameters.fleet_id,
    }
    changes = {key: value for key, value in wanted.items() if value is not None and row.get(key) != value}
    extra = _extra(managed)
    if lacks(row, extra):
        changes["extra"] = with_extra(row, extra)
    return changes


def _late(managed: Board, row: Row) -> dict[str, Any]:
    said, late = managed.parameters, {}
    if said.type is None and row.get("type"):
        late["type"] = row["type"]
    if said.mobile is None and row.get("mobile"):
        late["mobile"] = True
    places = row.get("location") or []
    if said.location is None and places and isinstance(places[0], dict):
        place = {key: text(places[0], key) or "0" for key in NOWHERE}
        if place != NOWHERE:
            late["location"] = place
    return late


def _readiness(managed: Board, row: Row) -> Readiness:
    status = text(row, "status")
    if status == "online":
        return Readiness(True)
    if status != "registered":
        return Readiness(False, f"the board is {status or 'in no state'}: it is ready when its agent connects")
    where = f"Secret {managed.secret}"
    if managed.parameters.code_secret_ref is not None:
        where = f"Secret {managed.parameters.code_secret_ref.name}"
    if (row.get("registration") or {}).get("state") == "expired":
        return Readiness(
            False, f"the code in {where} has expired before an agent used it: get a new code for the board"
        )
    return Readiness(False, f"no agent has used the code in {where} yet: start one with it")


def _observed(row: Row) -> BoardObservation:
    connectivity = row.get("connectivity")
    known = connectivity if isinstance(connectivity, dict) else {}
    return BoardObservation(
        uuid=text(row, "uuid"),
        name=text(row, "name"),
        status=text(row, "status"),
        fleet=text(row, "fleet"),
        agent=text(row, "agent"),
        wstun_ip=text(row, "wstun_ip"),
        lr_version=text(row, "lr_version"),
        connectivity={str(key)[:64]: str(value)[:255] for key, value in list(known.items())[:16]},
    )


BOARDS: Driver[BoardParameters] = Driver(
    BOARD, BoardParameters, Boards, (Reference("fleet", FLEET),), secret=lambda name: f"{name}-board"
)

__all__ = ["BOARDS", "Boards", "marked"]
