"""Real Cluster API on a real API server: core, kubeadm, and the development provider with its in-memory backend.

Four managers as plain processes. The development provider makes up machines, and behind each cluster's kubeconfig an API
that understands little more than Cluster API's own requests: good for the life cycle of clusters, not for what runs on them.
"""

from __future__ import annotations

import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from continuo.kube.client import KubeCluster
from continuo.resources import kinds
from continuo.resources.crds import own_crds
from continuo.resources.meta import Object
from continuo.testbed import capi_manifests
from continuo.testbed.capi_manifests import Endpoint
from continuo.testbed.cluster import RealCluster, Setup
from continuo.testbed.definitions import MANAGER, install_definitions
from continuo.testbed.errors import Ended, Missing, TestbedError
from continuo.testbed.pki import Subject
from continuo.testbed.ports import Ports
from continuo.testbed.tools import Tools
from continuo.testbed.waiting import all_or_none, until

VERSION = "v1.13.4"
READY_SECONDS = 120.0
DEBUG_PORT = 19000
"""The development provider listens there whatever it is told."""
_CERTIFICATE = "cluster-api-webhooks"


@dataclass(frozen=True, slots=True)
class Manager:
    """One of Cluster API's programs."""

    program: str
    folder: str
    """Of its manifests."""
    provider: str
    """As the inventory names it."""
    kind: str
    namespace: str
    workers: tuple[str, ...]
    """Its flags that say how many objects of a kind are worked on at the same time."""

    @property
    def short(self) -> str:
        """The provider as the inventory names it beside its kind."""
        return self.provider.removeprefix("control-plane-").removeprefix("bootstrap-").removeprefix("infrastructure-")


MANAGERS = (
    Manager(
        "capi-core", "core", "cluster-api", "CoreProvider", "capi-system",
        ("cluster", "machine", "machineset", "machinedeployment"),
    ),
    Manager(
        "capi-bootstrap-kubeadm", "bootstrap-kubeadm", "bootstrap-kubeadm", "BootstrapProvider",
        "capi-kubeadm-bootstrap-system", ("kubeadmconfig",),
    ),
    Manager(
        "capi-control-plane-kubeadm", "control-plane-kubeadm", "control-plane-kubeadm", "ControlPlaneProvider",
        "capi-kubeadm-control-plane-system", ("kubeadmcontrolplane",),
    ),
    Manager("capi-dev-provider", "dev-provider", "infrastructure-docker", "InfrastructureProvider", "capd-system", ("",)),
)  # fmt: skip
PROGRAMS = tuple(manager.program for manager in MANAGERS)


@dataclass(frozen=True, slots=True)
class Pace:
    """How much the managers do at the same time.

    With upstream's defaults (50 to 100 workers for each kind) fifty clusters at once saturate two cores: watches lag, and
    the managers' writes are refused as outdated by the dozen each second. Fewer workers are done sooner.
    """

    workers: int = 4
    cluster_cache: int = 10
    queries: int = 40
    burst: int = 60


class ClusterApi:
    """Running managers. Make them with `start`, end them with `stop`; their objects stay in the cluster."""

    def __init__(self, cluster: RealCluster, manifests: Path, pace: Pace) -> None:
        self.cluster, self._manifests, self._pace = cluster, manifests, pace
        names = [f"{program}-{use}" for program in PROGRAMS for use in ("webhook", "health", "metrics")]
        self._ports = Ports(cluster.folder / "cluster-api-ports.json").take(names)

    @classmethod
    async def start(
        cls, cluster: RealCluster, *, manifests: Path | None = None, pace: Pace | None = None
    ) -> ClusterApi:
        """Install Cluster API into this management cluster and run it; returns when it answers."""
        cluster.tools.check(PROGRAMS)
        made = cls(cluster, manifests or find_manifests(cluster.tools), pace or Pace())
        if not cluster.setup.within and (reason := port_taken()):
            raise TestbedError(reason)
        client = cluster.client()
        try:
            await made._start(client)
        except BaseException as error:
            await made.stop()
            if isinstance(error, Ended) and (reason := port_taken()):  # by one that started at the same time
                raise TestbedError(reason) from error
            raise
        finally:
            await client.close()
        return made

    async def stop(self) -> None:
        """End the managers."""
        for program in reversed(PROGRAMS):
            await self.cluster.crew.end(f"{program} of {self.cluster.name}")

    def log_file(self, program: str) -> Path:
        """What one of the managers said."""
        return self.cluster.folder / f"{program}.log"

    async def _start(self, client: KubeCluster) -> None:
        authority = self.cluster.credentials.authority
        hosts = ("localhost", "127.0.0.1")
        authority.files(_CERTIFICATE, Subject(_CERTIFICATE, hosts=hosts))
        bundle = base64.b64encode(authority.certificate.encode()).decode()
        found = {m.provider: capi_manifests.read(self._manifests / m.folder) for m in MANAGERS}
        ends = {m.provider: Endpoint(self._ports[f"{m.program}-webhook"], bundle) for m in MANAGERS}
        definitions = [
            obj
            for provider, objects in found.items()
            for obj in capi_manifests.definitions(objects, provider, ends[provider])
        ]
        inventory = capi_manifests.read(self._manifests / "clusterctl")
        await install_definitions(client, [*definitions, *inventory])
        await all_or_none([self._run(manager) for manager in MANAGERS])
        # Only now: until the managers answer, every write of their kinds would be refused.
        for provider, objects in found.items():
            for obj in capi_manifests.webhooks(objects, provider, ends[provider]):
                await client.apply(obj, manager=MANAGER)
        for manager in MANAGERS:
            await client.apply(kinds.NAMESPACE.new(manager.namespace), manager=MANAGER)
            await client.apply(_inventory(manager), manager=MANAGER)

    async def _run(self, manager: Manager) -> None:
        health = self._ports[f"{manager.program}-health"]
        await self.cluster.run(
            manager.program, self._arguments(manager),
            # The provider's machines and API servers are at this address; its own pod's, if it had one.
            environment={"POD_IP": "127.0.0.1"},
            ready=lambda: until(lambda: _answers(health), f"{manager.program} of {self.cluster.name}", READY_SECONDS),
        )  # fmt: skip

    def _arguments(self, manager: Manager) -> list[str]:
        program, pace, authority = manager.program, self._pace, self.cluster.credentials.authority
        workers = (f"--{kind}-concurrency" if kind else "--concurrency" for kind in manager.workers)
        return [
            str(self.cluster.tools.need(program)),
            f"--kubeconfig={self.cluster.kubeconfig_file}",
            f"--webhook-port={self._ports[f'{program}-webhook']}",
            f"--webhook-cert-dir={authority.folder}",
            f"--webhook-cert-name={_CERTIFICATE}.crt",
            f"--webhook-key-name={_CERTIFICATE}.key",
            f"--health-addr=127.0.0.1:{self._ports[f'{program}-health']}",
            f"--diagnostics-address=127.0.0.1:{self._ports[f'{program}-metrics']}",
            "--insecure-diagnostics",
            *(f"{flag}={pace.workers}" for flag in workers),
            f"--clustercache-concurrency={pace.cluster_cache}",
            f"--kube-api-qps={pace.queries}",
            f"--kube-api-burst={pace.burst}",
        ]


@asynccontextmanager
async def management_cluster(folder: Path, tools: Tools, *, pace: Pace | None = None) -> AsyncIterator[ClusterApi]:
    """A management cluster alone, with Continuo's own kinds and Cluster API; its state is kept in the folder."""
    tools.check(PROGRAMS)
    cluster = await RealCluster.start("management", folder, tools=tools, setup=Setup(nodes=0, scheduler=False))
    try:
        client = cluster.client()
        try:
            await install_definitions(client, own_crds())
        finally:
            await client.close()
        yield await ClusterApi.start(cluster, pace=pace)
    finally:
        await cluster.stop()


def find_manifests(tools: Tools) -> Path:
    """The manifests that were kept beside the programs."""
    folder = tools.need(PROGRAMS[0]).parent.parent / "share"
    if not folder.is_dir():
        raise Missing(
            f"{folder} is missing: Cluster API's manifests; get them with: continuo testbed build cluster-api"
        )
    return folder


def _inventory(manager: Manager) -> Object:
    labels = {
        "cluster.x-k8s.io/provider": manager.provider,
        "clusterctl.cluster.x-k8s.io": "",
        "clusterctl.cluster.x-k8s.io/core": "inventory",
    }
    return kinds.CAPI_PROVIDER.new(
        manager.provider, manager.namespace, metadata={"labels": labels},
        providerName=manager.short, type=manager.kind, version=VERSION,
    )  # fmt: skip


def port_taken() -> str | None:
    """Why the development provider cannot run beside what runs already; None when it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", DEBUG_PORT))
        except OSError:
            return (
                f"port {DEBUG_PORT} is taken, and Cluster API's development provider can use no other; "
                "end the other testbed, or whatever listens there"
            )
    return None


async def _answers(port: int) -> str | None:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/readyz") as response:
            return None if response.status == 200 else f"/readyz answers {response.status}"
    except aiohttp.ClientError as error:
        return str(error)
