"""`/v1/requests` and their results, and the stream of events."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from continuo.iot.hub.feed import Gone
from continuo.iot.hub.model import Request as Asked
from continuo.iot.hub.refusals import Refused, absent, bad
from continuo.iot.hub.requests import request_wire
from continuo.server.hub import views
from continuo.server.hub.answers import answer
from continuo.server.hub.face import REFUSALS, Face
from continuo.server.hub.identity import Caller, allow
from continuo.server.hub.listing import FIELDS_QUERY, QUERY, listed, narrowed


def requests_router(face: Face) -> APIRouter:
    """The routes of requests."""
    router = APIRouter(prefix="/v1/requests", tags=["requests"], responses=REFUSALS)

    def find(caller: Caller, ident: str) -> Asked:
        allow(caller, "iot:thing:get")
        found = face.hub.requests.get(ident)
        if found is None or caller.scope not in (None, found.project):
            raise absent("Request", ident)
        return found

    @router.get("", openapi_extra={"parameters": QUERY})
    @router.get("/detail", openapi_extra={"parameters": QUERY})
    async def requests(request: Request) -> Response:
        """The project's requests, the oldest first."""
        caller = face.who(request)
        allow(caller, "iot:thing:get")
        rows = [row for row in face.registry.table(Asked).all() if caller.scope in (None, row.project)]
        return answer(listed(request, "requests", rows, request_wire))

    @router.get("/{asked}", openapi_extra={"parameters": FIELDS_QUERY})
    async def one(asked: str, request: Request) -> Response:
        """A request."""
        return answer(narrowed(request_wire(find(face.who(request), asked)), request.query_params.get("fields")))

    @router.get("/{asked}/results", openapi_extra={"parameters": QUERY})
    async def results(asked: str, request: Request) -> Response:
        """How it went at each board."""
        rows = face.hub.requests.results(find(face.who(request), asked))
        return answer(listed(request, "results", rows, lambda it: views.result(face.registry, it)))

    return router


def events_router(face: Face) -> APIRouter:
    """`GET /v1/events`."""
    router = APIRouter(prefix="/v1", tags=["events"], responses={**REFUSALS, 410: REFUSALS[404]})
    feed = face.hub.feed

    @router.get("/events", openapi_extra={
        "parameters": [{"name": "since", "in": "query", "schema": {"type": "integer", "minimum": 0}}],
        "responses": {"200": {"description": "Events, as they come.", "content": {"text/event-stream": {}}}},
    }, response_class=StreamingResponse)  # fmt: skip
    async def events(request: Request) -> Response:
        """Everything that changes in the project, from a number on or from now on."""
        caller = face.who(request)
        allow(caller, "iot:thing:get")
        since = _since(request, feed.last)
        try:
            feed.after(since, caller.project)
        except Gone as gone:
            raise Refused(410, str(gone)) from None
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingResponse(_frames(face, request, since), media_type="text/event-stream", headers=headers)

    return router


def _since(request: Request, last: int) -> int:
    said = request.headers.get("Last-Event-ID") or request.query_params.get("since")
    if said is None:
        return last
    if not said.isascii() or not said.isdigit() or len(said) > 18:
        raise bad(f"since: {said!r} is no event's number")
    return int(said)


async def _frames(face: Face, request: Request, since: int) -> AsyncIterator[bytes]:
    """The first frame says from where: whoever lists everything now and resumes there misses nothing.

    It ends with the token: each time something is told, or would be, that is looked at again.
    """
    yield b": since %d\nid: %d\n\n" % (since, since)
    try:
        caller = face.who(request)
        project = None if caller.admin else caller.project
        async for events in face.hub.feed.follow(since, project):
            face.who(request)
            yield (
                b"".join(
                    b"id: %d\nevent: %b\ndata: %b\n\n" % (event.number, event.kind.encode(), event.data)
                    for event in events
                )
                or b": \n\n"
            )
    except Refused:
        return
    except Gone:
        yield b"event: gone\ndata: {}\n\n"
