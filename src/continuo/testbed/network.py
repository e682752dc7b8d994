"""A bed's network: a bridge on this machine, and for each cluster a namespace with one leg on it."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from continuo.testbed.commands import run
from continuo.testbed.errors import TestbedError
from continuo.testbed.registry import Registered
from continuo.testbed.tools import Tools

CANDIDATES = ipaddress.IPv4Network("10.77.0.0/16")
FIRST_HOST = 10
"""Of a bed's subnet: where the legs begin."""
_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv6/conf/all/disable_ipv6": "1",
    "net/ipv6/conf/default/disable_ipv6": "1",
}


@dataclass(frozen=True, slots=True)
class Leg:
    """One cluster's place in the network."""

    namespace: str
    address: str
    enter: tuple[str, ...]
    """A command in front of another: runs it in the namespace, and leaves everything else as it is."""

    @property
    def path(self) -> Path:
        """The namespace as a file."""
        return Path("/run/netns") / self.namespace


@dataclass(frozen=True, slots=True)
class Network:
    """The bridge, which this machine is on too."""

    bed: Registered
    subnet: ipaddress.IPv4Network
    tools: Tools

    @classmethod
    async def create(cls, bed: Registered, tools: Tools, remembered: str | None = None) -> Network:
        """Make the bridge, on the subnet of last time if nobody took it meanwhile."""
        ip = str(tools.need("ip"))
        taken = json.loads(await run(ip, "-j", "-4", "route", "show", "table", "all") or "[]")
        wanted = [ipaddress.IPv4Network(remembered)] if remembered else []
        subnet = free_subnet((str(route.get("dst", "")) for route in taken), wanted)
        network = cls(bed, subnet, tools)
        bridge = bed.link_prefix
        await run(ip, "link", "add", bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0")
        await run(ip, "address", "add", f"{network.gateway}/{subnet.prefixlen}", "dev", bridge)
        await run(ip, "link", "set", bridge, "up")
        return network

    @property
    def gateway(self) -> str:
        """The address of this machine on the bridge."""
        return str(self.subnet[1])

    async def join(self, name: str, number: int) -> Leg:
        """Make the namespace of cluster `name`, the `number`th one, with its leg on the bridge."""
        ip, space = str(self.tools.need("ip")), f"{self.bed.namespace_prefix}{name}"
        outside, inside = f"{self.bed.link_prefix}-{number}", "eth0"
        address = str(self.subnet[FIRST_HOST + number])
        enter = (str(self.tools.need("nsenter")), f"--net=/run/netns/{space}")
        await run(ip, "netns", "add", space)
        await run(ip, "link", "add", outside, "type", "veth", "peer", "name", inside, "netns", space)
        await run(ip, "link", "set", outside, "master", self.bed.link_prefix, "up")
        for step in (
            ("link", "set", "lo", "up"),
            ("address", "add", f"{address}/{self.subnet.prefixlen}", "dev", inside),
            ("link", "set", inside, "up"),
            ("route", "add", "default", "via", self.gateway),
        ):
            await run(ip, "-netns", space, *step)
        for key, value in _SYSCTLS.items():
            await run(*enter, "sh", "-c", f"test ! -e /proc/sys/{key} || echo {value} > /proc/sys/{key}")
        return Leg(space, address, enter)

    async def masquerade(self, leg: Leg, pods: str) -> None:
        """Let pods of a cluster talk to whatever is outside of it, under their node's address."""
        rules = (
            "table ip continuo {\n chain out {\n  type nat hook postrouting priority srcnat; policy accept;\n"
            f"  ip saddr {pods} ip daddr != {pods} oifname eth0 masquerade\n }}\n}}\n"
        )
        await run(*leg.enter, str(self.tools.need("nft")), "-f", "-", stdin=rules.encode())


def free_subnet(taken: Iterable[str], wanted: Iterable[ipaddress.IPv4Network] = ()) -> ipaddress.IPv4Network:
    """A network of 254 addresses that no route of this machine overlaps; wanted ones first."""
    routes = [ipaddress.IPv4Network(text, strict=False) for text in taken if text and text[0].isdigit()]
    for candidate in (*wanted, *CANDIDATES.subnets(new_prefix=24)):
        if not any(candidate.overlaps(route) for route in routes):
            return candidate
    raise TestbedError(f"all of {CANDIDATES} is in use on this machine; the testbed needs 256 addresses of it")
