"""Liqo's address arithmetic: a remapped network keeps the host bits of every address."""

from __future__ import annotations

import ipaddress


def remap(ip: str, cidr: str) -> str:
    """`ip` seen through the network `cidr`: the network's bits of `cidr`, the host's bits of `ip`."""
    network = ipaddress.ip_network(cidr)
    host = int(ipaddress.ip_address(ip)) & int(network.hostmask)
    return str(ipaddress.ip_address(int(network.network_address) | host))
