"""Keeps what a virtual node at a consumer says it has, where Continuo's own reflection made the node."""

from __future__ import annotations

import asyncio
import logging

from continuo.broker.readers.amounts import spell
from continuo.broker.readers.port import Changes, ResourceReader
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.errors import ApiError
from continuo.resources.meta import Object, labels_of
from continuo.runtime.controller import DONE, Controller, Result
from continuo.runtime.informer import Informer, Watch

log = logging.getLogger(__name__)

MANAGER = "continuo-aggregator"
_VIRTUAL = "continuo.dev/virtual-node"


class NodeCapacity:
    """One virtual node in the cluster `home`, kept equal to what a reader offers `originator`.

    A reader that cannot tell offers nothing: the node keeps its pods and gets no more. Nodes that are not our reflection's
    are left alone.
    """

    def __init__(self, home: Cluster, node: str, reader: ResourceReader, originator: str) -> None:
        self._home, self._node, self._reader, self._originator = home, node, reader, originator
        self._informer = Informer(home, Watch(kinds.NODE, fields=f"metadata.name={node}"))
        self._informer.on_change(lambda _old, _new: self._controller.add(node))
        self._controller: Controller[str] = Controller(f"capacity of node {node}", self._reconcile, workers=1)
        self._task: asyncio.Task[None] | None = None
        self._changes: Changes | None = None

    async def start(self) -> None:
        """Keep it from now on; the node may come later."""
        self._changes = self._reader.subscribe()
        self._informer.start()
        self._controller.start()
        self._task = asyncio.create_task(self._hear(self._changes), name=f"changes for node {self._node}")

    async def stop(self) -> None:
        """Keep it no more; it stays as it is."""
        await self._controller.stop()
        if self._task is not None and self._changes is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._changes.aclose()
        await self._informer.stop()

    async def _hear(self, changes: Changes) -> None:
        async for _ in changes:
            self._controller.add(self._node)

    async def _reconcile(self, name: str) -> Result:
        node = self._informer.cache.get(("", name))
        if node is None or _VIRTUAL not in labels_of(node) or "deletionTimestamp" in node["metadata"]:
            return DONE
        try:
            offered = spell(await self._reader.read(self._originator))
        except ApiError as error:
            log.warning("node %s gets no more pods: %s", name, error)
            offered = {}
        patch = capacity_patch(node, offered)
        if patch is not None:
            written = await self._home.patch(kinds.NODE, name, patch, subresource="status", manager=MANAGER)
            self._informer.learn(written)
        return DONE


def capacity_patch(node: Object, offered: dict[str, str]) -> Object | None:
    """The merge patch after which the node has exactly that; what it had and has no more is zero. None if it is so."""
    before = (node.get("status") or {}).get("allocatable") or {}
    wanted = {**dict.fromkeys(before, "0"), **offered}
    return None if wanted == before else {"status": {"capacity": wanted, "allocatable": wanted}}
