"""Nodes of the broker's cluster that an earlier process made, and that nobody is left to take away properly.

Who takes the finalizer off by hand says that a cluster is gone for good; then only the near end is left to be cleaned.
"""

from __future__ import annotations

from collections.abc import Collection

from continuo.broker.selector.names import PROVIDER
from continuo.broker.station.names import KEPT
from continuo.federation.reflection.node import LEASES, NodeKeeper
from continuo.federation.reflection.twin import VIRTUAL_NODE
from continuo.kube.port import Cluster
from continuo.kube.sweep import delete_all
from continuo.resources import kinds
from continuo.resources.meta import Object, labels_of


async def providers_with_nodes(broker: Cluster) -> set[str]:
    """The names of all Providers for which there is a node of ours."""
    found = (await broker.list(kinds.NODE, labels=f"{KEPT},{PROVIDER},{VIRTUAL_NODE}")).items
    return {labels_of(node)[PROVIDER] for node in found}


async def sweep_nodes(broker: Cluster, provider: str, keep: Collection[str]) -> bool:
    """Take away a Provider's nodes but for some, with their pods, of which nobody will ever hear again.

    Deletes what it sees and says whether that was nothing; to be called again until it is.
    """
    found = (await broker.list(kinds.NODE, labels=f"{KEPT},{PROVIDER}={provider},{VIRTUAL_NODE}")).items
    doomed = [node for node in found if node["metadata"]["name"] not in keep]
    for node in doomed:
        await _sweep(broker, node)
    return not doomed


async def _sweep(broker: Cluster, node: Object) -> None:
    """Pods first, and no new ones on what is not Ready. The node last: who comes after a kill finds the rest by it."""
    name = node["metadata"]["name"]
    await NodeKeeper(broker, name).lament("nobody can enter its cluster any more, so it is being taken away")
    pods = (await broker.list(kinds.POD, fields=f"spec.nodeName={name}")).items
    await delete_all(broker, kinds.POD, pods, grace=0)
    if not pods:
        await delete_all(broker, kinds.LEASE, [kinds.LEASE.new(name, LEASES)])
        await delete_all(broker, kinds.NODE, [node])
