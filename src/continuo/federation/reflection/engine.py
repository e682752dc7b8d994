"""One reflection, running: registers the node, follows both clusters, works until it is cancelled.

Everything is derived from the two clusters, so it may be killed at any line and started again. When it ends the node and
its pods stay: the node turns NotReady by itself if nobody takes it up again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from continuo.federation.quantities import capacity
from continuo.federation.reflection.node import NodeKeeper
from continuo.federation.reflection.object_reflector import ObjectReflector
from continuo.federation.reflection.pod_reflector import PodReflector, ensure_namespace
from continuo.federation.reflection.twin import VIRTUAL_NODE, Twin
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.errors import ApiError, BadRequest
from continuo.resources.meta import labels_of
from continuo.runtime.informer import Informer

log = logging.getLogger(__name__)

BEAT, BEAT_WHILE_AWAY = 10.0, 2.0
"""Seconds between two looks at whether the remote cluster answers, and signs of life of the node."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user says about a reflection."""

    node: str
    namespaces: frozenset[str]
    offer: Mapping[str, str] = field(default_factory=dict)
    """What the node offers, where it is not what the remote cluster's nodes have together."""
    remote_pods: str | None = None
    home_pods: str | None = None


class Reflection:
    """Pods of one cluster's virtual node, run by another cluster."""

    def __init__(
        self,
        home: Cluster,
        remote: Cluster,
        settings: Settings,
        *,
        beat: float = BEAT,
        while_away: float = BEAT_WHILE_AWAY,
    ) -> None:
        self._home, self._remote, self._settings = home, remote, settings
        self._beats = beat, while_away
        self.ready = asyncio.Event()
        """Set when the node says how the remote cluster is, and everything that was there is being looked at."""
        self._answers = True

    async def run(self) -> None:
        """Reflect until cancelled. Raises what stands in the way at the start."""
        twin, keeper = await self._begin()
        reach = self._reachable
        pods = PodReflector(self._home, self._remote, twin, reachable=reach)
        objects = ObjectReflector(self._home, self._remote, twin, reachable=reach)
        parts = (pods, objects)
        informers = [pods.pods, pods.copies, *objects.informers]
        try:
            await _synced(informers)
            for part in parts:
                part.follow()
                part.controller.start()
            log.info("node %s of cluster %s stands for cluster %s", twin.node, self._home.name, self._remote.name)
            await self._beat(keeper, parts)
        finally:
            await asyncio.gather(*(part.controller.stop() for part in parts))
            await asyncio.gather(*(informer.stop() for informer in informers))

    def _reachable(self) -> bool:
        return self._answers

    async def _begin(self) -> tuple[Twin, NodeKeeper]:
        origin, there = await asyncio.gather(identity(self._home), identity(self._remote))
        if origin == there:
            raise BadRequest("both kubeconfigs lead to the same cluster: a cluster cannot be a node of itself")
        settings = self._settings
        offer = {**await self._capacity(), **settings.offer}
        keeper = NodeKeeper(self._home, settings.node, offer)
        await keeper.register(there)
        for namespace in sorted(settings.namespaces):
            await ensure_namespace(self._remote, namespace)
        return Twin(settings.node, origin, there, settings.namespaces, settings.remote_pods, settings.home_pods), keeper

    async def _capacity(self) -> dict[str, str]:
        nodes = (await self._remote.list(kinds.NODE)).items
        return capacity(node for node in nodes if VIRTUAL_NODE not in labels_of(node))

    async def _beat(self, keeper: NodeKeeper, parts: Iterable[PodReflector | ObjectReflector]) -> None:
        """Keep the node as Ready as the remote cluster is, for ever."""
        while True:
            why = await self._away()
            came_back = why is None and not self._answers
            self._answers = why is None
            try:
                await keeper.renew()
                await keeper.report(why is None, why or f"cluster {self._remote.name} answers")
                self.ready.set()
            except ApiError as error:
                log.warning("cluster %s was not told how its node is: %s", self._home.name, error)
            if came_back:
                log.info("cluster %s answers again", self._remote.name)
                for part in parts:
                    part.look_at_all()
            await asyncio.sleep(self._beats[0 if why is None else 1])

    async def _away(self) -> str | None:
        """Why the remote cluster cannot be worked with; None when it can."""
        try:
            await self._remote.raw("/readyz")
        except ApiError as error:
            if self._answers:
                log.warning("cluster %s does not answer: %s", self._remote.name, error)
            return str(error)
        return None


async def identity(cluster: Cluster) -> str:
    """What no other cluster has: the UID of its namespace kube-system."""
    found: str = (await cluster.get(kinds.NAMESPACE, "kube-system"))["metadata"]["uid"]
    return found


async def _synced(informers: list[Informer]) -> None:
    for informer in informers:
        informer.start()
    await asyncio.gather(*(informer.synced.wait() for informer in informers))
