"""The relay over HTTP, as the Router Manager uses it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from continuo.edge.relay.model import Proof, Route, RouteStatus, Source
from continuo.edge.router.ports import Heard
from continuo.resources.errors import InternalError, Unreachable, from_status

TIMEOUT = 15.0
SILENCE = 60.0
"""Seconds without any event after which a stream is taken for dead; the relay says something every 15."""


class _Said(msgspec.Struct):
    instance: str
    routes: tuple[RouteStatus, ...]


class _Names(msgspec.Struct):
    routes: list[str]


class RelayClient:
    """One relay. Every method raises ApiError (Unreachable when nothing answered)."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        """`http` brings the identity, if there is one; it is not closed here."""
        self._url, self._http = url.rstrip("/"), http

    async def put_route(self, route: Route) -> None:
        """Let the relay have this route; saying it again changes nothing."""
        await self._call("PUT", f"/v1/routes/{quote(route.name, safe='')}", msgspec.json.encode(route))

    async def delete_route(self, name: str) -> None:
        """Let the relay have it no more; nothing happens if it never had."""
        await self._call("DELETE", f"/v1/routes/{quote(name, safe='')}")

    async def routes(self) -> list[str]:
        """The names of all routes that it has."""
        names: list[str] = _decoded(await self._call("GET", "/v1/routes"), _Names).routes
        return names

    async def ingest_url(self, source: Source, rule: str) -> str:
        """Where KubeEdge's router is to send a source's readings."""
        said = await self._call("POST", "/v1/ingest", msgspec.json.encode({"source": source, "rule": rule}))
        url: str = _decoded(said, dict[str, str])["url"]
        return url

    async def status(self) -> Heard:
        """How all routes are doing now."""
        said = _decoded(await self._call("GET", "/v1/status"), _Said)
        return Heard(said.instance, said.routes)

    async def follow(self) -> AsyncIterator[Heard]:
        """What it says of its routes, as it changes; ends when the connection does."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT, sock_read=SILENCE)
        try:
            async with self._http.get(f"{self._url}/v1/status?watch=true", timeout=timeout, **_PLAIN) as answer:
                await _checked(answer)
                rest = b""
                async for chunk in answer.content.iter_any():
                    *events, rest = (rest + chunk).split(b"\n\n")
                    for event in events:
                        said = _decoded(event.removeprefix(b"data: "), _Said)
                        yield Heard(said.instance, said.routes)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"the relay at {self._url} cannot be followed: {_why(error)}") from error

    async def dead_letters(self, route: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """The newest readings that were given up, oldest first; `body` is base64."""
        only = f"&route={quote(route, safe='')}" if route is not None else ""
        said = await self._call("GET", f"/v1/dead-letters?limit={limit}{only}")
        letters: list[dict[str, Any]] = _decoded(said, dict[str, list[dict[str, Any]]])["deadLetters"]
        return letters

    async def replay(self, route: str) -> int:
        """Have a route's dead letters sent once more; how many."""
        said = await self._call("POST", f"/v1/dead-letters?route={quote(route, safe='')}")
        count: int = _decoded(said, dict[str, int])["replayed"]
        return count

    async def prove(self, delegations: list[str]) -> Proof:
        """Show delegations of this gateway's devices, 500 at most."""
        body = msgspec.json.encode({"delegations": delegations})
        found: Proof = _decoded(await self._call("PUT", "/v1/delegations", body), Proof)
        return found

    async def instance(self) -> str:
        """Which run of the relay answers; another one knows nothing of what this one was shown."""
        name: str = _decoded(await self._call("GET", "/healthz"), dict[str, str])["instance"]
        return name

    async def _call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        try:
            async with self._http.request(
                method, f"{self._url}{path}", data=body, timeout=aiohttp.ClientTimeout(TIMEOUT), **_PLAIN
            ) as answer:
                await _checked(answer)
                return await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"the relay at {self._url} does not answer: {_why(error)}") from error


_PLAIN: dict[str, Any] = {"allow_redirects": False}


async def _checked(answer: aiohttp.ClientResponse) -> None:
    if answer.status < 300:
        return
    body = await answer.content.read(10_000)
    try:
        detail = str(msgspec.json.decode(body)["detail"])
    except (msgspec.DecodeError, KeyError, TypeError):
        detail = f"the relay answered {answer.status}"
    raise from_status({"message": detail}, answer.status)


def _decoded(body: bytes, type_: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.DecodeError as error:
        raise InternalError(f"the relay's answer cannot be read: {error}") from error


def _why(error: BaseException) -> str:
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
