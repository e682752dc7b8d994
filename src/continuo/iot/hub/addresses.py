"""Addresses for the ports of a network: the same name gets the same address as long as nobody else has it."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Collection

from continuo.iot.hub.refusals import Refused, bad, taken

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_LARGEST = 16
"""Networks have this prefix length or a longer one: 65,534 addresses at most."""


def read_cidr(text: str) -> ipaddress.IPv4Network:
    """An IPv4 network; raises Refused."""
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise bad(f"cidr: {text!r} is no IPv4 network such as 10.1.0.0/24 ({error})") from None
    if not _LARGEST <= network.prefixlen <= 30:
        raise bad(f"cidr: {text} has a prefix of {network.prefixlen}; between {_LARGEST} and 30 is possible")
    if network.is_multicast or network.is_loopback or network.is_link_local or network.is_unspecified:
        raise bad(f"cidr: {text} is not for hosts; take a private network such as 10.1.0.0/24")
    return network


def read_address(text: str, network: ipaddress.IPv4Network, what: str) -> str:
    """An address for a host of the network; raises Refused."""
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise bad(f"{what}: {text!r} is no IPv4 address") from None
    if address not in network or address in (network.network_address, network.broadcast_address):
        raise bad(f"{what}: {text} is no address of a host in {network}")
    return str(address)


def allocate(cidr: str, used: Collection[str], name: str, wanted: str | None = None) -> str:
    """An address that is in none of `used`: the wanted one, else one that follows from the name. Raises Refused."""
    network = read_cidr(cidr)
    if wanted is not None:
        address = read_address(wanted, network, "ip")
        if address in used:
            raise taken(f"ip: {address} is in use in {network}")
        return address
    hosts = network.num_addresses - 2
    start = int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8]) % hosts
    first = int(network.network_address) + 1
    for step in range(hosts):
        address = str(ipaddress.IPv4Address(first + (start + step) % hosts))
        if address not in used:
            return address
    raise Refused(409, f"all {hosts} addresses of {network} are in use: delete a port, or make a larger network")


def mac_of(port: str) -> str:
    """The MAC of a port that asks for none: of the range for local use, from its uuid."""
    digest = hashlib.sha256(port.encode()).digest()
    return "02:" + ":".join(f"{byte:02x}" for byte in digest[:5])


def read_mac(text: str, used: Collection[str]) -> str:
    """A MAC that one host may have, in lower case; raises Refused."""
    mac = text.lower().replace("-", ":")
    if not _MAC.fullmatch(mac):
        raise bad(f"mac: {text!r} is no MAC address such as 02:00:00:00:00:01")
    if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise bad(f"mac: {text} is for groups or for nobody; the first byte must be even, and not all may be zero")
    if mac in used:
        raise taken(f"mac: {mac} is in use in this network")
    return mac


def vif_of(port: str) -> str:
    """The name of a port's interface on its board: within Linux' 15 characters."""
    return f"iot{port.replace('-', '')[:11]}"
