"""`/api/v1/events`: the change stream, as server-sent events or over a WebSocket; both resume where they ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response, WebSocket
from fastapi.responses import StreamingResponse

from continuo.broker.catalog.feed import Delta, Gone
from continuo.broker.catalog.query import Asked
from continuo.broker.catalog.where import compile_where
from continuo.server.catalog_face import Caller, CatalogParts
from continuo.server.catalog_fan import QUIET
from continuo.server.catalog_openapi import answers, parameter
from continuo.server.catalog_sockets import confined, expired, serve_socket
from continuo.server.problems import Problem
from continuo.server.routes.catalog_offers import bodies

_MOST_REVISION = 1 << 62
_STREAM: dict[str, Any] = {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "Changes."}


def events_router(parts: CatalogParts) -> APIRouter:
    """The stream, and tickets for browsers."""
    router = APIRouter(prefix="/api/v1", tags=["events"])
    feed = parts.catalog.feed
    described = answers(200, None, 400, 401, 403, 410)
    described["responses"][200] = _STREAM
    parameters = [
        parameter("since", "The revision after which to begin; without it everything comes first.",
                  {"type": "integer", "minimum": 0}),
        parameter("where", "Only offers that match; one that no longer does is told as deleted."),
        parameter("Last-Event-ID", "As since, sent by clients that reconnect.", place="header"),
    ]  # fmt: skip

    @router.get("/events", openapi_extra={"parameters": parameters}, **described)
    async def events(request: Request) -> Response:
        """Every change, as it happens (server-sent events)."""
        caller = await parts.caller(request)
        where = request.query_params.get("where", "")
        if "where" in request.query_params:
            compile_where(where)
        where = confined(parts, caller, where)
        since = _since(request)
        if since is not None and not feed.oldest <= since <= feed.revision:
            raise Problem(
                410, "revision-gone",
                f"changes after revision {since} are not kept, only {feed.oldest} to {feed.revision}; begin without since",
            )  # fmt: skip
        return StreamingResponse(
            _events(parts, caller, where, since), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    @router.post("/tickets", **answers(200, {"type": "object"}, 401, 403, 503))
    async def make_ticket(request: Request) -> Response:
        """A proof for the first frame of a socket, good once and for half a minute."""
        caller = await parts.caller(request)
        caller.require("offers:read")
        if caller.kind == "anonymous":
            caller.only("consumer", "a ticket")
        ticket = parts.tickets.issue(caller, parts.catalog.clock())
        return bodies({"ticket": ticket, "expires_in": int(parts.tickets.LIFETIME)})

    @router.websocket("/events")
    async def socket(socket: WebSocket) -> None:
        await serve_socket(parts, socket)

    return router


def _since(request: Request) -> int | None:
    text = request.headers.get("last-event-id") or request.query_params.get("since")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or int(text[:20]) > _MOST_REVISION:
        raise Problem(400, "query-invalid", f"since: must be a revision, such as {1}, not {text[:32]!r}")
    return int(text)


async def _events(parts: CatalogParts, caller: Caller, where: str, since: int | None) -> AsyncIterator[bytes]:
    feed, loop = parts.catalog.feed, asyncio.get_running_loop()
    if since is None:
        since, entries = await parts.queries.all(Asked(where))
        for start in range(0, len(entries), 500):
            yield b"".join(b"event: snapshot\ndata: %b\n\n" % entry.body for entry in entries[start : start + 500])
        yield _bookmark(since)
    last = loop.time()
    while not feed.closed and not expired(parts, caller):
        try:
            reached, chunk = feed.frame("sse", since, where, _chunk)
        except Gone:
            yield b'event: reset\ndata: {"revision":%d}\n\n' % feed.revision
            return
        if not chunk and loop.time() - last > QUIET:
            chunk = _bookmark(reached)
        if chunk:
            yield chunk
            last = loop.time()
        since = reached
        if since == feed.revision:
            await feed.next_tick()


def _bookmark(revision: int) -> bytes:
    return b'id: %d\nevent: bookmark\ndata: {"revision":%d}\n\n' % (revision, revision)


def _chunk(delta: Delta) -> bytes:
    """One event for each change. Between coalesced ones there is no place to resume, so they have no ids."""
    parts = []
    for item in delta.items:
        revision, _, rest = item.removeprefix(b'{"revision":').partition(b',"type":"')
        numbered = b"" if delta.coalesced else b"id: %b\n" % revision
        parts.append(b"%bevent: %b\ndata: %b\n\n" % (numbered, rest.partition(b'"')[0], item))
    return b"".join(parts) + (_bookmark(delta.revision) if delta.coalesced else b"")
