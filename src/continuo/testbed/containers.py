"""A cluster's node with real containers, in the network namespace of its cluster: a host with kubelet, kube-proxy, DNS."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from continuo.testbed import dns
from continuo.testbed.cgroups import make_cgroups
from continuo.testbed.cluster import RealCluster
from continuo.testbed.credentials import PROXY, Credentials, kubelet, write_private
from continuo.testbed.flags import NODE_MASK
from continuo.testbed.host import Host, plugins
from continuo.testbed.network import Leg
from continuo.testbed.nodefiles import DNS_ADDRESS, NodeFacts, node_files
from continuo.testbed.processes import Crew
from continuo.testbed.registry import Registered
from continuo.testbed.simulated import node_ready
from continuo.testbed.tools import Tools
from continuo.testbed.waiting import all_or_none

NODE_SECONDS = 120.0


@dataclass(slots=True)
class ContainerNode:
    """One node. `boot` needs no API server; `join` does."""

    host: Host

    @classmethod
    async def boot(
        cls, cluster: str, leg: Leg, pods: str, services: str, place: Registered, crew: Crew, tools: Tools, logs: Path,
        programs: Path | None = None,
    ) -> ContainerNode:  # fmt: skip
        """Start the node's first process and its container runtime, and load our images."""
        facts = NodeFacts(
            name=f"{cluster}-node-1", address=leg.address, pods=node_network(pods), cluster_pods=pods,
            dns=str(ipaddress.ip_network(services)[DNS_ADDRESS]), cgroup=make_cgroups(place.cgroup, cluster),
            folder=place.scratch / cluster, plugins=plugins(tools), runc=tools.need("runc"), programs=programs,
        )  # fmt: skip
        host = Host(cluster, leg, place, crew, tools, logs, facts)
        await host.boot(node_files(facts))
        return cls(host)

    @property
    def facts(self) -> NodeFacts:
        """What its files were made of."""
        return self.host.facts

    @property
    def tools(self) -> Tools:
        """The programs that it runs."""
        return self.host.tools

    async def command(self, *argv: str, timeout: float = 60.0) -> str:
        """Run a short command among the node's processes and return what it printed."""
        return await self.host.command(*argv, timeout=timeout)

    async def join(self, cluster: RealCluster) -> None:
        """Let the node take part in its cluster; returns when it is Ready and names are answered."""
        self._write_credentials(cluster.credentials)
        files, program, began = self.facts.folder, self.tools.need, datetime.now(UTC)
        await all_or_none([
            self.host.run("kubelet", [
                str(program("kubelet")), f"--config={files / 'kubelet.yaml'}",
                f"--kubeconfig={files / 'kubelet.kubeconfig'}", f"--hostname-override={self.facts.name}",
                f"--node-ip={self.facts.address}", "--root-dir=/var/lib/kubelet", "--cert-dir=/var/lib/kubelet/pki",
            ], ready=lambda: node_ready(cluster, self.facts.name, began, NODE_SECONDS)),
            self.host.run("kube-proxy", [str(program("kube-proxy")), f"--config={files / 'kube-proxy.yaml'}"]),
            self._join_dns(cluster),
        ])  # fmt: skip

    def _write_credentials(self, credentials: Credentials) -> None:
        folder = self.facts.folder
        folder.joinpath("ca.crt").write_text(credentials.authority.certificate, encoding="ascii")
        for name, subject in (("kubelet", kubelet(self.facts.name)), ("kube-proxy", PROXY), ("coredns", dns.SUBJECT)):
            write_private(folder / f"{name}.kubeconfig", credentials.kubeconfig(subject))

    async def _join_dns(self, cluster: RealCluster) -> None:
        await dns.install(cluster, self.facts.dns, self.facts.address)
        argv = [str(self.tools.need("coredns")), f"-conf={self.facts.folder / 'Corefile'}"]
        await self.host.run("coredns", argv, ready=lambda: dns.answers(self.facts.address))


def node_network(pods: str) -> str:
    """The part of a cluster's pod network that its first node gets."""
    return str(next(ipaddress.ip_network(pods).subnets(new_prefix=NODE_MASK)))
