"""All of it together: a management cluster and several workload clusters, which it can reach by their Secrets."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from continuo.resources.crds import management_crds
from continuo.resources.meta import Object
from continuo.testbed import cleanup
from continuo.testbed.cluster import RealCluster, Setup
from continuo.testbed.credentials import write_private
from continuo.testbed.definitions import MANAGER, install_definitions
from continuo.testbed.etcd import Etcd
from continuo.testbed.flags import Addresses
from continuo.testbed.ports import Ports
from continuo.testbed.processes import Crew
from continuo.testbed.registry import Registered, default_root, register
from continuo.testbed.tools import CONTROL_PLANE, Tools, find_tools
from continuo.testbed.waiting import all_or_none

log = logging.getLogger(__name__)

MANAGEMENT = "management"
NAMES = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a bed shall have."""

    clusters: tuple[str, ...] = ("a", "b")
    nodes: int = 1
    port: int | None = None
    """Of the management cluster's API server; the last one where absent."""
    definitions: Sequence[Object] = field(default_factory=management_crds)
    """What the management cluster serves besides the built-in kinds."""


Progress = Callable[[str], None]


class Bed:
    """A running testbed. Make it with `await Bed.start(...)`, end it with `await bed.stop()`."""

    def __init__(self, place: Registered, crew: Crew, tools: Tools, plan: Plan) -> None:
        self.place, self.crew, self.tools, self.plan = place, crew, tools, plan
        self.clusters: dict[str, RealCluster] = {}

    @classmethod
    async def start(
        cls, data: Path, plan: Plan | None = None, *, tools: Tools | None = None, registry: Path | None = None,
        progress: Progress = log.info,
    ) -> Bed:  # fmt: skip
        """Clean up after beds that were killed, then start one; its state is kept in the folder `data`."""
        tools, plan, registry = tools or find_tools(), plan or Plan(), registry or default_root()
        tools.check((*CONTROL_PLANE, *(("kwok",) if plan.nodes else ())))
        await cleanup.sweep(registry)
        folder = data / "kubernetes"
        ports = Ports(folder / "ports.json")
        place = register(registry, data, _remembered(folder))
        write_private(folder / "bed.json", json.dumps({"id": place.id}))
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
        await self.crew.stop()
        await cleanup.remove(self.place)

    async def _start(self, folder: Path, known: Ports, progress: Progress) -> None:
        names = [MANAGEMENT, *self.plan.clusters]
        wanted = {MANAGEMENT: self.plan.port} if self.plan.port else None
        ports = known.take([*names, "etcd", "etcd-peer"], wanted)
        progress("starting etcd")
        etcd = await Etcd.start(folder / "etcd", self.crew, self.tools, (ports["etcd"], ports["etcd-peer"]))

        async def one(name: str) -> RealCluster:
            nodes = 0 if name == MANAGEMENT else self.plan.nodes
            cluster = await RealCluster.start(
                name, folder / name, etcd=etcd, crew=self.crew, tools=self.tools, addresses=Addresses(ports[name]),
                setup=Setup(nodes=nodes, scheduler=name != MANAGEMENT),
            )  # fmt: skip
            progress(f"cluster {name} is ready")
            return cluster

        self.clusters = {cluster.name: cluster for cluster in await all_or_none([one(name) for name in names])}
        await self._prepare_management()

    async def _prepare_management(self) -> None:
        """What Continuo needs there: definitions, and a Secret with each workload cluster's kubeconfig."""
        client = self.management.client()
        try:
            await install_definitions(client, self.plan.definitions)
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


def _remembered(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / "bed.json").read_text(encoding="utf-8"))["id"])
    except (OSError, ValueError, KeyError):
        return None
