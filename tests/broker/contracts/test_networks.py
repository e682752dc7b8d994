"""A linked consumer reaches its pods: the broker makes a network between the two clusters, for as long as the contract is."""

from __future__ import annotations

import asyncio

import pytest

from broker.contracts.world import Known, pod
from broker.paths.clusters import until
from broker.paths.clusters import world as liqo_world
from broker.paths.test_paths import SETTINGS, connected, no_tenants, nothing
from continuo.broker.contracts.controller import Contracted
from continuo.broker.paths import Paths
from continuo.embedded.port import Write
from continuo.federation.reflection.fleet import Fleet
from continuo.kube.client import KubeCluster
from continuo.resources import kinds
from continuo.resources.broker import CONSUMER, CONTRACT, PROVIDER
from continuo.resources.crds import own_crds
from continuo.resources.meta import Object, is_true

pytestmark = pytest.mark.anyio
NODE = "milan-c0ffee00"


class Broker:
    """A fleet, its networks and its contracts, which die together."""

    def __init__(self, hub: KubeCluster, members: dict[str, KubeCluster]) -> None:
        known, self.fleet = Known(), Fleet(beat=0.1, while_away=0.1)
        self.paths = Paths(hub, "hub", settings=SETTINGS, linger=0.05)
        for name, client in members.items():
            self.fleet.add_cluster(client)
            self.paths.add(name, client)
            known.clients["Provider" if name == "milan" else "Consumer", name] = client
        self.contracts = Contracted(hub, self.fleet, known, networks=self.paths)

    async def start(self) -> None:
        await self.contracts.start()
        self._task = asyncio.create_task(self.paths.run())

    async def die(self) -> None:
        await self.contracts.stop(0.0)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.fleet.close()


async def test_a_network_as_long_as_the_contract_over_a_restart() -> None:
    async with liqo_world() as clusters:
        hub, members = clusters.make("hub"), {name: clusters.make(name) for name in ("rome", "milan")}
        api = clusters.engine.cluster("hub")
        for crd in own_crds():
            api.create(crd, Write(manager="helm", trusted=True))
        for kind, name in ((PROVIDER, "milan"), (CONSUMER, "rome")):
            api.create(kind.new(name, spec={"kubeconfig": {"name": name}}))
        spec = {"consumer": "rome", "provider": "milan", "offer": "o", "plan": "p", "resources": {"cpu": "1"}}
        api.create(CONTRACT.new("c0ffee00", spec=spec))
        broker = Broker(hub, members)
        await broker.start()
        await until(members["rome"], kinds.CONNECTION, connected)
        rome = members["rome"]
        await rome.create(kinds.NAMESPACE.new("shop", metadata={"labels": {"continuo.dev/offload": NODE}}))
        await until(rome, kinds.NODE, lambda nodes: any(n["metadata"]["name"] == NODE for n in nodes))
        await rome.create(pod(NODE))

        def reachable(pods: list[Object]) -> bool:
            return any(is_true(each, "Ready") and "podIP" in each["status"] for each in pods)

        await until(rome, kinds.POD, reachable, "shop")
        there = (await members["milan"].get(kinds.POD, "web", "shop-rome"))["status"]["podIP"]
        here = (await rome.get(kinds.POD, "web", "shop"))["status"]["podIP"]
        assert there.startswith("10.0.") and not here.startswith("10.0."), "translated, since both use 10.0.0.0/16"
        before = (await rome.list(kinds.CONNECTION)).items[0]["metadata"]["uid"]
        await broker.die()

        broker = Broker(hub, members)
        await broker.start()
        await until(hub, CONTRACT, lambda found: is_true(found[0], "Ready"))
        assert (await rome.list(kinds.CONNECTION)).items[0]["metadata"]["uid"] == before, "not made anew"
        api.delete(CONTRACT, "c0ffee00")
        await until(hub, CONTRACT, nothing)
        for cluster in members.values():
            await until(cluster, kinds.NAMESPACE, no_tenants)
            await until(cluster, kinds.FOREIGN_CLUSTER, nothing)
        await broker.die()
