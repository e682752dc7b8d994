"""Taking a virtual node away whose cluster may be out of reach, and what it left there when that cluster is back.

If the remote cluster answers, what is ours there goes first, so that nothing runs twice. If it does not, its pods are given
up at home at once, which is what the user asked for; the remote's part waits. That it waits is remembered by the
declaration alone (`Peer.detached`), and what is to be removed by the labels on it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from continuo.federation.reflection.engine import identity
from continuo.federation.reflection.hub import Hub
from continuo.federation.reflection.node import LEASES
from continuo.federation.reflection.objects import KINDS, MANAGED_BY, OURS
from continuo.federation.reflection.twin import ORIGIN, THROUGH, VIRTUAL_NODE
from continuo.federation.reflection.vacated import Vacated
from continuo.kube.port import Cluster
from continuo.kube.sweep import delete_all
from continuo.resources import kinds
from continuo.resources.errors import NotFound
from continuo.resources.meta import Kind, labels_of
from continuo.runtime.informer import Informer, Watch

log = logging.getLogger(__name__)

LOOK = 2.0
"""Seconds between two looks at a cluster that is away."""
LOOKS = 3
"""How often a cluster has to be found away before its pods are given up."""
PAUSE = 0.1
"""Seconds until a namespace that is not empty is looked at again, which doubles up to `LOOK`."""


class Detachment:
    """The end of one virtual node."""

    def __init__(self, home: Hub, remote: Hub, node: str, say: Callable[[str], None], *, look: float = LOOK) -> None:
        self._home, self._remote, self._node, self._say, self._look = home, remote, node, say, look

    async def run(self) -> None:
        """Return when nothing is left at either end."""
        origin = await identity(self._home.cluster)
        if (why := await self._is_away()) is None:
            await self._sweep_remote(origin)
            await self._sweep_home()
        else:
            await self._sweep_home()
            self._say(f"cluster {self._remote.name} does not answer, so what is left there stays: {why}")
            log.warning("node %s is detached; what it left in cluster %s waits: %s", self._node, self._remote.name, why)
            await self._wait_for_remote()
            await self._sweep_remote(origin)
        self._say("")
        log.info("node %s of cluster %s is detached, and nothing of it is left", self._node, self._home.name)

    async def _is_away(self) -> str | None:
        """Why the remote cluster counts as away: one look that fails does not give up pods that may well be running."""
        for _ in range(LOOKS - 1):
            if await self._remote.away() is None:
                return None
            await asyncio.sleep(self._look)
        return await self._remote.away()

    async def _wait_for_remote(self) -> None:
        while True:
            if await self._remote.away() is None:
                return
            await asyncio.sleep(self._look)

    async def _sweep_home(self) -> None:
        """The node first, so that nothing more comes to it; then its pods, then its lease."""
        cluster, name = self._home.cluster, self._node
        try:
            node = await cluster.get(kinds.NODE, name)
            if VIRTUAL_NODE not in labels_of(node):
                return  # somebody else's
            await cluster.delete(kinds.NODE, name, uid=node["metadata"]["uid"])
        except NotFound:
            log.debug("node %s of cluster %s is gone already", name, cluster.name)
        await self._empty(cluster, kinds.POD, fields=f"spec.nodeName={name}", grace=0)
        try:
            await cluster.delete(kinds.LEASE, name, LEASES)
        except NotFound:
            return

    async def _sweep_remote(self, origin: str) -> None:
        """Everything that carries our labels, the pods first, and the namespaces that were made for it."""
        marks = f"{ORIGIN}={origin},{THROUGH}={self._node}"
        for kind in (kinds.POD, *KINDS):
            own = f"{marks},{MANAGED_BY}={OURS}" if kind is kinds.ENDPOINT_SLICE else marks
            await self._empty(self._remote.cluster, kind, labels=own)
        vacated, pause = Vacated(self._remote.cluster, origin), PAUSE
        while not await vacated.clear_all() and pause <= self._look:
            await asyncio.sleep(pause)  # what Kubernetes removes after a pod takes a moment
            pause *= 2

    async def _empty(
        self, cluster: Cluster, kind: Kind, *, labels: str | None = None, fields: str | None = None,
        grace: int | None = None,
    ) -> None:  # fmt: skip
        """Delete what is seen, by its UID, until nothing is: a deletion that was asked for is followed to its end."""
        asked, changed = set[str](), asyncio.Event()
        informer = Informer(cluster, Watch(kind, labels=labels, fields=fields))
        informer.on_change(lambda _old, _new: changed.set())
        informer.start()
        try:
            await self._until(informer.synced, informer)
            while found := list(informer.cache):
                self._say(f"{len(found)} {kind.plural} of cluster {cluster.name} are being removed")
                changed.clear()
                doomed = [obj for obj in found if obj["metadata"]["uid"] not in asked]
                asked |= {obj["metadata"]["uid"] for obj in doomed}
                await delete_all(cluster, kind, doomed, grace)
                if not doomed:
                    await self._until(changed, informer)
        finally:
            await informer.stop()

    async def _until(self, event: asyncio.Event, informer: Informer) -> None:
        """Wait for an event of the informer's; raises why its cluster does not answer, so that all is judged anew."""
        while not event.is_set():
            try:
                async with asyncio.timeout(self._look):
                    await event.wait()
            except TimeoutError:
                if informer.last_error is not None:
                    raise informer.last_error from None
