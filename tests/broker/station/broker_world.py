"""A broker with its station between real HTTP clusters: consumer rome, providers milan and turin, all on 10.0.0.0/16."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import cast

from broker.mortal import Life, Mortal
from broker.paths.clusters import Clusters, until, world
from continuo.broker.station.station import Station
from continuo.embedded.port import Write
from continuo.federation.model import LinkSettings
from continuo.federation.reflection.fleet import Fleet
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.kube.port import Cluster
from continuo.kube.transport import Transports
from continuo.resources import kinds
from continuo.resources.broker import AGGREGATE, BROKER_POLICY, CONSUMER, PROVIDER, broker_crds
from continuo.resources.errors import AlreadyExists
from continuo.resources.meta import Kind, Object
from continuo.runtime.backoff import Backoff

BROKER, SYSTEM = "broker", "continuo-system"
STAYS = {"operator": "Exists"}


class BrokerWorld:
    """Clusters, and a station that can be killed and started again."""

    def __init__(self, clusters: Clusters, name: str = BROKER) -> None:
        self.clusters, self.name = clusters, name
        self.broker = clusters.make(name)
        api = clusters.engine.cluster(name)
        for definition in broker_crds():
            api.create(definition, Write(manager="test", trusted=True))
        self._transports = Transports()
        self._life = Life()
        self._clients: list[KubeCluster] = []
        self.station: Station | None = None
        self._task: asyncio.Task[None] | None = None

    async def declare(self, kind: Kind, name: str, cluster: KubeCluster | None = None, **spec: object) -> None:
        """A Provider, Consumer, Aggregate or BrokerPolicy; with a cluster its kubeconfig is handed over, too."""
        if cluster is not None:
            await self.hand_over(name, self.clusters.kubeconfig(cluster.name))
            spec = {**spec, "kubeconfig": {"name": name}}
        await self.broker.create(kind.new(name, spec=spec))

    async def hand_over(self, name: str, kubeconfig: str) -> None:
        with suppress(AlreadyExists):
            await self.broker.create(kinds.NAMESPACE.new(SYSTEM))
        data = {"value": base64.b64encode(kubeconfig.encode()).decode()}
        await self.broker.apply(kinds.SECRET.new(name, SYSTEM, data=data), manager="test")

    async def start(self) -> Station:
        """A new process, as it were."""
        life = self._life = Life()
        client = self.clusters.client(self.name)
        self._clients = [client]

        def member(kubeconfig: str, *, name: str) -> Cluster:
            made = connect(kubeconfig, name=name, transports=self._transports)
            self._clients.append(made)
            return cast(Cluster, Mortal(made, life, owns=True))

        fleet = Fleet(beat=0.1, while_away=0.1, backoff=Backoff(base=0.05, cap=0.2))
        self.station = Station(
            cast(Cluster, Mortal(client, life)),
            member,
            name=self.name,
            links=LinkSettings(service_type="NodePort"),
            fleet=fleet,
            linger=0.05,
        )
        self._task = asyncio.create_task(self.station.run())
        async with asyncio.timeout(20):
            waiting = asyncio.create_task(self.station.ready.wait())
            await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
            if self._task.done():
                self._task.result()
        return self.station

    async def kill(self) -> None:
        """End it at whatever line it is: nothing more is asked, and no answer is heard."""
        self._life.end()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for client in self._clients:
            await client.close()

    def objects(self, cluster: str, kind: Kind, namespace: str = "") -> list[Object]:
        return self.clusters.engine.cluster(cluster).list(kind, namespace)


@asynccontextmanager
async def broker_world(
    providers: Sequence[str] = ("milan", "turin"), *, declared: bool = True
) -> AsyncIterator[BrokerWorld]:
    async with world() as clusters:
        made = BrokerWorld(clusters)
        for name in ("rome", *providers):
            clusters.make(name)
        if declared:
            await declare_all(made, providers)
        try:
            yield made
        finally:
            await made.kill()


async def declare_all(made: BrokerWorld, providers: Sequence[str]) -> None:
    for name in providers:
        await made.declare(PROVIDER, name, made.clusters.client(name), region="eu-south")
    await made.declare(CONSUMER, "rome", made.clusters.client("rome"))
    rule = {"name": "europe", "expression": "provider.region.startsWith('eu-')"}
    await made.declare(BROKER_POLICY, "all", compliance=[rule])
    await made.declare(AGGREGATE, "pool", consumer="rome")


def space(name: str, node: str) -> Object:
    return kinds.NAMESPACE.new(name, metadata={"labels": {"continuo.dev/offload": node}})


def deployment(namespace: str, node: str, replicas: int, name: str = "web") -> Object:
    labels = {"app": name}
    pod = {
        "nodeSelector": {"kubernetes.io/hostname": node}, "tolerations": [STAYS], "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "main", "image": "i", "resources": {"requests": {"cpu": "100m"}}}],
    }  # fmt: skip
    spec = {
        "replicas": replicas, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }  # fmt: skip
    return kinds.DEPLOYMENT.new(name, namespace, spec=spec)


def all_of(count: int, test: Callable[[Object], bool]) -> Callable[[list[Object]], bool]:
    return lambda found: len(found) == count and all(test(obj) for obj in found)


__all__ = ["BrokerWorld", "all_of", "broker_world", "declare_all", "deployment", "space", "until"]
