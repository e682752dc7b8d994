"""Whether an edge node is heard of now: it renews its lease every ten seconds, and does so through CloudCore.

That both are there matters when a Rule goes. A node that does not learn of it goes on sending; and for 50 s after one of the
two has gone, the node is Ready all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from continuo.kube.port import Cluster
from continuo.resources.errors import Forbidden, NotFound
from continuo.resources.meta import Kind

LEASE, SPACE = Kind("coordination.k8s.io", "v1", "Lease", "leases"), "kube-node-lease"
AGAIN = 2.0
"""Seconds until it is worth asking again."""
PATIENCE = 60.0
"""Seconds after which nothing is waited for any more: the node would not be Ready, if anybody looked after that."""
_FRESH = 1.0


class Pulse:
    """Remembers who asks about which node, and what its lease said then."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._asked: dict[Hashable, tuple[float, str]] = {}
        self._read: dict[str, tuple[float, str | None]] = {}

    async def felt(self, who: Hashable, node: str) -> bool:
        """Whether the node has been heard of since `who` asked first. Also true where it has no lease that tells."""
        now, renewed = asyncio.get_running_loop().time(), await self._renewed(node)
        if renewed is None:
            return True
        since, before = self._asked.setdefault(who, (now, renewed))
        return renewed != before or now - since > PATIENCE

    def forget(self, who: Hashable) -> None:
        """Whoever asked does not any more."""
        self._asked.pop(who, None)

    async def _renewed(self, node: str) -> str | None:
        now = asyncio.get_running_loop().time()
        at, said = self._read.get(node, (now - _FRESH, None))
        if now - at < _FRESH:
            return said
        try:
            lease = await self._cluster.get(LEASE, node, SPACE)
        except (NotFound, Forbidden):
            self._read.pop(node, None)
            return None
        said = str((lease.get("spec") or {}).get("renewTime") or "")
        self._read[node] = now, said
        return said
