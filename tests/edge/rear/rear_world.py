"""A seller and its buyers on clusters of the embedded engine, over HTTP; the seller's process can be killed anywhere."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from continuo.edge.node import NodeIdentity
from continuo.edge.rear.requests import PurchaseRequest, ReserveRequest
from continuo.edge.rear.seller.seller import Seller
from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server
from continuo.embedded.port import Write
from continuo.kube.access import Access
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.kube.port import Change, Cluster
from continuo.kube.transport import Transports
from continuo.resources import kinds
from continuo.resources.crds import edge_crds
from continuo.resources.errors import Unreachable
from continuo.resources.meta import Kind, Object
from continuo.runtime.backoff import Backoff

SPACE = "fluidos"
PROVIDER = NodeIdentity("provider.eu", "p1node", "127.0.0.1:3004", "liqo-p1")
CONSUMER = NodeIdentity("consumer.eu", "c1node", "127.0.0.1:3005", "liqo-c1")
_CALLS = ("apply", "create", "delete", "get", "list", "patch", "post", "raw", "replace")


class Mortal:
    """Implements Cluster for a process that dies: before a request is sent or after it was served, nobody hears of it."""

    def __init__(self, cluster: Cluster, dies: Callable[[], bool] = lambda: False) -> None:
        self.name, self._cluster, self._dies = cluster.name, cluster, dies
        self.dead = False
        self.on_death: Callable[[], None] = lambda: None

    def _check(self, fate: bool = True) -> None:
        if not self.dead and fate and self._dies():
            self.dead = True
            self.on_death()
        if self.dead:
            raise Unreachable("the process is dead")

    def __getattr__(self, name: str) -> Any:
        if name not in _CALLS:
            raise AttributeError(name)
        method = getattr(self._cluster, name)

        async def call(*args: Any, **more: Any) -> Any:
            self._check()
            answer = await method(*args, **more)
            self._check()
            return answer

        return call

    async def watch(self, kind: Kind, namespace: str | None = None, **more: Any) -> AsyncIterator[Change]:
        self._check(False)
        async for change in self._cluster.watch(kind, namespace, **more):
            self._check(False)
            yield change


class World:
    def __init__(self, engine: EmbeddedEngine, server: Server) -> None:
        self.engine, self._server, self._transports = engine, server, Transports()
        self._clients: list[KubeCluster] = []

    def make(self, name: str) -> KubeCluster:
        api = self.engine.create_cluster(name)
        for definition in edge_crds():
            api.create(definition, Write(manager="helm", trusted=True))
        api.create(kinds.NAMESPACE.new(SPACE), Write(manager="helm"))
        api.listen(None, _wake)
        return self.client(name)

    def kubeconfig(self, name: str) -> str:
        return self._server.kubeconfig(self._server.url(name), name)

    def client(self, name: str) -> KubeCluster:
        client = connect(self.kubeconfig(name), name=name, transports=self._transports)
        self._clients.append(client)
        return client

    def entering(self, access: Access) -> KubeCluster:
        """A client with those credentials."""
        client = KubeCluster("entered", access, transports=self._transports)
        self._clients.append(client)
        return client

    def objects(self, cluster: str, kind: Kind) -> list[Object]:
        return self.engine.cluster(cluster).list(kind, SPACE)

    async def close(self) -> None:
        for client in self._clients:
            await client.close()


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    engine = EmbeddedEngine()
    engine.start()
    server = Server(engine)
    await server.start()
    engine.base_url, engine.credentials = server.base_url, server
    made = World(engine, server)
    try:
        yield made
    finally:
        await made.close()
        await server.stop()
        await engine.stop()


async def anywhere(_url: str) -> None:
    """An egress policy that allows everything."""


class Time:
    """A clock that tests move."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def seller_of(
    cluster: object, clock: Callable[[], float], *, egress: Callable[[str], Awaitable[None]] = anywhere, **more: Any
) -> Seller:
    return Seller(
        cast(Cluster, cluster), PROVIDER, egress=egress, clock=clock, namespace=SPACE, rng=random.Random(7),
        backoff=Backoff(base=0.02, cap=0.2), **more,
    )  # fmt: skip


@asynccontextmanager
async def selling(cluster: object, clock: Callable[[], float], **more: Any) -> AsyncIterator[Seller]:
    seller = seller_of(cluster, clock, **more)
    await seller.start()
    try:
        yield seller
    finally:
        await seller.stop()


def sensor(uid: str, *, device: str = "", latency: str = "14", rate: str = "10", **more: Any) -> Object:
    characteristics: Object = {
        "uid": uid, "node": "edge-a", "name": f"Sensor {uid}", "model": "hts221", "manufacturer": "STMicroelectronics",
        "market": "Industrial", "type": {"sensorCategory": "Environmental", "sensorType": ["Temperature", "Humidity"]},
        "samplingRate": rate, "accuracy": ["0.5", "3.5"], "consumption": "0.9", "latency": latency,
        "properties": {
            "unit": {"measurement": ["°C", "%"], "consumption": "mW", "samplingRate": "Hz", "latency": "ms"}
        },
        "access": {
            "type": "MQTT", "source": "eventbus-fluidos",
            "resource": {"topic": f"sensor/001122AABBCC/{uid}/hts221", "node": "edge-a"},
        },
    } | more  # fmt: skip
    labels = {"continuo.dev/device": device} if device else {}
    return flavor(f"provider.eu-sensor-{uid}", "Sensor", {"characteristics": characteristics}, labels)


def flavor(name: str, kind: str, data: Object, labels: dict[str, str] | None = None) -> Object:
    spec = {
        "providerID": PROVIDER.node_id, "flavorType": {"typeIdentifier": kind, "typeData": data},
        "owner": PROVIDER.to_object(), "price": {"amount": "1.5", "currency": "EUR", "period": "hour"},
        "availability": True, "networkPropertyType": "networkProperty",
        "location": {"latitude": "45.06", "longitude": "7.66", "country": "Italy", "city": "Turin"},
    }  # fmt: skip
    return kinds.FLAVOR.new(name, SPACE, metadata={"labels": labels or {}}, spec=spec)


def k8slice(name: str = "provider.eu-k8slice-01ab", cpu: str = "8", memory: str = "16Gi", pods: str = "110") -> Object:
    rules = {
        "cpuMin": "1",
        "cpuStep": "500m",
        "memoryMin": "1Gi",
        "memoryStep": "1Gi",
        "podsMin": "10",
        "podsStep": "10",
    }
    data = {
        "characteristics": {"architecture": "amd64", "cpu": cpu, "memory": memory, "pods": pods, "storage": "100Gi"},
        "properties": {"latency": 5, "carbon-footprint": {"embodied": 1, "operational": [2, 3]}},
        "policies": {"partitionability": rules},
    }
    return flavor(name, "K8Slice", data)


def asks(uid: str, buyer: str = "c1node", *, exclusive: bool = False, **data: Any) -> ReserveRequest:
    said = {"endpoints": [f"https://{buyer}.example.org/in"], **({"exclusive": True} if exclusive else {}), **data}
    who = NodeIdentity("consumer.eu", buyer, "127.0.0.1:3005")
    return ReserveRequest(f"provider.eu-sensor-{uid}", who, {"type": "Sensor", "data": said})


BUY = PurchaseRequest()


_CHANGED: list[asyncio.Event] = []


async def settled(test: Callable[[], bool], within: float = 20.0) -> None:
    """Return when the test holds; it is looked at after every change of any object of the world."""
    changed = asyncio.Event()
    _CHANGED.append(changed)
    try:
        async with asyncio.timeout(within):
            while not test():
                changed.clear()
                await changed.wait()
    finally:
        _CHANGED.remove(changed)


def _wake(_change: object) -> None:
    for event in _CHANGED:
        event.set()


def content(secret: Object) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}
