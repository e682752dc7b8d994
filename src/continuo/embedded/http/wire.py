"""Requests and responses as plain values, so that everything behind the socket is synchronous and easy to test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote

import msgspec

from continuo.resources.errors import ApiError, BadRequest
from continuo.resources.meta import Object

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

Whole = Callable[[int, bytes, bytes], bool]
"""Sends a complete answer (status, content type, body) in one piece; False: it cannot do so now."""

ABORT = "continuo.abort"
"""ASGI extension of our server: a function that cuts the connection without an answer."""
WHOLE = "continuo.whole"
"""Another one: a `Whole`."""

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"

encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
decode_json: Callable[[bytes], Any] = msgspec.json.Decoder().decode


class Encoded:
    """The bytes of the objects that were written last: the answer to a write and the watches of it say the same."""

    __slots__ = ("_known",)
    KEPT = 32
    LARGE = 1 << 14
    """Bytes from which on an object is not kept."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Object, bytes]] = {}  # with the object, so that its identity stays its own

    def of(self, obj: Object) -> bytes:
        """An object as JSON. It must be one that nobody changes any more."""
        found = self._known.get(id(obj))
        if found is not None:
            return found[1]
        made = encode(obj)
        if len(made) < self.LARGE:
            if len(self._known) >= self.KEPT:
                del self._known[next(iter(self._known))]
            self._known[id(obj)] = obj, made
        return made


@dataclass(frozen=True, slots=True)
class User:
    """Who sent a request."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


@lru_cache(maxsize=256)
def _parsed(query: bytes) -> Mapping[str, str]:
    """A client's writes all have the same query."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return MappingProxyType(dict(reversed(pairs)))


class Request:
    """One HTTP request; `path` is what follows the cluster's prefix."""

    __slots__ = ("_query", "body", "headers", "method", "path", "query_string", "user")

    def __init__(self, method: str, path: str, query_string: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self.method = method
        self.path = path
        self.query_string = query_string
        self.headers = headers
        self.body = b""
        self.user = ANONYMOUS
        self._query: Mapping[str, str] | None = None

    @property
    def query(self) -> Mapping[str, str]:
        """The query parameters; of a repeated one the first counts."""
        if self._query is None:
            self._query = _parsed(self.query_string) if self.query_string else {}
        return self._query

    def header(self, name: bytes) -> str:
        """The value of a header (name in lower case), or an empty string."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return ""

    def headers_of(self, name: bytes) -> list[str]:
        """All values of a header that may be repeated."""
        return [value.decode("latin-1") for key, value in self.headers if key == name]

    def flag(self, name: str) -> bool:
        """A boolean query parameter as Kubernetes reads it: present, and neither `false` nor `0`."""
        value = self.query.get(name)
        return value is not None and value.lower() not in ("false", "0")

    def number(self, name: str) -> int | None:
        """An integer query parameter; raises BadRequest when it is none."""
        value = self.query.get(name)
        if not value:
            return None
        try:
            return int(value)
        except ValueError:
            raise BadRequest(f'the query parameter {name} is "{value}"; it must be a whole number') from None


@dataclass(slots=True)
class Response:
    """A complete answer."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Stream(Protocol):
    """An answer that sends itself until it is over."""

    async def run(self, receive: Receive, send: Send) -> None: ...


@dataclass(slots=True)
class Accepted:
    """One entry of the Accept header."""

    media: str
    params: dict[str, str] = field(default_factory=dict)


def accepted(header: str) -> list[Accepted]:
    """The entries of an Accept header in the client's order."""
    entries = []
    for part in header.split(","):
        media, *rest = part.split(";")
        params = dict(item.strip().partition("=")[::2] for item in rest)
        entries.append(Accepted(media.strip().lower(), params))
    return entries


def json_response(value: Any, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Response:
    """A value as JSON."""
    return Response(status, encode(value), JSON, headers)


def error_response(error: ApiError) -> Response:
    """An error as the `Status` that Kubernetes clients expect."""
    status = error.to_status()
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if error.retry_after is not None:
        headers = ((b"retry-after", str(max(1, round(error.retry_after))).encode()),)
    return Response(error.code, encode(status), JSON, headers)


def success(details: Mapping[str, Any] | None = None, code: int | None = None) -> dict[str, Any]:
    """A `Status` that says that it worked."""
    status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    if details:
        status["details"] = dict(details)
    if code:
        status["code"] = code
    return status


def warning_headers(warnings: list[str]) -> tuple[tuple[bytes, bytes], ...]:
    """`Warning:` headers as kubectl prints them; control characters and repeats are left out."""
    unique = dict.fromkeys(" ".join(text.split()) for text in warnings)
    escaped = (text.replace("\\", "\\\\").replace('"', '\\"') for text in unique)
    return tuple((b"warning", f'299 - "{text}"'.encode("ascii", "replace")) for text in escaped)


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """The whole request body, or None when it is longer than `limit`."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the client closed the connection while sending the body")
        part = message.get("body", b"")
        size += len(part)
        if size <= limit:
            parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts) if size <= limit else None


async def send_response(response: Response, send: Send, whole: Whole | None = None) -> None:
    """Write a complete answer to the socket, in one piece if the server can and it has no headers of its own."""
    body = response.body
    if whole is not None and not response.headers and whole(response.status, response.content_type, body):
        return
    headers = [(b"content-type", response.content_type), (b"content-length", str(len(body)).encode())]
    headers.extend(response.headers)
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def split_path(path: str) -> list[str]:
    """The segments of a path without empty ones, each unquoted."""
    return [unquote(part) if "%" in part else part for part in path.split("/") if part]
