"""A seller with nodes and K8Slices, a buyer with a node of its own: sites that may be killed at any request."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

from broker.mortal import Life, Mortal
from continuo.edge.rear.buyer.buyer import Buyer
from continuo.edge.rear.client import Sellers
from continuo.edge.slices.lender import SliceLender
from continuo.edge.slices.linker import SliceLinker
from continuo.embedded.standins.settings import Settings
from continuo.embedded.standins.workload import NewNode, register, workload_standin
from continuo.embedded.standins.workload.nodes import BUILTIN_NETWORK
from continuo.federation.reflection.fleet import Fleet
from continuo.federation.reflection.twin import VIRTUAL_NODE
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.kinds import ALLOCATION, KNOWN_CLUSTER, SOLVER
from continuo.resources.meta import Kind, Object, is_true
from continuo.runtime.backoff import Backoff
from edge.rear.gateway import Gateway, serving
from edge.rear.rear_world import CONSUMER, SPACE, World, k8slice, selling, world


class Shop:
    """Both clusters, seen from inside."""

    def __init__(self, made: World) -> None:
        self.made = made
        self.provider, self.consumer = made.make("provider"), made.make("consumer")
        for name in ("provider", "consumer"):
            node = NewNode(f"{name}-0", "v1.34.0", "192.0.2.1", cluster_cidr="10.0.0.0/16",
                           labels={BUILTIN_NETWORK: "builtin"})  # fmt: skip
            register(made.engine.cluster(name), node)
        self.port = 0

    def names(self, cluster: str, kind: Kind, prefix: str = "", namespace: str = "") -> list[str]:
        found = [obj["metadata"]["name"] for obj in self.made.engine.cluster(cluster).list(kind, namespace)]
        return sorted(name for name in found if name.startswith(prefix))

    def find(self, cluster: str, kind: Kind, name: str, namespace: str = "") -> Object:
        return self.made.engine.cluster(cluster).find(kind, name, namespace) or {}

    def allocation(self) -> Object:
        """What the buyer's Allocation says."""
        found = self.made.objects("consumer", ALLOCATION)
        return (found[0].get("status") or {}) if found else {}

    def node(self) -> str:
        """The virtual node, if there is one."""
        return next(iter(name for name in self.names("consumer", kinds.NODE) if name != "consumer-0"), "")

    def remains(self) -> list[str]:
        """All that may be there because of a contract, on either side."""
        return [
            *(name for name in self.names("consumer", kinds.NODE) if name != "consumer-0"),
            *(name for name in self.names("consumer", kinds.LEASE) if name.startswith("provider-eu")),
            *self.names("consumer", kinds.NAMESPACE, "provider-eu"), *self.names("provider", kinds.NAMESPACE, "slice-"),
            *(f"{side}: {name}" for side in ("provider", "consumer") for kind in (kinds.FLUIDOS_CONTRACT, ALLOCATION)
              for name in self.names(side, kind, namespace=SPACE)),
            *(f"pod {pod['metadata']['name']}" for pod in self.made.engine.cluster("provider").list(kinds.POD, "")
              if pod["metadata"]["namespace"].startswith("slice-")),
        ]  # fmt: skip

    def ready(self, cluster: str, namespace: str, prefix: str = "") -> int:
        pods = self.made.engine.cluster(cluster).list(kinds.POD, namespace)
        return sum(is_true(pod, "Ready") for pod in pods if pod["metadata"]["name"].startswith(prefix))

    @asynccontextmanager
    async def seller(self, life: Life | None = None) -> AsyncIterator[Gateway]:
        """The seller's process, at one address."""
        cluster = Mortal(self.provider, life) if life is not None else self.provider
        lender = SliceLender(cast(Cluster, cluster), self.provider.access, clock=time.time)
        async with selling(cluster, time.time, lender=lender) as seller, serving(seller, self.port) as gateway:
            self.port = int(gateway.address.rpartition(":")[2])
            yield gateway

    @asynccontextmanager
    async def buyer(self, life: Life | None = None) -> AsyncIterator[SliceLinker]:
        """The buyer's process. What it does at the end is die."""
        cluster = cast(Cluster, Mortal(self.consumer, life) if life is not None else self.consumer)
        backoff = Backoff(base=0.05, cap=0.2)
        fleet = Fleet(beat=0.1, while_away=0.1, backoff=backoff, rng=random.Random(1))
        linker, sellers = SliceLinker(cluster, CONSUMER, trade=SPACE, fleet=fleet), Sellers()
        made = Buyer(cluster, CONSUMER, sellers, rng=random.Random(3), backoff=backoff, linker=linker)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(sellers.close)
            stack.push_async_callback(linker.close)
            task = asyncio.create_task(made.run())

            async def stop() -> None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

            stack.push_async_callback(stop)
            yield linker

    async def wish(self, gateway: Gateway, **annotations: str) -> None:
        """A KnownCluster, and a Solver that wants two cores."""
        await self.consumer.create(KNOWN_CLUSTER.new("knowncluster-p1", SPACE, spec={"address": gateway.address}))
        await self.consumer.create(solver(**annotations))


def solver(name: str = "room", **annotations: str) -> Object:
    filters = {
        "cpuFilter": {"name": "Range", "data": {"min": "2"}}, "memoryFilter": {"name": "Range", "data": {"min": "4Gi"}},
    }  # fmt: skip
    spec = {
        "selector": {"flavorType": "K8Slice", "filters": filters}, "intentID": f"intent-{name}", "findCandidate": True,
        "reserveAndBuy": True, "establishPeering": True,
    }  # fmt: skip
    return SOLVER.new(name, SPACE, metadata={"annotations": annotations}, spec=spec)


def pod_of(node: str, **resources: Any) -> Object:
    return {
        "nodeName": node, "tolerations": [{"key": VIRTUAL_NODE, "operator": "Exists"}], "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "c", "image": "i", "resources": {"requests": resources}}],
    }  # fmt: skip


def deployment(node: str, namespace: str, replicas: int, **resources: Any) -> Object:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod_of(node, **resources)}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return kinds.DEPLOYMENT.new("web", namespace, spec=spec)


@asynccontextmanager
async def shop() -> AsyncIterator[Shop]:
    """One K8Slice of eight cores is for sale."""
    async with world() as made:
        standin = workload_standin(
            made.engine, rng=random.Random(3), settings=Settings(speed=50.0, lease_renewal=3000.0)
        )
        standin.start()
        try:
            found = Shop(made)
            await found.provider.create(k8slice())
            yield found
        finally:
            standin.stop()
