"""Services of boards at public ports: enabled once, opened again where the tunnel stays dead, closed with their object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from continuo.iot.provider.external import (
    Change,
    Creation,
    Managed,
    NotConnected,
    NotSent,
    NotYet,
    Observation,
    Readiness,
    Reference,
    Refused,
    Unknown,
)
from continuo.iot.provider.kinds.common import extra_of, marked, online, path, removed, text, untouched, waiting
from continuo.iot.provider.lists import Row
from continuo.iot.provider.world import Connection, Driver, World
from continuo.resources.boards import (
    BOARD,
    EXPOSED_SERVICE,
    SERVICE,
    ExposedServiceObservation,
    ExposedServiceParameters,
)

Exposed = Managed[ExposedServiceParameters]
PATIENCE = 10.0
"""Seconds for which a tunnel may be dead before it is opened again: boards come back to theirs by themselves."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One exposure as the endpoint tells of it."""

    public_port: int
    up: bool | None
    """None: the endpoint does not tell."""
    message: str = ""


class ExposedServices:
    """Exposures at one endpoint."""

    def __init__(self, connection: Connection, world: World) -> None:
        self._connection, self._world = connection, world
        self._rest, self._services = connection.rest, connection.lists.services

    async def observe(self, managed: Exposed) -> Observation:
        """The service, whether the board has it exposed, and whether the tunnel lives."""
        board = managed.parameters.board_id or ""
        row = await self._connection.lists.boards.find(board) if board else None
        service = await self._service(managed)
        subjects = frozenset({f"board:{board}", *({f"service:{board}/{service}"} if service else ())})
        if row is None and not managed.deleting:
            raise NotYet(f"the endpoint has no board {board}" if board else "no board is named yet")
        if untouched(managed):
            return self._first(managed, row, subjects)
        seen = await self._seen(board, service) if service and row is not None else None
        if managed.deleting:
            own = service and managed.parameters.port and await self._services.find(service)
            return Observation(exists=seen is not None or bool(own), subjects=subjects)
        if row is None or seen is None:
            if row is not None and not online(row):
                return waiting(managed, _AWAY, subjects)
            return Observation(exists=False, subjects=subjects)
        return await self._found(managed, row, service, seen, subjects)

    def _first(self, managed: Exposed, row: Row | None, subjects: frozenset[str]) -> Observation:
        if row is not None and not online(row):
            return waiting(managed, _AWAY, subjects)
        return Observation(exists=False, subjects=subjects)

    async def _found(
        self, managed: Exposed, board: Row, service: str, seen: Seen, subjects: frozenset[str]
    ) -> Observation:
        there = online(board)
        up = there and seen.up is not False
        host = text(board, "wstun_ip") or self._connection.host
        left = self._left(managed, dead=there and not up)
        differs = await self._differs(managed, service)
        difference = "the service's port" if differs else "the tunnel is dead" if left == 0.0 else ""
        readiness = Readiness(True)
        if not up:
            why = seen.message or f"the board has not opened its end of port {seen.public_port}"
            readiness = Readiness(False, why if there else _AWAY)
        return Observation(
            exists=True, up_to_date=not difference, readiness=readiness, difference=difference, subjects=subjects,
            at_provider=ExposedServiceObservation(
                service=service, host=host, public_port=seen.public_port, up=up, message=seen.message[:1024]
            ),
            external_name=f"{text(board, 'uuid')}/{service}", again=left or None,
            details={
                "host": host.encode(), "port": str(seen.public_port).encode(),
                "endpoint": f"{host}:{seen.public_port}".encode(),
            },
        )  # fmt: skip

    async def create(self, managed: Exposed) -> Creation:
        """Expose it; an own service is made for a port without one."""
        board = managed.parameters.board_id or ""
        service = await self._service(managed) or await self._make(managed)
        self._connection.looks.drop(_listing(board))
        if await self._seen(board, service) is None:  # IoTronic fails where it is exposed already
            try:
                await self._act(managed, service, "ServiceEnable")
            except (Refused, NotConnected, NotSent):
                await self._unmake(managed, service)
                raise
        return Creation(f"{board}/{service}", subjects=frozenset({f"board:{board}", f"service:{board}/{service}"}))

    async def update(self, managed: Exposed, seen: Observation) -> Change:  # noqa: ARG002
        """Open the tunnel again, or the port that the service has now."""
        service = await self._service(managed)
        if await self._differs(managed, service):
            body = {"port": managed.parameters.port}
            self._services.learn((await self._rest.call("PATCH", path("services", service), body)).body)
        else:
            await self._act(managed, service, "ServiceRestore")
        return Change()

    async def delete(self, managed: Exposed) -> None:
        """Close it, and remove the service that was made for it."""
        board, service = managed.parameters.board_id or "", await self._service(managed)
        if not service:
            return
        self._connection.looks.drop(_listing(board))
        if await self._seen(board, service) is not None:
            await self._act(managed, service, "ServiceDisable")
        if managed.parameters.port:
            await removed(self._rest, path("services", service))
            self._services.drop(service)

    # --- parts --------------------------------------------------------------------------------------------------------

    async def _service(self, managed: Exposed) -> str:
        """The service's uuid; empty before it has one."""
        if managed.parameters.service_id:
            return managed.parameters.service_id
        known = managed.external_name.partition("/")[2]
        if known and await self._services.find(known) is not None:
            return known
        if untouched(managed):
            return ""
        row = await self._services.search(lambda row: marked(row, managed))
        return text(row, "uuid") if row is not None else ""

    async def _make(self, managed: Exposed) -> str:
        body = {
            "name": f"{managed.name[:27]}-{managed.uid[:8]}", "port": managed.parameters.port, "protocol": "TCP",
            "extra": extra_of(managed, {}),
        }  # fmt: skip
        row = (await self._rest.call("POST", "services", body)).body
        self._services.learn(row)
        return text(row, "uuid")

    async def _unmake(self, managed: Exposed, service: str) -> None:
        """Leave nothing of what was not done. Where that fails, the service is looked for by its marker."""
        if managed.parameters.port is None:
            return
        try:
            await removed(self._rest, path("services", service))
        except Exception as error:
            raise Unknown(f"service {service} could neither be exposed nor removed: {error}") from error
        self._services.drop(service)

    async def _differs(self, managed: Exposed, service: str) -> bool:
        wanted = managed.parameters.port
        row = await self._services.find(service) if wanted and service else None
        return row is not None and row.get("port") != wanted

    async def _seen(self, board: str, service: str) -> Seen | None:
        def concern(_: Any) -> frozenset[str]:
            return frozenset({f"board:{board}", f"services:{board}"})

        body = await self._connection.looks.get(_listing(board), concern)
        rows = body.get("exposed", []) if isinstance(body, dict) else []
        row = next((row for row in rows if row.get("service") == service), None)
        if row is None:
            return None
        told: Any = None
        if self._connection.ours:
            told = await self._connection.looks.get(f"{_listing(board)}/status", concern)
        said = (_decoded(told) or {}).get(service)
        if not isinstance(said, dict):
            return Seen(int(row.get("public_port") or 0), None)
        return Seen(int(row.get("public_port") or 0), bool(said.get("alive")), text(said, "message"))

    async def _act(self, managed: Exposed, service: str, action: str) -> None:
        board = managed.parameters.board_id or ""
        await self._rest.act("POST", path("boards", board, "services", service, "action"), {"action": action})
        self._connection.memory.pop(managed.uid, None)  # its patience begins anew
        self._connection.looks.drop(_listing(board))
        self._connection.looks.drop(f"{_listing(board)}/status")

    def _left(self, managed: Exposed, *, dead: bool) -> float:
        """Seconds until a dead tunnel is opened again; negative where it lives."""
        memory = self._connection.memory
        if not dead:
            memory.pop(managed.uid, None)
            return -1.0
        since = memory.setdefault(managed.uid, self._world.now())
        assert isinstance(since, float)
        return max(0.0, since + PATIENCE - self._world.now())


_AWAY = "the board is offline: its service is exposed when it comes"


def _listing(board: str) -> str:
    return path("boards", board, "services")


def _decoded(told: Any) -> Any:
    try:
        found = msgspec.json.decode(told) if isinstance(told, str) else told
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) else None


EXPOSED_SERVICES: Driver[ExposedServiceParameters] = Driver(
    EXPOSED_SERVICE,
    ExposedServiceParameters,
    ExposedServices,
    (Reference("board", BOARD), Reference("service", SERVICE)),
)
