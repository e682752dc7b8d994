"""What a data path shall be: clusters, the links between them, and how each sees the others' addresses. Pure.

Every cluster may use the same pod network. So each writes the others' addresses in its own way, and keeps the host's
bits when it does. A cluster that passes traffic on publishes single addresses of its external network for that; from
outside only these lead through it, and what it passes on appears to come from itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations

from continuo.testbed.errors import TestbedError

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_MOST_LINKS = 64 * 256
"""So many pairs of addresses there are for the ends of links."""


class BadPlan(TestbedError):
    """A data path that cannot be; all problems, one sentence each."""


class NoWay(TestbedError):
    """An address that leads nowhere."""


@dataclass(frozen=True, slots=True)
class Member:
    """One cluster, and its own networks."""

    name: str
    pods: str = "10.0.0.0/16"
    external: str = ""
    """Where it lends addresses; empty where it lends none."""
    published: Mapping[str, str] = field(default_factory=dict)
    """Addresses of the external network, by the address under which the cluster itself sees what they stand for."""
    caller: str = ""
    """The address of the pod that calls others; the third of the pod network where absent."""

    @property
    def calls_from(self) -> str:
        """The same, never empty."""
        return self.caller or str(IPv4Network(self.pods)[2])

    @property
    def hidden(self) -> str:
        """As whom those appear whose traffic is passed on: the external network's first address, which is never lent."""
        return str(IPv4Network(self.external)[0])


@dataclass(frozen=True, slots=True)
class End:
    """One end of a link: a cluster, and how it writes the addresses of the other one."""

    cluster: str
    pods: str
    external: str = ""
    """How it sees the other's external network; empty where it has nothing to do with it."""


@dataclass(frozen=True, slots=True)
class Link:
    """A network between two clusters."""

    one: End
    other: End

    def __str__(self) -> str:
        return f"link {self.one.cluster}-{self.other.cluster}"


@dataclass(frozen=True, slots=True)
class Side:
    """A link as one of its clusters sees it: that cluster's own end, and the other cluster."""

    number: int
    end: End
    peer: Member
    first: bool
    """Whether the end is the link's first."""

    def maps(self) -> tuple[tuple[str, str], ...]:
        """Pairs of networks of the peer: as it writes them, and as they are written here."""
        outside = ((self.peer.external, self.end.external),) if self.end.external else ()
        return ((self.peer.pods, self.end.pods), *outside)


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole; raises BadPlan with every problem."""

    members: tuple[Member, ...]
    links: tuple[Link, ...] = ()

    def __post_init__(self) -> None:
        problems = list(_shapes(self)) or [*_pairs(self), *_overlaps(self), *_relays(self)]
        if problems:
            raise BadPlan("; ".join(problems))

    def member(self, name: str) -> Member:
        """One cluster; raises NoWay where there is none of that name."""
        for member in self.members:
            if member.name == name:
                return member
        raise NoWay(f"the data path has no cluster {name}; it has {', '.join(each.name for each in self.members)}")

    def sides(self, name: str) -> Iterator[Side]:
        """The links of a cluster, from its side."""
        for number, link in enumerate(self.links):
            for end, far, first in ((link.one, link.other, True), (link.other, link.one, False)):
                if end.cluster == name:
                    yield Side(number, end, self.member(far.cluster), first)


@dataclass(frozen=True, slots=True)
class Way:
    """How a call goes: over which links, and where it ends."""

    links: tuple[int, ...]
    cluster: str
    ip: str
    """The address of the pod in its own cluster."""


def follow(plan: Plan, start: str, ip: str) -> Way:
    """Where a call from a cluster to an address ends, by the same steps as its packets; raises NoWay."""
    at, passed = plan.member(start), list[int]()
    while True:
        lent = _lent(at, ip) if passed else ip
        if _in(lent, at.pods):
            return Way(tuple(passed), at.name, lent)
        if passed and lent == ip:
            raise NoWay(f"cluster {at.name} has not published {ip}, so it passes nothing on that is sent there")
        number, peer, ip = _onward(plan, at, lent)
        if number in passed:
            raise NoWay(f"calls from {start} to {ip} go in a circle through cluster {at.name}")
        passed.append(number)
        at = peer


def _onward(plan: Plan, at: Member, ip: str) -> tuple[int, Member, str]:
    """Over which link an address is reached, and how the cluster there writes it."""
    for side in plan.sides(at.name):
        for own, seen in side.maps():
            if _in(ip, seen):
                return side.number, side.peer, moved(ip, own)
    raise NoWay(f"cluster {at.name} knows no way to {ip}")


def moved(ip: str, network: str) -> str:
    """The address with the same host's bits in another network."""
    target = IPv4Network(network)
    return str(IPv4Address(int(target.network_address) | int(IPv4Address(ip)) & int(target.hostmask)))


def _lent(at: Member, ip: str) -> str:
    return next((seen for seen, lent in at.published.items() if lent == ip), ip)


def _in(ip: str, network: str) -> bool:
    return bool(network) and IPv4Address(ip) in IPv4Network(network)


# --- what makes a plan impossible ---------------------------------------------------------------------------------------
def _shapes(plan: Plan) -> Iterator[str]:
    """Words that are no names, networks or addresses, and ends of clusters that are none."""
    names = [member.name for member in plan.members]
    yield from (f"{name!r} is no name of a cluster" for name in names if not _NAME.fullmatch(name))
    yield from (f"there are two clusters {name}" for name in sorted({each for each in names if names.count(each) > 1}))
    if len(plan.links) > _MOST_LINKS:
        yield f"there are {len(plan.links)} links, and at most {_MOST_LINKS} are possible"
    for member in plan.members:
        what = f"of cluster {member.name}"
        yield from _networks(what, member.pods, *filter(None, (member.external,)))
        yield from _addresses(what, *filter(None, (member.caller,)), *member.published, *member.published.values())
    for link in plan.links:
        for end in (link.one, link.other):
            if end.cluster not in names:
                yield f"{link} has an end in {end.cluster}, which is no cluster of the plan"
            yield from _networks(f"at {end.cluster} of {link}", end.pods, *filter(None, (end.external,)))


def _networks(what: str, *texts: str) -> Iterator[str]:
    for text in texts:
        try:
            IPv4Network(text)
        except ValueError:
            yield f"{text!r} {what} is no IPv4 network"


def _addresses(what: str, *texts: str) -> Iterator[str]:
    for text in texts:
        try:
            IPv4Address(text)
        except ValueError:
            yield f"{text!r} {what} is no IPv4 address"


def _pairs(plan: Plan) -> Iterator[str]:
    """Links of a cluster to itself, two links of one pair, and networks that are seen in another size."""
    seen: set[frozenset[str]] = set()
    for link in plan.links:
        pair = frozenset((link.one.cluster, link.other.cluster))
        if len(pair) == 1:
            yield f"{link} joins a cluster to itself"
        elif pair in seen:
            yield f"{link} is there twice"
        seen.add(pair)
    for member in plan.members:
        for side in plan.sides(member.name):
            if side.end.external and not side.peer.external:
                yield f"cluster {member.name} sees an external network of {side.peer.name}, which has none"
                continue
            for own, there in side.maps():
                if IPv4Network(own).prefixlen != IPv4Network(there).prefixlen:
                    yield f"cluster {member.name} cannot see {own} of {side.peer.name} as {there}: not equally large"


def _overlaps(plan: Plan) -> Iterator[str]:
    """Networks that a cluster could not tell apart."""
    for member in plan.members:
        known = [("its own pods", member.pods)]
        known += [("its external network", member.external)] if member.external else []
        known += [(side.peer.name, seen) for side in plan.sides(member.name) for _, seen in side.maps()]
        for (one, first), (other, second) in combinations(known, 2):
            if IPv4Network(first).overlaps(IPv4Network(second)):
                yield f"cluster {member.name} cannot tell {one} ({first}) from {other} ({second})"
        if not _in(member.calls_from, member.pods):
            yield f"cluster {member.name} calls from {member.calls_from}, which is not in its pod network {member.pods}"


def _relays(plan: Plan) -> Iterator[str]:
    """Published addresses that lead nowhere, or from where nobody could answer."""
    for member in plan.members:
        if member.published and not member.external:
            yield f"cluster {member.name} publishes addresses and has no external network"
            continue
        if len(set(member.published.values())) < len(member.published):
            yield f"cluster {member.name} publishes two pods under one address"
        for seen, lent in member.published.items():
            if not _in(lent, member.external) or lent == member.hidden:
                yield f"cluster {member.name} cannot publish {lent}: it is not one to lend of {member.external}"
            beyond = [side.peer for side in plan.sides(member.name) if any(_in(seen, net) for _, net in side.maps())]
            if not beyond:
                yield f"cluster {member.name} publishes {seen} as {lent} and knows no way to it"
            for peer in beyond:
                if not any(back.peer == member and back.end.external for back in plan.sides(peer.name)):
                    yield f"cluster {peer.name} must see the external network of {member.name}, which passes calls on to it"
