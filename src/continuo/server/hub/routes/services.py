"""`/v1/services`, and services of boards at public ports."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request, Response

from continuo.iot.hub.model import Exposed, Service
from continuo.iot.hub.records import Change
from continuo.iot.hub.refusals import taken
from continuo.server.hub import bodies, views
from continuo.server.hub.answers import answer, told
from continuo.server.hub.face import ACTION, REFUSALS, Face, takes
from continuo.server.hub.identity import allow
from continuo.server.hub.listing import FIELDS_QUERY, QUERY, listed, narrowed


def services_router(face: Face) -> APIRouter:
    """The routes of services themselves."""
    router = APIRouter(prefix="/v1/services", tags=["services"], responses=REFUSALS)
    registry = face.registry

    def several(request: Request, short: tuple[str, ...]) -> Response:
        caller = face.who(request)
        allow(caller, "iot:thing:get")
        rows = face.mine(caller, Service, request)
        return answer(listed(request, "services", rows, lambda it: views.service(registry, it), short))

    @router.get("", openapi_extra={"parameters": QUERY})
    async def services(request: Request) -> Response:
        """The project's services."""
        return several(request, views.SERVICE_SHORT)

    @router.get("/detail", openapi_extra={"parameters": QUERY})
    async def services_detail(request: Request) -> Response:
        """The same with all fields."""
        return several(request, ())

    @router.post("", status_code=201, openapi_extra=takes(bodies.SERVICE))
    async def create(request: Request) -> Response:
        """A new service."""
        caller = face.who(request)
        allow(caller, "iot:thing:create")
        said = await face.body(request, bodies.SERVICE)
        made = Service(
            uuid=registry.make_uuid(), created_at=registry.now(), owner=caller.user, project=caller.project, **said
        )
        await registry.records.commit(Change().add(made))
        return answer(views.service(registry, made), 201)

    @router.get("/{service}", openapi_extra={"parameters": FIELDS_QUERY})
    async def one(service: str, request: Request) -> Response:
        """A service."""
        found = face.service(face.who(request), service)
        return answer(narrowed(views.service(registry, found), request.query_params.get("fields")))

    @router.patch("/{service}", openapi_extra=takes(bodies.SERVICE, partial=True))
    async def update(service: str, request: Request) -> Response:
        """Change a service; boards of our agents follow at once."""
        caller = face.who(request)
        face.service(caller, service, "iot:thing:change")
        said, _ = await face.patch(request, bodies.SERVICE)
        after = registry.stamped(face.service(caller, service, "iot:thing:change"), **said)
        await registry.records.commit(Change().add(after))
        for row in registry.table(Exposed).by("service", after.uuid):
            face.hub.pusher.push(row.board)
        return answer(views.service(registry, after))

    @router.delete("/{service}", status_code=204)
    async def delete(service: str, request: Request) -> Response:
        """Delete a service that no board exposes."""
        found = face.service(face.who(request), service, "iot:thing:change")
        count = registry.table(Exposed).count("service", found.uuid)
        if count:
            raise taken(f"Service {found.uuid} is exposed on {count} boards: disable it there first.")
        await registry.records.commit(Change().remove(found))
        return Response(status_code=204)

    return router


def exposed_router(face: Face) -> APIRouter:
    """The routes of boards' services."""
    router = APIRouter(prefix="/v1/boards/{board}/services", tags=["services"], responses=ACTION)
    hub, registry = face.hub, face.registry

    def several(board: str, request: Request) -> Response:
        found = face.board(face.who(request), board)
        rows = registry.table(Exposed).by("board", found.uuid)
        return answer(
            listed(request, "exposed", rows, lambda it: views.exposed(registry, it), marker=lambda it: it.service)
        )

    @router.get("", openapi_extra={"parameters": QUERY})
    async def exposed(board: str, request: Request) -> Response:
        """A board's services at public ports."""
        return several(board, request)

    @router.get("/restore")
    async def restore(board: str, request: Request) -> Response:
        """Open all of a board's services again, and list them."""
        found = face.board(face.who(request), board, "iot:board:act")
        await hub.exposing.restore_all(found, await face.manner(request))
        return several(board, request)

    @router.get("/status")
    async def status(board: str, request: Request) -> Response:
        """How each of a board's services is doing, as a text."""
        found = face.board(face.who(request), board)
        return answer(msgspec.json.encode(hub.exposing.status(found)).decode())

    @router.post("/{service}/action", openapi_extra=takes(bodies.SERVICE_ACTION))
    async def act(board: str, service: str, request: Request) -> Response:
        """Expose a service, expose it no longer, or open it again."""
        caller = face.who(request)
        face.board(caller, board, "iot:board:act")
        said = await face.body(request, bodies.SERVICE_ACTION)
        found, manner = face.board(caller, board, "iot:board:act"), await face.manner(request, said)
        return told(await hub.exposing.act(found, face.service(caller, service), said["action"], manner))

    return router
