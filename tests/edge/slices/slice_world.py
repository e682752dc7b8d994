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
from continuo.edge.slices.networks import Networks
from continuo.embedded.port import Write
from continuo.embedded.standins.liqo import LiqoStandIn, install
from continuo.embedded.standins.settings import Settings
from continuo.embedded.standins.workload import NewNode, register, workload_standin
from continuo.embedded.standins.workload.nodes import BUILTIN_NETWORK
from continuo.federation.model import LinkSettings
from continuo.federation.reflection.fleet import Fleet
from continuo.federation.reflection.twin import VIRTUAL_NODE
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.crds import workload_crds
from continuo.resources.kinds import ALLOCATION, KNOWN_CLUSTER, SOLVER
from continuo.resources.meta import Kind, Object, is_true
from continuo.runtime.backoff import Backoff
from edge.rear.gateway import Gateway, serving
from edge.rear.rear_world import CONSUMER, SPACE, World, k8slice, selling, world


class Shop:
    """Both clusters, seen from inside."""

    def __init__(self, made: World, liqo: tuple[str, ...] = ()) -> None:
        self.made, self.liqo = made, liqo
        self.provider, self.consumer = made.make("provider"), made.make("consumer")
        for name in ("provider", "consumer"):
            node = NewNode(f"{name}-0", "v1.34.0", "192.0.2.1", cluster_cidr="10.0.0.0/16",
                           labels={BUILTIN_NETWORK: "builtin"})  # fmt: skip
            register(made.engine.cluster(name), node)
            if name in liqo:
                with_liqo(made, name)
        self.port = 0

    def names(self, cluster: str, kind: Kind, prefix: str = "", namespace: str = "") -> list[str]:
        found = [obj["metadata"]["name"] for obj in self.made.engine.cluster(cluster).list(kind, namespace)]
        return sorted(name for name in found if name.startswith(prefix))

    def find(self, cluster: str, kind: Kind, name: str, namespace: str = "") -> Object:
        return self.made.engine.cluster(cluster).find(kind, name, namespace) or {}

    def allocation(self, side: str = "consumer") -> Object:
        """What the Allocation of a side says."""
        found = self.made.objects(side, ALLOCATION)
        return (found[0].get("status") or {}) if found else {}

    def node(self) -> str:
        """The virtual node, if there is one."""
        return next(iter(name for name in self.names("consumer", kinds.NODE) if name != "consumer-0"), "")

    def remains(self) -> list[str]:
        """All that may be there because of a contract, on either side."""
        return [
            *(name for name in self.names("consumer", kinds.NODE) if name != "consumer-0"),
            *(name for name in self.names("consumer", kinds.LEASE) if name.startswith("provider-eu")),
            *(f"{side}: {name}" for side in self.liqo for name in self.names(side, kinds.NAMESPACE, "liqo-tenant-")),
            *(f"{side}: {name}" for side in self.liqo for name in self.names(side, kinds.FOREIGN_CLUSTER)),
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
        async with AsyncExitStack() as stack:
            networks = await self._networks(stack, cast(Cluster, cluster), "p1node")
            lender = SliceLender(cast(Cluster, cluster), self.provider.access, clock=time.time, networks=networks)
            stack.push_async_callback(lender.close)
            seller = await stack.enter_async_context(selling(cluster, time.time, lender=lender))
            gateway = await stack.enter_async_context(serving(seller, self.port))
            self.port = int(gateway.address.rpartition(":")[2])
            yield gateway

    async def _networks(self, stack: AsyncExitStack, cluster: Cluster, name: str) -> Networks:
        settings, backoff = LinkSettings(service_type="NodePort"), Backoff(base=0.05, cap=0.2)
        made = Networks(cluster, name, trade=SPACE, settings=settings, backoff=backoff, rng=random.Random(5))
        stack.push_async_callback(made.close)
        made.start()
        return made

    @asynccontextmanager
    async def buyer(self, life: Life | None = None) -> AsyncIterator[SliceLinker]:
        """The buyer's process. What it does at the end is die."""
        cluster = cast(Cluster, Mortal(self.consumer, life) if life is not None else self.consumer)
        backoff = Backoff(base=0.05, cap=0.2)
        fleet = Fleet(beat=0.1, while_away=0.1, backoff=backoff, rng=random.Random(1))
        async with AsyncExitStack() as stack:
            networks = await self._networks(stack, cluster, "c1node")
            sellers = Sellers()
            linker = SliceLinker(cluster, CONSUMER, trade=SPACE, fleet=fleet, networks=networks)
            made = Buyer(cluster, CONSUMER, sellers, rng=random.Random(3), backoff=backoff, linker=linker)
            stack.push_async_callback(sellers.close)
            stack.push_async_callback(linker.close)
            task = asyncio.create_task(made.run())

            async def stop() -> None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

            stack.push_async_callback(stop)
            yield linker

    async def wish(self, gateway: Gateway, name: str = "room", **annotations: str) -> None:
        """A KnownCluster, and a Solver that wants two cores."""
        await self.consumer.create(KNOWN_CLUSTER.new("knowncluster-p1", SPACE, spec={"address": gateway.address}))
        await self.consumer.create(solver(name, **annotations))


def solver(name: str = "room", cpu: str = "2", **annotations: str) -> Object:
    filters = {
        "cpuFilter": {"name": "Range", "data": {"min": cpu}}, "memoryFilter": {"name": "Range", "data": {"min": "4Gi"}},
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
async def shop(*liqo: str) -> AsyncIterator[Shop]:
    """One K8Slice of eight cores is for sale; those clusters have Liqo."""
    async with world() as made:
        settings = Settings(speed=50.0, lease_renewal=3000.0)
        standins: list[Any] = [workload_standin(made.engine, rng=random.Random(3), settings=settings)]
        if liqo:
            standins.append(LiqoStandIn(made.engine, rng=random.Random(5), settings=settings))
        for standin in standins:
            standin.start()
        try:
            found = Shop(made, liqo)
            await found.provider.create(k8slice())
            yield found
        finally:
            for standin in standins:
                standin.stop()


async def lives(made: Shop, rng: random.Random) -> None:
    """Seller and buyer die at random requests, perhaps before they have begun; four times."""

    async def live(one: Life, other: Life) -> None:
        async with made.seller(one), made.buyer(other):
            await asyncio.Event().wait()

    for _ in range(4):
        one, other = Life(rng.randint(15, 90), rng), Life(rng.randint(15, 130), rng)
        ends = [asyncio.ensure_future(each) for each in (one.over.wait(), other.over.wait(), live(one, other))]
        await asyncio.wait(ends, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
        for task in ends:
            task.cancel()
        await asyncio.gather(*ends, return_exceptions=True)


def with_liqo(made: World, name: str) -> None:
    """Liqo in a cluster; all use the same networks."""
    api = made.engine.cluster(name)
    for definition in workload_crds():
        api.create(definition, Write(manager="helm", trusted=True))
    install(api, name, "10.0.0.0/16", "10.96.0.0/24", rng=random.Random(name))
