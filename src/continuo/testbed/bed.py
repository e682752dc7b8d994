"""All of it together: a management cluster and several workload clusters, which it can reach by their Secrets."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from continuo.resources.crds import management_crds, own_crds
from continuo.resources.meta import Object
from continuo.testbed import capi_choice, cleanup, liqo_images, minors
from continuo.testbed.capi import ClusterApi
from continuo.testbed.cluster import RealCluster, Setup
from continuo.testbed.containers import ContainerNode
from continuo.testbed.definitions import MANAGER, install_definitions
from continuo.testbed.edge import Edge, forget_nodes
from continuo.testbed.errors import Missing, TestbedError
from continuo.testbed.etcd import Etcd
from continuo.testbed.flags import LOOPBACK, Addresses
from continuo.testbed.host import prepare_images
from continuo.testbed.images import Image
from continuo.testbed.limits import raise_limits
from continuo.testbed.liqo import PROGRAMS, Liqo
from continuo.testbed.loadbalancers import Pool
from continuo.testbed.memory import remember, remembered
from continuo.testbed.network import Leg, Network
from continuo.testbed.ports import Ports
from continuo.testbed.processes import Crew
from continuo.testbed.registry import Registered, default_root, register
from continuo.testbed.tools import CONTROL_PLANE, NODE, Tools, find_tools
from continuo.testbed.waiting import all_or_none, both

log = logging.getLogger(__name__)

MANAGEMENT = "management"
API_PORT, USUAL_PORT = 6443, 16443
NAMES = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a bed shall have."""

    clusters: tuple[str, ...] = ("a", "b")
    nodes: int = 1
    port: int | None = None
    """Of the management cluster's API server; the last one where absent."""
    containers: bool = False
    """Run pods as containers, in a network namespace for each cluster; needs root."""
    liqo: bool = False
    """Install real Liqo into every workload cluster; needs containers."""
    edge: int = 0
    """Real KubeEdge nodes of the first workload cluster; they need containers."""
    cluster_api: bool = False
    """Run real Cluster API on the management cluster, with its development provider."""
    kubernetes: str = minors.USUAL
    """The minor version of all clusters."""
    definitions: Sequence[Object] | None = None
    """What the management cluster serves besides the built-in kinds; what Continuo needs there where absent."""

    def served(self) -> Sequence[Object]:
        """Those definitions. Real Cluster API brings its own kinds, so that nobody may stand in for them."""
        if self.definitions is not None:
            return self.definitions
        return own_crds() if self.cluster_api else management_crds()


Progress = Callable[[str], None]


class Bed:
    """A running testbed. Make it with `await Bed.start(...)`, end it with `await bed.stop()`."""

    def __init__(self, place: Registered, crew: Crew, tools: Tools, plan: Plan) -> None:
        self.place, self.crew, self.tools, self.plan = place, crew, tools, plan
        self.clusters: dict[str, RealCluster] = {}
        self.nodes: dict[str, ContainerNode] = {}
        """Those with real containers, by cluster."""
        self.liqo: dict[str, Liqo] = {}
        self.edge: Edge | None = None
        """KubeEdge in the first workload cluster."""
        self.network: Network | None = None

    @classmethod
    async def start(
        cls, data: Path, plan: Plan | None = None, *, tools: Tools | None = None, registry: Path | None = None,
        progress: Progress = log.info,
    ) -> Bed:  # fmt: skip
        """Clean up after beds that were killed, then start one; its state is kept in the folder `data`."""
        plan, registry = plan or Plan(), registry or default_root()
        tools = tools or find_tools(plan.kubernetes)
        if plan.containers and (reason := no_containers(tools)):
            raise Missing(f"real containers cannot run here: {reason}; clusters with simulated nodes can")
        tools.check((*CONTROL_PLANE, *(("kwok",) if plan.nodes and not plan.containers else ())))
        tools.check(PROGRAMS if plan.liqo else ())
        if plan.edge:
            Edge.check(plan.clusters, plan.containers, tools)
        await cleanup.sweep(registry)
        if plan.cluster_api and (reason := capi_choice.impossible(tools)):
            raise TestbedError(f"Cluster API cannot run here: {reason}")
        capi_choice.keep(data, plan.cluster_api)
        minors.keep(data, plan.kubernetes)
        folder = data / "kubernetes"
        ports = Ports(folder / "ports.json")
        place = register(registry, data, remembered(folder, "id"))
        remember(folder, id=place.id)
        bed = cls(place, Crew(place.id, place.folder), tools, plan)
        try:
            await bed._start(folder, ports, progress)
        except BaseException:
            await bed.stop()
            raise
        return bed

    @property
    def management(self) -> RealCluster:
        """The cluster that Continuo's own resources are in."""
        return self.clusters[MANAGEMENT]

    def kubeconfig(self, name: str) -> str:
        """An administrator's kubeconfig (text) for one cluster."""
        return self.clusters[name].kubeconfig

    def kubeconfigs(self) -> Mapping[str, str]:
        """Those of all clusters by name, the management cluster first."""
        return {name: cluster.kubeconfig for name, cluster in self.clusters.items()}

    async def stop(self) -> None:
        """End all processes and remove what must not stay; the state stays."""
        await asyncio.gather(*(liqo.stop() for liqo in self.liqo.values()))
        await self.crew.stop()
        await cleanup.remove(self.place)

    async def _start(self, folder: Path, known: Ports, progress: Progress) -> None:
        names = [MANAGEMENT, *self.plan.clusters]
        wanted = {MANAGEMENT: self.plan.port} if self.plan.port else None
        self._ports = known.take([*names, "etcd", "etcd-peer"], wanted, {MANAGEMENT: USUAL_PORT})
        hosts = [LOOPBACK]
        if self.plan.containers:
            for change in raise_limits():
                progress(f"raised {change}")
            self.network = await Network.create(self.place, self.tools, remembered(folder, "subnet"))
            remember(folder, subnet=str(self.network.subnet))
            hosts.append(self.network.gateway)
            await asyncio.to_thread(prepare_images, self.place, self.tools, *self._liqo_images())
            self._pool = Pool(self.network.subnet)
        progress("starting etcd")
        ports = (self._ports["etcd"], self._ports["etcd-peer"])
        self._etcd = await Etcd.start(folder / "etcd", self.crew, self.tools, ports, hosts)

        async def one(number: int, name: str) -> RealCluster:
            real = self.network is not None and name != MANAGEMENT
            cluster = await (self._contained(folder, number, name) if real else self._simulated(folder, name))
            progress(f"cluster {name} is ready")
            if name == MANAGEMENT and self.plan.cluster_api:
                await ClusterApi.start(cluster)
                progress("Cluster API is ready")
            return cluster

        started = await all_or_none([one(number, name) for number, name in enumerate(names)])
        self.clusters = {cluster.name: cluster for cluster in started}
        await self._prepare_management()

    async def _simulated(self, folder: Path, name: str) -> RealCluster:
        """A cluster on loopback; its nodes, if any, only exist in the API."""
        nodes = 0 if name == MANAGEMENT else self.plan.nodes
        setup = Setup(nodes=nodes, scheduler=name != MANAGEMENT)
        return await self._cluster(folder, name, Addresses(self._ports[name]), setup)

    async def _contained(self, folder: Path, number: int, name: str) -> RealCluster:
        """A cluster in its own network namespace, with a node that runs containers."""
        assert self.network is not None
        leg = await self.network.join(name, number)
        at = Addresses(API_PORT, bind=leg.address)
        await self.network.masquerade(leg, at.pods)
        setup = Setup(nodes=0, within=leg.enter)
        programs = liqo_images.programs(self.tools) if self.plan.liqo else None
        boot = ContainerNode.boot(
            name, leg, at.pods, at.services, self.place, self.crew, self.tools, folder / name, programs
        )
        node, cluster = await both(boot, self._cluster(folder, name, at, setup))
        await all_or_none([self._join(node, cluster, folder), self._add_liqo(cluster, node, leg)])
        return cluster

    async def _join(self, node: ContainerNode, cluster: RealCluster, folder: Path) -> None:
        await all_or_none([node.join(cluster), self._prepare_edge(cluster, folder)])
        self.nodes[cluster.name] = node
        await self._add_edge(cluster)

    async def _add_liqo(self, cluster: RealCluster, node: ContainerNode, leg: Leg) -> None:
        if self.plan.liqo:
            self.liqo[cluster.name] = await Liqo.install(cluster, node, leg, self._pool)

    async def _prepare_edge(self, cluster: RealCluster, logs: Path) -> None:
        if self.network is None or cluster.name != self.plan.clusters[0]:
            return
        client = cluster.client()
        try:
            await forget_nodes(client, self.plan.edge)
        finally:
            await client.close()
        if self.plan.edge:
            self.edge = await Edge.prepare(cluster, self.plan.edge, self.network, logs)

    async def _add_edge(self, cluster: RealCluster) -> None:
        if self.edge is not None and self.edge.cloud.cluster is cluster:
            await self.edge.join()

    async def _cluster(self, folder: Path, name: str, at: Addresses, setup: Setup) -> RealCluster:
        return await RealCluster.start(
            name, folder / name, etcd=self._etcd, crew=self.crew, tools=self.tools, addresses=at, setup=setup
        )

    def _liqo_images(self) -> tuple[Sequence[Image], Mapping[str, str]]:
        return (liqo_images.IMAGES, liqo_images.LINKS) if self.plan.liqo else ((), {})

    async def _prepare_management(self) -> None:
        """What Continuo needs there: definitions, and a Secret with each workload cluster's kubeconfig."""
        client = self.management.client()
        try:
            await install_definitions(client, self.plan.served())
            for name in self.plan.clusters:
                await client.apply(kubeconfig_secret(name, self.kubeconfig(name)), manager=MANAGER)
        finally:
            await client.close()


def kubeconfig_secret(name: str, kubeconfig: str) -> Object:
    """The Secret by which an orchestration adopts a cluster: `{provider: existing, kubeconfig: NAME-kubeconfig}`."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{name}-kubeconfig", "namespace": "default"},
        "type": "Opaque",
        "data": {"value": base64.b64encode(kubeconfig.encode()).decode()},
    }


def cluster_names(count: int) -> tuple[str, ...]:
    """The names of that many workload clusters: a, b, c and so on."""
    return tuple(NAMES[:count])


def no_containers(tools: Tools) -> str | None:
    """Why real containers cannot run on this machine; None when they can."""
    if platform.system() != "Linux":
        return f"they need Linux, and this is {platform.system()}"
    if os.getuid() != 0:
        return "they need root"
    if lacking := tools.missing(NODE):
        return f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing (continuo testbed build)"
    return None
