"""A buyer's way to a seller's REAR gateway. What a seller says is judged like any other input."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from continuo.edge.node import NodeIdentity
from continuo.edge.rear import wire
from continuo.edge.rear.refusals import Refusal
from continuo.edge.rear.wire import BadWire
from continuo.resources.errors import BadRequest, Unreachable
from continuo.resources.meta import Object

MOST = 64 << 20
"""Bytes of an answer."""
PATHS = {"Sensor": ("sensors", "sensor"), "K8Slice": ("k8slice", "k8slices"), "Service": ("service",), "VM": ("vm",)}
"""Under which name a seller may list a type; asked for in this order."""
_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=5)
_FOLLOW = aiohttp.ClientTimeout(total=None, connect=5, sock_read=45)


@dataclass(frozen=True, slots=True)
class Offered:
    """What a seller has."""

    flavors: tuple[Object, ...]
    skipped: tuple[str, ...]
    """Why flavors could not be read."""


class RearClient:
    """One seller. Raises Refusal for what it refuses, Unreachable where it does not answer, BadRequest for nonsense."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self.url = http, url.rstrip("/")

    async def flavors(self, kind: str | None = None, pairs: Sequence[tuple[str, str]] = ()) -> Offered:
        """What is for sale, of one type or all; `pairs` are filters as they stand in a query string."""
        for path in PATHS.get(kind or "", ("",)):
            try:
                found = await self._ask("GET", f"/flavors/{path}".rstrip("/"), params=list(pairs))
            except Refusal as refusal:
                if refusal.status == 404 and path != PATHS.get(kind or "", ("",))[-1]:
                    continue
                raise
            return _offered(found if found is not None else [], self.url)
        return Offered((), ())

    async def reserve(self, flavor: str, buyer: NodeIdentity, configuration: Object | None) -> Object:
        """The transaction, as on the wire."""
        body: Object = {"flavorID": flavor, "buyerID": wire.identity_to(buyer.to_object())}
        if configuration is not None:
            body["configuration"] = wire.configuration_to(configuration)
        return self._object(await self._ask("POST", "/reservations", json=body), "transactionID")

    async def purchase(self, transaction: str, cluster: str = "") -> Object:
        """The contract, as on the wire."""
        body = {"liqoCredentials": {"clusterID": cluster, "kubeconfig": ""}} if cluster else {}
        path = f"/transactions/{quote(transaction, safe='')}/purchase"
        return self._object(await self._ask("POST", path, json=body), "contractID")

    async def contract(self, name: str) -> Object:
        """A contract, with `status`."""
        return self._object(await self._ask("GET", f"/contracts/{quote(name, safe='')}"), "contractID")

    async def contracts(self, buyer: str) -> list[Object]:
        """All of a buyer's contracts."""
        found = await self._ask("GET", "/contracts", params=[("buyer", buyer)])
        if not isinstance(found, list):
            raise BadRequest(f"{self.url} answered with something else than a list of contracts")
        return found

    async def cancel(self, name: str) -> None:
        """End a contract; one that is gone is as good."""
        await self._gone("DELETE", f"/contracts/{quote(name, safe='')}")

    async def forgo(self, transaction: str) -> None:
        """Give a reservation up; one that is gone is as good. Raises Refusal (409) if it was bought."""
        await self._gone("DELETE", f"/transactions/{quote(transaction, safe='')}")

    async def follow(self, buyer: str) -> AsyncIterator[tuple[str, Object | None] | None]:
        """(contract, how it is; None: gone) as it changes; None after everything was told once. Ends with the connection."""
        accept = {"Accept": "text/event-stream"}
        async with self._sent(
            "GET", "/contracts", params=[("buyer", buyer)], headers=accept, timeout=_FOLLOW
        ) as answer:
            if answer.status >= 400:
                raise _refusal(answer.status, await _read(answer))
            if answer.content_type != "text/event-stream":
                raise Refusal(404, "no-stream", f"{self.url} does not tell how contracts are doing")
            event = ""
            try:
                async for line in answer.content:
                    field, _, value = line.decode(errors="replace").rstrip("\r\n").partition(": ")
                    if field == "event":
                        event = value
                    elif field == "data":
                        said = msgspec.json.decode(value)
                        yield str(said["contractID"]), None if event == "gone" else dict(said.get("status") or {})
                    elif field == "" and line.startswith(b":"):
                        yield None
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise Unreachable(f"{self.url} does not answer any more: {_why(error)}") from error
            except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
                raise BadRequest(f"{self.url} tells nonsense about contracts: {error}") from error

    async def _gone(self, method: str, path: str) -> None:
        try:
            await self._ask(method, path)
        except Refusal as refusal:
            if refusal.status not in (404, 410):
                raise

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        async with self._sent(method, path, timeout=_TIMEOUT, **more) as answer:
            try:
                body = await _read(answer)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise Unreachable(f"{self.url} does not answer: {_why(error)}") from error
            if answer.status >= 400:
                raise _refusal(answer.status, body)
            if answer.status == 204 or not body:
                return None
            if answer.status >= 300:
                raise BadRequest(f"{self.url} answered with HTTP status {answer.status}, which REAR does not know")
            try:
                return msgspec.json.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise BadRequest(f"{self.url} answered with something that is no JSON: {error}") from error

    def _sent(self, method: str, path: str, **more: Any) -> _Sent:
        headers = {"Accept": "application/json", **more.pop("headers", {})}
        return _Sent(self._http.request(
            method, f"{self.url}/api/v2{path}", headers=headers, allow_redirects=False, **more
        ), self.url)  # fmt: skip

    def _object(self, found: Any, key: str) -> Object:
        if not isinstance(found, dict) or not isinstance(wire.pick(found, key), str):
            raise BadRequest(f"{self.url} answered without a {key}")
        return found


class _Sent:
    """A request under way, whose failures have names."""

    def __init__(self, request: Any, url: str) -> None:
        self._request, self._url = request, url

    async def __aenter__(self) -> aiohttp.ClientResponse:
        try:
            found: aiohttp.ClientResponse = await self._request.__aenter__()
            return found
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"{self._url} does not answer: {_why(error)}") from error

    async def __aexit__(self, *details: Any) -> None:
        await self._request.__aexit__(*details)


def _why(error: Exception) -> str:
    return str(error) or ("it took too long" if isinstance(error, TimeoutError) else type(error).__name__)


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in answer.content.iter_chunked(1 << 16):
        parts.append(part)
        size += len(part)
        if size > MOST:
            raise BadRequest(f"{answer.url.host} answered with more than {MOST} bytes, which is the most that is read")
    return b"".join(parts)


def _refusal(status: int, body: bytes) -> Refusal:
    said = " ".join(body[:600].decode(errors="replace").split())[:500]
    return Refusal(status, "refused", said or f"HTTP status {status}")


def _offered(found: Any, url: str) -> Offered:
    if not isinstance(found, list):
        raise BadRequest(f"{url} answered with something else than a list of flavors")
    flavors, skipped = [], []
    for entry in found:
        try:
            flavors.append(wire.flavor_from(entry))
        except BadWire as error:
            skipped.append(str(error))
    return Offered(tuple(flavors), tuple(skipped))


class Sellers:
    """Connections to all sellers. `context`: mutual TLS as the buyer's identity makes it; None: plain HTTP."""

    def __init__(self, context: Callable[[], ssl.SSLContext] | None = None) -> None:
        self._context = context
        self._http: aiohttp.ClientSession | None = None

    def at(self, address: str) -> RearClient:
        """The seller at `host:port`, or at a URL."""
        if self._http is None:
            self._http = aiohttp.ClientSession(connector=self._connector(), trust_env=False)
        if address.startswith(("http://", "https://")):
            return RearClient(self._http, address)
        return RearClient(self._http, f"{'https' if self._context else 'http'}://{address}")

    def _connector(self) -> aiohttp.TCPConnector:
        if self._context is None:
            return aiohttp.TCPConnector(limit=0, limit_per_host=64)
        from continuo.trust.http import PeerConnector

        return PeerConnector(self._context(), limit=0, limit_per_host=64)

    async def close(self) -> None:
        """Close them."""
        http, self._http = self._http, None
        if http is not None:
            await http.close()
            await asyncio.sleep(0)  # transports are closed by the loop
