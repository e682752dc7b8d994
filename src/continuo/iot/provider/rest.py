"""IoTronic's REST interface, version 1, asynchronously: any endpoint that speaks it.

What an answer means for a reconciler is decided here and nowhere else: what is absent, what is refused, which board is not
connected, and where nobody knows what happened. The last is never taken for "absent".
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

from continuo.iot.provider.auth import Auth
from continuo.iot.provider.external import Absent, Conflicting, NotConnected, NotSent, Refused, Unknown

VERSION_HEADER = {"X-OpenStack-Iotronic-API-Version": "1.0"}
REQUEST, OBJECT = "Iotronic-Request-Uuid", "Iotronic-Object-Uuid"
MOST = 64 << 20
"""Bytes of an answer."""
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answered with success."""

    status: int
    body: Any
    """JSON, or text."""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def request(self) -> str:
        """The request that was made of it; empty where the endpoint does not tell."""
        return self.headers.get(REQUEST, "")

    @property
    def pending(self) -> bool:
        """Whether it goes on; the request tells the end."""
        return self.status == 202


class Rest:
    """One endpoint with one identity."""

    def __init__(
        self, http: aiohttp.ClientSession, endpoint: str, auth: Auth, *, tls: ssl.SSLContext | bool = True,
        timeout: float = 50.0,
    ) -> None:  # fmt: skip
        self._http, self._auth, self._tls, self._timeout = http, auth, tls, timeout
        self.endpoint = endpoint.rstrip("/").removesuffix("/v1")
        self.requests = 0
        """How many were sent, for metrics and tests."""

    async def get(self, path: str, **params: str) -> Any:
        """What is there; raises Absent."""
        return (await self.call("GET", path, params=params)).body

    async def find(self, path: str) -> Any | None:
        """What is there, or None where the endpoint says that nothing is."""
        try:
            return await self.get(path)
        except Absent:
            return None

    async def pages(self, path: str, key: str, **more: str) -> list[dict[str, Any]]:
        """A whole list, page after page."""
        found: list[dict[str, Any]] = []
        params = {"limit": str(PAGE), **more}
        while True:
            body = await self.get(path, **params)
            if not isinstance(body, dict) or not isinstance(body.get(key), list):
                raise Unknown(f"{self.endpoint}/v1/{path} answered no list of {key}")
            found += body[key]
            if not body.get("next") or not body[key]:
                return found
            marker = body[key][-1].get("uuid")
            if not marker or params.get("marker") == marker:
                return found
            params["marker"] = marker

    async def call(
        self, method: str, path: str, body: Any = None, *, params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        """Ask, with a fresh token once where the one that we have is no longer accepted."""
        answer = await self._send(method, path, body, params, headers, fresh=False)
        if answer.status == 401:
            answer = await self._send(method, path, body, params, headers, fresh=True)
        if answer.status >= 400:
            raise self._failure(f"{method} {self.endpoint}/v1/{path}", answer)
        return answer

    async def act(self, method: str, path: str, body: Any = None, *, key: str = "") -> Answer:
        """Ask something of boards without waiting for them where the endpoint can do that. `key`: asked once only."""
        headers = {"Prefer": "respond-async"}
        if key:
            headers["Idempotency-Key"] = key
        return await self.call(method, path, body, headers=headers)

    @asynccontextmanager
    async def stream(
        self, path: str, headers: Mapping[str, str], silence: float | None, *, media: str = "text/event-stream",
        params: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.StreamReader]:  # fmt: skip
        """An answer that goes on. `silence`: seconds without a byte after which it is given up; None: never."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=silence)
        known = await self._auth.headers(fresh=False)
        try:
            async with self._http.get(
                f"{self.endpoint}/v1/{path}", headers={**VERSION_HEADER, **known, **headers}, timeout=timeout,
                ssl=self._tls, allow_redirects=False, params=params or None,
            ) as reply:  # fmt: skip
                if reply.status == 401:
                    await self._auth.headers(fresh=True)
                if reply.status != 200 or reply.content_type != media:
                    answer = Answer(reply.status, await _text(reply))
                    if reply.status < 400:
                        raise Absent(f"{self.endpoint}/v1/{path} is no stream of {media}")
                    raise self._failure(f"GET {self.endpoint}/v1/{path}", answer)
                yield reply.content
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unknown(f"{self.endpoint} tells nothing any more: {_why(error)}") from error

    async def _send(
        self, method: str, path: str, body: Any, params: Mapping[str, str] | None, headers: Mapping[str, str] | None, *,
        fresh: bool,
    ) -> Answer:  # fmt: skip
        sent = {**VERSION_HEADER, **await self._auth.headers(fresh=fresh), **(headers or {})}
        data = None
        if body is not None:
            data, sent["Content-Type"] = msgspec.json.encode(body), "application/json"
        url = f"{self.endpoint}/v1/{path}"
        timeout = aiohttp.ClientTimeout(total=self._timeout, sock_connect=10.0)
        self.requests += 1
        try:
            async with self._http.request(
                method, url, data=data, params=params or None, headers=sent, timeout=timeout, ssl=self._tls,
                allow_redirects=False, middlewares=(_once,) if method == "PUT" else (),
            ) as reply:  # fmt: skip
                return Answer(reply.status, _decoded(await _text(reply)), reply.headers.copy())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(f"{self.endpoint} cannot be reached: {_why(error)}") from error
        except TimeoutError as error:
            raise Unknown(f"{method} {url} was not answered within {self._timeout:g} s") from error
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            raise Unknown(f"{method} {url} was not answered: {_why(error)}") from error

    def _failure(self, what: str, answer: Answer) -> Exception:
        said = f"{what}: {reason(answer.body) or f'HTTP {answer.status}'}"
        match answer.status:
            case 404:
                return Absent(said, 404)
            case 409:
                return Conflicting(said, 409)
            case 400 if "is not connected" in said:
                return NotConnected(reason(answer.body))
            case 401:
                return Refused(f"{said}; are the credentials of the ProviderConfig right?", 401)
            case 408 | 425 | 429:
                return NotSent(said)
        return Refused(said, answer.status) if answer.status < 500 else Unknown(said)


class _Interrupted(aiohttp.ClientError):
    """The connection ended before there was an answer."""


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send it once: aiohttp repeats a PUT whose answer it did not get, and a board would have two ports."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Interrupted(_why(error)) from error


def reason(body: Any) -> str:
    """The sentence in an error's body, which IoTronic encodes twice."""
    inner = body.get("error_message") if isinstance(body, dict) else body
    if isinstance(inner, str):
        decoded = _decoded(inner)
        if not isinstance(decoded, dict):
            return " ".join(inner.split())[:500]
        inner = decoded
    found = inner.get("faultstring") if isinstance(inner, dict) else None
    return " ".join(str(found or "").split())[:500]


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


async def _text(reply: aiohttp.ClientResponse) -> str:
    parts, size = [], 0
    async for part in reply.content.iter_chunked(1 << 16):
        size += len(part)
        if size > MOST:
            raise aiohttp.ClientPayloadError(f"the answer is longer than {MOST} bytes")
        parts.append(part)
    return b"".join(parts).decode(errors="replace")


def _why(error: BaseException) -> str:
    return str(error) or type(error).__name__
