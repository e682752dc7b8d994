"""Security groups: whether their rules let a packet go from one port to another. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from continuo.iot.frames import ICMP, Ip
from continuo.iot.hub.networks.config import Group, Port, Rule


@dataclass(frozen=True, slots=True)
class Filter:
    """The rules of all groups of one port."""

    groups: frozenset[str]
    ingress: tuple[Rule, ...]
    egress: tuple[Rule, ...]


def filter_of(port: Port, groups: Mapping[str, Group]) -> Filter:
    """A port's rules: those of all its groups together."""
    own = [groups[name] for name in port.groups]
    return Filter(
        frozenset(port.groups),
        tuple(rule for group in own for rule in group.ingress),
        tuple(rule for group in own for rule in group.egress),
    )


def allowed(packet: Ip, sender: Filter, receiver: Filter) -> bool:
    """Whether the sender may send it out, and the receiver lets it in."""
    return any(_matches(rule, packet, packet.destination, receiver.groups) for rule in sender.egress) and any(
        _matches(rule, packet, packet.source, sender.groups) for rule in receiver.ingress
    )


def _matches(rule: Rule, packet: Ip, other: bytes, groups: frozenset[str]) -> bool:
    if rule.protocol is not None and rule.protocol != packet.protocol:
        return False
    if rule.group is not None and rule.group not in groups:
        return False
    if rule.net is not None and int.from_bytes(other, "big") & rule.net[1] != rule.net[0]:
        return False
    return rule.ports is None or _among(rule.ports, packet)


def _among(ports: tuple[int, int], packet: Ip) -> bool:
    if packet.ports is None:
        return False
    if packet.protocol == ICMP:
        return packet.ports[0] == ports[0] and ports[1] in (-1, packet.ports[1])
    return ports[0] <= packet.ports[1] <= ports[1]
