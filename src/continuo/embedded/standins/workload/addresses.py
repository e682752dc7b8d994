"""Addresses: pod networks for nodes and addresses for pods, unique in a cluster."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


def text_of(number: int) -> str:
    """An IPv4 address from its number."""
    return f"{number >> 24 & 255}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def node_prefix(pods: int) -> int:
    """The prefix length of a node's pod network: a /24, or larger when the node takes more pods than that has."""
    prefix = 24
    while 2 ** (32 - prefix) - 2 < pods and prefix > 8:
        prefix -= 1
    return prefix


def next_network(cluster_cidr: str, taken: Iterable[str], pods: int) -> str:
    """The first free node network of the cluster's pod network; empty when there is none left."""
    whole = ipaddress.IPv4Network(cluster_cidr, strict=False)
    prefix = max(node_prefix(pods), whole.prefixlen)
    used = [ipaddress.IPv4Network(entry) for entry in taken if entry]
    starts = {int(network.network_address) >> (32 - prefix) for network in used if network.prefixlen >= prefix}
    larger = [network for network in used if network.prefixlen < prefix]
    first = int(whole.network_address) >> (32 - prefix)
    for number in range(first, first + 2 ** (prefix - whole.prefixlen)):
        if number in starts:
            continue
        candidate = ipaddress.IPv4Network((number << (32 - prefix), prefix))
        if not any(candidate.subnet_of(network) for network in larger):
            return str(candidate)
    return ""


class Addresses:
    """The addresses of one node's pod network."""

    __slots__ = ("_free", "_last", "_next", "_used")

    def __init__(self, network: str) -> None:
        parsed = ipaddress.IPv4Network(network)
        self._next = int(parsed.network_address) + 2  # the first one is the bridge's
        self._last = int(parsed.broadcast_address) - 1
        self._free: list[str] = []
        self._used: set[str] = set()

    def reserve(self, address: str) -> None:
        """An address that a stored pod has already."""
        self._used.add(address)

    def take(self) -> str:
        """A free address; empty when the network is full."""
        while self._next <= self._last:
            address = text_of(self._next)
            self._next += 1
            if address not in self._used:
                self._used.add(address)
                return address
        if self._free:
            address = self._free.pop()
            self._used.add(address)
            return address
        return ""

    def give_back(self, address: str) -> None:
        """The pod is gone."""
        if address in self._used:
            self._used.discard(address)
            self._free.append(address)
