"""How the relay's HTTP faces answer: the least of ASGI that they need, and problems as sentences (RFC 9457)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

TITLES = {
    400: "Bad request", 403: "Not allowed", 404: "Not found", 405: "Method not allowed", 413: "Body too large",
    500: "Internal error", 502: "The edge did not take it", 503: "Not available", 504: "No answer in time",
}  # fmt: skip


class Refused(Exception):
    """A request that is refused with this status and sentence."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class Gone(Exception):
    """The caller has hung up."""


async def body_of(receive: Receive, most: int) -> bytes:
    """The whole body; Refused with 413 when it is longer than that."""
    first = await receive()
    if first["type"] != "http.request":
        raise Gone
    body: bytes = first.get("body", b"")
    parts, size, more = [body], len(body), first.get("more_body", False)
    while more and size <= most:
        event = await receive()
        if event["type"] != "http.request":
            raise Gone
        parts.append(event.get("body", b""))
        size += len(parts[-1])
        more = event.get("more_body", False)
    if size > most:
        raise Refused(413, f"the body is longer than {most} bytes")
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def answer(
    send: Send, status: int, body: bytes = b"", content_type: bytes = b"application/json", *, close: bool = False
) -> None:
    """One answer."""
    headers = [(b"content-length", str(len(body)).encode())]
    if body:
        headers.append((b"content-type", content_type))
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def answer_json(send: Send, value: object, status: int = 200) -> None:
    """One answer, as JSON."""
    await answer(send, status, msgspec.json.encode(value))


async def refuse(send: Send, status: int, detail: str, *, close: bool = False) -> None:
    """One problem."""
    problem = {"type": "about:blank", "title": TITLES.get(status, "Failed"), "status": status, "detail": detail}
    await answer(send, status, msgspec.json.encode(problem), b"application/problem+json", close=close)
