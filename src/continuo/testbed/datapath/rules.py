"""What the kernel is told for one cluster of a data path: rules for nftables, and batches for `ip`. Pure.

Inside a cluster's namespace all packets have its own spelling of addresses, on a link they have that of the cluster whose
addresses they are. So the two rules of a network are: what arrives from it is respelt at once, before anything is looked
up; and what goes there is respelt last. That keeps no state, and it does not matter when both use the same network.
Only a cluster that passes traffic on has the kernel follow connections, for the addresses that it lends.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from continuo.testbed.datapath.plan import Member, Plan, Side

_WIRES = int(IPv4Address("169.254.0.0"))
_FIRST, _LAST = "raw", "300"
"""Before connections are followed, and after they have been given their new addresses."""


def device(number: int) -> str:
    """What a link is called at both its ends; each is in a namespace of its own."""
    return f"link{number}"


def wire(side: Side) -> tuple[str, str]:
    """The addresses of a link's own ends, the near one first; nobody else sees them."""
    ends = [str(IPv4Address(_WIRES + 4 * side.number + place)) for place in (1, 2)]
    return (ends[0], ends[1]) if side.first else (ends[1], ends[0])


def hardware(number: int, first: bool) -> str:
    """The hardware address of a link's end, which the other end is told beforehand.

    Asking for it would not do: who asks shows an address of his own, and the other may have the same.
    """
    return f"02:00:00:{number >> 8:02x}:{number & 255:02x}:{1 if first else 2:02x}"


def wiring(plan: Plan, prefix: str) -> str:
    """The batch for `ip` that makes all namespaces and links."""
    spaces = [f"netns add {prefix}{member.name}" for member in plan.members]
    links = [
        f"link add {device(number)} address {hardware(number, True)} netns {prefix}{link.one.cluster} type veth"
        f" peer name {device(number)} address {hardware(number, False)} netns {prefix}{link.other.cluster}"
        for number, link in enumerate(plan.links)
    ]
    return _lines([*spaces, *links])


def addressing(plan: Plan, member: Member) -> str:
    """The batch for `ip` within a cluster's namespace."""
    lines = ["link set lo up", f"address add {member.calls_from}/32 dev lo"]
    for side in plan.sides(member.name):
        name, (near, far) = device(side.number), wire(side)
        lines += [f"link set {name} addrgenmode none", f"address add {near}/30 dev {name}", f"link set {name} up"]
        lines += [f"neighbour add {far} lladdr {hardware(side.number, not side.first)} dev {name} nud permanent"]
        lines += [f"route add {seen} via {far} dev {name} src {member.calls_from}" for _, seen in side.maps()]
    return _lines(lines)


def ruleset(plan: Plan, member: Member) -> str:
    """The rules of a cluster."""
    sides = list(plan.sides(member.name))
    arriving = [line for side in sides for line in _arriving(side)]
    leaving = [line for side in sides for line in _leaving(side)]
    chains = [
        *_chain("arriving", f"type filter hook prerouting priority {_FIRST}; policy accept;", arriving),
        *_chain("leaving", f"type filter hook postrouting priority {_LAST}; policy accept;", leaving),
        *(_passing_on(member, sides) if member.published else ()),
    ]
    return _lines(["table ip continuo {", *chains, "}"])


def _arriving(side: Side) -> Iterator[str]:
    link = f'iifname "{device(side.number)}"'
    for own, seen in side.maps():
        yield f"{link} ip saddr {own} {_respelt('saddr', seen)} accept"
    yield f"{link} drop"  # from nobody whom this cluster knows there


def _leaving(side: Side) -> Iterator[str]:
    link = f'oifname "{device(side.number)}"'
    for own, seen in side.maps():
        yield f"{link} ip daddr {seen} {_respelt('daddr', own)} accept"


def _respelt(which: str, network: str) -> str:
    """The statement that keeps an address' host bits and gives it another network."""
    target = IPv4Network(network)
    return f"ip {which} set ip {which} & {target.hostmask} | {target.network_address}"


def _passing_on(member: Member, sides: list[Side]) -> list[str]:
    """Lend addresses, hide who calls, and pass on nothing else."""
    devices = "{ " + ", ".join(f'"{device(side.number)}"' for side in sides) + " }"
    lent = ", ".join(f"{lent} : {seen}" for seen, lent in member.published.items())
    return [
        f"map published {{ type ipv4_addr : ipv4_addr; elements = {{ {lent} }}; }}",
        *_chain(
            "lend", "type nat hook prerouting priority dstnat; policy accept;",
            [f"iifname {devices} dnat to ip daddr map @published"],
        ),
        *_chain("pass", "type filter hook forward priority filter; policy drop;", ["ct status dnat accept"]),
        *_chain(
            "hide", "type nat hook postrouting priority srcnat; policy accept;",
            [f"ct status dnat snat to {member.hidden}"],
        ),
    ]  # fmt: skip


def _chain(name: str, head: str, rules: list[str]) -> list[str]:
    return [f"chain {name} {{", head, *rules, "}"]


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
