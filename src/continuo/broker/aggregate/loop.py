"""The aggregator's loop: every change in the broker's cluster ends in the right status, and in readers that know it.

What each consumer is shown is a `ResourceReader` here, so that it can be served, chained, answered to Liqo's slices or
written on a virtual node.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from fractions import Fraction

from continuo.broker.aggregate.decide import decide
from continuo.broker.aggregate.model import Offer, Pool
from continuo.broker.aggregate.observe import Caches, observe, provider_nodes
from continuo.broker.aggregate.status import said_already, status_of
from continuo.broker.readers.amounts import total
from continuo.broker.readers.freshness import Freshness
from continuo.broker.readers.monitor import what_counts
from continuo.broker.readers.port import Bell, Changes, ResourceReader, Resources
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.broker import AGGREGATE, CONSUMER, PROVIDER
from continuo.resources.errors import ApiError, NotFound, Unreachable
from continuo.resources.meta import Kind, Object
from continuo.runtime.controller import DONE, Controller, Result
from continuo.runtime.informer import Informer, Watch

log = logging.getLogger(__name__)

MANAGER = "continuo-aggregator"
SETTLE = 0.05
"""Seconds for which changes are gathered before they are looked at together."""
_ALL = "all"


class Aggregator:
    """All aggregates of one broker's cluster. `readers` tell of providers instead of their nodes, by Provider's name.

    `node` is what the broker's own node is called at consumers.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        readers: Mapping[str, ResourceReader] | None = None,
        pods: Informer | None = None,
        broker_id: str = "broker",
        node: str = "broker",
        bound: float = 300.0,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._cluster, self._readers = cluster, dict(readers or {})
        self._broker_id, self._node = broker_id, node
        self._now = now or (lambda: datetime.now(UTC))
        self._bell = Bell()
        self.offers: Mapping[str, Offer] = {}
        """By Aggregate: what was decided last."""
        self._consumers: dict[str, list[str]] = {}
        self._decided = False
        self._cost = 0.0
        """Seconds that the last decision took."""
        self._controller: Controller[str] = Controller("aggregator", self._round, workers=1)
        self._books = provider_nodes()
        self._informers = {kind: Informer(cluster, watch) for kind, watch in _watches().items()}
        if pods is not None:
            self._informers[kinds.POD] = pods
        self._fresh = Freshness(cluster.name, tuple(self._informers.values()), bound, self._bell)
        self._tasks: list[asyncio.Task[None]] = []
        self._ears: list[Changes] = []
        caches = {kind: informer.cache for kind, informer in self._informers.items()}
        self._caches = Caches(caches[AGGREGATE], caches[PROVIDER], caches[CONSUMER], caches[kinds.NODE], self._books)
        self._follow()

    def _follow(self) -> None:
        book = {kinds.NODE: self._books.node, kinds.POD: self._books.pod, kinds.NAMESPACE: self._books.namespace}

        def following(kind: Kind) -> Callable[[Object | None, Object | None], None]:
            def change(old: Object | None, new: Object | None) -> None:
                if kind in book:
                    matters = book[kind](old, new)
                    if not matters and kind is not kinds.NODE:
                        return
                self._look()

            return change

        for kind, informer in self._informers.items():
            informer.on_change(following(kind))

    def _look(self) -> None:
        self._controller.queue.add_after(_ALL, SETTLE + 4 * self._cost)  # a large picture takes a fifth of the time

    # --- running ------------------------------------------------------------------------------------------------------
    async def start(self) -> None:
        """Follow the cluster and the readers; returns when the first decision is made."""
        for informer in self._informers.values():
            informer.start()
        await asyncio.gather(*(informer.synced.wait() for informer in self._informers.values()))
        for reader in self._readers.values():
            changes = reader.subscribe()
            self._ears.append(changes)
            self._tasks.append(asyncio.create_task(self._hear(changes)))
        self._fresh.start()
        first = self.subscribe()
        self._controller.start()
        self._controller.add(_ALL)
        await first.__anext__()
        await first.aclose()

    async def stop(self) -> None:
        """Follow nothing more; what the statuses say stays."""
        await self._controller.stop()
        await self._fresh.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for ear in self._ears:
            await ear.aclose()
        await asyncio.gather(*(informer.stop() for informer in self._informers.values()))

    async def _hear(self, changes: Changes) -> None:
        async for _ in changes:
            self._look()

    # --- one round ----------------------------------------------------------------------------------------------------
    async def _round(self, _: str) -> Result:
        told = await self._told()
        began = asyncio.get_running_loop().time()
        seen = observe(self._caches, told, self._node)
        offers = decide(seen.picture)
        self._cost = asyncio.get_running_loop().time() - began
        changed = offers != self.offers or not self._decided
        self._consumers = {}
        for want in seen.picture.wants:
            self._consumers.setdefault(want.consumer, []).append(want.name)
        self.offers, self._decided = offers, True
        if changed:
            self._bell.ring()
        await self._tell(offers, seen.problems)
        return DONE

    async def _told(self) -> dict[str, Pool]:
        async def ask(name: str, reader: ResourceReader) -> tuple[str, Pool]:
            try:
                return name, Pool(await reader.read(self._broker_id))
            except ApiError as error:
                return name, Pool(None, {}, f"provider {name}: {error}")

        return dict(await asyncio.gather(*(ask(name, reader) for name, reader in self._readers.items())))

    async def _tell(self, offers: Mapping[str, Offer], problems: Mapping[str, tuple[str, str]]) -> None:
        stamp = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        for aggregate in list(self._caches.aggregates):
            name = aggregate["metadata"]["name"]
            status = status_of(aggregate, offers.get(name), problems.get(name), stamp)
            if said_already(status, aggregate) or "deletionTimestamp" in aggregate["metadata"]:
                continue
            wanted = AGGREGATE.new(name, status=status)
            wanted["metadata"]["uid"] = aggregate["metadata"]["uid"]  # not one that was made anew meanwhile
            try:
                written = await self._cluster.apply(wanted, manager=MANAGER, subresource="status")
            except NotFound:
                continue  # it went, and its deletion is on the way
            self._informers[AGGREGATE].learn(written)

    # --- the reader ---------------------------------------------------------------------------------------------------
    async def read(self, originator: str) -> dict[str, Fraction]:
        """What that consumer is shown: all of its aggregates together, nothing if it has none."""
        self._check()
        return total(self._shown(originator))

    def _shown(self, consumer: str) -> list[Resources]:
        return [self.offers[name].capacity for name in self._consumers.get(consumer, ())]

    def capacity(self, aggregate: str) -> Resources:
        """What one aggregate shows; NotFound where there is none."""
        self._check()
        if aggregate not in self.offers:
            raise NotFound(f"Aggregate {aggregate} does not exist, or its consumer does not")
        return self.offers[aggregate].capacity

    def _check(self) -> None:
        if not self._decided:
            raise Unreachable("the aggregator has not seen its cluster yet; ask again")
        self._fresh.check()

    async def remove(self, cluster: str) -> None:
        """Pass it on to the readers of providers; what is promised to the cluster ends with its Aggregate."""
        for name, reader in self._readers.items():
            try:
                await reader.remove(cluster)
            except ApiError as error:
                log.warning("the reader of provider %s was not told that cluster %s is gone: %s", name, cluster, error)

    def subscribe(self) -> Changes:
        """Tell whenever some consumer is shown something else."""
        return self._bell.subscribe()


def _watches() -> dict[Kind, Watch]:
    own = (AGGREGATE, PROVIDER, CONSUMER, kinds.NODE, kinds.NAMESPACE)
    return {kind: Watch(kind) for kind in own} | {kinds.POD: Watch(kinds.POD, trim=what_counts)}
