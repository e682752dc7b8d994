"""The data path in the kernel: a network namespace for each cluster, pairs of devices between them, rules of nftables."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

from continuo.testbed.commands import run
from continuo.testbed.datapath import rules
from continuo.testbed.datapath.plan import Plan, Way
from continuo.testbed.errors import TestbedError
from continuo.testbed.registry import Registered
from continuo.testbed.tools import Tools
from continuo.testbed.waiting import all_or_none

PROGRAMS = ("ip", "nft", "nsenter", "unshare")

Address = tuple[str, int]


async def impossible(plan: Plan, tools: Tools) -> str | None:
    """Why this machine cannot do it; None when it can."""
    if platform.system() != "Linux":
        return f"network namespaces need Linux, and this is {platform.system()}"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if lacking := tools.missing(PROGRAMS):
        return f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing (continuo testbed build)"
    nft, unshare = str(tools.need("nft")), str(tools.need("unshare"))
    hardest = max(plan.members, key=lambda member: len(member.published))
    try:
        await run(unshare, "--net", nft, "-f", "-", stdin=rules.ruleset(plan, hardest).encode())
    except TestbedError as error:
        return f"this kernel does not let us: {error}"
    return None


@dataclass(frozen=True, slots=True)
class Spaces:
    """The namespaces of one data path. `cleanup.remove` takes them away, with the devices in them."""

    plan: Plan
    bed: Registered
    tools: Tools

    async def create(self) -> None:
        """Make and join them."""
        await self._batch(rules.wiring(self.plan, self.bed.namespace_prefix))
        await all_or_none([self._furnish(member.name) for member in self.plan.members])

    async def _furnish(self, cluster: str) -> None:
        member, enter = self.plan.member(cluster), self.enter(cluster)
        # Rules come first: no packet may ever go out as it is.
        rulebook = rules.ruleset(self.plan, member).encode()
        await run(*enter, str(self.tools.need("nft")), "-f", "-", stdin=rulebook)
        await self._batch(rules.addressing(self.plan, member), "-netns", self._space(cluster))
        passes = "1" if member.published else "0"
        await run(*enter, "sh", "-c", f"echo {passes} > /proc/sys/net/ipv4/ip_forward")

    def enter(self, cluster: str) -> tuple[str, ...]:
        """What comes before a command that runs in a cluster."""
        return (str(self.tools.need("nsenter")), f"--net={self.space(cluster)}")

    def space(self, cluster: str) -> str:
        """The namespace of a cluster as a file."""
        return f"/run/netns/{self._space(cluster)}"

    async def home(self, cluster: str, ip: str, port: int) -> Address:
        """Where a pod listens."""
        if ip != self.plan.member(cluster).calls_from:
            await run(
                str(self.tools.need("ip")),
                "-netns",
                self._space(cluster),
                "address",
                "replace",
                f"{ip}/32",
                "dev",
                "lo",
            )
        return ip, port

    async def reach(self, _way: Way, ip: str, listener: Address) -> Address:
        """What a caller calls in order to get to a listener of the pod whose address it writes so."""
        return ip, listener[1]

    def source(self, cluster: str) -> str | None:
        """The address from which a cluster calls."""
        return self.plan.member(cluster).calls_from

    async def _batch(self, lines: str, *options: str) -> None:
        await run(str(self.tools.need("ip")), *options, "-batch", "-", stdin=lines.encode())

    def _space(self, cluster: str) -> str:
        return f"{self.bed.namespace_prefix}{cluster}"
