"""The catalog's WebSockets: full lists as in the first form, or resumable deltas with the subprotocol `catalog.v2+json`.

A connection holds a revision and a filter. Frames are made once for all who stand at the same place; where our own server
runs (`sockets.FanOut`) their bytes go straight to the transport, and whoever cannot keep up is told less often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import msgspec
from fastapi import Response, WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketState

from continuo.broker.catalog.catalog import Catalog
from continuo.broker.catalog.feed import Gone
from continuo.broker.catalog.query import Asked
from continuo.broker.catalog.turns import Turns
from continuo.broker.catalog.where import compile_where
from continuo.expressions.tree import BadExpression
from continuo.server.catalog_face import Caller, CatalogParts
from continuo.server.catalog_fan import QUIET
from continuo.server.problems import MEDIA_TYPE, Problem
from continuo.server.sockets import Sink

SUBPROTOCOL = "catalog.v2+json"
FULL_LIST_EVERY = 1.0
_FIRST_FRAME = 10.0
_CHUNK = 250
UNAUTHENTICATED, BAD_REQUEST, TOO_MANY = 4401, 4400, 4503


async def serve_socket(parts: CatalogParts, socket: WebSocket) -> None:
    """One connection, until either side ends it."""
    if not _origin_allowed(parts, socket):
        await _deny(socket)
        return
    try:
        caller = await parts.admit(socket.headers.get("authorization"))
    except Problem as problem:
        await _refuse(socket, problem.detail)
        return
    modern = SUBPROTOCOL in socket.scope.get("subprotocols", ())
    if not modern and not _may_read(parts, caller):
        await _refuse(socket, "authenticate first: this catalog has no anonymous readers")
        return
    await socket.accept(SUBPROTOCOL if modern else None)
    first: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    sending = _modern(parts, socket, caller, first) if modern else _full_lists(parts, socket, caller)
    await _until_closed(socket, sending, first)


async def _deny(socket: WebSocket) -> None:
    """Refused before it is a socket; said so that no client takes the connection for another request."""
    if "websocket.http.response" not in socket.scope.get("extensions", {}):
        await socket.close(1008, "this Origin is not allowed")
        return
    problem = Problem(
        403, "origin-not-allowed", "pages of this Origin may open no sockets here; --origin names those that may"
    )
    await socket.send_denial_response(
        Response(msgspec.json.encode(problem.to_dict()), 403, {"Connection": "close"}, media_type=MEDIA_TYPE)
    )


async def _refuse(socket: WebSocket, reason: str) -> None:
    """Accepted first, because browsers tell their pages nothing of a refused handshake."""
    await socket.accept(SUBPROTOCOL if SUBPROTOCOL in socket.scope.get("subprotocols", ()) else None)
    await socket.close(UNAUTHENTICATED, reason[:120])


def _origin_allowed(parts: CatalogParts, socket: WebSocket) -> bool:
    origin = socket.headers.get("origin")
    return origin is None or origin in parts.origins or urlsplit(origin).netloc == socket.headers.get("host")


def _may_read(parts: CatalogParts, caller: Caller) -> bool:
    try:
        parts.sees(caller)
    except Problem:
        return False
    return True


async def _until_closed(socket: WebSocket, sending: Coroutine[Any, Any, None], first: asyncio.Future[str]) -> None:
    """Send until the client goes; after its first frame, what it sends means nothing."""
    sender = asyncio.ensure_future(sending)
    reader = asyncio.ensure_future(_drain(socket, first))
    try:
        await asyncio.wait((sender, reader), return_when=asyncio.FIRST_COMPLETED)
        if sender.done():
            sender.result()
    except (WebSocketDisconnect, RuntimeError) as error:
        if isinstance(error, RuntimeError) and socket.application_state is WebSocketState.CONNECTED:
            raise
    finally:
        for task in (sender, reader):
            task.cancel()
        await asyncio.gather(sender, reader, return_exceptions=True)


async def _drain(socket: WebSocket, first: asyncio.Future[str]) -> None:
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        if not first.done():
            first.set_result(message.get("text") or "")


def expired(parts: CatalogParts, caller: Caller) -> bool:
    """Whether the caller may no longer read."""
    return caller.expires <= parts.catalog.clock() or (bool(caller.family) and not parts.accounts.alive(caller.family))


def confined(parts: CatalogParts, caller: Caller, where: str) -> str:
    """The filter of a caller's stream, with what it may see in it."""
    provider = parts.sees(caller)
    mine = f"provider == '{provider}'" if provider else ""
    return " && ".join(part for part in (mine, f"({where})" if where and mine else where) if part)


async def _full_lists(parts: CatalogParts, socket: WebSocket, caller: Caller) -> None:
    """The whole list on connect, and again after changes, at most once a second."""
    sink, feed, told = Sink(socket), parts.catalog.feed, -1
    mine = parts.sees(caller)
    while not feed.closed and not expired(parts, caller):
        if parts.catalog.index.revision != told:
            told = parts.catalog.index.revision
            await sink.text(full_list(parts, mine))
            await asyncio.sleep(FULL_LIST_EVERY)
        else:
            await feed.next_tick()
    await socket.close(UNAUTHENTICATED if expired(parts, caller) else 1001)


def full_list(parts: CatalogParts, mine: str) -> bytes:
    """Every provider with its offers, as one text."""
    catalog: Catalog = parts.catalog
    providers = []
    for provider, entries in catalog.index.providers():
        if mine and provider != mine:
            continue
        account = parts.accounts.get(provider)
        head = {
            "clusterID": (account and account.cluster_id) or provider,
            "clusterName": (account and account.name) or provider,
        }
        offers = b",".join(entry.thesis for entry in entries)
        providers.append(b'%b,"offers":[%b]}' % (msgspec.json.encode(head)[:-1], offers))
    return b"[" + b",".join(providers) + b"]"


async def _modern(parts: CatalogParts, socket: WebSocket, caller: Caller, first: asyncio.Future[str]) -> None:
    """Subscribe, then a snapshot if no revision was named, then deltas."""
    asked = await _subscription(parts, socket, caller, first)
    if asked is None:
        return
    caller, where, since = asked
    sink, feed = Sink(socket), parts.catalog.feed
    if since is None:
        since = await _snapshot(parts, sink, where)
    loop = asyncio.get_running_loop()
    last, alive = loop.time(), _still_good(parts, caller)
    while not feed.closed:
        if expired(parts, caller):
            await socket.close(UNAUTHENTICATED, "the token has expired or was revoked")
            return
        try:
            reached, frame = feed.frame(sink.kind, since, where, sink.delta)
        except Gone:
            await sink.text(msgspec.json.encode({"op": "reset", "revision": feed.revision}))
            since = await _snapshot(parts, sink, where)
            continue
        if frame:
            await sink.ready(frame)
            last = loop.time()
        elif loop.time() - last > QUIET:
            await sink.text(msgspec.json.encode({"op": "bookmark", "revision": reached}))
            last = loop.time()
        since = reached
        if since < feed.revision:
            continue
        if sink.direct is not None:
            since, last = await parts.fan.ride(sink, since, where, alive), loop.time()
        else:
            await feed.next_tick()
    await socket.close(1001)


def _still_good(parts: CatalogParts, caller: Caller) -> Callable[[], bool]:
    """`expired` for somebody who is asked again and again."""
    if not caller.family and caller.expires == float("inf"):
        return lambda: True
    return lambda: not expired(parts, caller)


async def _snapshot(parts: CatalogParts, sink: Sink, where: str) -> int:
    """Everything that matches, in chunks, as of one revision."""
    revision, entries = await parts.queries.all(Asked(where))
    turns = Turns()
    for start in range(0, max(len(entries), 1), _CHUNK):
        items = b",".join(entry.body for entry in entries[start : start + _CHUNK])
        more = b"true" if start + _CHUNK < len(entries) else b"false"
        await turns.give()
        await sink.text(b'{"op":"snapshot","revision":%d,"more":%b,"items":[%b]}' % (revision, more, items))
    return revision


async def _subscription(
    parts: CatalogParts, socket: WebSocket, caller: Caller, first: asyncio.Future[str]
) -> tuple[Caller, str, int | None] | None:
    """The client's first frame, checked; None after a refusal."""
    try:
        frame = _frame(await asyncio.wait_for(asyncio.shield(first), _FIRST_FRAME))
        caller = _redeem(parts, caller, frame.ticket)
        if frame.where:
            compile_where(frame.where)
        return caller, confined(parts, caller, frame.where), frame.since
    except TimeoutError:
        reason, code = 'send {"op":"subscribe"} first', BAD_REQUEST
    except BadExpression as error:
        reason, code = f"where: {error}", BAD_REQUEST
    except Problem as problem:
        reason, code = problem.detail, UNAUTHENTICATED if problem.status in (401, 403) else BAD_REQUEST
    await socket.send_text(msgspec.json.encode({"op": "error", "detail": reason}).decode())
    await socket.close(code, reason.encode()[:120].decode(errors="ignore"))
    return None


class _Subscribe(msgspec.Struct, forbid_unknown_fields=True):
    op: str = ""
    since: int | None = None
    where: str = ""
    ticket: str = ""


def _frame(text: str) -> _Subscribe:
    try:
        frame = msgspec.json.decode(text, type=_Subscribe)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Problem(400, "frame-invalid", f"the first frame is no subscription: {error}") from error
    if frame.op != "subscribe":
        raise Problem(400, "frame-invalid", f"op: must be subscribe, not {frame.op[:32]!r}")
    if frame.since is not None and frame.since < 0:
        raise Problem(400, "frame-invalid", f"since: must be a revision, from 0, not {frame.since}")
    return frame


def _redeem(parts: CatalogParts, caller: Caller, ticket: str) -> Caller:
    if not ticket:
        return caller
    found = parts.tickets.redeem(ticket, parts.catalog.clock())
    if found is None:
        raise Problem(401, "not-authenticated", "the ticket is not known, was used, or has expired; get another one")
    return found
