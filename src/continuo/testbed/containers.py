"""A node with real containers, in the network namespace of its cluster: containerd, kubelet, kube-proxy, DNS.

Its programs have a mount namespace and a process namespace of their own. When its first process ends, so do all the
others, containers too, and all its mounts are gone: nothing has to be found and removed one by one.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from continuo.testbed import dns
from continuo.testbed.cgroups import make_cgroups
from continuo.testbed.cluster import RealCluster
from continuo.testbed.commands import run
from continuo.testbed.credentials import PROXY, Credentials, kubelet, write_private
from continuo.testbed.errors import NotReady, TestbedError
from continuo.testbed.flags import NODE_MASK
from continuo.testbed.images import IMAGES, Image, write_archive
from continuo.testbed.network import Leg
from continuo.testbed.nodefiles import DNS_ADDRESS, PROGRAMS, SOCKET, SPEC, NodeFacts, node_files
from continuo.testbed.processes import CLIENTS, SERVERS, Crew
from continuo.testbed.registry import Registered
from continuo.testbed.simulated import nodes_ready
from continuo.testbed.tools import Tools
from continuo.testbed.waiting import all_or_none, until

BOOT_SECONDS, RUNTIME_SECONDS, NODE_SECONDS = 30.0, 60.0, 120.0


@dataclass(slots=True)
class ContainerNode:
    """One node. `boot` needs no API server; `join` does."""

    cluster: str
    leg: Leg
    place: Registered
    crew: Crew
    tools: Tools
    logs: Path
    facts: NodeFacts
    _enter: tuple[str, ...] = ()

    @classmethod
    async def boot(
        cls, cluster: str, leg: Leg, pods: str, services: str, place: Registered, crew: Crew, tools: Tools, logs: Path,
        programs: Path | None = None,
    ) -> ContainerNode:  # fmt: skip
        """Start the node's first process and its container runtime, and load our images."""
        folder = place.scratch / cluster
        facts = NodeFacts(
            name=f"{cluster}-node-1", address=leg.address, pods=node_network(pods), cluster_pods=pods,
            dns=str(ipaddress.ip_network(services)[DNS_ADDRESS]), cgroup=make_cgroups(place.cgroup, cluster),
            folder=folder, plugins=_plugins(tools), runc=tools.need("runc"), programs=programs,
        )  # fmt: skip
        node = cls(cluster, leg, place, crew, tools, logs, facts)
        node._write_files()
        await node._start_first()
        await node._start_runtime()
        return node

    async def join(self, cluster: RealCluster) -> None:
        """Let the node take part in its cluster; returns when it is Ready and names are answered."""
        self._write_credentials(cluster.credentials)
        files, program = self.facts.folder, self.tools.need
        await all_or_none([
            self._run("kubelet", [
                str(program("kubelet")), f"--config={files / 'kubelet.yaml'}",
                f"--kubeconfig={files / 'kubelet.kubeconfig'}", f"--hostname-override={self.facts.name}",
                f"--node-ip={self.facts.address}", "--root-dir=/var/lib/kubelet", "--cert-dir=/var/lib/kubelet/pki",
            ], ready=lambda: self._node_ready(cluster)),
            self._run("kube-proxy", [str(program("kube-proxy")), f"--config={files / 'kube-proxy.yaml'}"]),
            self._join_dns(cluster),
        ])  # fmt: skip

    async def command(self, *argv: str, timeout: float = 60.0) -> str:
        """Run a short command among the node's processes and return what it printed."""
        return await run(*self._enter, *argv, timeout=timeout)

    def _write_files(self) -> None:
        folder = self.facts.folder
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("over", "containerd", "kubelet", "net.d"):
            folder.joinpath(name).mkdir(parents=True, mode=0o755)
        for name, text in node_files(self.facts).items():
            folder.joinpath(name).write_text(text, encoding="utf-8")

    def _write_credentials(self, credentials: Credentials) -> None:
        folder = self.facts.folder
        folder.joinpath("ca.crt").write_text(credentials.authority.certificate, encoding="ascii")
        for name, subject in (("kubelet", kubelet(self.facts.name)), ("kube-proxy", PROXY), ("coredns", dns.SUBJECT)):
            write_private(folder / f"{name}.kubeconfig", credentials.kubeconfig(subject))

    async def _start_first(self) -> None:
        folder, init = self.facts.folder, str(self.tools.need("continuo-images"))
        unshare = [str(self.tools.need("unshare")), "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        process = await self.crew.start(
            f"node of {self.cluster}", [*self.leg.enter, *unshare, "sh", str(folder / "node.sh"), str(folder), init],
            log_file=self.logs / "node.log", rank=SERVERS, restart=False,
            ready=lambda: until(self._booted, f"the node of cluster {self.cluster}", BOOT_SECONDS),
        )  # fmt: skip
        first = _only_child(process.pid)
        self._enter = (
            str(self.tools.need("nsenter")), f"--target={first}", "--net", "--mount", "--pid", "--wd=/", "--",
        )  # fmt: skip

    async def _booted(self) -> str | None:
        return None if self.facts.folder.joinpath("booted").exists() else "its directories are not there yet"

    async def _start_runtime(self) -> None:
        await self._write_spec()
        argv = [str(self.tools.need("containerd")), f"--config={self.facts.folder / 'containerd.toml'}"]
        await self._run("containerd", argv, ready=lambda: until(
            self._runtime_answers, f"containerd of cluster {self.cluster}", RUNTIME_SECONDS
        ), rank=SERVERS)  # fmt: skip
        archive = self.place.scratch / "images.tar"
        await self._ctr("-n", "k8s.io", "images", "import", "--snapshotter", self.facts.snapshotter, str(archive))

    async def _write_spec(self) -> None:
        """The runtime's own beginning of every container's specification, and the mount of the shared programs."""
        if self.facts.programs is None:
            return
        spec = json.loads(await self.command(str(self.tools.need("ctr")), "oci", "spec"))
        options = ["rbind", "ro", "nosuid", "nodev"]
        source = str(self.facts.programs)
        spec["mounts"].append({"destination": PROGRAMS, "type": "bind", "source": source, "options": options})
        self.facts.folder.joinpath(SPEC).write_text(json.dumps(spec), encoding="utf-8")

    async def _runtime_answers(self) -> str | None:
        try:
            await self._ctr("version")
        except TestbedError as error:
            return str(error)
        return None

    async def _ctr(self, *argv: str) -> str:
        return await self.command(str(self.tools.need("ctr")), "--address", SOCKET, *argv)

    async def _node_ready(self, cluster: RealCluster) -> None:
        client = cluster.client()
        began = datetime.now(UTC).replace(microsecond=0)
        try:
            async with asyncio.timeout(NODE_SECONDS):
                await nodes_ready(client, {self.facts.name}, began)
        except TimeoutError as error:
            raise NotReady(f"node {self.facts.name} is not Ready after {NODE_SECONDS:g} s") from error
        finally:
            await client.close()

    async def _join_dns(self, cluster: RealCluster) -> None:
        await dns.install(cluster, self.facts.dns, self.facts.address)
        argv = [str(self.tools.need("coredns")), f"-conf={self.facts.folder / 'Corefile'}"]
        await self._run("coredns", argv, ready=lambda: dns.answers(self.facts.address))

    async def _run(
        self,
        program: str,
        argv: Sequence[str],
        *,
        ready: Callable[[], Awaitable[None]] | None = None,
        rank: int = CLIENTS,
    ) -> None:
        await self.crew.start(
            f"{program} of {self.cluster}", [*self._enter, *argv], log_file=self.logs / f"{program}.log",
            environment={"PATH": self.tools.path}, ready=ready, rank=rank,
        )  # fmt: skip


def prepare_images(
    place: Registered, tools: Tools, more: Sequence[Image] = (), links: Mapping[str, str] | None = None
) -> Path:
    """The archive of our images, for all nodes of a bed."""
    shutil.rmtree(place.scratch, ignore_errors=True)
    place.scratch.mkdir(mode=0o755)  # fails when somebody else makes it meanwhile, in a directory of everybody
    archive = place.scratch / "images.tar"
    write_archive(archive, tools.need("continuo-images"), tools.find("busybox"), (*IMAGES, *more), links)
    return archive


def node_network(pods: str) -> str:
    """The part of a cluster's pod network that its first node gets."""
    return str(next(ipaddress.ip_network(pods).subnets(new_prefix=NODE_MASK)))


def _plugins(tools: Tools) -> Path:
    """The one folder with all network plugins that we use."""
    folder = tools.need("ptp").parent
    lacking = [name for name in ("host-local", "loopback") if not folder.joinpath(name).exists()]
    if lacking:
        raise TestbedError(f"the network plugins {', '.join(lacking)} are not in {folder}, where ptp is")
    return folder


def _only_child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    if len(children) != 1:
        raise TestbedError(f"process {pid} should have started one process, and has {len(children)}")
    return int(children[0])
