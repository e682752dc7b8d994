"""`/events`: what became of clusters, links and applications, as CloudEvents; a stream, or a page of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from continuo.events.selection import Selection, Unclear, selection
from continuo.server.event_feed import EventFeed
from continuo.server.event_streams import Place, Streams, cursor, page, place_of
from continuo.server.problems import Problem
from continuo.server.routes.applications import problems
from continuo.server.subjects import Policy, Subject

Admit = Callable[[Request], Awaitable[Subject]]
BATCH = "application/cloudevents-batch+json"
MOST, USUAL = 1000, 100
"""Events in one page: at most, and where nothing is asked for."""


def _parameter(name: str, text: str, place: str = "query", **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "required": False, "description": text, "schema": {"type": "string", **schema}}


_PARAMETERS = [
    _parameter("orchestration", "Only of these: NAME or NAMESPACE/NAME, `*` is anything; several with commas."),
    _parameter("type", "Only of these types, such as `app.deploy.failed`, `app.*` or whole ones; several with commas."),
    _parameter("subject", "Only about these, such as `cluster/green` or `app/*`; several with commas."),
    _parameter("since", "Only what happened since: a time (RFC 3339), or a while ago such as `10m`."),
    _parameter("after", "Only what follows the event with this id of the stream, as Last-Event-ID."),
    _parameter("limit", f"So many in one page, {USUAL} where absent.", type="integer", minimum=1, maximum=MOST),
    _parameter("Last-Event-ID", "Sent by clients that reconnect.", "header"),
]
_OBJECT = {"type": "array", "items": {"type": "object"}}
_ANSWER = {
    "description": "A stream that does not end; with `Accept: application/json` a page, or a batch of CloudEvents.",
    "content": {
        "text/event-stream": {"schema": {"type": "string"}},
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["items", "last", "more"],
                "properties": {"items": _OBJECT, "last": {"type": "string"}, "more": {"type": "boolean"}},
            }
        },
        BATCH: {"schema": _OBJECT},
    },
}


def events_router(feed: EventFeed, policy: Policy, admit: Admit) -> APIRouter:
    """The route; `admit` says who calls. Callers hear of their own applications, administrators of everything."""
    router, streams = APIRouter(tags=["events"]), Streams(feed)
    authenticated = Depends(admit)

    @router.get(
        "/events", openapi_extra={"parameters": _PARAMETERS}, response_class=Response,
        responses={200: _ANSWER, **problems(400, 401, 403, 503)},
    )  # fmt: skip
    async def events(request: Request, subject: Subject = authenticated) -> Response:
        """What happened, and what happens next: CloudEvents, as server-sent events or as JSON."""
        wanted = _wanted(request, feed, None if policy.admin(subject) else subject.name)
        place = _place(request, feed)
        accepted = request.headers.get("accept", "*/*")
        if "text/event-stream" not in accepted and ("json" in accepted):
            return _page(request, feed, place, wanted, batch=BATCH in accepted)
        streams.admit()
        stream = streams.events(place, wanted, lambda: admit(request))
        return StreamingResponse(
            stream, media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )

    return router


def _wanted(request: Request, feed: EventFeed, tenant: str | None) -> Selection:
    asked = request.query_params
    try:
        return selection(
            orchestration=asked.getlist("orchestration"), types=asked.getlist("type"), subjects=asked.getlist("subject"),
            since=asked.get("since"), now=feed.clock(), namespace=feed.namespace, tenant=tenant,
        )  # fmt: skip
    except Unclear as error:
        raise Problem(400, "query-invalid", str(error)) from None


def _place(request: Request, feed: EventFeed) -> Place:
    """Where the reader was; a new one begins with all that is kept."""
    if text := request.headers.get("last-event-id") or request.query_params.get("after"):
        return place_of(feed.log, text)
    return Place(0)


def _page(request: Request, feed: EventFeed, place: Place, wanted: Selection, *, batch: bool) -> Response:
    text = request.query_params.get("limit", str(USUAL))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST):
        raise Problem(400, "query-invalid", f"limit: must be 1 to {MOST}, not {text[:20]!r}")
    entries, number, more = page(feed.log, place, wanted, int(text))
    items = b"[" + b",".join(entry.body for entry in entries) + b"]"
    headers = {"Cache-Control": "no-store"}
    if batch:
        return Response(items, media_type=BATCH, headers=headers)
    body = b'{"items":%b,"last":"%b","more":%b}' % (
        items, cursor(feed.log, number).encode(), b"true" if more else b"false",
    )  # fmt: skip
    return Response(body, media_type="application/json", headers=headers)
