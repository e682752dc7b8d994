"""Liqo's address arithmetic: a remapped network keeps the host bits of every address."""

from __future__ import annotations

import ipaddress
from functools import lru_cache


def remap(ip: str, cidr: str) -> str:
    """`ip` seen through the network `cidr`: the network's bits of `cidr`, the host's bits of `ip`."""
    network, hosts = _bits(cidr)
    return str(ipaddress.ip_address(network | (int(ipaddress.ip_address(ip)) & hosts)))


@lru_cache(maxsize=1024)
def _bits(cidr: str) -> tuple[int, int]:
    """The network's bits, and the mask of the hosts'."""
    network = ipaddress.ip_network(cidr)
    return int(network.network_address), int(network.hostmask)
