"""The real face: the FastAPI application on a socket, over an embedded management cluster spoken to by HTTPS."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import uvicorn

from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.resources.crds import own_crds
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.server.app import Parts, create_app, make_parts
from continuo.server.subjects import Gate, Policy
from continuo.server.tokens import TokenFile, TokenReviews

TOKENS = """
# token,user,uid,groups
ann-token,ann,1,dev
bob-token,bob,2,"dev,ops"
root-token,root,0,"system:masters"
eve-token,eve,3,guests
"""
CLUSTERS = [
    {"name": "rose", "kubernetes-version": "v1.34.2", "tier": "cloud", "worker-machine-count": 1},
    {"name": "green", "kubernetes-version": "v1.34.2", "tier": "edge", "worker-machine-count": 1},
]


def blueprint(name: str = "shop", *, image: str = "registry.example.org/shop/web:1", secret: bool = False) -> str:
    """A small blueprint: a public web component, perhaps with a password."""
    inputs = "  inputs: {PASSWORD: {type: string, required: true}}\n" if secret else ""
    env = ", environment: {PASSWORD: {get_input: PASSWORD}}" if secret else ""
    return (
        "tosca_definitions_version: tosca_simple_yaml_1_3\n"
        f"metadata: {{template_name: {name}, template_author: somebody-else, template_version: '1'}}\n"
        "imports: [charity_custom_types_v13.yaml]\n"
        "topology_template:\n"
        f"{inputs}"
        "  node_templates:\n"
        f"    web: {{type: Charity.Component, properties: {{name: web, deployment_unit: K8S_POD, image: '{image}'"
        f"{env}, placement_hint: CLOUD}}}}\n"
        "    WebCP: {type: Charity.ConnectionPoint, properties: {name: WebCP, port: 8080, protocol: HTTP, public: true},"
        " requirements: [{binding: {node: web}}]}\n"
    )


class Client:
    """Requests as one caller."""

    def __init__(self, session: aiohttp.ClientSession, base: str, token: str) -> None:
        self.session, self.base, self.token = session, base, token

    def as_(self, token: str) -> Client:
        return Client(self.session, self.base, token)

    async def call(self, method: str, path: str, **kwargs: Any) -> tuple[int, Any, Any]:
        """(status, decoded body, headers)."""
        headers = dict(kwargs.pop("headers", {}))
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        async with self.session.request(method, self.base + path, headers=headers, **kwargs) as response:
            kind = response.headers.get("Content-Type", "")
            body = await response.json(content_type=None) if "json" in kind else await response.text()
            return response.status, body, response.headers

    async def post(self, body: Any, **params: str) -> tuple[int, Any, Any]:
        """Submit a bare blueprint (text), or the wrapper (a dict)."""
        path = "/amf/v1/applications"
        if isinstance(body, dict):
            return await self.call("POST", path, json=body, params=params)
        return await self.call("POST", path, data=body, params=params, headers={"Content-Type": "application/yaml"})


class Bench:
    """The management cluster, the client of its administrator, and callers of the face."""

    def __init__(
        self, engine: EmbeddedEngine, cluster: KubeCluster, client: Client, app: Any, face: KubeCluster
    ) -> None:
        self.engine, self.cluster, self.client, self.app, self._face = engine, cluster, client, app, face
        self.ann, self.bob = client.as_("ann-token"), client.as_("bob-token")
        self.root, self.eve = client.as_("root-token"), client.as_("eve-token")
        self.parts: Parts

    def reviews(self) -> int:
        """How often the face created something in the cluster: TokenReviews, where nothing has Secrets."""
        return self._face.requests["create"]

    async def declare(self, name: str = "main") -> Object:
        obj = LOW_LEVEL_ORCHESTRATION.new(name, "default", spec={"clusters": CLUSTERS})
        return await self.cluster.apply(obj, manager="administrator")

    async def orchestration(self, name: str = "main") -> Object:
        return await self.cluster.get(LOW_LEVEL_ORCHESTRATION, name, "default")

    async def apps(self, name: str = "main") -> dict[str, Object]:
        spec = (await self.orchestration(name))["spec"]
        return {app["name"]: app for app in spec.get("apps") or ()}

    async def say(self, status: Object, name: str = "main") -> None:
        """Write a status, as the operator would."""
        await self.cluster.patch(
            LOW_LEVEL_ORCHESTRATION, name, {"status": status}, "default", subresource="status", manager="continuo"
        )

    async def until(self, client: Client, path: str, holds: Callable[[int, Any], bool]) -> tuple[int, Any]:
        """Ask until the answer is as expected: the face follows the cluster by a watch."""
        import asyncio

        async with asyncio.timeout(10):
            while True:
                status, body, _ = await client.call("GET", path)
                if holds(status, body):
                    return status, body
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def management() -> AsyncIterator[tuple[EmbeddedEngine, Server]]:
    engine = EmbeddedEngine()
    engine.start()
    server = Server(engine, tls=False)
    await server.start()
    engine.base_url, engine.credentials = server.base_url, server
    for crd in own_crds():
        engine.management.create(crd)
    try:
        yield engine, server
    finally:
        await server.stop()
        await engine.stop()


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """The application on a socket of its own."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        access_log=False,
        ws="none",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=120,  # longer than any pause of a busy machine: a client reuses its connections
    )
    config.load()
    face = uvicorn.Server(config)
    face.lifespan = config.lifespan_class(config)
    await face.startup([listener])
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        await face.shutdown([listener])


@contextlib.asynccontextmanager
async def running(policy: Policy | None = None, *, reviews: bool = False) -> AsyncIterator[Bench]:
    """Everything, with one orchestration `main`."""
    async with management() as (engine, server):
        cluster = connect(engine.kubeconfig("management"), name="management")
        face = connect(engine.kubeconfig("management", user="face"), name="management")
        authenticator = TokenReviews(face) if reviews else TokenFile(TOKENS)
        parts = make_parts(face, Gate([authenticator], policy or Policy()), namespace="default", orchestration="main")
        app = create_app(parts)
        async with serving(app) as base, aiohttp.ClientSession() as session:
            bench = Bench(engine, cluster, Client(session, base, ""), app, face)
            bench.parts = parts
            if reviews:
                bench.ann.token = server.tokens.issue("management", "ann", ("dev",))
                bench.root.token = server.tokens.issue("management", "root", ("system:masters",))
            await bench.declare()
            await bench.until(bench.client, "/readyz", lambda status, _: status == 200)
            await bench.until(bench.root, "/amf/v1/applications", lambda status, _: status == 200)
            await _known(bench)
            yield bench
        await cluster.close()
        await face.close()


async def _known(bench: Bench) -> None:
    """Until the face has seen the orchestration."""
    import asyncio

    async with asyncio.timeout(10):
        while True:
            body = {"blueprint": blueprint("probe")}
            status, _, _ = await bench.ann.call("POST", "/amf/v1/blueprints:validate", json=body)
            if status == 200:
                return
            await asyncio.sleep(0.01)
