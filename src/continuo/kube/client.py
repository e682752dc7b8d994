"""`KubeCluster`: the Kubernetes API over HTTP, as the rest of Continuo wants it.

It sends and decodes, retries what is safe to repeat, and turns every failure into one of `continuo.resources.errors`
before anybody above can see aiohttp. It keeps no objects and knows no kinds but those it is asked for.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from typing import Any, Literal, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from continuo.kube.access import Access, Identity, Tls
from continuo.kube.discovery import Discovery
from continuo.kube.lean import LeanPod
from continuo.kube.port import Change, Listing, PatchType
from continuo.kube.transport import Transports
from continuo.kube.watching import WatchSettings, changes
from continuo.resources.errors import (
    ApiError,
    BadRequest,
    Expired,
    InternalError,
    ServiceUnavailable,
    TooManyRequests,
    Unreachable,
    from_status,
)
from continuo.resources.kinds import POD
from continuo.resources.meta import Kind, Object
from continuo.telemetry.tracing import span, traceparent

PAGE = 500
_Objects: TypeAlias = list[Object]
_JSON = "application/json"
_PATCH_TYPES: dict[str, str] = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}
_APPLY = "application/apply-patch+yaml"
_PLAIN = re.compile(r"[A-Za-z0-9_.-]*\Z")
"""What means itself in a URL, as nearly all names do."""
_encode = msgspec.json.Encoder().encode


class _Page(msgspec.Struct):
    items: _Objects | None = None
    metadata: dict[str, Any] = {}


_page_decoder = msgspec.json.Decoder(_Page)
_object_decoder = msgspec.json.Decoder(dict[str, Any])
_pod_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(LeanPod)
_T = TypeVar("_T")


class _Answer(Exception):
    """A response that is not a success, before it is decided what becomes of it."""

    def __init__(self, error: ApiError, status: int, retry_after: float | None) -> None:
        super().__init__(str(error))
        self.error, self.status, self.retry_after = error, status, retry_after


class KubeCluster:
    """One cluster's API server. Make it with `continuo.kube.config.connect`; close it when done."""

    RETRIES = 4
    LONGEST_WAIT = 10.0

    def __init__(
        self,
        name: str,
        access: Access,
        *,
        transports: Transports | None = None,
        timeout: float = 15.0,
        concurrency: int = 64,
        watching: WatchSettings | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.name = name
        self.access = access
        self.requests: Counter[str] = Counter()
        """How many requests were sent, by verb; for benchmarks and metrics."""
        self.refusals: Counter[str] = Counter()
        """How many of them were refused, by the error's reason."""
        self.discovery = Discovery(self)
        self._base = access.server.rstrip("/")
        self._transports = transports if transports is not None else Transports()
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._slots = asyncio.Semaphore(concurrency)
        self._watching = watching or WatchSettings()
        self._random = rng or random.Random()
        self._identity: Identity | None = None
        self._tls: Tls | None = None
        self._session: aiohttp.ClientSession | None = None
        self._headers: dict[str, str] = {}
        self._closed = False

    # --- reading ---
    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object:
        return self._decoded(_object_decoder, await self._send("get", "GET", _path(kind, namespace, name)))

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> Listing:
        """All matching objects, in pages; when the pages expire half-way, once more in one piece."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        try:
            items, version = await self._pages(kind.path(_quoted(namespace)), query, PAGE)
        except Expired:
            items, version = await self._pages(kind.path(_quoted(namespace)), query, None)
        api_version, kind_name = kind.api_version, kind.kind
        for item in items:
            item["apiVersion"] = api_version
            item["kind"] = kind_name
        return Listing(items, version)

    async def _pages(self, path: str, query: Mapping[str, str | None], limit: int | None) -> tuple[_Objects, str]:
        items: _Objects = []
        token: str | None = None
        while True:
            page_query = {**query, "limit": str(limit) if limit else None, "continue": token}
            page = self._decoded(_page_decoder, await self._send("list", "GET", path, page_query))
            items += page.items or ()
            token = page.metadata.get("continue")
            if not token:
                return items, str(page.metadata.get("resourceVersion") or "")

    async def watch(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        since: str,
        labels: str | None = None,
        fields: str | None = None,
    ) -> AsyncIterator[Change]:
        """Changes after `since`. The first one is a BOOKMARK of `since` itself: it says that the server answered."""
        seconds = self._watching.seconds(self._random)
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(seconds),
            "labelSelector": labels,
            "fieldSelector": fields,
        }
        timeout = self._watching.timeout(seconds)
        url = self._url(kind.path(_quoted(namespace)), query)
        await self._authenticate()
        self.requests["watch"] += 1
        opened = False
        try:
            async with self._open("GET", url, None, None, timeout) as response:
                if response.status != 200:
                    raise (await _refusal(response)).error
                opened = True
                yield Change("BOOKMARK", {"metadata": {"resourceVersion": since}})
                async for change in changes(response.content, kind):
                    yield change
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if opened and isinstance(error, TimeoutError):
                return  # quiet for too long: the connection may be dead, and starting anew costs one request
            raise self._unreachable(error) from error

    async def raw(self, path: str) -> bytes:
        return await self._send("raw", "GET", path)

    # --- writing ---
    async def create(self, obj: Object, *, manager: str | None = None, dry_run: bool = False) -> Object:
        kind = await self.discovery.kind_of(obj)
        namespace = obj["metadata"].get("namespace")
        if kind.namespaced and not namespace:
            raise BadRequest(f"a {kind.kind} lives in a namespace, and metadata.namespace is empty")
        path = kind.path(_quoted(namespace))
        query = _write_query(manager, dry_run)
        return self._decoded(
            _written(kind),
            await self._send("create", "POST", path, query, _encode(obj), _JSON, repeatable=False),
        )

    async def apply(
        self,
        obj: Object,
        *,
        manager: str,
        force: bool = True,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Server-side apply."""
        path = await self._object_path(obj, subresource)
        query = {**_write_query(manager, dry_run), "force": "true" if force else "false"}
        return self._decoded(_object_decoder, await self._send("apply", "PATCH", path, query, _encode(obj), _APPLY))

    async def patch(
        self,
        kind: Kind,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        type: PatchType = "merge",
        subresource: str | None = None,
        manager: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        path = _path(kind, namespace, name, subresource)
        query = _write_query(manager, dry_run)
        content = _PATCH_TYPES[type]
        # A JSON patch may append; sending it twice could do it twice.
        body = await self._send("patch", "PATCH", path, query, _encode(patch), content, repeatable=type != "json")
        return self._decoded(_written(kind), body)

    async def replace(self, obj: Object, *, subresource: str | None = None, manager: str | None = None) -> Object:
        path = await self._object_path(obj, subresource)
        body = _encode(obj)
        return self._decoded(
            _object_decoder,
            await self._send("replace", "PUT", path, _write_query(manager, False), body, _JSON),
        )

    async def post(self, kind: Kind, name: str, subresource: str, body: Object, namespace: str | None = None) -> Object:
        """POST to a subresource: `binding`, `eviction`, `token`."""
        path = _path(kind, namespace, name, subresource)
        answer = await self._send("post", "POST", path, None, _encode(body), _JSON, repeatable=False)
        return self._decoded(_object_decoder, answer)

    async def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        await self._send("delete", "DELETE", _path(kind, namespace, name), None, _encode(options), _JSON)

    async def close(self) -> None:
        """Give the connections back; watches that still run end with an error."""
        self._closed = True
        tls, self._tls, self._session, self._identity = self._tls, None, None, None
        if tls is not None:
            await self._transports.release(tls)

    # --- sending ---
    async def _object_path(self, obj: Object, subresource: str | None) -> str:
        kind = await self.discovery.kind_of(obj)
        metadata = obj["metadata"]
        return _path(kind, metadata.get("namespace"), metadata["name"], subresource)

    def _url(self, path: str, query: Mapping[str, str | None] | None) -> URL:
        asked = _spelled(tuple(query.items())) if query else ""
        return _parsed(f"{self._base}{path}?{asked}" if asked else self._base + path)

    async def _send(
        self,
        verb: str,
        method: str,
        path: str,
        query: Mapping[str, str | None] | None = None,
        body: bytes | None = None,
        content_type: str | None = None,
        *,
        repeatable: bool = True,
    ) -> bytes:
        """One request with its repetitions; the body of the success, or one of the API errors."""
        calls, started, reason = self._transports.calls, time.perf_counter(), None
        with span(f"kubernetes {verb}", {"k8s.cluster.name": self.name, "url.path": path}) as step:
            try:
                return await self._repeated(verb, method, self._url(path, query), body, content_type, repeatable)
            except ApiError as error:
                reason = error.reason
                if step is not None:
                    step.set(error_type=reason)
                raise
            finally:
                if calls is not None:
                    calls.ended(self.name, verb, time.perf_counter() - started, reason)

    async def _repeated(
        self, verb: str, method: str, url: URL, body: bytes | None, content_type: str | None, repeatable: bool
    ) -> bytes:
        attempt = 0
        while True:
            attempt += 1
            self.requests[verb] += 1
            try:
                async with self._slots:
                    return await self._once(method, url, body, content_type)
            except _Answer as answer:
                self.refusals[answer.error.reason] += 1
                wait = self._wait_before_repeat(answer, attempt, repeatable)
                if wait is None:
                    raise answer.error from None
            except (aiohttp.ServerDisconnectedError, ConnectionResetError) as error:
                # The server closed an idle connection at the moment we used it.
                if attempt > 1 or not repeatable:
                    raise self._unreachable(error) from error
                wait = 0.0
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise self._unreachable(error) from error
            await asyncio.sleep(wait)

    def _decoded(self, decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
        try:
            return decoder.decode(body)
        except msgspec.DecodeError as error:
            raise InternalError(
                f"cluster {self.name} at {self._base} sent something that is not the JSON of an API server: {error}"
            ) from error

    async def _once(self, method: str, url: URL, body: bytes | None, content_type: str | None) -> bytes:
        await self._authenticate()
        async with self._open(method, url, body, content_type, self._timeout) as response:
            if response.status < 300:
                content: bytes = await response.read()
                return content
            raise await _refusal(response)

    def _wait_before_repeat(self, answer: _Answer, attempt: int, repeatable: bool) -> float | None:
        if answer.status == 401 and attempt == 1 and self.access.credentials.invalidate():
            return 0.0
        if not repeatable or attempt > self.RETRIES:
            return None
        if not isinstance(answer.error, (TooManyRequests, ServiceUnavailable)):
            return None
        wait = answer.retry_after if answer.retry_after is not None else 0.25 * 2.0**attempt
        jittered = wait * (1.0 + 0.2 * self._random.random())
        return jittered if wait <= self.LONGEST_WAIT else None

    async def _authenticate(self) -> None:
        if self._closed:
            raise Unreachable(f"the client of cluster {self.name} was closed")
        identity = await self.access.credentials.current()
        if identity is self._identity:
            return
        setup = self.access.tls
        tls = Tls(setup.ca, setup.insecure, setup.server_name, identity.certificate, identity.key)
        previous = self._tls
        self._session = self._transports.acquire(tls)
        self._tls, self._identity = tls, identity
        self._headers = dict(identity.headers)
        if identity.authorization:
            self._headers["Authorization"] = identity.authorization
        if previous is not None:
            await self._transports.release(previous)

    def _open(
        self,
        method: str,
        url: URL,
        body: bytes | None,
        content_type: str | None,
        timeout: aiohttp.ClientTimeout,
    ) -> Any:
        if self._session is None:
            raise Unreachable(f"the client of cluster {self.name} was closed")
        headers = self._headers
        if (trace := traceparent()) is not None:
            headers = {**headers, "traceparent": trace}
        return self._session.request(
            method,
            url,
            data=None if body is None else aiohttp.BytesPayload(body, content_type=content_type),
            headers=headers,
            timeout=timeout,
            proxy=self.access.proxy,
            server_hostname=self.access.tls.server_name,
            allow_redirects=False,
        )

    def _unreachable(self, error: BaseException) -> Unreachable:
        return Unreachable(f"cluster {self.name} at {self._base} cannot be reached: {_why(error)}")


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted ({error.certificate_error})"
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return f"TLS failed ({error})"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        return os.strerror(number) if number and number > 0 else str(error.os_error)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closed the connection without an answer"
    return str(error) or type(error).__name__


async def _refusal(response: aiohttp.ClientResponse) -> _Answer:
    body = await response.read()
    try:
        status = _object_decoder.decode(body)
    except msgspec.DecodeError:
        text = body[:200].decode("utf-8", "replace").strip()
        status = {"message": f"HTTP {response.status} from {response.url.path}: {text or response.reason}"}
    if status.get("kind") == "Status" or "message" in status:
        error = from_status(status, response.status)
    else:
        error = from_status({"message": f"HTTP {response.status} from {response.url.path}"}, response.status)
    return _Answer(error, response.status, _retry_after(response, error))


def _retry_after(response: aiohttp.ClientResponse, error: ApiError) -> float | None:
    header = response.headers.get("Retry-After", "")
    return float(header) if header.isdigit() else error.retry_after


def _written(kind: Kind) -> msgspec.json.Decoder[Any]:
    """What reads the server's answer to a write."""
    return _pod_decoder if kind is POD or kind == POD else _object_decoder


def _write_query(manager: str | None, dry_run: bool) -> dict[str, str | None]:
    return {"fieldManager": manager, "dryRun": "All" if dry_run else None}


@lru_cache(maxsize=1024)
def _spelled(query: tuple[tuple[str, str | None], ...]) -> str:
    return urlencode([(key, value) for key, value in query if value is not None])


@lru_cache(maxsize=256)
def _parsed(url: str) -> URL:
    """Objects of one kind are created at one address again and again, which remembers its parts."""
    return URL(url, encoded=True)


def _quoted(text: str | None) -> str | None:
    return quote(text, safe="") if text and not _PLAIN.match(text) else text


def _path(kind: Kind, namespace: str | None, name: str, subresource: str | None = None) -> str:
    if kind.namespaced and not namespace:
        raise BadRequest(f"{kind.kind} {name} lives in a namespace, and none was given")
    # Names of RBAC objects may hold a colon or more; nothing that a user names may change the path's shape.
    return kind.path(_quoted(namespace), name if _PLAIN.match(name) else quote(name, safe=":"), subresource)
