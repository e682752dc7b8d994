"""`/scheduler/v1`: the state and its changes out, decisions in."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from continuo.server.openapi import inlined
from continuo.server.preconditions import tags_in
from continuo.server.problems import MEDIA_TYPE
from continuo.server.routes.applications import problems
from continuo.server.scheduler.bodies import read_decision
from continuo.server.scheduler.parts import SchedulerParts
from continuo.server.scheduler.shapes import DecisionBody, DecisionState, Judged, Pending, State
from continuo.server.subjects import Subject

PREFIX = "/scheduler/v1"
_QUERY: list[dict[str, Any]] = [
    {"name": "watch", "in": "query", "required": False, "schema": {"type": "boolean"},
     "description": "Answer with a stream of changes (server-sent events): `snapshot`, then `delta`."},
    {"name": "since", "in": "query", "required": False, "schema": {"type": "string"},
     "description": "The stateVersion after which the stream begins; without it a snapshot comes first."},
    {"name": "Last-Event-ID", "in": "header", "required": False, "schema": {"type": "string"},
     "description": "As since, sent by clients that reconnect."},
    {"name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"},
     "description": "Answer 304 while the state is as under that ETag."},
]  # fmt: skip
_STATE: dict[int | str, dict[str, Any]] = {
    200: {"model": State, "description": "The state, or the stream of its changes.", "content": {
        "text/event-stream": {"schema": {"type": "string"}},
    }},
    304: {"description": "It is as under that ETag."},
    **problems(401, 403, 503),
}  # fmt: skip
_JUDGED: dict[int | str, dict[str, Any]] = {
    200: {"model": Judged, "description": "What became of each action."},
    **problems(400, 401, 403, 404, 409, 413, 415, 422, 429, 502, 503),
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": inlined(DecisionBody)}},
    }
}


def scheduler_router(parts: SchedulerParts) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix=PREFIX, tags=["scheduler"])

    async def admit(request: Request) -> Subject:
        return await parts.gate.admit(request.headers.get("authorization"))

    authenticated = Depends(admit)

    async def state(request: Request, _: Subject = authenticated) -> Response:
        """Clusters, links, workloads and what waits, at one version; with `watch=true` every change as it happens."""
        parts.infrastructure.must_know()
        if request.query_params.get("watch", "").lower() in ("true", "1"):
            return _stream(parts, request)
        return _snapshot(parts, request)

    for path in ("/state", "/infrastructure"):
        router.add_api_route(
            path, state, response_model=None, responses=_STATE, openapi_extra={"parameters": _QUERY},
            operation_id=f"read_{path[1:]}",
        )  # fmt: skip

    @router.get("/placements/pending", response_model=Pending, responses=problems(401, 403, 503))
    async def pending(_: Subject = authenticated) -> Response:
        """Components that wait for a place, each with all clusters: how well it would be there, or why it cannot be."""
        headers = {"Cache-Control": "private, no-cache"}
        return Response(await parts.pending.told(), media_type="application/json", headers=headers)

    _decision_routes(router, parts, authenticated)
    return router


def _decision_routes(router: APIRouter, parts: SchedulerParts, authenticated: Any) -> None:
    decisions, policy = parts.decisions, parts.gate.policy

    @router.post("/decisions", response_model=None, responses=_JUDGED, openapi_extra=_BODY)
    async def decide(request: Request, subject: Subject = authenticated) -> Response:
        """Decide: 200 says of every action whether it is accepted. The same decisionId again gives the same answer.

        Where no action is accepted (or one is not, with `allOrNothing`) the answer is 409 (look again), 429 (later) or 422
        (never like this), with the same list.
        """
        asked = read_decision(request.headers.get("content-type", ""), await request.body(), decisions.limits)
        status, body = await decisions.decide(subject, asked)
        headers = {"Retry-After": "60"} if status == 429 else {}
        return JSONResponse(body, status, headers, "application/json" if status == 200 else MEDIA_TYPE)

    @router.get("/decisions/{handle}", response_model=DecisionState, responses=problems(401, 403, 404, 503))
    async def decision(handle: str, subject: Subject = authenticated) -> Response:
        """How far a decision of the caller's is, and what was measured after it; administrators see everybody's."""
        return JSONResponse(decisions.get(subject, handle, everybody=policy.admin(subject)))


def _snapshot(parts: SchedulerParts, request: Request) -> Response:
    log = parts.infrastructure.log
    headers = {"ETag": f'"{log.current}"', "Cache-Control": "private, no-cache", "Age": str(parts.infrastructure.age())}
    if log.current in tags_in(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return Response(log.snapshot(), media_type="application/json", headers=headers)


def _stream(parts: SchedulerParts, request: Request) -> Response:
    parts.streams.admit()
    since = request.headers.get("last-event-id") or request.query_params.get("since")
    authorization = request.headers.get("authorization")
    events = parts.streams.events(since, lambda: parts.gate.admit(authorization))
    return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
