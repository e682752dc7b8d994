"""What all routes need: the hub, who asks, and how they ask."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Request

from continuo.iot.hub.actions import Manner
from continuo.iot.hub.hub import Hub
from continuo.iot.hub.model import Board, Fleet, Injection, Network, Owned, Plugin, Port, Service, Workload
from continuo.iot.hub.refusals import absent
from continuo.server.hub.identity import Caller, Doorkeeper, allow
from continuo.server.hub.shapes import Shape, body_of

T = TypeVar("T", bound=Owned)
ERROR: dict[str, Any] = {
    "description": "Refused: a JSON text within JSON says why.",
    "content": {"application/json": {"schema": {
        "type": "object", "required": ["error_message"], "properties": {"error_message": {"type": "string"}},
    }}},
}  # fmt: skip
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: ERROR for status in (400, 401, 403, 404, 406, 409, 413, 500, 501, 503)
}  # fmt: skip
ACCEPTED: dict[int | str, dict[str, Any]] = {202: {"description": "It goes on: the request."}}
ACTION: dict[int | str, dict[str, Any]] = {**REFUSALS, **ACCEPTED}


def takes(shape: Shape, *, partial: bool = False, query: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """For OpenAPI: the body."""
    body = {"required": not partial, "content": {"application/json": {"schema": shape.schema(partial=partial)}}}
    return {"requestBody": body, **({"parameters": query} if query else {})}


class Face:
    """A hub, as its routes see it."""

    def __init__(self, hub: Hub, no_auth: bool = False) -> None:
        self.hub, self.registry = hub, hub.registry
        self.who = Doorkeeper(hub.registry, no_auth)

    async def body(self, request: Request, shape: Shape, *, partial: bool = False) -> dict[str, Any]:
        """What was said; raises Refused."""
        return shape.read(await body_of(request), partial=partial)

    async def patch(self, request: Request, shape: Shape) -> tuple[dict[str, Any], set[str]]:
        """What was said of an object's fields, and the names that were said with nothing."""
        said = await body_of(request)
        read = shape.read(said, partial=True)
        return read, {name for name, value in said.items() if value is None}

    async def manner(self, request: Request, said: object = None) -> Manner:
        """How somebody asks."""
        prefer = request.headers.get("Prefer", "")
        asked = f"{request.method} {request.url.path} {said!r}"
        at_once = any(part.strip().lower() == "respond-async" for part in prefer.split(","))
        return Manner(at_once, request.headers.get("Idempotency-Key"), asked)

    def mine(self, caller: Caller, kind: type[T], request: Request) -> list[T]:
        """The records of a kind that the caller sees in a list."""
        table = self.registry.table(kind)
        if caller.admin and request.query_params.get("all_projects"):
            return table.all()
        if caller.admin and (project := request.query_params.get("project")):
            return table.by("project", project)
        return table.by("project", caller.project)

    def board(self, caller: Caller, ident: str, rule: str = "iot:board:get") -> Board:
        """A board that the caller may do this to."""
        found = self.registry.find(Board, ident, caller.scope)
        allow(caller, rule, found)
        return found

    def plugin(self, caller: Caller, ident: str, rule: str = "iot:thing:get") -> Plugin:
        """A plugin: the project's, or a public one."""
        visible = (lambda it: it.public) if rule == "iot:thing:get" else (lambda _: False)
        found = self.registry.find(Plugin, ident, caller.scope, visible)
        allow(caller, rule, found)
        return found

    def service(self, caller: Caller, ident: str, rule: str = "iot:thing:get") -> Service:
        """A service."""
        return self._thing(caller, Service, ident, rule)

    def fleet(self, caller: Caller, ident: str, rule: str = "iot:thing:get") -> Fleet:
        """A fleet."""
        return self._thing(caller, Fleet, ident, rule)

    def network(self, caller: Caller, ident: str, rule: str = "iot:thing:get") -> Network:
        """A network."""
        return self._thing(caller, Network, ident, rule)

    def _thing(self, caller: Caller, kind: type[T], ident: str, rule: str) -> T:
        found = self.registry.find(kind, ident, caller.scope)
        allow(caller, rule, found)
        return found

    def port(self, caller: Caller, ident: str) -> tuple[Port, Board]:
        """A port that the caller sees, and its board."""
        found = self.registry.table(Port).get(ident)
        if found is None or caller.scope not in (None, found.project):
            raise absent("Port", ident)
        return found, self.board(caller, found.board)

    def injection(self, board: Board, plugin: Plugin) -> Injection:
        """A plugin of a board."""
        return self.registry.injection(board, plugin)

    def workload(self, where: Board | Fleet, ident: str) -> Workload:
        """A workload of a board or a fleet, by uuid or name."""
        table = self.registry.table(Workload)
        rows = table.by("board" if isinstance(where, Board) else "fleet", where.uuid)
        for row in rows:
            if ident in (row.uuid, row.name):
                return row
        raise absent("Workload", ident)
