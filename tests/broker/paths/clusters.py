"""Clusters with Liqo behind one HTTP server, on real time that runs fast; every one of them uses 10.0.0.0/16."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from random import Random

from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server
from continuo.embedded.port import Write
from continuo.embedded.standins.liqo import LiqoStandIn, install
from continuo.embedded.standins.settings import Settings
from continuo.embedded.standins.workload import NewNode, register, workload_standin
from continuo.embedded.standins.workload.nodes import BUILTIN_NETWORK
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.kube.transport import Transports
from continuo.resources.crds import workload_crds
from continuo.runtime import following

PODS, SERVICES = "10.0.0.0/16", "10.96.0.0/24"
CRDS = workload_crds()


class Clusters:
    """An engine with its stand-ins, and clients by name."""

    def __init__(self, engine: EmbeddedEngine, server: Server) -> None:
        self.engine, self._server = engine, server
        self._transports = Transports()
        self._clients: list[KubeCluster] = []

    def make(self, name: str, *, liqo: bool = True, nodes: int = 1) -> KubeCluster:
        """A cluster, perhaps with Liqo, that runs pods if it has nodes."""
        api = self.engine.create_cluster(name)
        if liqo:
            for definition in CRDS:
                api.create(definition, Write(manager="helm", trusted=True))
            install(api, name, PODS, SERVICES, rng=Random(name))
        for number in range(nodes):
            labels = {BUILTIN_NETWORK: "builtin"}
            ip = f"192.0.2.{number + 1}"
            register(api, NewNode(f"{name}-{number}", "v1.34.0", ip, cluster_cidr=PODS, labels=labels))
        return self.client(name)

    def kubeconfig(self, name: str) -> str:
        """What leads to a cluster."""
        return self._server.kubeconfig(self._server.url(name), name)

    def client(self, name: str) -> KubeCluster:
        """Another client of a cluster."""
        client = connect(self.kubeconfig(name), name=name, transports=self._transports)
        self._clients.append(client)
        return client

    async def close(self) -> None:
        for client in self._clients:
            await client.close()


@asynccontextmanager
async def world() -> AsyncIterator[Clusters]:
    engine = EmbeddedEngine()
    engine.start()
    server = Server(engine, tls=False)
    await server.start()
    engine.base_url, engine.credentials = server.base_url, server
    settings = Settings(speed=50.0, lease_renewal=3000.0, pod_stop=20.0)  # long enough to see two of one pod
    standins = [
        workload_standin(engine, rng=Random(3), settings=settings),
        LiqoStandIn(engine, rng=Random(5), settings=settings),
    ]
    for standin in standins:
        standin.start()
    clusters = Clusters(engine, server)
    try:
        yield clusters
    finally:
        await clusters.close()
        for standin in standins:
            standin.stop()
        await server.stop()
        await engine.stop()


until = partial(following.until, timeout=20.0)
"""Follow a kind until the test holds of all its objects."""
