"""One cluster of the embedded engine with KubeEdge's and FLUIDOS' kinds, and managers of it that may die."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from continuo.edge.discovery.manager import EdgeResourceManager
from continuo.edge.discovery.settings import NODE_LABEL, Settings
from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server
from continuo.embedded.port import Write
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.resources import kinds
from continuo.resources.crds import edge_crds
from continuo.resources.errors import ApiError, Unreachable
from continuo.resources.meta import Kind, Object
from continuo.runtime.following import until
from edge.sensors.descriptions import encoded, fork

NOW = 1_800_000_000.0


class Clock:
    """The engine's time: what goes on, and what a test skips."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def __call__(self) -> float:
        return time.time() + self.skipped


class World:
    """Clients and managers of one cluster."""

    def __init__(self, server: Server, url: str, clock: Clock) -> None:
        self._server, self._url, self.clock = server, url, clock
        self._clients: list[KubeCluster] = []
        self.cluster = self.client()

    def client(self) -> KubeCluster:
        made = connect(self._server.kubeconfig(self._url, "provider"), name="provider")
        self._clients.append(made)
        return made

    async def close(self) -> None:
        for client in self._clients:
            await client.close()

    @asynccontextmanager
    async def manager(
        self, settings: Settings | None = None, cluster: Any = None
    ) -> AsyncIterator[EdgeResourceManager]:
        made = EdgeResourceManager(
            cluster or self.cluster, settings=settings, rng=random.Random(7), now=lambda: NOW, workers=4
        )
        task = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    # --- what a test makes --------------------------------------------------------------------------------------------
    async def node(self, name: str, label: str | None = "true", **annotations: str) -> None:
        labels = {} if label is None else {NODE_LABEL: label}
        await self.cluster.create(kinds.NODE.new(name, metadata={"labels": labels, "annotations": annotations}))

    async def device(self, name: str, *sensors: Any, node: str = "edge-a", **annotations: str) -> Object:
        notes = {"sensors": encoded(list(sensors)), **annotations}
        spec = {"nodeName": node, "protocol": {"protocolName": "bluetooth"}}
        return await self.cluster.create(kinds.DEVICE.new(name, "default", metadata={"annotations": notes}, spec=spec))

    async def annotate(self, name: str, text: str | None) -> None:
        await self.cluster.patch(kinds.DEVICE, name, {"metadata": {"annotations": {"sensors": text}}}, "default")

    async def hold(self, flavor: str, **hold: Any) -> None:
        """As the market does it."""
        said = {"t1": {"exclusive": False, "until": None, "contract": "contract-1", **hold}}
        notes = {"rear.continuo.dev/holds": json.dumps(said)}
        metadata = {"annotations": notes, "finalizers": ["rear.continuo.dev/trade"]}
        await self.cluster.patch(kinds.FLAVOR, flavor, {"metadata": metadata}, "default")

    # --- what a test waits for ----------------------------------------------------------------------------------------
    async def flavors(self, test: Callable[[list[Object]], bool], what: str = "") -> list[Object]:
        return await until(self.cluster, kinds.FLAVOR, test, timeout=20, what=what or "flavors to be as wanted")

    async def uids(self, *wanted: str, available: bool | None = None) -> list[Object]:
        """Exactly these sensors have flavors."""

        def test(found: list[Object]) -> bool:
            right = available is None or all(flavor["spec"]["availability"] is available for flavor in found)
            return right and sorted(map(uid_of, found)) == sorted(wanted)

        return sorted(await self.flavors(test, f"flavors of {wanted}"), key=uid_of)

    async def says(self, device: str, test: Callable[[Object], bool]) -> Object:
        def found(devices: list[Object]) -> bool:
            return any(one["metadata"]["name"] == device and test(one) for one in devices)

        devices = await until(self.cluster, kinds.DEVICE, found, timeout=20, what=f"news of {device}")
        return next(one for one in devices if one["metadata"]["name"] == device)


def uid_of(flavor: Object) -> str:
    uid: str = flavor["spec"]["flavorType"]["typeData"]["characteristics"]["uid"]
    return uid


@asynccontextmanager
async def world(*, identity: bool = True) -> AsyncIterator[World]:
    clock = Clock()
    engine = EmbeddedEngine(clock=clock)
    engine.start()
    server = Server(engine, tls=False)
    await server.start()
    engine.base_url, engine.credentials = server.base_url, server
    api = engine.create_cluster("provider")
    for definition in edge_crds():
        api.create(definition, Write(manager="helm", trusted=True))
    made = World(server, server.url("provider"), clock)
    try:
        await made.cluster.create(kinds.NAMESPACE.new("fluidos"))
        if identity:
            await introduce(made)
        yield made
    finally:
        await made.close()
        await server.stop()
        await engine.stop()


async def introduce(made: World) -> None:
    data = {"domain": "provider.eu", "nodeID": "node-1", "ip": "192.0.2.1", "port": "30001"}
    await made.cluster.create(kinds.CONFIG_MAP.new("fluidos-node-identity", "fluidos", data=data))


class Mortal:
    """A cluster on which the nth write is the last one: it happens or does not, and its caller never hears of it."""

    def __init__(self, cluster: KubeCluster, writes: int, done: bool) -> None:
        self._cluster, self._left, self._done = cluster, writes, done
        self.dead = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._cluster, name)
        if name not in ("create", "replace", "patch", "delete"):
            return found

        async def write(*arguments: Any, **named: Any) -> Any:
            if self.dead.is_set():
                raise Unreachable("this process is dead")
            kind = arguments[0]
            if isinstance(kind, Kind) or kind.get("kind") != kinds.EVENT.kind:
                self._left -= 1
            if self._left > 0:
                return await found(*arguments, **named)
            self.dead.set()
            if self._done:
                with suppress(ApiError):
                    await found(*arguments, **named)
            raise Unreachable("this process is dead")

        return write


__all__ = ["Mortal", "World", "fork", "introduce", "uid_of", "world"]
