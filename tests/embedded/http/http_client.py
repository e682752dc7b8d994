"""An ASGI client for the tests: the application without sockets, so that every step is deterministic."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server
from continuo.embedded.http.wire import ABORT
from continuo.resources.meta import Object

WIDGETS = "/apis/example.org/v1/namespaces/default/widgets"
SECRETS = "/api/v1/namespaces/default/secrets"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def widget_definition() -> Object:
    """A definition with status, scale, printer columns and two versions' worth of schema."""
    spec = {
        "type": "object",
        "properties": {"replicas": {"type": "integer", "minimum": 0}, "note": {"type": "string", "default": "none"}},
    }
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    ready = '.status.conditions[?(@.type=="Ready")].status'
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "description": "A widget.",
                "properties": {"spec": spec, "status": status},
            }
        },
        "subresources": {
            "status": {},
            "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
        },
        "additionalPrinterColumns": [
            {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
            {"name": "Ready", "type": "string", "jsonPath": ready},
            {"name": "Note", "type": "string", "jsonPath": ".spec.note", "priority": 1},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
    }
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList", "shortNames": ["wd"],
             "categories": ["all"]}  # fmt: skip
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.org"},
        "spec": {"group": "example.org", "scope": "Namespaced", "names": names, "versions": [version]},
    }


def widget(name: str, **spec: Any) -> Object:
    return {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}


def secret(name: str, labels: dict[str, str] | None = None, **data: str) -> Object:
    metadata: Object = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return str(self.json["message"])


class Stream:
    """An open watch: `next()` is its next event, None when it has ended."""

    def __init__(self) -> None:
        self.status = 0
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._lines: list[bytes] = []
        self._rest = b""
        self._ended = False
        self.closed = asyncio.Event()
        self.started = asyncio.Event()
        self.hold = asyncio.Event()
        """Cleared: the client reads nothing, so that the server's queue fills."""
        self.hold.set()

    async def receive(self) -> dict[str, Any]:
        await self.closed.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        await self.hold.wait()
        await self._messages.put(message)
        self.started.set()

    async def next(self) -> Any:
        while not self._lines and not self._ended:
            message = await asyncio.wait_for(self._messages.get(), 5)
            if message["type"] == "http.response.start":
                self.status = message["status"]
                continue
            *lines, self._rest = (self._rest + message["body"]).split(b"\n")
            self._lines.extend(line for line in lines if line)
            self._ended = not message.get("more_body")
        return json.loads(self._lines.pop(0)) if self._lines else None

    async def seen(self, count: int) -> list[tuple[str, str]]:
        """The next events as (type, name)."""
        events = [await self.next() for _ in range(count)]
        return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


class Client:
    """Talks to one cluster as one user."""

    def __init__(self, server: Server, cluster: str = "management", token: str | None = None) -> None:
        self.app = server.attach()
        self.server = server
        self.cluster = cluster
        self.token = server.tokens.issue(cluster, "admin", ("system:masters",)) if token is None else token

    def as_user(self, name: str, *groups: str) -> Client:
        return Client(self.server, self.cluster, self.server.tokens.issue(self.cluster, name, groups))

    def _scope(self, method: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
        path, _, query = path.partition("?")
        headers = {"user-agent": "tests/1", **headers}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        return {
            "type": "http",
            "method": method,
            "path": f"/clusters/{self.cluster}{path}",
            "query_string": query.encode(),
            "headers": [(key.lower().encode(), value.encode()) for key, value in headers.items()],
            "extensions": {ABORT: lambda: None},
        }

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        named = {key.replace("_", "-"): value for key, value in headers.items()}
        await self.app(self._scope(method, path, named), receive, send)
        if not sent:
            return Reply(0, {}, b"")
        found = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:]))

    async def get(self, path: str, **headers: str) -> Reply:
        return await self("GET", path, **headers)

    async def post(self, path: str, body: Any, **headers: str) -> Reply:
        return await self("POST", path, body, **{"content-type": "application/json", **headers})

    async def put(self, path: str, body: Any) -> Reply:
        return await self("PUT", path, body, **{"content-type": "application/json"})

    async def patch(self, path: str, body: Any, how: str = "merge-patch+json") -> Reply:
        return await self("PATCH", path, body, **{"content-type": f"application/{how}"})

    async def delete(self, path: str, body: Any = None) -> Reply:
        return await self("DELETE", path, body, **{"content-type": "application/json"})

    async def table(self, path: str) -> tuple[list[str], list[list[Any]]]:
        """Column names and rows of a Table."""
        found = (await self.get(path, accept=TABLE)).json
        return [column["name"] for column in found["columnDefinitions"]], [row["cells"] for row in found["rows"]]

    @asynccontextmanager
    async def watch(self, path: str, **headers: str) -> AsyncIterator[Stream]:
        stream = Stream()
        scope = self._scope("GET", path, headers)
        task = asyncio.ensure_future(self.app(scope, stream.receive, stream.send))  # type: ignore[arg-type]
        await stream.started.wait()
        try:
            yield stream
        finally:
            stream.hold.set()
            stream.closed.set()
            await asyncio.wait_for(task, 5)


class Clock:
    """A clock that tests set."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def new_engine(clock: Clock, **options: Any) -> EmbeddedEngine:
    engine = EmbeddedEngine(clock=clock, **options)
    engine.start()
    return engine
