"""A seller, put together: what it sees, what it does when asked, and what it does by itself."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from continuo.edge.node import NAMESPACE, NodeIdentity
from continuo.edge.rear.seller.books import Books
from continuo.edge.rear.seller.closing import Closing
from continuo.edge.rear.seller.following import Following
from continuo.edge.rear.seller.keeper import Keeper, Lender
from continuo.edge.rear.seller.market import HOUR, YEAR, Egress, Market
from continuo.edge.rear.seller.shelf import Shelf
from continuo.edge.rear.seller.writes import Writes
from continuo.kube.port import Cluster
from continuo.resources.meta import Object
from continuo.runtime.backoff import Backoff


class Seller:
    """Sells what the Flavors of one cluster offer."""

    def __init__(
        self, cluster: Cluster, node: NodeIdentity, *, egress: Egress, namespace: str = NAMESPACE, expiry: float = HOUR,
        lifetime: float = YEAR, lender: Lender | None = None, clock: Callable[[], float] = time.time,
        rng: random.Random | None = None, backoff: Backoff | None = None,
    ) -> None:  # fmt: skip
        self.node, self.lender = node, lender
        self.books = Books(cluster, namespace)
        writes = Writes(self.books, rng or random.Random())
        closing = Closing(self.books, writes, node, clock, lifetime)
        self.market = Market(self.books, writes, node, closing, egress=egress, clock=clock, expiry=expiry)
        self.shelf = Shelf(self.books)
        self.following = Following(self.books)
        self._keeper = Keeper(self.books, writes, closing, clock=clock, expiry=expiry, lender=lender, backoff=backoff)
        self.ready = False

    async def credentials(self, contract: Object) -> str:
        """A kubeconfig (base64) with which the buyer of a K8Slice enters; empty for anything else, or not yet."""
        return await self.lender.credentials(contract) if self.lender is not None else ""

    def trouble(self) -> str:
        """Why nothing can be sold now, in one sentence; empty when it can."""
        return "" if self.ready else self.books.trouble or "this seller is about to start"

    async def start(self) -> None:
        """Begin to sell; returns when everything that is there is known."""
        await self.books.start()
        self._keeper.controller.start()
        self.ready = True

    async def stop(self) -> None:
        """Sell no more."""
        self.ready = False
        self.following.close()
        await self._keeper.controller.stop()
        await self.books.stop()
