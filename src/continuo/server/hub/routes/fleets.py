"""`/v1/fleets`: groups of boards, and what is asked of all of them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from continuo.iot.hub.model import Board, Fleet, Injection, Workload
from continuo.iot.hub.records import Change
from continuo.iot.hub.refusals import taken
from continuo.server.hub import bodies, views
from continuo.server.hub.answers import answer, told
from continuo.server.hub.face import ACTION, REFUSALS, Face, takes
from continuo.server.hub.identity import Caller, allow
from continuo.server.hub.listing import FIELDS_QUERY, QUERY, listed, narrowed
from continuo.server.hub.routes.boards import boards_of


def fleets_router(face: Face) -> APIRouter:
    """The routes of fleets themselves."""
    router = APIRouter(prefix="/v1/fleets", tags=["fleets"], responses=REFUSALS)
    registry = face.registry

    def several(request: Request, short: tuple[str, ...]) -> Response:
        caller = face.who(request)
        allow(caller, "iot:thing:get")
        rows = face.mine(caller, Fleet, request)
        return answer(listed(request, "fleets", rows, lambda it: views.fleet(registry, it), short))

    @router.get("", openapi_extra={"parameters": QUERY})
    async def fleets(request: Request) -> Response:
        """The project's fleets."""
        return several(request, views.FLEET_SHORT)

    @router.get("/detail", openapi_extra={"parameters": QUERY})
    async def fleets_detail(request: Request) -> Response:
        """The same with all fields."""
        return several(request, ())

    @router.post("", status_code=201, openapi_extra=takes(bodies.FLEET))
    async def create(request: Request) -> Response:
        """A new fleet."""
        caller = face.who(request)
        allow(caller, "iot:thing:create")
        said = await face.body(request, bodies.FLEET)
        made = Fleet(
            uuid=registry.make_uuid(), created_at=registry.now(), owner=caller.user, project=caller.project, **said
        )
        await registry.records.commit(Change().add(made))
        return answer(views.fleet(registry, made), 201)

    @router.get("/{fleet}", openapi_extra={"parameters": FIELDS_QUERY})
    async def one(fleet: str, request: Request) -> Response:
        """A fleet."""
        found = face.fleet(face.who(request), fleet)
        return answer(narrowed(views.fleet(registry, found), request.query_params.get("fields")))

    @router.patch("/{fleet}", openapi_extra=takes(bodies.FLEET, partial=True))
    async def update(fleet: str, request: Request) -> Response:
        """Change a fleet."""
        caller = face.who(request)
        face.fleet(caller, fleet, "iot:thing:change")
        said, nothing = await face.patch(request, bodies.FLEET)
        changes = {**said, **({"description": None} if "description" in nothing else {})}
        after = registry.stamped(face.fleet(caller, fleet, "iot:thing:change"), **changes)
        await registry.records.commit(Change().add(after))
        return answer(views.fleet(registry, after))

    @router.delete("/{fleet}", status_code=204)
    async def delete(fleet: str, request: Request) -> Response:
        """Delete a fleet that has no boards and no workloads."""
        found = face.fleet(face.who(request), fleet, "iot:thing:change")
        boards = registry.table(Board).count("fleet", found.uuid)
        workloads = registry.table(Workload).count("fleet", found.uuid)
        if boards or workloads:
            raise taken(f"Fleet {found.uuid} has {boards} boards and {workloads} workloads: take those out first.")
        await registry.records.commit(Change().remove(found))
        return Response(status_code=204)

    @router.get("/{fleet}/boards", openapi_extra={"parameters": QUERY})
    async def boards(fleet: str, request: Request) -> Response:
        """The boards of a fleet."""
        caller = face.who(request)
        return answer(boards_of(face, request, caller, face.fleet(caller, fleet), views.BOARD_SHORT))

    @router.get("/{fleet}/boards/detail", openapi_extra={"parameters": QUERY})
    async def boards_detail(fleet: str, request: Request) -> Response:
        """The same with all fields."""
        caller = face.who(request)
        return answer(boards_of(face, request, caller, face.fleet(caller, fleet), ()))

    return router


def fleet_actions_router(face: Face) -> APIRouter:
    """What is asked of all boards of a fleet: one request, with a result for each board."""
    router = APIRouter(prefix="/v1/fleets/{fleet}", tags=["fleets"], responses=ACTION)
    actions, registry = face.hub.actions, face.registry

    def mine(caller: Caller, fleet: str) -> Fleet:
        return face.fleet(caller, fleet, "iot:thing:change")

    @router.post("/action", openapi_extra=takes(bodies.DEVICE_ACTION))
    async def act(fleet: str, request: Request) -> Response:
        """An action of each device."""
        caller = face.who(request)
        mine(caller, fleet)
        said = await face.body(request, bodies.DEVICE_ACTION)
        manner, found = await face.manner(request, said), mine(caller, fleet)
        return told(await actions.fleet_device(found, said["action"], said.get("parameters") or {}, manner))

    @router.put("/plugins", openapi_extra=takes(bodies.INJECT))
    async def inject(fleet: str, request: Request) -> Response:
        """Put a plugin on each board."""
        caller = face.who(request)
        mine(caller, fleet)
        said = await face.body(request, bodies.INJECT)
        manner, found = await face.manner(request, said), mine(caller, fleet)
        plugin = face.plugin(caller, said["plugin"])
        return told(await actions.fleet_inject(found, plugin, said.get("onboot") or False, manner))

    @router.get("/plugins/{plugin}")
    async def having(fleet: str, plugin: str, request: Request) -> Response:
        """A plugin on each board of a fleet that should have it, with what the board says of it."""
        caller = face.who(request)
        found, which = face.fleet(caller, fleet), face.plugin(caller, plugin)
        table = registry.table(Injection)
        boards = registry.table(Board).by("fleet", found.uuid)
        rows = [row for board in boards if (row := table.get(f"{board.uuid}/{which.uuid}")) is not None]
        return answer({"injections": [views.reported_injection(registry, row) for row in rows]})

    @router.post("/plugins/{plugin}", openapi_extra=takes(bodies.PLUGIN_ACTION))
    async def plugin_action(fleet: str, plugin: str, request: Request) -> Response:
        """Start, stop, call, restart or ask a plugin on each board that has it."""
        caller = face.who(request)
        mine(caller, fleet)
        said = await face.body(request, bodies.PLUGIN_ACTION)
        manner, found = await face.manner(request, said), mine(caller, fleet)
        which = face.plugin(caller, plugin)
        return told(await actions.fleet_plugin(found, which, said["action"], said.get("parameters") or {}, manner))

    @router.delete("/plugins/{plugin}")
    async def remove(fleet: str, plugin: str, request: Request) -> Response:
        """Take a plugin from each board."""
        caller = face.who(request)
        return told(
            await actions.fleet_remove(mine(caller, fleet), face.plugin(caller, plugin), await face.manner(request))
        )

    return router
