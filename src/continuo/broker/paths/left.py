"""What an earlier process left in a cluster: found by its marks, for whoever takes over."""

from __future__ import annotations

from continuo.federation import names
from continuo.federation.paths import PATH
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.errors import Forbidden, NotFound
from continuo.resources.meta import labels_of


async def left_behind(cluster: Cluster, broker: str) -> tuple[set[str], set[str]]:
    """The peers of all paths that this broker ever made to a cluster, and that are still there; those that may have been.

    The tenant namespace, which tells whose a path is, goes before the summary that Liqo made of it. A summary without one is
    what remains of a link, whoever's it was.
    """
    found = (await cluster.list(kinds.NAMESPACE, labels=names.TENANT_NAMESPACE)).items
    peers = {labels_of(space).get(names.REMOTE_CLUSTER_ID, ""): labels_of(space).get(PATH) == broker for space in found}
    try:
        summaries = (await cluster.list(kinds.FOREIGN_CLUSTER)).items
    except (NotFound, Forbidden):
        summaries = []  # no Liqo is there (any more), or we may not see it
    bare = {str((each.get("spec") or {}).get("clusterID") or "") for each in summaries} - peers.keys()
    return {peer for peer, ours in peers.items() if ours and peer}, bare - {""}
