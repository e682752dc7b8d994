"""One reflection, running: registers the node, follows both clusters, works until it is cancelled.

Everything is derived from the two clusters, so it may be killed at any line and started again. When it ends the node and
its pods stay: the node turns NotReady by itself if nobody takes it up again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from continuo.federation.reflection.atlas import atlas_of, liqo_id
from continuo.federation.reflection.bound import Bought
from continuo.federation.reflection.event_reflector import EventReflector
from continuo.federation.reflection.hub import Hub, synced
from continuo.federation.reflection.node import NodeKeeper
from continuo.federation.reflection.object_reflector import ObjectReflector
from continuo.federation.reflection.objects import Where
from continuo.federation.reflection.offer import Offer
from continuo.federation.reflection.pair import Pair, Placement, later
from continuo.federation.reflection.places import ROOT_CID, ROOT_IP, Atlas, Place
from continuo.federation.reflection.pod_reflector import PodReflector
from continuo.federation.reflection.relays import Relays
from continuo.federation.reflection.scope import Scope
from continuo.federation.reflection.spaces import Naming
from continuo.federation.reflection.twin import Twin
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.errors import ApiError, BadRequest
from continuo.resources.meta import Object, annotations_of

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
    home_id: str | None = None
    """What the home cluster is called among clusters; by default as in Liqo, else the UID of kube-system."""
    remote_id: str | None = None
    naming: Naming = "same"
    scheduler: str | None = None
    """Who places the pods there; by default that cluster's own scheduler."""
    consumers: bool = False
    """Reflect consumers' namespaces as well, while pods of theirs are on the node: what a broker needs."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of the node, besides those that every virtual node has."""
    taints: tuple[Mapping[str, str], ...] = ()
    offload: bool = False
    """Reflect those namespaces of the home cluster, too, whose label `continuo.dev/offload` names the node."""
    counted: str | None = None
    """Label of the remote's nodes that are counted for the offer; by default its real nodes are."""
    opaque: bool = False
    """Say nothing at home of what is behind the remote cluster."""
    bought: Bought | None = None
    """Send no more than this, whatever the node says; None: whatever the remote cluster takes."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What works while a reflection runs."""

    pods: PodReflector
    objects: ObjectReflector
    events: EventReflector
    scope: Scope

    def look_at_all(self) -> None:
        self.pods.look_at_all()
        self.objects.look_at_all()
        self.scope.look_at_all()

    async def close(self) -> None:
        await self.scope.close()
        await asyncio.gather(self.pods.close(), self.objects.close(), self.events.close())


class Reflection:
    """Pods of one cluster's virtual node, run by another cluster.

    Given hubs, it shares their watches with other reflections, and knows what Liqo's networking says of addresses.
    """

    def __init__(
        self,
        home: Cluster | Hub,
        remote: Cluster | Hub,
        settings: Settings,
        *,
        beat: float = BEAT,
        while_away: float = BEAT_WHILE_AWAY,
        ready: asyncio.Event | None = None,
        relays: Relays | None = None,
        place: Placement = later,
        told: Mapping[str, str] | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._home = home if isinstance(home, Hub) else Hub(home, wide=False)
        self._remote = remote if isinstance(remote, Hub) else Hub(remote, wide=False)
        self._settings, self._beats = settings, (beat, while_away)
        self._relays, self._place = relays or Relays(), place
        self.ready = ready or asyncio.Event()
        """Set when the node says how the remote cluster is, and everything that was there is being looked at."""
        self._changed = changed
        self.away: str | None = None
        """Why the remote cluster cannot be worked with now; None when it can."""
        self._look = asyncio.Event()
        self._offer = Offer(self._remote, settings.offer, settings.counted, self._look.set, told)

    def offer(self, resources: Mapping[str, str] | None) -> None:
        """Let the node offer this from now on; None: what the remote cluster's nodes have together."""
        self._offer.tell(resources)

    async def run(self) -> None:
        """Reflect until cancelled. Raises what stands in the way at the start."""
        try:
            await self._run()
        finally:
            await self._offer.close()

    async def _run(self) -> None:
        pair, keeper = await self._begin()
        pods = PodReflector(pair)
        where = _whereabouts(self._home) if self._home.wide else None
        objects = ObjectReflector(pair) if where is None else ObjectReflector(pair, where)
        events = EventReflector(pair, pods)
        parts = _Parts(pods, objects, events, Scope(pair, self._settings.namespaces, pods, objects, events))
        maps = await self._maps(pair, parts) if self._home.wide else []
        try:
            await synced((pods.pods, pods.copies, *objects.shares))
            await parts.scope.begin(consumers=self._settings.consumers, offload=self._settings.offload)
            objects.controller.start()
            objects.follow_copies()
            pods.start()
            events.start()
            log.info("node %s of cluster %s stands for cluster %s", pair.twin.node, self._home.name, self._remote.name)
            await self._beat(keeper, pair, parts)
        finally:
            for stop in maps:
                stop()
            await parts.close()

    async def _begin(self) -> tuple[Pair, NodeKeeper]:
        home, remote, settings = self._home.cluster, self._remote.cluster, self._settings
        origin, there = await asyncio.gather(identity(home), identity(remote))
        if origin == there:
            raise BadRequest("both kubeconfigs lead to the same cluster: a cluster cannot be a node of itself")
        own, its = await asyncio.gather(
            _called(self._home, settings.home_id, origin), _called(self._remote, settings.remote_id, there)
        )
        await self._offer.start()
        taints = [dict(taint) for taint in settings.taints]
        keeper = NodeKeeper(home, settings.node, labels=settings.labels, taints=taints)
        await keeper.register(there)
        twin = Twin(
            settings.node, origin, there, settings.namespaces, settings.remote_pods, settings.home_pods,
            home_id=own, remote_id=its, naming=settings.naming, scheduler=settings.scheduler,
            here=Atlas(own), there=Atlas(its), opaque=settings.opaque,
        )  # fmt: skip
        pair = Pair(
            self._home, self._remote, twin, relays=self._relays, place=self._place, bought=settings.bought
        )  # fmt: skip
        for namespace in sorted(settings.namespaces):
            await pair.ensure_namespace(namespace)
        return pair, keeper

    async def _maps(self, pair: Pair, parts: _Parts) -> list[Callable[[], None]]:
        """Follow what both clusters know of addresses."""
        keepers = [await atlas_of(self._home), await atlas_of(self._remote)]

        def drawn() -> None:
            twin, (here, there) = pair.twin, keepers
            pair.twin = replace(
                twin,
                here=replace(here.atlas, cluster=twin.home_id) if here is not None else twin.here,
                there=replace(there.atlas, cluster=twin.remote_id) if there is not None else twin.there,
            )

        def changed() -> None:
            drawn()
            parts.look_at_all()

        drawn()
        return [keeper.follow(changed) for keeper in keepers if keeper is not None]

    async def _beat(self, keeper: NodeKeeper, pair: Pair, parts: _Parts) -> None:
        """Keep the node as Ready as the remote cluster is, for ever."""
        while True:
            before, why = self.away, await self._remote.away()
            self.away = why
            if why is not None and pair.answers:
                log.warning("cluster %s does not answer: %s", self._remote.name, why)
            came_back = why is None and not pair.answers
            pair.answers = why is None
            try:
                await keeper.renew()
                await keeper.report(why is None, why or f"cluster {self._remote.name} answers", self._offer.now)
                if not self.ready.is_set() or before != why:
                    self.ready.set()
                    self._changed()
            except ApiError as error:
                log.warning("cluster %s was not told how its node is: %s", self._home.name, error)
            if came_back:
                log.info("cluster %s answers again", self._remote.name)
                self._remote.retry()
                pair.ours.clear()
                parts.look_at_all()
            await self._until_next(self._beats[0 if why is None else 1])

    async def _until_next(self, beat: float) -> None:
        """Until the next look is due, or what is on offer changed."""
        try:
            async with asyncio.timeout(beat):
                await self._look.wait()
        except TimeoutError:
            return
        self._look.clear()


async def identity(cluster: Cluster) -> str:
    """What no other cluster has: the UID of its namespace kube-system."""
    found: str = (await cluster.get(kinds.NAMESPACE, "kube-system"))["metadata"]["uid"]
    return found


async def _called(hub: Hub, said: str | None, uid: str) -> str:
    return said or await liqo_id(hub) or uid


def _whereabouts(home: Hub) -> Where:
    """Where the pod of an endpoint runs: as its annotations say, if it went through a virtual node."""

    def where(endpoint: Object) -> Place | None:
        target = endpoint.get("targetRef") or {}
        pod = home.pod((target.get("namespace") or "", target.get("name") or ""))
        said = annotations_of(pod) if pod is not None else {}
        return Place(said[ROOT_CID], said[ROOT_IP]) if ROOT_CID in said and ROOT_IP in said else None

    return where
