"""What the kernel is told for one cluster of a data path: rules for nftables, and batches for `ip`. Pure.

Inside a cluster's namespace all packets have its own spelling of addresses, on a link they have that of the cluster whose
addresses they are. So the two rules of a network are: what arrives from it is respelt at once, before anything is looked
up; and what goes there is respelt last. That keeps no state, and it does not matter when both use the same network.
Only a cluster that passes traffic on has the kernel follow connections, for the addresses that it lends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    chains = [
        *(line for side in sides for line in _respelling(side)),
        *_chain(
            "arriving", f"type filter hook prerouting priority {_FIRST}; policy accept;", _each(sides, "i", "from")
        ),
        *_chain("leaving", f"type filter hook postrouting priority {_LAST}; policy accept;", _each(sides, "o", "to")),
        *(_passing_on(member, sides) if member.published else ()),
    ]
    return _lines(["table ip continuo {", *chains, "}"])


def _each(sides: Sequence[Side], way: str, prefix: str) -> list[str]:
    """One look-up, however many links there are."""
    verdicts = ", ".join(f'"{device(side.number)}" : goto {prefix}{side.number}' for side in sides)
    return [f"{way}ifname vmap {{ {verdicts} }}"] if sides else []


def _respelling(side: Side) -> Iterator[str]:
    """The two chains of a link's end. Nothing comes in from networks that the cluster does not know there."""
    maps = side.maps()
    arriving = [f"ip saddr {own} {_respelt('saddr', seen)} accept" for own, seen in maps]
    yield from _chain(f"from{side.number}", "", [*arriving, "drop"])
    leaving = [f"ip daddr {seen} {_respelt('daddr', own)} accept" for own, seen in maps]
    yield from _chain(f"to{side.number}", "", leaving)


def _respelt(which: str, network: str) -> str:
    """The statement that keeps an address' host bits and gives it another network."""
    target = IPv4Network(network)
    return f"ip {which} set ip {which} & {target.hostmask} | {target.network_address}"


def _passing_on(member: Member, sides: Sequence[Side]) -> list[str]:
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
    return [f"chain {name} {{", *filter(None, (head,)), *rules, "}"]


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
