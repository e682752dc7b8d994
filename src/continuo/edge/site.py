"""All parts of one edge site in one process: what finds sensors, sells them, buys them, and makes their paths."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from prometheus_client.core import Metric

from continuo.edge.discovery.manager import EdgeResourceManager
from continuo.edge.discovery.settings import Settings as DiscoverySettings
from continuo.edge.node import IDENTITY, NAMESPACE, NodeIdentity, identity_of
from continuo.edge.rear.buyer.buyer import Buyer
from continuo.edge.rear.buyer.contracts import Linker
from continuo.edge.rear.client import Sellers
from continuo.edge.rear.seller.keeper import Lender
from continuo.edge.rear.seller.market import HOUR, YEAR, Egress
from continuo.edge.rear.seller.seller import Seller
from continuo.edge.router.desk import Settings as RouterSettings
from continuo.edge.router.egress import Resolve, pin, resolve
from continuo.edge.router.manager import RouterManager
from continuo.edge.router.ports import RelayPort
from continuo.edge.telling import tally
from continuo.kube.port import Cluster
from continuo.resources.errors import BadRequest, NotFound
from continuo.resources.kinds import CONFIG_MAP, FLAVOR
from continuo.resources.kinds import NAMESPACE as NAMESPACES

log = logging.getLogger(__name__)

MANAGER = "continuo-edge"


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator says of a site."""

    namespace: str = NAMESPACE
    sells: bool = True
    buys: bool = True
    discovers: bool = True
    discovery: DiscoverySettings = field(default_factory=DiscoverySettings)
    router: RouterSettings = field(default_factory=RouterSettings)
    expiry: float = HOUR
    """Seconds that a reservation lasts."""
    lifetime: float = YEAR
    """Seconds that a contract lasts."""
    refresh: float = 60.0
    """Seconds between two looks at what sellers have, while somebody wants that."""


@dataclass(frozen=True, slots=True)
class Partners:
    """Whom a site works with, besides its own cluster."""

    relay: RelayPort | None = None
    sellers: Sellers | None = None
    lender: Lender | None = None
    """Gives K8Slices to who bought them."""
    linker: Linker | None = None
    """Makes nodes of K8Slices that were bought."""
    resolve: Resolve = resolve


class Site:
    """One node of the market. `seller` is what its REAR gateway answers for; None where nothing is sold."""

    def __init__(
        self, cluster: Cluster, node: NodeIdentity, settings: Settings | None = None, partners: Partners | None = None
    ) -> None:
        settings, partners = settings or Settings(), partners or Partners()
        space = settings.namespace
        self.finder = (
            EdgeResourceManager(cluster, settings=settings.discovery, namespace=space) if settings.discovers else None
        )
        self.seller: Seller | None = None
        self.router: RouterManager | None = None
        if settings.sells:
            self.seller = Seller(
                cluster, node, egress=egress_of(settings.router, partners.resolve), namespace=space,
                expiry=settings.expiry, lifetime=settings.lifetime, lender=partners.lender,
            )  # fmt: skip
        if settings.sells and partners.relay is not None:
            self.router = RouterManager(cluster, partners.relay, settings.router, resolve=partners.resolve)
        self.buyer = (
            Buyer(cluster, node, partners.sellers, namespace=space, refresh=settings.refresh, linker=partners.linker)
            if settings.buys and partners.sellers is not None
            else None
        )
        self.ready = asyncio.Event()
        """Set when every part knows what was there."""

    def trouble(self) -> str:
        """Why it cannot work now, in one sentence; empty when it can."""
        for part in (self.seller, self.buyer):
            if part is not None and (why := part.trouble()):
                return why
        return "" if self.ready.is_set() else "the cluster is still being read"

    def figures(self) -> Iterable[Metric]:
        """What is offered and sold, as metrics; nothing where nothing is sold."""
        return tally(*self.seller.books.seen()).metrics() if self.seller is not None else ()

    async def run(self) -> None:
        """Work until cancelled; everything stays as it is then. Raises what ended a part."""
        async with AsyncExitStack() as stack:
            for trading in (self.seller, self.buyer):
                if trading is not None:
                    stack.push_async_callback(trading.stop)
                    await trading.start()
            running = [part for part in (self.finder, self.router) if part is not None]
            tasks = [asyncio.create_task(part.run()) for part in running]
            stack.push_async_callback(_end, tasks)
            for part in running:
                await _first(part.ready, tasks)
            self.ready.set()
            log.info("the site works")
            if not tasks:
                await asyncio.Event().wait()
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()


def egress_of(settings: RouterSettings, resolve: Resolve) -> Egress:
    """What the market asks before it takes a reservation: the same that the Router Manager asks before it sends."""

    async def check(url: str) -> None:
        await pin(url, settings.policy, resolve)

    return check


async def introduce(cluster: Cluster, node: NodeIdentity | None, namespace: str = NAMESPACE) -> NodeIdentity:
    """Who this site is: as its ConfigMap says, which is written first where the operator says who. Raises BadRequest."""
    try:
        await cluster.list(FLAVOR, namespace)
    except NotFound as error:
        raise BadRequest(
            f"cluster {cluster.name} does not know what a Flavor is: install the kinds with "
            "`continuo edge crds | kubectl apply --server-side -f -`"
        ) from error
    if node is not None:
        host, _, port = node.address.rpartition(":")
        data = {"domain": node.domain, "nodeID": node.node_id, "ip": host, "port": port}
        await cluster.apply(NAMESPACES.new(namespace), manager=MANAGER)
        await cluster.apply(CONFIG_MAP.new(IDENTITY, namespace, data=data), manager=MANAGER)
    try:
        return identity_of(await cluster.get(CONFIG_MAP, IDENTITY, namespace))
    except NotFound as error:
        raise BadRequest(
            f"cluster {cluster.name} has no ConfigMap {namespace}/{IDENTITY}, so nobody knows who this site is: say so "
            "with --domain, --node-id and --advertise"
        ) from error


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _first(ready: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Wait until a part is ready, or raise why one ended before."""
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
