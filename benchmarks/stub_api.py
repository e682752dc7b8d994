"""A small API server for benchmarks: one custom kind, served as fast as Python can, in a process of its own.

It answers discovery, list, watch, get and merge patches (of the object and its status), nothing else. Run it with the
number of objects; it prints its port. The clients' CPU is what is measured, so its own speed does not matter.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from aiohttp import web

GROUP, VERSION, PLURAL, KIND = "bench.dev", "v1", "widgets", "Widget"
BASE = f"/apis/{GROUP}/{VERSION}"
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
CRD = {"group": "apiextensions.k8s.io", "plural": "customresourcedefinitions"}


def make_widget(number: int) -> dict[str, Any]:
    """A custom resource of about 1 KB as JSON."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {
            "name": f"widget-{number:05d}",
            "namespace": "default",
            "uid": f"00000000-0000-4000-8000-{number:012d}",
            "resourceVersion": str(number + 1),
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": f"app-{number % 50}", "tier": "edge", "zone": f"zone-{number % 7}"},
            "annotations": {"note": "x" * 180},
        },
        "spec": {
            "replicas": number % 5,
            "image": f"registry.example/team/service-{number}:1.{number % 30}.0",
            "env": [{"name": f"VARIABLE_{i}", "value": f"value {i} of widget {number}"} for i in range(6)],
            "resources": {"cpu": "500m", "memory": "256Mi"},
        },
    }


class Api:
    """The objects and who watches them."""

    def __init__(self, count: int) -> None:
        self.objects = {obj["metadata"]["name"]: obj for obj in map(make_widget, range(count))}
        self.version = count + 1
        self.watchers: set[asyncio.Queue[bytes]] = set()
        self.log: list[tuple[int, bytes]] = []
        self.patches = 0
        self.with_status: set[str] = set()

    async def patch(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        body = await request.json()
        self.patches += 1
        self.version += 1
        old = self.objects[name]
        new = {**old, **{key: value for key, value in body.items() if key != "metadata"}}
        new["metadata"] = {**old["metadata"], "resourceVersion": str(self.version)}
        for key, value in (body.get("metadata") or {}).items():
            if isinstance(value, dict):
                new["metadata"][key] = {**(old["metadata"].get(key) or {}), **value}
        self.objects[name] = new
        if "status" in new:
            self.with_status.add(name)
        text = json.dumps(new)
        line = f'{{"type":"MODIFIED","object":{text}}}\n'.encode()
        self.log.append((self.version, line))
        for queue in self.watchers:
            queue.put_nowait(line)
        return web.Response(text=text, content_type="application/json")

    async def list_or_watch(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch") == "true":
            return await self.watch(request)
        items = list(self.objects.values())
        limit, start = int(request.query.get("limit") or 0), int(request.query.get("continue") or 0)
        page = items[start : start + limit] if limit else items
        metadata = {"resourceVersion": str(self.version)}
        if limit and start + limit < len(items):
            metadata["continue"] = str(start + limit)
        body = {"kind": f"{KIND}List", "apiVersion": f"{GROUP}/{VERSION}", "metadata": metadata, "items": page}
        return web.json_response(body)

    async def watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        since = int(request.query.get("resourceVersion") or 0)
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        for version, line in self.log:
            if version > since:
                queue.put_nowait(line)
        self.watchers.add(queue)
        try:
            while True:
                lines = [await queue.get()]
                while not queue.empty():
                    lines.append(queue.get_nowait())
                await response.write(b"".join(lines))
        finally:
            self.watchers.discard(queue)

    async def get(self, request: web.Request) -> web.Response:
        return web.json_response(self.objects[request.match_info["name"]])

    async def done(self, _: web.Request) -> web.Response:
        return web.json_response({"patches": self.patches, "withStatus": len(self.with_status)})


async def _quiet_watch(request: web.Request) -> web.StreamResponse:
    """Lists of other kinds are empty, their watches never say anything."""
    if request.query.get("watch") != "true":
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})
    response = web.StreamResponse()
    await response.prepare(request)
    await asyncio.Event().wait()
    return response


def _resources(group_version: str, *entries: tuple[str, str, bool]) -> dict[str, Any]:
    resources = [
        {"name": name, "kind": kind, "singularName": kind.lower(), "namespaced": namespaced, "verbs": VERBS}
        for name, kind, namespaced in entries
    ]
    return {"kind": "APIResourceList", "groupVersion": group_version, "resources": resources}


def _fixed(body: dict[str, Any]) -> Any:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body)

    return answer


def _groups() -> dict[str, Any]:
    def group(name: str) -> dict[str, Any]:
        version = {"groupVersion": f"{name}/v1", "version": "v1"}
        return {"name": name, "versions": [version], "preferredVersion": version}

    return {"kind": "APIGroupList", "groups": [group(GROUP), group("apiextensions.k8s.io")]}


def make_app(api: Api) -> web.Application:
    app = web.Application()
    widgets = _resources(f"{GROUP}/{VERSION}", (PLURAL, KIND, True), (f"{PLURAL}/status", KIND, True))
    core = _resources("v1", ("namespaces", "Namespace", False), ("events", "Event", True))
    crds = _resources("apiextensions.k8s.io/v1", (CRD["plural"], "CustomResourceDefinition", False))
    app.add_routes(
        [
            web.get("/version", _fixed({"major": "1", "minor": "34", "gitVersion": "v1.34.0"})),
            web.get("/api", _fixed({"kind": "APIVersions", "versions": ["v1"]})),
            web.get("/apis", _fixed(_groups())),
            web.get("/api/v1", _fixed(core)),
            web.get(BASE, _fixed(widgets)),
            web.get("/apis/apiextensions.k8s.io/v1", _fixed(crds)),
            web.get(f"/apis/apiextensions.k8s.io/v1/{CRD['plural']}", _quiet_watch),
            web.get("/api/v1/namespaces", _quiet_watch),
            web.get(f"{BASE}/{PLURAL}", api.list_or_watch),
            web.get(f"{BASE}/namespaces/default/{PLURAL}/{{name}}", api.get),
            web.patch(f"{BASE}/namespaces/default/{PLURAL}/{{name}}", api.patch),
            web.patch(f"{BASE}/namespaces/default/{PLURAL}/{{name}}/status", api.patch),
            web.get("/done", api.done),
        ]
    )
    return app


async def serve(count: int) -> None:
    runner = web.AppRunner(make_app(Api(count)), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
