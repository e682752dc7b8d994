"""Refuses bodies that are too large before anything reads them, and requests whose body never ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from continuo.server.problems import MEDIA_TYPE, Problem

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 1 << 20
DRAIN = 16
"""Of a body that is too large so many times the limit is read and dropped: a client that is cut off while it still sends
never sees the answer."""


class _TooLarge(Exception):
    """More arrived than is allowed."""


class BodyLimit:
    """ASGI middleware: 413 for more than `limit` bytes, counted as they come."""

    def __init__(self, app: App, limit: int = MAX_BODY) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _announced(scope) > self._limit:
            await self._refuse(receive, send)
            return
        started = False

        async def counted_send(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, self._counted(receive), counted_send)
        except _TooLarge:
            if started:
                raise
            await self._refuse(receive, send)

    async def _refuse(self, receive: Receive, send: Send) -> None:
        dropped = 0
        while dropped < DRAIN * self._limit:
            message = await receive()
            dropped += len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body"):
                break
        await _answer(send, self._limit)

    def _counted(self, receive: Receive) -> Receive:
        seen = 0

        async def counted() -> MutableMapping[str, Any]:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                raise _TooLarge
            return message

        return counted


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


async def _answer(send: Send, limit: int) -> None:
    problem = Problem(
        413, "body-too-large", f"the body has more than {limit} bytes, which is the most that is read here"
    )
    body = msgspec.json.encode(problem.to_dict())
    headers = [
        (b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode()), (b"connection", b"close"),
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
