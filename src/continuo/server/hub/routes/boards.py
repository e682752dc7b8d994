"""`/v1/boards`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from continuo.iot.hub.model import Board, Fleet, Json, Report
from continuo.iot.hub.records import Change
from continuo.iot.hub.refusals import bad
from continuo.server.hub import bodies, views
from continuo.server.hub.answers import answer, told
from continuo.server.hub.face import ACTION, REFUSALS, Face, takes
from continuo.server.hub.identity import Caller, allow
from continuo.server.hub.listing import FIELDS_QUERY, QUERY, listed, narrowed

_QUERY = [
    *QUERY, *({"name": name, "in": "query", "schema": {"type": "string"}} for name in ("status", "project")),
]  # fmt: skip


def boards_router(face: Face) -> APIRouter:
    """The routes of boards themselves."""
    router = APIRouter(prefix="/v1/boards", tags=["boards"], responses=REFUSALS)
    hub, registry = face.hub, face.registry

    def several(request: Request, short: tuple[str, ...]) -> Response:
        return answer(boards_of(face, request, face.who(request), None, short))

    @router.get("", openapi_extra={"parameters": _QUERY})
    async def boards(request: Request) -> Response:
        """The project's boards."""
        return several(request, views.BOARD_SHORT)

    @router.get("/detail", openapi_extra={"parameters": _QUERY})
    async def boards_detail(request: Request) -> Response:
        """The same with all fields."""
        return several(request, ())

    @router.post("", status_code=201, openapi_extra=takes(bodies.BOARD))
    async def create(request: Request) -> Response:
        """A new board, which may register with its code once."""
        caller = face.who(request)
        allow(caller, "iot:board:create")
        said = await face.body(request, bodies.BOARD)
        made = registry.new_board(said, caller.user, caller.project)
        event = (
            Change()
            .add(made)
            .event(made.project, "board.updated", board=made.uuid, now={"status": registry.status(made)})
        )
        await registry.records.commit(event)
        await hub.workloads.members_changed(made.fleet)
        return answer(views.board(registry, made, said["code"]), 201)

    @router.get("/{board}", openapi_extra={"parameters": FIELDS_QUERY})
    async def board(board: str, request: Request) -> Response:
        """A board."""
        found = face.board(face.who(request), board)
        return answer(narrowed(views.board(registry, found), request.query_params.get("fields")))

    @router.patch("/{board}", openapi_extra=takes(bodies.BOARD_PATCH, partial=True))
    async def update(board: str, request: Request) -> Response:
        """Change name, type, fleet, mobile or extra."""
        caller = face.who(request)
        face.board(caller, board, "iot:board:update")
        said, nothing = await face.patch(request, bodies.BOARD_PATCH)
        before = face.board(caller, board, "iot:board:update")
        if "name" in said:
            registry.check_board_name(said["name"], before.project, before.uuid)
        changes: Json = {name: said[name] for name in ("name", "type", "mobile", "extra") if name in said}
        changes.update({"type": None} if "type" in nothing else {})
        if "fleet" in said or "fleet" in nothing:
            wanted = said.get("fleet")
            changes["fleet"] = registry.find(Fleet, wanted, before.project).uuid if wanted else None
        after = registry.stamped(before, **changes)
        now: Json = {"name": after.name, "type": after.type, "mobile": after.mobile, "fleet": after.fleet}
        news = {"now": {**now, "updated_at": after.updated_at}} if after.extra == before.extra else {}
        change = Change().add(after).event(after.project, "board.updated", board=after.uuid, **news)
        await registry.records.commit(change)
        if after.fleet != before.fleet:
            await hub.workloads.members_changed(before.fleet)
            await hub.workloads.members_changed(after.fleet)
        return answer(views.board(registry, after))

    @router.delete("/{board}", status_code=204)
    async def delete(board: str, request: Request) -> Response:
        """Delete a board; if it is online it is told to forget its life here first."""
        found = face.board(face.who(request), board, "iot:board:delete")
        await hub.drop_board(found)
        return Response(status_code=204)

    @router.post("/{board}/action", responses=ACTION, openapi_extra=takes(bodies.DEVICE_ACTION))
    async def act(board: str, request: Request) -> Response:
        """An action of the device."""
        found = face.board(face.who(request), board, "iot:board:act")
        said = await face.body(request, bodies.DEVICE_ACTION)
        manner = await face.manner(request, said)
        return told(await hub.actions.device(found, said["action"], said.get("parameters") or {}, manner))

    @router.get("/{board}/state")
    async def state(board: str, request: Request) -> Response:
        """The whole of what the board reported last."""
        found = face.board(face.who(request), board)
        last = registry.table(Report).get(found.uuid)
        reported: Any = {} if last is None else last.said
        at = None if last is None else last.updated_at
        return answer({"board": found.uuid, "status": registry.status(found), "reported_at": at, **reported})

    @router.post("/{board}/code", openapi_extra=takes(bodies.CODE, partial=True))
    async def code(board: str, request: Request) -> Response:
        """A new registration code; what the board is now ends when it is spent."""
        found = face.board(face.who(request), board, "iot:board:update")
        said = await face.body(request, bodies.CODE, partial=True)
        made = await registry.new_code(found, said.get("code"))
        now = registry.table(Board).get(found.uuid) or found
        return answer({"board": found.uuid, "code": made, "expires_at": int(now.code_expires)})

    return router


def boards_of(face: Face, request: Request, caller: Caller, fleet: Fleet | None, short: tuple[str, ...]) -> Json:
    """A list of boards."""
    allow(caller, "iot:board:get")
    query, registry = request.query_params, face.registry
    if query.get("project") and not caller.admin and not caller.trusted:
        raise bad("project: only an admin may ask for the boards of another project")
    rows = face.mine(caller, Board, request) if fleet is None else registry.table(Board).by("fleet", fleet.uuid)
    if status := query.get("status"):
        rows = [row for row in rows if registry.status(row) == status]
    return listed(request, "boards", rows, lambda row: views.board(registry, row), short)
