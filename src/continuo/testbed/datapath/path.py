"""One data path: built from a plan, with pods that answer and places to call them from, and gone again afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from continuo.testbed import cleanup
from continuo.testbed.datapath.agents import PATIENCE, Agents
from continuo.testbed.datapath.latency import Latency
from continuo.testbed.datapath.loopback import Loopback
from continuo.testbed.datapath.plan import NoWay, Plan, Way, follow
from continuo.testbed.datapath.spaces import Address, Spaces, impossible
from continuo.testbed.errors import TestbedError
from continuo.testbed.processes import Crew
from continuo.testbed.registry import default_root, register
from continuo.testbed.tools import Tools, find_tools

NAMESPACES, LOOPBACK = "namespaces", "loopback"


@dataclass(frozen=True, slots=True)
class _Pod:
    page: Address
    echo: Address


class DataPath:
    """A running data path. Make it with `async with DataPath.build(plan) as path`."""

    def __init__(self, plan: Plan, ground: Spaces | Loopback, agents: Agents, why: str) -> None:
        self.plan, self._ground, self._agents, self._why = plan, ground, agents, why
        self._pods: dict[tuple[str, str, int], _Pod] = {}
        self._serving = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def build(
        cls, plan: Plan, *, loopback: bool = False, tools: Tools | None = None, registry: Path | None = None
    ) -> AsyncIterator[DataPath]:
        """Build it in the kernel where that is possible, else (or when asked to) on loopback; take it down at the end.

        What an earlier one left that was killed is removed before.
        """
        tools, registry = tools or find_tools(), registry or default_root()
        why = "it was asked for" if loopback else await impossible(plan, tools)
        await cleanup.sweep(registry)
        bed = register(registry, Path("a data path"))
        crew = Crew(bed.id, bed.folder)
        agents = Agents(crew, bed.folder)
        try:
            if why is None:
                spaces = Spaces(plan, bed, tools)
                why = await _refused(spaces)
            yield cls(plan, Loopback(agents) if why else spaces, agents, why)
        finally:
            await agents.close()
            await crew.stop()
            await cleanup.remove(bed)

    @property
    def kind(self) -> str:
        """`namespaces` or `loopback`."""
        return NAMESPACES if isinstance(self._ground, Spaces) else LOOPBACK

    @property
    def about(self) -> str:
        """Which of the two it is, and why, for people."""
        if self.kind == NAMESPACES:
            return "in network namespaces, addresses translated by the kernel (nftables)"
        return f"on loopback, with a relay in user space for each link: {self._why}"

    def pids(self) -> dict[str, int]:
        """The processes, by name: `caller`, `pods-CLUSTER`, and on loopback `linkNUMBER`."""
        return self._agents.pids()

    def way(self, start: str, ip: str) -> Way:
        """Where a call from a cluster to an address ends; raises NoWay."""
        return follow(self.plan, start, ip)

    def enter(self, cluster: str) -> tuple[str, ...]:
        """What comes before a command that shall run in a cluster's network; nothing on loopback."""
        self.plan.member(cluster)
        return self._ground.enter(cluster)

    async def serve(self, cluster: str, ip: str, port: int = 8080) -> None:
        """Start a pod: an HTTP server at that address of that cluster. One that is there already stays."""
        if follow(self.plan, cluster, ip).links:
            raise NoWay(f"{ip} is not in the pod network {self.plan.member(cluster).pods} of cluster {cluster}")
        async with self._serving:
            if (cluster, ip, port) in self._pods:
                return
            host, wanted = await self._ground.home(cluster, ip, port)
            agent = await self._agents.of(f"pods-{cluster}", self._ground.enter(cluster))
            got = await agent.ask("serve", who=f"{cluster}/{ip}", host=host, port=wanted)
            self._pods[cluster, ip, port] = _Pod((host, got["page"]), (host, got["echo"]))

    async def measure(
        self, cluster: str, ip: str, port: int = 8080, *, requests: int = 100, warm_up: int = 20
    ) -> Latency:
        """Call a pod from a cluster, under the address that this cluster writes. Measurements take turns."""
        if requests < 1:
            raise ValueError(f"{requests} requests cannot be measured; at least one can")
        way = follow(self.plan, cluster, ip)
        pod = self._pods.get((way.cluster, way.ip, port))
        if pod is None:
            raise TestbedError(f"{ip} is {way.ip} of cluster {way.cluster}, and nothing serves at its port {port}")
        page, echo = [await self._ground.reach(way, ip, listener) for listener in (pod.page, pod.echo)]
        agent = await self._agents.of("caller")
        got = await agent.ask(
            "call", space=self._ground.space(cluster), source=self._ground.source(cluster), page=page, echo=echo,
            requests=requests, warm_up=warm_up, host=f"{ip}:{port}", patience=PATIENCE + (requests + warm_up) / 10,
        )  # fmt: skip
        times, raw = (tuple(nanoseconds / 1e6 for nanoseconds in got[key]) for key in ("times", "raw"))
        return Latency(times, raw, got["served_by"], got["seen_from"])


async def _refused(spaces: Spaces) -> str:
    """Make the namespaces; why not, where a container has every privilege but that of mounting them."""
    try:
        await spaces.create()
    except TestbedError as error:
        return f"network namespaces cannot be made here: {error}"
    return ""
