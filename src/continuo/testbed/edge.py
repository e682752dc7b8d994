"""KubeEdge in one real cluster: CloudCore beside its API server, and the edge nodes that join it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.testbed.cluster import RealCluster
from continuo.testbed.edgefiles import ROLE
from continuo.testbed.edgenode import EdgeNode, edge_name, pod_network
from continuo.testbed.errors import Missing, TestbedError
from continuo.testbed.kubeedge import CloudCore, impossible
from continuo.testbed.network import Leg, Network
from continuo.testbed.tools import Tools
from continuo.testbed.waiting import all_or_none, both

MOST = 40
FIRST_LEG = 40
"""Above the legs of the clusters, and, with the most edge nodes, below the addresses of load balancers."""


@dataclass(frozen=True, slots=True)
class Edge:
    """CloudCore, and the edge nodes by name."""

    cloud: CloudCore
    nodes: dict[str, EdgeNode]

    @staticmethod
    def check(clusters: Sequence[str], containers: bool, tools: Tools) -> None:
        """Raises TestbedError where a bed of that kind cannot have edge nodes on this machine."""
        if not clusters:
            raise TestbedError("edge nodes join a workload cluster, and there is none; ask for one at least")
        if not containers:
            raise TestbedError("edge nodes need real containers, and this testbed was asked for without them")
        if reason := impossible(tools):
            raise Missing(f"edge nodes cannot run here: {reason}")

    @classmethod
    async def prepare(cls, cluster: RealCluster, count: int, network: Network, logs: Path) -> Edge:
        """Start CloudCore, and that many hosts for edge nodes; `join` makes nodes of them."""
        legs = [await _leg(network, number) for number in range(1, count + 1)]
        names = cluster.addresses.bind  # the cluster's own node answers for names there
        boots = [EdgeNode.boot(number, leg, names, network, cluster.crew, logs) for number, leg in enumerate(legs, 1)]
        cloud, nodes = await both(CloudCore.install(cluster), all_or_none(boots))
        return cls(cloud, {node.name: node for node in nodes})

    async def join(self) -> None:
        """Let all of them join; returns when they are Ready.

        Not before the cluster's own node, which has the first part of the pod network.
        """
        await self.cloud.attract(node.address for node in self.nodes.values())
        await all_or_none([node.join(self.cloud) for node in self.nodes.values()])


async def forget_nodes(client: Cluster, count: int) -> list[str]:
    """Take edge nodes beyond that many out of a cluster, which an earlier run on the same data had; returns their names."""
    kept = {edge_name(number) for number in range(1, count + 1)}
    known = [node["metadata"]["name"] for node in (await client.list(kinds.NODE, labels=ROLE)).items]
    left = [name for name in known if name not in kept]
    for name in left:
        await client.delete(kinds.NODE, name)
    return left


async def _leg(network: Network, number: int) -> Leg:
    """A network namespace for an edge node; what its pods send out carries the node's address."""
    leg = await network.join(edge_name(number), FIRST_LEG + number - 1)
    await network.masquerade(leg, pod_network(number))
    return leg
