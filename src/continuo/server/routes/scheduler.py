"""`/scheduler/v1`: the state and its changes out, decisions in."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from continuo.server.preconditions import tags_in
from continuo.server.routes.applications import problems
from continuo.server.scheduler.parts import SchedulerParts
from continuo.server.scheduler.shapes import State
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
    200: {"description": "The state, or the stream of its changes.", "content": {
        "application/json": {"schema": State.model_json_schema(ref_template="#/components/schemas/{model}")},
        "text/event-stream": {"schema": {"type": "string"}},
    }},
    304: {"description": "It is as under that ETag."},
    **problems(401, 403, 503),
}  # fmt: skip


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
    return router


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
