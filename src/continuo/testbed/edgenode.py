"""An edge node: a host of its own on the bed's network, whose EdgeCore joins a cluster's CloudCore.

It has what KubeEdge needs and no more: no kube-proxy, and pods whose addresses only their own node reaches.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from continuo.testbed.cgroups import make_cgroups
from continuo.testbed.credentials import write_private
from continuo.testbed.edgefiles import EDGE_CONFIG, edgecore
from continuo.testbed.host import Host, plugins
from continuo.testbed.kubeedge import CloudCore
from continuo.testbed.network import Leg, Network
from continuo.testbed.nodefiles import NodeFacts, host_files
from continuo.testbed.processes import Crew
from continuo.testbed.simulated import node_ready

PODS = ipaddress.IPv4Network("10.201.0.0/16")
"""Pods at the edge have addresses out of it: not the cluster's, which does not route to them."""
NODE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class EdgeNode:
    """One edge node. `boot` needs no cluster; `join` does."""

    host: Host

    @classmethod
    async def boot(cls, number: int, leg: Leg, dns: str, network: Network, crew: Crew, logs: Path) -> EdgeNode:
        """Start the first process and the container runtime of the `number`th one (from 1), and load our images.

        `dns` answers for names; logs get a folder of the node's name.
        """
        place, tools = network.bed, network.tools
        name, pods = edge_name(number), pod_network(number)
        facts = NodeFacts(
            name=name, address=leg.address, pods=pods, cluster_pods=pods, dns=dns,
            cgroup=make_cgroups(place.cgroup, name), folder=place.scratch / name, plugins=plugins(tools),
            runc=tools.need("runc"), private=("/etc",),
        )  # fmt: skip
        host = Host(name, leg, place, crew, tools, logs / name, facts)
        await host.boot(host_files(facts))
        return cls(host)

    @property
    def name(self) -> str:
        """As its cluster knows it."""
        return self.host.facts.name

    @property
    def address(self) -> str:
        """On the bed's network."""
        return self.host.facts.address

    async def command(self, *argv: str, timeout: float = 60.0) -> str:
        """Run a short command among the node's processes and return what it printed."""
        return await self.host.command(*argv, timeout=timeout)

    async def join(self, cloud: CloudCore) -> None:
        """Run EdgeCore; returns when the cluster sees the node Ready. EdgeCore itself removes the token from its file."""
        config = self.host.facts.folder / EDGE_CONFIG
        write_private(config, edgecore(self.host.facts, cloud.address, await cloud.token()))
        await self.resume(cloud)

    async def pause(self) -> None:
        """End EdgeCore; the node's containers run on. `resume` brings it back."""
        await self.host.end("edgecore")

    async def resume(self, cloud: CloudCore) -> None:
        """Run EdgeCore as it was; returns when the cluster hears of the node again."""
        config = self.host.facts.folder / EDGE_CONFIG
        began = datetime.now(UTC)
        await self.host.run(
            "edgecore", [str(self.host.tools.need("edgecore")), f"--config={config}"],
            ready=lambda: node_ready(cloud.cluster, self.name, began, NODE_SECONDS),
        )  # fmt: skip


def edge_name(number: int) -> str:
    """An edge node's name."""
    return f"edge-{number}"


def pod_network(number: int) -> str:
    """Addresses for the pods of the `number`th edge node."""
    return str(ipaddress.IPv4Network((int(PODS.network_address) + (number << 8), 24)))
