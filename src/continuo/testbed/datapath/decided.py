"""The plan that the control plane has decided: read from Liqo's objects in the clusters, so that it is no second opinion.

A Configuration says how a cluster sees another one's networks; two of them, one at each end, are a link. An IP object that
has an address of the external network publishes another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations

from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.meta import Object, deleting, labels_of
from continuo.testbed.datapath.plan import BadPlan, End, Link, Member, Plan

_PEER = "liqo.io/remote-cluster-id"
_NAMESPACE, _IDENTITY, _KEY = "liqo", "liqo-clusterid-configmap", "CLUSTER_ID"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one cluster has."""

    name: str
    """What it shall be called in the plan."""
    identity: str
    """What Liqo calls it."""
    configurations: Sequence[Object]
    lent: Sequence[Object] = ()
    """The IP objects."""


async def look(cluster: Cluster) -> Seen:
    """Read it from a cluster with Liqo."""
    identity, configurations, lent = await asyncio.gather(
        cluster.get(kinds.CONFIG_MAP, _IDENTITY, _NAMESPACE), cluster.list(kinds.CONFIGURATION), cluster.list(kinds.IP)
    )
    return Seen(cluster.name, identity["data"][_KEY], configurations.items, lent.items)


async def decided(clusters: Sequence[Cluster]) -> Plan:
    """The plan of these clusters as they are linked now; raises BadPlan where they contradict each other."""
    return plan_of(await asyncio.gather(*(look(cluster) for cluster in clusters)))


def plan_of(clusters: Sequence[Seen]) -> Plan:
    """The plan; clusters without a link to any of the others are left out, for nobody knows their networks."""
    views = {seen.identity: {view.peer: view for view in _views(seen)} for seen in clusters}
    links = []
    for one, other in combinations(clusters, 2):
        there, back = views[one.identity].get(other.identity), views[other.identity].get(one.identity)
        if there is not None and back is not None:
            links.append(Link(there.end(one.name), back.end(other.name)))
    members = [_member(seen, views[seen.identity]) for seen in clusters if views[seen.identity]]
    return Plan(tuple(members), tuple(links))


@dataclass(frozen=True, slots=True)
class _View:
    """One Configuration."""

    peer: str
    own: Mapping[str, str]
    seen: Mapping[str, str]

    def end(self, cluster: str) -> End:
        return End(cluster, self.seen["pod"], self.seen.get("external", ""))


def _views(seen: Seen) -> Iterator[_View]:
    for found in seen.configurations:
        peer = labels_of(found).get(_PEER)
        own = _first_of((found.get("spec") or {}).get("local"))
        remote = _first_of((found.get("status") or {}).get("remote"))
        if peer and not deleting(found) and "pod" in own and "pod" in remote:
            yield _View(peer, own, remote)


def _first_of(networks: Object | None) -> dict[str, str]:
    return {kind: cidrs[0] for kind, cidrs in ((networks or {}).get("cidr") or {}).items() if cidrs}


def _member(seen: Seen, views: Mapping[str, _View]) -> Member:
    """A cluster with what it publishes of those behind it; what it lends of its own is another matter."""
    own, *others = [view.own for view in views.values()]
    if any(other != own for other in others):
        raise BadPlan(f"cluster {seen.name} tells its peers different networks of its own")
    beyond = [IPv4Network(network) for view in views.values() for network in view.seen.values()]
    published = {
        obj["spec"]["ip"]: obj["status"]["ip"]
        for obj in seen.lent
        if (obj.get("status") or {}).get("ip") and any(IPv4Address(obj["spec"]["ip"]) in each for each in beyond)
    }
    return Member(seen.name, own["pod"], own.get("external", ""), published)
