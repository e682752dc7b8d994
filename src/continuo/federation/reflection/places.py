"""Where a pod really is, and how one cluster writes the address of a pod that is somewhere else. Pure.

Pod networks overlap: every cluster may use 10.0.0.0/16. So an address means something only together with the cluster in
which it was given, and every cluster has its own map of the others. A pod that came through a broker keeps the place where
it was started (two annotations, which every hop copies), so that a cluster with a network of its own to that place
translates once; a cluster without one goes through the next hop, which has translated before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

import msgspec

from continuo.federation.addresses import remap
from continuo.resources.meta import Object, annotations_of

ROOT_CID = "brokering.liqo.io/root-cid"
"""Annotation: the cluster that has the container."""
ROOT_IP = "brokering.liqo.io/root-ip"
"""Annotation: the pod's address there."""


class Place(msgspec.Struct, frozen=True):
    """An address, and the cluster in which it is one."""

    cluster: str
    ip: str


@dataclass(frozen=True, slots=True)
class Atlas:
    """What one cluster knows of the others' networks."""

    cluster: str = ""
    networks: Mapping[str, str] = field(default_factory=dict)
    """The network under which the pods of each cluster are reached from here; only clusters with a direct way."""
    externals: Mapping[str, str] = field(default_factory=dict)
    """The same, of what those clusters publish that is not theirs."""
    pods: str | None = None
    """Our own pod network; None while nobody has said."""
    published: Mapping[str, str] = field(default_factory=dict)
    """Addresses of others, as we see them, that our peers may reach, by the address that we publish."""
    flat: bool = True
    """Whether all clusters share one address space, so that an address needs no translation."""

    def seen(self, root: Place, hop: Place, beyond: Atlas) -> str | None:
        """How the address is written here; None when there is no way to it (yet).

        `hop` is the same pod as the neighbour `beyond` writes it. Two stages at most: the neighbour's translation is in
        `hop` already.
        """
        if root.cluster and root.cluster == self.cluster:
            return root.ip
        own = root.cluster != hop.cluster or beyond.owns(root.ip)
        if root.cluster in self.networks and own:
            return remap(root.ip, self.networks[root.cluster])
        if self.flat:
            return hop.ip or None
        if not hop.ip or hop.cluster not in self.networks:
            return None
        if beyond.owns(hop.ip):
            return remap(hop.ip, self.networks[hop.cluster])
        lent, through = beyond.published.get(hop.ip), self.externals.get(hop.cluster)
        return None if lent is None or through is None else remap(lent, through)

    def owns(self, ip: str) -> bool:
        """Whether the address is one of this cluster's own pods; so it is while nobody has said which those are."""
        return self.pods is None or ip_address(ip) in ip_network(self.pods)


def root_of(copy: Object, cluster: str) -> Place | None:
    """Where the pod of this copy runs: as the copy says, which was sent on; else there where the copy is."""
    said = annotations_of(copy)
    if ROOT_CID in said and ROOT_IP in said:
        return Place(said[ROOT_CID], said[ROOT_IP])
    ip = (copy.get("status") or {}).get("podIP")
    return Place(cluster, ip) if cluster and ip else None


def root_marks(root: Place | None) -> dict[str, str]:
    """The annotations that say so."""
    return {} if root is None else {ROOT_CID: root.cluster, ROOT_IP: root.ip}
