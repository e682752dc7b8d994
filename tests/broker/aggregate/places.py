"""A broker's cluster on the embedded engine: providers' nodes, consumers, aggregates, and what is read of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from broker.paths.clusters import Clusters, world
from continuo.broker.aggregate.loop import Aggregator
from continuo.broker.readers.amounts import spell
from continuo.broker.readers.port import ResourceReader
from continuo.embedded.port import Write
from continuo.kube.client import KubeCluster
from continuo.resources import kinds
from continuo.resources.broker import AGGREGATE, CONSUMER, PROVIDER, broker_crds
from continuo.resources.errors import ApiError
from continuo.resources.meta import Object

READY, NOT_READY = ({"type": "Ready", "status": value} for value in ("True", "False"))


class Broker:
    def __init__(self, clusters: Clusters, cluster: KubeCluster) -> None:
        self.clusters, self.cluster = clusters, cluster

    async def provider(self, name: str, *, labels: dict[str, str] | None = None, **allocatable: str) -> None:
        await self.cluster.create(PROVIDER.new(name, metadata={"labels": labels or {}}, spec={}))
        marks = {"continuo.dev/provider": name, "continuo.dev/virtual-node": f"uid-of-{name}"}
        taint = {"key": "continuo.dev/brokered", "value": "true", "effect": "NoSchedule"}
        await self.cluster.create(kinds.NODE.new(name, metadata={"labels": marks}, spec={"taints": [taint]}))
        await self.has(name, **allocatable)

    async def has(self, name: str, ready: bool = True, **allocatable: str) -> None:
        status = {"capacity": allocatable, "allocatable": allocatable, "conditions": [READY if ready else NOT_READY]}
        await self.cluster.patch(kinds.NODE, name, {"status": status}, subresource="status")

    async def consumer(self, name: str, cluster_id: str | None = None) -> None:
        await self.cluster.create(CONSUMER.new(name, spec={"clusterID": cluster_id} if cluster_id else {}))
        labels = {"continuo.dev/consumer": cluster_id or name}
        await self.cluster.create(kinds.NAMESPACE.new(f"of-{name}", metadata={"labels": labels}))

    async def aggregate(self, name: str, consumer: str, **spec: Any) -> Object:
        return await self.cluster.create(AGGREGATE.new(name, spec={"consumer": consumer, **spec}))

    async def pod(self, name: str, consumer: str, node: str, **requests: str) -> None:
        containers = [{"name": "c", "image": "i", "resources": {"requests": requests}}]
        spec = {"containers": containers, "nodeName": node}
        await self.cluster.create(kinds.POD.new(name, f"of-{consumer}", spec=spec))


@asynccontextmanager
async def broker(liqo: bool = False) -> AsyncIterator[Broker]:
    async with world() as clusters:
        cluster = clusters.make("broker", liqo=liqo, nodes=1 if liqo else 0)
        for definition in broker_crds():
            clusters.engine.cluster("broker").create(definition, Write(manager="helm"))
        yield Broker(clusters, cluster)


@asynccontextmanager
async def aggregating(at: Broker, **more: Any) -> AsyncIterator[Aggregator]:
    running = Aggregator(at.cluster, **more)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


async def shows(reader: ResourceReader, consumer: str, wanted: dict[str, str]) -> None:
    """Return when the reader offers exactly that; what it offered instead is told when it never does."""
    changes, seen = reader.subscribe(), dict[str, str]()
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    seen = spell(await reader.read(consumer))
                except ApiError as error:
                    seen = {"error": str(error)}
                if seen == wanted:
                    return
                await changes.__anext__()
    except TimeoutError:
        raise AssertionError(f"{consumer} is offered {seen}, not {wanted}") from None
    finally:
        await changes.aclose()
