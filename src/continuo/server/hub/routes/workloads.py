"""Workloads of boards and of fleets."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse

from continuo.iot.hub.hub import Hub
from continuo.iot.hub.model import Board, Fleet, Json, Workload
from continuo.iot.hub.refusals import Refused, bad
from continuo.server.hub import bodies, views
from continuo.server.hub.answers import answer
from continuo.server.hub.face import REFUSALS, Face, takes
from continuo.server.hub.identity import Caller, allow
from continuo.server.hub.listing import QUERY, listed

Find = Callable[[Caller, str, str], Board | Fleet]
_LOGS = [
    {"name": "tail", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": 100_000}},
    {"name": "follow", "in": "query", "schema": {"type": "boolean"}},
]


def board_workloads_router(face: Face) -> APIRouter:
    """Those of a board, with logs and results."""
    router = _crud(face, "board", lambda caller, ident, rule: face.board(caller, ident, rule), "iot:board:act")
    _looking(router, face)
    return router


def fleet_workloads_router(face: Face) -> APIRouter:
    """Those of a fleet."""
    return _crud(face, "fleet", lambda caller, ident, rule: face.fleet(caller, ident, rule), "iot:thing:change")


def _crud(face: Face, word: str, find: Find, change: str) -> APIRouter:
    router = APIRouter(prefix=f"/v1/{word}s/{{where}}/workloads", tags=["workloads"], responses=REFUSALS)
    hub, see = face.hub, "iot:board:get" if word == "board" else "iot:thing:get"

    @router.get("", openapi_extra={"parameters": QUERY})
    async def workloads(where: str, request: Request) -> Response:
        """The workloads here."""
        found = find(face.who(request), where, see)
        rows = face.registry.table(Workload).by(word, found.uuid)
        return answer(listed(request, "workloads", rows, lambda it: views.workload(hub, it)))

    @router.post("", status_code=201, openapi_extra=takes(bodies.WORKLOAD))
    async def create(where: str, request: Request) -> Response:
        """A new workload."""
        caller = face.who(request)
        find(caller, where, change)
        allow(caller, "iot:thing:create")
        said = await face.body(request, bodies.WORKLOAD)
        _check({"runtime": "process", **said})
        made = await hub.workloads.create(find(caller, where, change), {**_defaults(said), **said}, caller.user)
        return answer(_with_places(hub, made), 201)

    @router.get("/{workload}")
    async def one(where: str, workload: str, request: Request) -> Response:
        """A workload, with how it goes."""
        return answer(_with_places(hub, face.workload(find(face.who(request), where, see), workload)))

    @router.patch("/{workload}", openapi_extra=takes(bodies.WORKLOAD, partial=True))
    async def update(where: str, workload: str, request: Request) -> Response:
        """Change a workload: what runs is replaced."""
        caller = face.who(request)
        face.workload(find(caller, where, change), workload)
        said, nothing = await face.patch(request, bodies.WORKLOAD)
        said.update({name: None for name in nothing & {"image", "replicas"}})
        found = _whole(face.workload(find(caller, where, change), workload))
        _check({**found.spec, **said})
        return answer(_with_places(hub, await hub.workloads.update(found, said)))

    @router.delete("/{workload}", status_code=204)
    async def delete(where: str, workload: str, request: Request) -> Response:
        """End a workload."""
        await hub.workloads.delete(_whole(face.workload(find(face.who(request), where, change), workload)))
        return Response(status_code=204)

    return router


def _with_places(hub: Hub, workload: Workload) -> Json:
    """A workload; a fleet's with how many replicas have no board, and for each board why it has one or not."""
    told = views.workload(hub, workload)
    if workload.fleet is None:
        return told
    placed = hub.workloads.placed(workload)
    return {**told, "missing": placed.missing, "why": dict(placed.why)}


def _looking(router: APIRouter, face: Face) -> None:
    hub = face.hub

    @router.get("/{workload}/logs", openapi_extra={"parameters": _LOGS}, response_class=PlainTextResponse)
    async def logs(where: str, workload: str, request: Request) -> Response:
        """What it wrote last; with `follow` also what it writes from now on."""

        def found() -> Workload:
            return face.workload(face.board(face.who(request), where), workload)

        tail = _number(request.query_params.get("tail", "100"))
        if request.query_params.get("follow", "").lower() not in ("1", "true"):
            return PlainTextResponse(await hub.workloads.logs(found(), tail))
        return StreamingResponse(_lines(await hub.workloads.follow(found(), tail), found), media_type="text/plain")

    @router.get("/{workload}/results")
    async def results(where: str, workload: str, request: Request) -> Response:
        """What it left as its results."""
        found = face.workload(face.board(face.who(request), where), workload)
        return answer(await hub.workloads.results(found))


async def _lines(said: AsyncGenerator[str], allowed: Callable[[], object]) -> AsyncIterator[bytes]:
    """It ends with the token, and with the right: each time something is told, or would be, they are looked at again."""
    async with aclosing(said):
        try:
            async for text in said:
                allowed()
                if text:
                    yield text.encode("utf-8", "replace")
        except Refused as error:
            yield f"\n--- {error}\n".encode()


def _defaults(said: dict[str, object]) -> dict[str, object]:
    """A job ends, anything else goes on."""
    return {"runtime": "process", "restart": "OnFailure" if said.get("job") else "Always", "job": False}


def _check(spec: dict[str, object]) -> None:
    wrong = []
    if spec.get("runtime") == "container" and not spec.get("image"):
        wrong.append("image is missing, which a container needs")
    if spec.get("runtime") == "process" and not spec.get("command"):
        wrong.append("command is missing, which a process needs")
    if spec.get("job") and spec.get("restart") == "Always":
        wrong.append("restart must be OnFailure or Never for a job")
    if wrong:
        raise bad(wrong)


def _whole(workload: Workload) -> Workload:
    if workload.parent is not None:
        raise Refused(409, f"Workload {workload.uuid} is a part of {workload.parent}: change that one, at its fleet.")
    return workload


def _number(said: str) -> int:
    if not said.isascii() or not said.isdigit() or int(said[:9]) > 100_000:
        raise bad(f"tail: {said!r} is no number of lines up to 100000")
    return int(said[:9])
