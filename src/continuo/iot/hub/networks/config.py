"""What a network is told to be: read whole and checked, so that nothing half right is ever switched by."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from continuo.iot.frames import ICMP, LARGEST_MTU, TCP, UDP

Json = Mapping[str, Any]

DEFAULT = "default"
"""The group of ports that name none."""
MTU = 1400
SMALLEST_MTU = 576
PROTOCOLS: Mapping[str, int | None] = {"any": None, "tcp": TCP, "udp": UDP, "icmp": ICMP}
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Rule:
    """What one rule of a group lets through."""

    protocol: int | None
    ports: tuple[int, int] | None
    """First and last destination port; of ICMP type and code (-1: any)."""
    net: tuple[int, int] | None
    """The other side's network as number and mask."""
    group: str | None
    """The group that the other side must be of."""


@dataclass(frozen=True, slots=True)
class Group:
    """A security group."""

    ingress: tuple[Rule, ...]
    egress: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Port:
    """One end of the network: whose it is, and what it may send as."""

    id: str
    board: str
    mac: bytes
    ip: bytes
    token: str
    """SHA-256 of it, hex."""
    groups: tuple[str, ...]
    allowed: tuple[tuple[int, int], ...] = ()
    """Networks, as number and mask, that it leads to: it may send as their addresses, and gets what is for them."""

    def leads_to(self, address: bytes) -> bool:
        """Whether an address is behind it."""
        number = int.from_bytes(address, "big")
        return any(number & mask == net for net, mask in self.allowed)


@dataclass(frozen=True, slots=True)
class Network:
    """A network, whole."""

    id: str
    mtu: int
    ports: Mapping[str, Port]
    groups: Mapping[str, Group]


EVERYTHING = Rule(None, None, None, None)
AS_NEUTRON = Group((Rule(None, None, None, DEFAULT),), (EVERYTHING,))
"""The default group, where nobody declares one: everything out, and in what comes from its members."""


def read(network: str, config: Json) -> Network:
    """Read a network's configuration; raises ValueError with a sentence."""
    here = f"network {network}"
    encryption = config.get("encryption") or "tls"
    if encryption != "tls":
        raise ValueError(f"{here}: encryption {encryption!r} is not offered: ports are carried in TLS, so say tls")
    mtu = config.get("mtu") or MTU
    if not isinstance(mtu, int) or not SMALLEST_MTU <= mtu <= LARGEST_MTU:
        raise ValueError(f"{here}: mtu {mtu!r} is no number from {SMALLEST_MTU} to {LARGEST_MTU}")
    groups = {DEFAULT: AS_NEUTRON}
    for group in config.get("security_groups") or ():
        groups[_text(here, group, "name")] = _group(f"{here}: security group {group.get('name')}", group)
    _known(here, groups)
    ports = {
        port: _port(f"{here}: port {port}", port, said, groups) for port, said in (config.get("ports") or {}).items()
    }
    _distinct(here, "mac", ((port.id, port.mac.hex(":")) for port in ports.values()))
    _distinct(here, "ip", ((port.id, str(ipaddress.IPv4Address(port.ip))) for port in ports.values()))
    _apart(here, [port for port in ports.values() if port.allowed])
    return Network(network, mtu, ports, groups)


def _port(here: str, port: str, said: Json, groups: Mapping[str, Group]) -> Port:
    mac = _text(here, said, "mac").lower()
    if not _MAC.fullmatch(mac) or int(mac[:2], 16) & 1:
        raise ValueError(f"{here}: mac {mac!r} is no address of one device, such as fa:16:3e:00:00:01")
    ip = _text(here, said, "ip")
    try:
        address = ipaddress.IPv4Interface(ip).ip
    except ValueError:
        raise ValueError(f"{here}: ip {ip!r} is no IPv4 address, such as 10.5.0.2 or 10.5.0.2/24") from None
    token = _text(here, said, "token")
    if not _HASH.fullmatch(token):
        raise ValueError(f"{here}: token must be the SHA-256 of the port's token in 64 hexadecimal digits")
    named = tuple(said.get("security_groups") or (DEFAULT,))
    for group in named:
        if group not in groups:
            raise ValueError(f"{here}: security group {group!r} is none of the network's: {', '.join(sorted(groups))}")
    allowed = tuple(_net(here, cidr, "allowed_addresses") for cidr in said.get("allowed_addresses") or ())
    return Port(
        port, str(said.get("board") or ""), bytes.fromhex(mac.replace(":", "")), address.packed, token, named, allowed
    )


def _group(here: str, group: Json) -> Group:
    told: dict[str, list[Rule]] = {"ingress": [], "egress": []}
    for number, rule in enumerate(group.get("rules") or ()):
        direction = rule.get("direction")
        if direction not in told:
            raise ValueError(f"{here}: rule {number}: direction {direction!r} is neither ingress nor egress")
        told[direction].append(_rule(f"{here}: rule {number}", rule))
    return Group(tuple(told["ingress"]), tuple(told["egress"]) or (EVERYTHING,))


def _rule(here: str, rule: Json) -> Rule:
    name = rule.get("protocol")
    if name not in (None, *PROTOCOLS) and not (isinstance(name, int) and 0 <= name <= 255):
        raise ValueError(f"{here}: protocol {name!r} is none of {', '.join(PROTOCOLS)}, and no number up to 255")
    protocol = name if isinstance(name, int) else PROTOCOLS[name or "any"]
    cidr, group = rule.get("remote_cidr"), rule.get("remote_group")
    if cidr and group:
        raise ValueError(f"{here}: remote_cidr and remote_group exclude each other")
    return Rule(protocol, _range(here, protocol, rule), _net(here, cidr) if cidr else None, group or None)


def _range(here: str, protocol: int | None, rule: Json) -> tuple[int, int] | None:
    low, high = rule.get("port_min"), rule.get("port_max")
    if low is None and high is None:
        return None
    if protocol not in (TCP, UDP, ICMP):
        raise ValueError(f"{here}: ports are of tcp and udp (of icmp they are type and code): say which protocol")
    if protocol == ICMP:
        if low is None or not all(isinstance(n, int) and 0 <= n <= 255 for n in (low, high or 0)):
            raise ValueError(f"{here}: of icmp port_min is the type and port_max the code, each from 0 to 255")
        return low, -1 if high is None else high
    low, high = (high if low is None else low), (low if high is None else high)
    if not (isinstance(low, int) and isinstance(high, int) and 0 <= low <= high <= 65535):
        raise ValueError(f"{here}: ports {low!r} to {high!r} are no range from 0 to 65535")
    return low, high


def _net(here: str, cidr: object, what: str = "remote_cidr") -> tuple[int, int]:
    try:
        net = ipaddress.IPv4Network(str(cidr), strict=False)
    except ValueError:
        raise ValueError(f"{here}: {what} {cidr!r} is no IPv4 network, such as 10.5.0.0/24") from None
    return int(net.network_address), int(net.netmask)


def _text(here: str, said: Json, field: str) -> str:
    value = said.get(field)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{here}: {field} is missing")
    return value


def _known(here: str, groups: Mapping[str, Group]) -> None:
    for name, group in groups.items():
        for rule in (*group.ingress, *group.egress):
            if rule.group is not None and rule.group not in groups:
                raise ValueError(f"{here}: security group {name}: remote_group {rule.group!r} is none of the network's")


def _apart(here: str, ports: Sequence[Port]) -> None:
    """An address is behind one port: otherwise what one lets in would be known as the other's, and let in there."""
    for number, port in enumerate(ports):
        for other in ports[:number]:
            for net, mask in port.allowed:
                if any(net & its == base & mask for base, its in other.allowed):
                    cidr = ipaddress.IPv4Network((net, str(ipaddress.IPv4Address(mask))))
                    raise ValueError(
                        f"{here}: ports {other.id} and {port.id} both have addresses of {cidr} among their "
                        "allowed_addresses; an address is behind one port"
                    )


def _distinct(here: str, field: str, of: Iterable[tuple[str, str]]) -> None:
    seen: dict[str, str] = {}
    for port, value in of:
        if value in seen:
            raise ValueError(f"{here}: ports {seen[value]} and {port} have the same {field} {value}")
        seen[value] = port
