"""What a cluster knows of the others' networks, kept current: from Liqo's Configurations, and the addresses it lends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from continuo.federation import names
from continuo.federation.reflection.hub import Hub, synced
from continuo.federation.reflection.places import Atlas
from continuo.resources import kinds
from continuo.resources.errors import Forbidden, NotFound
from continuo.resources.meta import Object, deleting, labels_of

log = logging.getLogger(__name__)


async def liqo_id(hub: Hub) -> str | None:
    """What the cluster is called in Liqo; None where Liqo is not installed, or is none of our business."""
    try:
        found = await hub.cluster.get(kinds.CONFIG_MAP, names.CLUSTER_ID_CONFIG_MAP, names.LIQO_NAMESPACE)
    except (NotFound, Forbidden):
        return None
    return (found.get("data") or {}).get(names.CLUSTER_ID_KEY) or None


def drawn(cluster: str, configurations: Iterable[Object], lent: Iterable[Object]) -> Atlas:
    """The atlas of a cluster with Liqo's networking."""
    networks: dict[str, str] = {}
    externals: dict[str, str] = {}
    own: str | None = None
    for found in configurations:
        peer = labels_of(found).get(names.REMOTE_CLUSTER_ID)
        if peer is None or deleting(found):
            continue
        seen = ((found.get("status") or {}).get("remote") or {}).get("cidr") or {}
        for kind, known in (("pod", networks), ("external", externals)):
            if cidrs := seen.get(kind):
                known[peer] = cidrs[0]
        local = (((found.get("spec") or {}).get("local") or {}).get("cidr") or {}).get("pod")
        own = local[0] if local else own
    published = {
        obj["spec"]["ip"]: obj["status"]["ip"] for obj in lent if (obj.get("status") or {}).get("ip")
    }  # fmt: skip
    return Atlas(cluster, networks, externals, own, published, flat=False)


async def atlas_of(hub: Hub) -> AtlasKeeper | None:
    """The atlas of a cluster, which all who ask share; None where Liqo does not look after its addresses."""
    async with hub.lock:
        if hub.maps is None and (cluster := await liqo_id(hub)) is not None:
            hub.maps = keeper = AtlasKeeper(hub, cluster)
            await keeper.start()
        return hub.maps if isinstance(hub.maps, AtlasKeeper) else None


class AtlasKeeper:
    """One cluster's atlas, for all its reflections."""

    def __init__(self, hub: Hub, cluster: str) -> None:
        self._cluster = cluster
        self._configurations = hub.all_of(kinds.CONFIGURATION, optional=True)
        self._lent = hub.all_of(kinds.IP, optional=True)
        self._callbacks: list[Callable[[], None]] = []
        self._due = False
        self.atlas = Atlas(cluster, flat=False)

    async def start(self) -> None:
        """Read it, and follow it."""
        await synced((self._configurations, self._lent))
        self._draw()
        for share in (self._configurations, self._lent):
            share.follow(lambda _old, _new: self._later())

    def follow(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back when it changed; returns what ends that."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    async def close(self) -> None:
        """Follow no more."""
        await asyncio.gather(self._configurations.close(), self._lent.close())

    def _later(self) -> None:
        """Many changes of one moment are one."""
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._draw)

    def _draw(self) -> None:
        self._due = False
        new = drawn(self._cluster, self._configurations.all(), self._lent.all())
        if new != self.atlas:
            self.atlas = new
            for callback in list(self._callbacks):
                callback()
