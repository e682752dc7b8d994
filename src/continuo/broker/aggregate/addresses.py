"""Addresses through an aggregator, in two stages, where every cluster may use the same pod network. Pure.

 provider milan          the broker                       consumer rome
 10.0.3.4         ->     10.1.3.4     -> 10.70.0.5  ->    10.72.0.5
 (own network)           (its map of    (published in     (its map of the broker's
                          milan)         its external)     external network)

Stage one keeps the host bits, and so does the last step; between them the broker gives the pod an address of its own external
network, because what it calls 10.1.3.4 means something else to its consumers. Its own pods take the direct way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import combinations

from continuo.federation.addresses import remap
from continuo.federation.reflection.places import Place


class NoWay(ValueError):
    """An address that cannot be translated; `str()` is a sentence."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """One network, and under which network another cluster sees it."""

    own: str
    seen: str

    def __post_init__(self) -> None:
        own, seen = ip_network(self.own), ip_network(self.seen)
        if own.version != seen.version or own.prefixlen != seen.prefixlen:
            raise NoWay(f"network {self.own} cannot be seen as {self.seen}: they must be equally large")

    def there(self, ip: str) -> str:
        """How the other cluster writes one of its addresses."""
        return remap(_inside(ip, self.own), self.seen)

    def back(self, ip: str) -> str:
        """What the other cluster's spelling means at home."""
        return remap(_inside(ip, self.seen), self.own)


@dataclass(frozen=True, slots=True)
class Relay:
    """What the broker knows: how it sees its providers, and which of their addresses it publishes as what."""

    cluster: str
    providers: Mapping[str, Mapped]
    external: str
    published: Mapping[str, str] = field(default_factory=dict)
    """Addresses of its external network, by the addresses under which it sees what they stand for."""
    skip: int = 1
    """So many addresses at the beginning of the external network are used otherwise."""

    def __post_init__(self) -> None:
        seen = {name: mapped.seen for name, mapped in self.providers.items()} | {"its external network": self.external}
        for (one, first), (other, second) in combinations(seen.items(), 2):
            if ip_network(first).overlaps(ip_network(second)):
                raise NoWay(f"cluster {self.cluster} sees {one} and {other} both under {first}: they must not overlap")

    def sees(self, place: Place) -> str:
        """The address under which the broker itself reaches the pod."""
        if place.cluster == self.cluster:
            return place.ip
        if place.cluster not in self.providers:
            raise NoWay(f"cluster {self.cluster} has no network to cluster {place.cluster}")
        return self.providers[place.cluster].there(place.ip)

    def publish(self, *places: Place) -> Relay:
        """Give pods addresses for the consumers; one that has an address keeps it."""
        new = [seen for seen in dict.fromkeys(self.sees(place) for place in places) if seen not in self.published]
        if not new:
            return self
        taken = set(self.published.values())
        free = (text for text in map(str, self._addresses()) if text not in taken)
        given = dict(zip(new, free, strict=False))
        if len(given) < len(new):
            raise NoWay(f"external network {self.external} of cluster {self.cluster} is full")
        return replace(self, published={**self.published, **given})

    def withdraw(self, place: Place) -> Relay:
        """The pod is gone; its address can be given to another."""
        seen = self.sees(place)
        return replace(self, published={key: value for key, value in self.published.items() if key != seen})

    def _addresses(self) -> Iterator[IPv4Address | IPv6Address]:
        network = ip_network(self.external)
        for number in range(self.skip, network.num_addresses - 1):
            yield network[number]


@dataclass(frozen=True, slots=True)
class View:
    """What a consumer knows: how it sees the broker's pods, and what the broker publishes."""

    pods: Mapped
    external: Mapped

    def __post_init__(self) -> None:
        if ip_network(self.pods.seen).overlaps(ip_network(self.external.seen)):
            raise NoWay(f"the broker's pods and its external network are both seen under {self.pods.seen}")


def outward(place: Place, relay: Relay, view: View) -> str:
    """How the consumer writes the address of a pod at the broker or behind it."""
    if place.cluster == relay.cluster:
        return view.pods.there(place.ip)
    seen = relay.sees(place)
    if seen not in relay.published:
        raise NoWay(f"cluster {relay.cluster} has not published {place.ip} of cluster {place.cluster}")
    return view.external.there(relay.published[seen])


def inward(ip: str, relay: Relay, view: View) -> Place:
    """Whose address that is, which the consumer writes so: where a packet to it ends."""
    if ip_address(ip) in ip_network(view.pods.seen):
        return Place(relay.cluster, view.pods.back(ip))
    lent = view.external.back(ip)
    seen = next((key for key, value in relay.published.items() if value == lent), None)
    if seen is None:
        raise NoWay(f"cluster {relay.cluster} publishes nothing as {lent}")
    for name, mapped in relay.providers.items():
        if ip_address(seen) in ip_network(mapped.seen):
            return Place(name, mapped.back(seen))
    raise NoWay(f"cluster {relay.cluster} publishes {seen} as {lent}, and has no provider there")


def _inside(ip: str, network: str) -> str:
    if ip_address(ip) not in ip_network(network):
        raise NoWay(f"address {ip} is not in network {network}")
    return ip
