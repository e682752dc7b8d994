"""All parts of one broker, started in an order in which nothing is decided before it is known, and stopped together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack

from prometheus_client.core import Metric

from continuo.broker.aggregate.loop import Aggregator
from continuo.broker.aggregate.slice_loop import CLASS, SliceController
from continuo.broker.contracts.controller import Contracted
from continuo.broker.paths import Paths
from continuo.broker.paths.loop import LINGER
from continuo.broker.readers.amounts import spell
from continuo.broker.readers.port import Changes
from continuo.broker.selector.desk import PODS
from continuo.broker.selector.selector import Selector
from continuo.broker.station.keeper import Keeper
from continuo.broker.station.layout import Home
from continuo.broker.station.lending import Lender
from continuo.broker.station.members import Members, Who
from continuo.federation.model import LinkSettings
from continuo.federation.reflection.atlas import AtlasKeeper, atlas_of, liqo_id
from continuo.federation.reflection.fleet import Fleet
from continuo.federation.reflection.hub import POD_INDEXERS
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.errors import ApiError
from continuo.runtime.clusterset import Connect
from continuo.runtime.informer import Watch
from continuo.runtime.sharing import SharedInformer

log = logging.getLogger(__name__)


class Station:
    """One broker. `name` is what its node is called at consumers, and its identifier where it has none in Liqo."""

    def __init__(
        self,
        broker: Cluster,
        connect: Connect,
        *,
        name: str = "broker",
        instance: str = "continuo-broker",
        class_: str = CLASS,
        links: LinkSettings | None = None,
        fleet: Fleet | None = None,
        linger: float | None = None,
    ) -> None:
        self._broker, self._connect, self._name, self._instance = broker, connect, name, instance
        self._class, self._links, self._linger = class_, links, linger
        self.fleet = fleet or Fleet()
        self._pods = SharedInformer(broker, Watch(kinds.POD, indexers={**PODS, **POD_INDEXERS}))
        self.selector = Selector(broker, instance=instance, pods=self._pods, node=name)
        self.aggregator = Aggregator(broker, pods=self._pods, node=name)
        self.members = Members(broker, connect)
        self.ready = asyncio.Event()
        """Set when everything that was there is known and being looked at."""
        self.paths: Paths | None = None
        self.contracts: Contracted | None = None

    def figures(self) -> Iterable[Metric]:
        """Contracts, as metrics; nothing while they are not known."""
        return self.contracts.figures() if self.contracts is not None else ()

    def trouble(self) -> str:
        """Why it cannot work now, in one sentence; empty when it can."""
        return self.selector.trouble() if self.ready.is_set() else "the broker's cluster is still being read"

    async def run(self) -> None:
        """Work until cancelled; everything stays as it is then. Raises what stands in the way at the start."""
        async with AsyncExitStack() as stack:
            placing = asyncio.create_task(self.selector.run(), name="selector")
            stack.push_async_callback(_end, placing)
            await _first(placing, self.selector.ready.wait())
            tasks = [placing, *await self._start(stack)]
            self.ready.set()
            log.info("the broker of cluster %s works", self._broker.name)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()

    async def _start(self, stack: AsyncExitStack) -> list[asyncio.Task[None]]:
        hub = self.fleet.add_cluster(self._broker, self._pods)
        hub.home = True
        stack.push_async_callback(self.members.close)  # last: a client that is closed looks like a cluster that is gone
        stack.push_async_callback(self.fleet.close)
        self.fleet.placed_by(self._broker.name, self.selector.placement)
        home = Home(self._broker.name, await liqo_id(hub) or self._name, self._name)
        stack.push_async_callback(self.aggregator.stop)
        await self.aggregator.start()
        offers = self.aggregator.subscribe()  # before the keeper asks first, so that it misses nothing
        stack.push_async_callback(offers.aclose)
        slices = SliceController(self._broker, self.aggregator, class_=self._class)
        stack.push_async_callback(slices.stop)
        await slices.start()
        networks = Networks(self._paths(home.id))
        networks.paths.add(home.id, self._broker)
        contracts = Contracted(self._broker, self.fleet, self.members, networks=networks.paths)
        self.contracts = contracts
        stack.push_async_callback(contracts.stop)
        keeper = Keeper(self._broker, home, self.fleet, self.members, networks, self._offer, claimed=contracts.claims)
        contracts.follow(keeper.let_go)
        stack.push_async_callback(keeper.stop)
        await keeper.start()
        await contracts.start()
        keeper.let_go()
        stack.push_async_callback(networks.paths.close)
        await networks.paths.start()  # what is lent is taken from pods that are not known to need it
        maps = await atlas_of(hub)
        if maps is not None:
            await self._lend(stack, maps, networks.paths)
        work = (networks.paths.run(), networks.hear(keeper.let_go), _hear(offers, keeper.offers_changed))
        tasks = [asyncio.create_task(each) for each in work]
        for task in tasks:
            stack.push_async_callback(_end, task)
        return tasks

    def _paths(self, broker_id: str) -> Paths:
        linger = LINGER if self._linger is None else self._linger
        self.paths = Paths(self._broker, broker_id, settings=self._links, linger=linger, pods=self._pods)
        return self.paths

    def _offer(self, aggregate: str) -> Mapping[str, str]:
        """What an aggregate's node offers; nothing while nobody can say."""
        try:
            return spell(self.aggregator.capacity(aggregate))
        except ApiError:
            return {}

    async def _lend(self, stack: AsyncExitStack, maps: AtlasKeeper, paths: Paths) -> None:
        lender = Lender(self._broker, lambda ip: not maps.atlas.owns(ip), paths.through, self._pods)
        stack.push_async_callback(lender.stop)
        stack.callback(maps.follow(lender.look_at_all))
        stack.callback(paths.on_judged(lender.look_at))
        await lender.start()


class Networks:
    """The paths of a broker, as the keeper of nodes needs them: one cluster may be a provider and a consumer."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self._known: dict[Who, tuple[str, Cluster]] = {}

    def add(self, who: Who, cluster_id: str, cluster: Cluster) -> None:
        """Let networks lead to a cluster."""
        self._known[who] = cluster_id, cluster
        self.paths.add(cluster_id, cluster)

    async def remove(self, who: Who) -> None:
        """Know it no more, unless somebody else is the same cluster."""
        cluster_id, _ = self._known.pop(who, ("", None))
        if not cluster_id:
            return
        await self.paths.remove(cluster_id)
        for same in self._same(cluster_id):
            self.paths.add(cluster_id, same)

    def expect(self, who: str, cluster_id: str | None, node: str = "") -> None:
        """On somebody's account networks may lead to a cluster; None: no more."""
        self.paths.expect(who, cluster_id, node)

    def busy(self, who: Who) -> bool:
        """Whether a network of the cluster is still there, or on its way, which nobody else could take away."""
        cluster_id, _ = self._known.get(who, ("", None))
        if len(self._same(cluster_id)) > 1:
            return False
        return any(cluster_id in standing.ends for standing in self.paths.standings)

    def _same(self, cluster_id: str) -> list[Cluster]:
        return [cluster for known, cluster in self._known.values() if known == cluster_id]

    async def hear(self, changed: Callable[[], None]) -> None:
        """Say whenever a network came or went."""
        while True:
            await self.paths.changed.wait()
            self.paths.changed.clear()
            changed()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _hear(changes: Changes, changed: Callable[[], None]) -> None:
    async for _ in changes:
        changed()


async def _first(work: asyncio.Task[None], ready: Coroutine[object, object, object]) -> None:
    """Wait until it is ready, or raise why it ended before."""
    waiting = asyncio.create_task(ready)
    try:
        await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
    finally:
        waiting.cancel()
