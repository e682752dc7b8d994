"""One real cluster: its API server, its controllers and its scheduler as processes of this machine."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.resources.errors import ApiError
from continuo.testbed import flags
from continuo.testbed.credentials import (
    ADMIN,
    CONTROLLER_MANAGER,
    KUBELET_CLIENT,
    SCHEDULER,
    Credentials,
    write_private,
)  # fmt: skip
from continuo.testbed.etcd import Etcd
from continuo.testbed.flags import LOOPBACK, Addresses, Store, Tls
from continuo.testbed.pki import Subject
from continuo.testbed.ports import Ports
from continuo.testbed.processes import SERVERS, Crew
from continuo.testbed.simulated import simulate_nodes
from continuo.testbed.tools import CONTROL_PLANE, Tools, find_tools
from continuo.testbed.waiting import all_or_none, until

READY_SECONDS = 120.0
"""Several API servers at once on a busy machine of two cores take their time."""
CALL_SECONDS = 60.0
"""A machine that starts several clusters answers slowly; what runs on them afterwards has clients of its own."""
_SERVICE_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")


@dataclass(frozen=True, slots=True)
class Setup:
    """What a cluster shall be."""

    nodes: int = 1
    """Simulated ones (kwok); their pods become Ready without running anything."""
    scheduler: bool = True
    server_arguments: tuple[str, ...] = ()
    """More for the API server; a later flag wins over an earlier one."""
    manager_arguments: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    """A command in front of every program: enters the cluster's network namespace."""


@dataclass(slots=True)
class RealCluster:
    """A running cluster. `start` makes one, alone or as one of a bed."""

    name: str
    folder: Path
    addresses: Addresses
    credentials: Credentials
    kubeconfig: str = field(repr=False)
    """An administrator's, as text, with one context of the cluster's name."""
    crew: Crew
    tools: Tools
    setup: Setup = Setup()
    _owns_crew: bool = False

    @classmethod
    async def start(
        cls,
        name: str,
        folder: Path,
        *,
        etcd: Etcd | None = None,
        crew: Crew | None = None,
        tools: Tools | None = None,
        addresses: Addresses | None = None,
        setup: Setup | None = None,
    ) -> RealCluster:
        """Start a cluster and wait until its API server, and the nodes asked for, are ready.

        What is not given is made: an etcd, a crew of processes, a free port on loopback. State stays in the folder.
        """
        tools, setup = tools or find_tools(), setup or Setup()
        tools.check(CONTROL_PLANE if setup.scheduler else CONTROL_PLANE[:3])
        owns, crew = crew is None, crew or Crew(f"alone-{uuid.uuid4().hex[:8]}", folder)
        try:
            ports = Ports(folder / "ports.json")
            if etcd is None:
                taken = ports.take(("etcd", "etcd-peer"))
                etcd = await Etcd.start(folder / "etcd", crew, tools, (taken["etcd"], taken["etcd-peer"]))
            addresses = addresses or Addresses(ports.take(("api",))["api"])
            credentials = Credentials.open(name, folder / "pki", addresses.url)
            cluster = cls(name, folder, addresses, credentials, credentials.kubeconfig(ADMIN), crew, tools, setup, owns)
            await cluster._start(etcd)
        except BaseException:
            if owns:
                await crew.stop()
            raise
        return cluster

    @property
    def kubeconfig_file(self) -> Path:
        """The same kubeconfig as a private file, for programs."""
        return self.folder / "kubeconfig"

    def client(self) -> KubeCluster:
        """A client with an administrator's rights; the caller closes it."""
        return connect(self.kubeconfig, name=self.name, timeout=CALL_SECONDS)

    async def stop(self) -> None:
        """End the cluster's processes; what it stored stays."""
        if self._owns_crew:
            await self.crew.stop()
            return
        for part in ("kwok", "kube-scheduler", "kube-controller-manager", "kube-apiserver"):
            await self.crew.end(f"{part} of {self.name}")

    async def run(
        self, program: str, argv: Sequence[str], *, environment: dict[str, str] | None = None, restart: bool = True,
        ready: Callable[[], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        """Run one more program with this cluster, in its network namespace where it has one."""
        await self.crew.start(
            f"{program} of {self.name}", [*self.setup.within, *argv], log_file=self.folder / f"{program}.log",
            environment=environment, restart=restart, ready=ready,
        )  # fmt: skip

    async def _start(self, etcd: Etcd) -> None:
        write_private(self.kubeconfig_file, self.kubeconfig)
        await self._start_api_server(etcd)
        tasks = [self._start_controllers()]
        if self.setup.scheduler:
            file = self.credentials.kubeconfig_file("scheduler", SCHEDULER)
            tasks.append(self.run("kube-scheduler", flags.scheduler(self.tools.need("kube-scheduler"), file)))
        if self.setup.nodes:
            tasks.append(simulate_nodes(self, self.setup.nodes))
        await all_or_none(tasks)

    async def _start_api_server(self, etcd: Etcd) -> None:
        authority, at = self.credentials.authority, self.addresses
        hosts = ("localhost", LOOPBACK, at.bind, _first_address(at.services), *_SERVICE_NAMES)
        server = authority.files("server", Subject("kube-apiserver", hosts=tuple(dict.fromkeys(hosts))))
        kubelet = authority.files("kubelet-client", KUBELET_CLIENT)
        certificate = authority.certificate_file
        argv = flags.api_server(
            self.tools.need("kube-apiserver"), at, Store(_reached(etcd, at), self.name, etcd.client),
            Tls(*server, certificate), Tls(*kubelet, certificate), self.credentials.service_accounts(),
        )  # fmt: skip
        await self.crew.start(
            f"kube-apiserver of {self.name}", [*self.setup.within, *argv, *self.setup.server_arguments],
            log_file=self.folder / "kube-apiserver.log", rank=SERVERS, ready=self._ready,
        )  # fmt: skip

    async def _start_controllers(self) -> None:
        authority = self.credentials.authority
        file = self.credentials.kubeconfig_file("controller-manager", CONTROLLER_MANAGER)
        keys = Tls(authority.certificate_file, authority.key_file, authority.certificate_file)
        argv = flags.controller_manager(
            self.tools.need("kube-controller-manager"), self.addresses, file, keys, self.credentials.service_accounts()
        )
        await self.run("kube-controller-manager", [*argv, *self.setup.manager_arguments])

    async def _ready(self) -> None:
        client = self.client()

        async def answers() -> str | None:
            try:
                await client.raw("/readyz")
            except ApiError as error:
                return str(error)
            return None

        try:
            await until(answers, f"the API server of cluster {self.name}", READY_SECONDS)
        finally:
            await client.close()


def _reached(etcd: Etcd, at: Addresses) -> str:
    """The address of etcd that this API server can reach: the first is on loopback, the last on the bridge."""
    return etcd.urls[0] if at.bind == LOOPBACK else etcd.urls[-1]


def _first_address(network: str) -> str:
    import ipaddress

    return str(ipaddress.ip_network(network)[1])
