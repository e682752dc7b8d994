"""Ports: a board's ends of networks. A port whose creation nobody saw answered is found again before another is made."""

from __future__ import annotations

from typing import Any

from continuo.iot.provider.external import (
    Change,
    Creation,
    Managed,
    NotYet,
    Observation,
    Readiness,
    Reference,
    Refused,
    Unknown,
)
from continuo.iot.provider.kinds.common import (
    extra_of,
    lacks,
    marked,
    online,
    path,
    removed,
    text,
    untouched,
    waiting,
    with_extra,
)
from continuo.iot.provider.lists import Row
from continuo.iot.provider.rest import OBJECT
from continuo.iot.provider.world import Connection, Driver, World
from continuo.resources.boards import BOARD, PORT, VIRTUAL_NETWORK, PortObservation, PortParameters

Port = Managed[PortParameters]
_GRANT = (
    "its agent may not make network interfaces (TAP): grant it CAP_NET_ADMIN, and reading and writing /dev/net/tun, and "
    "start it again"
)


class Ports:
    """Ports at one endpoint."""

    def __init__(self, connection: Connection, world: World) -> None:
        self._connection, self._world = connection, world
        self._rest, self._rows = connection.rest, connection.lists.ports

    async def observe(self, managed: Port) -> Observation:
        """By uuid; else by board, network and marker."""
        board = managed.parameters.board_id or ""
        row = await self._find(managed)
        home = await self._connection.lists.boards.find(board) if board else None
        subjects = {f"board:{board}"}
        if row is None:
            if home is None and not managed.deleting:
                raise NotYet(f"the endpoint has no board {board}" if board else "no board is named yet")
            why = self._cannot(home) if home is not None else ""
            return waiting(managed, why, frozenset(subjects)) if why else Observation(exists=False)
        subjects.add(f"port:{text(row, 'uuid')}")
        difference = ", ".join(self._changes(managed, row))
        return Observation(
            exists=True, up_to_date=not difference, difference=difference, readiness=_readiness(row, home),
            at_provider=_observed(row, home), external_name=text(row, "uuid"), subjects=frozenset(subjects),
        )  # fmt: skip

    async def create(self, managed: Port) -> Creation:
        """Ask for it; the endpoint tells which it made, or it is found in the list."""
        said = managed.parameters
        if said.allowed_addresses and not self._connection.ours:
            raise Refused(
                f"allowedAddresses: {self._rest.endpoint} is no hub of Continuo's, and IoTronic's ports lead nowhere else"
            )
        wanted = {
            "network": said.network_id, "subnet": said.subnet_id, "security_groups": list(said.security_groups),
            **({"name": said.name or managed.name, "mac": said.mac, "ip": said.ip, "extra": extra_of(managed, said.extra),
                "allowed_addresses": list(said.allowed_addresses)}
               if self._connection.ours else {}),
        }  # fmt: skip
        body = {key: value for key, value in wanted.items() if value is not None}
        key = f"port-{managed.uid}-{managed.generation}-{managed.status.get('uuid', '')}"
        answer = await self._rest.act("PUT", path("boards", said.board_id or "", "ports"), body, key=key)
        made = answer.headers.get(OBJECT, "")
        if not made:
            row = await self._rows.search(lambda row: self._fits(managed, row))
            made = text(row, "uuid") if row is not None else ""
        if not made:
            raise Unknown(f"{self._rest.endpoint} did not tell which port it made, and lists none")
        self._rows.changed(made)
        return Creation(made, subjects=frozenset({f"port:{made}", f"board:{said.board_id}"}))

    async def update(self, managed: Port, seen: Observation) -> Change:  # noqa: ARG002
        """Its name, security groups, where it leads and extra; where it is and its addresses stay."""
        row = await self._rows.find(managed.external_name)
        if row is not None and (changes := self._changes(managed, row)):
            self._rows.learn((await self._rest.call("PATCH", path("ports", managed.external_name), changes)).body)
        return Change()

    async def delete(self, managed: Port) -> None:
        """Take it away; a board that is away learns it when it comes."""
        if managed.external_name:
            await removed(self._rest, path("ports", managed.external_name))
            self._rows.drop(managed.external_name)

    async def _find(self, managed: Port) -> Row | None:
        if untouched(managed):
            return None
        if managed.external_name:
            return await self._rows.find(managed.external_name)
        return await self._rows.search(lambda row: self._fits(managed, row))

    def _fits(self, managed: Port, row: Row) -> bool:
        """Whether it was made for this object. IoTronic keeps no `extra` of ports: there it is one that nobody has."""
        said = managed.parameters
        if row.get("board_uuid") != said.board_id or row.get("network") not in (said.network_id, said.subnet_id):
            return False
        if "extra" in row:
            return marked(row, managed)
        return self._world.neighbours.by_external_name(PORT, text(row, "uuid")) is None

    def _cannot(self, board: Row) -> str:
        """Why the board cannot have a port now, and what would help."""
        name = text(board, "name")
        if self._connection.ours and (online(board) or board.get("capabilities")):
            able = {"desire", "tap"} <= set(board.get("capabilities") or ())
            return "" if able else f"board {name} cannot have ports: {_GRANT}"
        return "" if online(board) else f"board {name} is offline: it gets its port when it comes"

    def _changes(self, managed: Port, row: Row) -> dict[str, Any]:
        said, changes = managed.parameters, dict[str, Any]()
        if not self._connection.ours:
            return changes  # IoTronic changes no port
        if said.name is not None and row.get("name") != said.name:
            changes["name"] = said.name
        if sorted(row.get("security_groups") or ()) != sorted(said.security_groups):
            changes["security_groups"] = list(said.security_groups)
        if sorted(row.get("allowed_addresses") or ()) != sorted(said.allowed_addresses):
            changes["allowed_addresses"] = list(said.allowed_addresses)
        extra = extra_of(managed, said.extra)
        return {**changes, "extra": with_extra(row, extra)} if lacks(row, extra) else changes


def _readiness(row: Row, board: Row | None) -> Readiness:
    if board is None or not online(board):
        return Readiness(False, "the board is offline: it has its port again when it comes")
    if row.get("up", True):
        return Readiness(True)
    message = text(row, "message")
    return Readiness(False, message or "the board has not made the interface yet", creating=not message)


def _observed(row: Row, board: Row | None) -> PortObservation:
    there = board is not None and online(board)
    return PortObservation(
        uuid=text(row, "uuid"), vif_name=text(row, "VIF_name"), mac=text(row, "MAC_add"), ip=text(row, "ip"),
        board_end=there and bool(row.get("up", True)), cloud_end=bool(row.get("connected", there)),
        message=text(row, "message")[:1024],
    )  # fmt: skip


PORTS: Driver[PortParameters] = Driver(
    PORT, PortParameters, Ports, (Reference("board", BOARD), Reference("network", VIRTUAL_NETWORK))
)
