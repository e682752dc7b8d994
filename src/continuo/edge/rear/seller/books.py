"""What a seller sees of its cluster: flavors, transactions, contracts and their like, followed and found by index."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from continuo.edge.node import SELLER, SIDE
from continuo.edge.rear import holds
from continuo.edge.rear.names import DEVICE, REST_OF, TRADE
from continuo.kube.port import Cluster
from continuo.resources.errors import NotFound
from continuo.resources.kinds import ALLOCATION, FLAVOR, FLUIDOS_CONTRACT, SECRET, TRANSACTION
from continuo.resources.meta import Object, annotations_of, labels_of
from continuo.runtime.cache import Cache
from continuo.runtime.informer import Informer, Watch

MINE = f"{SIDE}={SELLER}"
Told = Callable[[Object | None, Object | None], None]


def without_content(secret: Object) -> Object:
    """A Secret as it is cached: that it is there is all that is needed."""
    secret.pop("data", None)
    secret["metadata"].pop("managedFields", None)
    return secret


class Books:
    """Informers of one seller. Flavors may be in any namespace, where their devices are."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace
        by_name = {
            "name": lambda obj: (obj["metadata"]["name"],),
            "transaction": holds.transactions,
            "origin": lambda obj: (annotations_of(obj)[REST_OF],) if REST_OF in annotations_of(obj) else (),
            "device": lambda obj: (
                ((obj["metadata"]["namespace"], labels_of(obj)[DEVICE]),) if DEVICE in labels_of(obj) else ()
            ),
        }
        self._flavors = Informer(cluster, Watch(FLAVOR, indexers=by_name))
        of_trade = {"transaction": lambda obj: (obj["spec"].get("transactionID", ""),)}
        self._transactions = Informer(cluster, Watch(TRANSACTION, namespace, labels=MINE))
        self._contracts = Informer(cluster, Watch(FLUIDOS_CONTRACT, namespace, labels=MINE, indexers=of_trade))
        self._allocations = Informer(cluster, Watch(ALLOCATION, namespace, labels=MINE))
        secrets = Watch(SECRET, namespace, labels=f"{MINE},{TRADE}", trim=without_content)
        self._secrets = Informer(cluster, secrets)
        self._all = (self._flavors, self._transactions, self._contracts, self._allocations, self._secrets)

    def seen(self) -> tuple[Iterable[Object], Iterable[Object]]:
        """All Flavors, and the Contracts that we sold."""
        return self._flavors.cache, self._contracts.cache

    def on_flavor(self, told: Told) -> None:
        """Call back with (old, new) for each change of a Flavor."""
        self._flavors.on_change(told)

    def on_contract(self, told: Told) -> None:
        """The same for Contracts that we sold."""
        self._contracts.on_change(told)

    def on_allocation(self, told: Told) -> None:
        """The same for their Allocations."""
        self._allocations.on_change(told)

    def on_trade(self, told: Callable[[str], None]) -> None:
        """Call back with the ID of a transaction of which anything changed."""

        def flavor(old: Object | None, new: Object | None) -> None:
            before = set(holds.transactions(old)) if old is not None else set()
            for each in before.union(holds.transactions(new) if new is not None else ()):
                told(each)

        def by(read: Callable[[Object], str]) -> Told:
            def changed(old: Object | None, new: Object | None) -> None:
                obj = new if new is not None else old
                if obj is not None and (transaction := read(obj)):
                    told(transaction)

            return changed

        self._flavors.on_change(flavor)
        self._transactions.on_change(by(lambda obj: obj["metadata"]["name"]))
        self._contracts.on_change(by(lambda obj: str(obj["spec"].get("transactionID", ""))))
        self._allocations.on_change(by(self._of_allocation))
        self._secrets.on_change(by(lambda obj: labels_of(obj)[TRADE]))

    def _of_allocation(self, allocation: Object) -> str:
        name = (allocation["spec"].get("contract") or {}).get("name") or ""
        contract = self.contracts.get((self.namespace, name))
        return str(contract["spec"]["transactionID"]) if contract is not None else ""

    # --- looking up ---------------------------------------------------------------------------------------------------
    @property
    def flavors(self) -> Cache:
        """All Flavors; never changed."""
        return self._flavors.cache

    @property
    def contracts(self) -> Cache:
        """The Contracts that we sold."""
        return self._contracts.cache

    def flavor(self, name: str) -> Object | None:
        """The Flavor of that name; of several the oldest."""
        found = self.flavors.by_index("name", name)
        return min(found, key=lambda obj: obj["metadata"].get("creationTimestamp", ""), default=None)

    def of_device(self, namespace: str, device: str) -> list[Object]:
        """The Flavors of one device's sensors."""
        return self.flavors.by_index("device", (namespace, device))

    def rests(self, origin: str) -> dict[str, str]:
        """The flavors that were cut from one, with their UIDs."""
        found = self.flavors.by_index("origin", origin)
        return {obj["metadata"]["name"]: obj["metadata"]["uid"] for obj in found}

    def held(self, transaction: str) -> list[Object]:
        """The Flavors that a transaction holds."""
        return self.flavors.by_index("transaction", transaction)

    def transaction(self, name: str) -> Object | None:
        return self._transactions.cache.get((self.namespace, name))

    def contract_of(self, transaction: str) -> Object | None:
        """The Contract that a transaction became."""
        return next(iter(self.contracts.by_index("transaction", transaction)), None)

    def contract(self, name: str) -> Object | None:
        return self.contracts.get((self.namespace, name))

    def allocation(self, name: str) -> Object | None:
        return self._allocations.cache.get((self.namespace, name))

    def secret(self, name: str) -> Object | None:
        """That there is such a Secret; what is in it is not kept."""
        return self._secrets.cache.get((self.namespace, name))

    # --- as it is now -------------------------------------------------------------------------------------------------
    async def live_flavor(self, name: str) -> Object | None:
        """The Flavor as the server has it."""
        known = self.flavor(name)
        if known is None:
            return None
        try:
            return await self.cluster.get(FLAVOR, name, known["metadata"]["namespace"])
        except NotFound:
            return None

    async def live_transaction(self, name: str) -> Object | None:
        try:
            return await self.cluster.get(TRANSACTION, name, self.namespace)
        except NotFound:
            return None

    async def live_contract(self, name: str) -> Object | None:
        try:
            return await self.cluster.get(FLUIDOS_CONTRACT, name, self.namespace)
        except NotFound:
            return None

    def learn(self, obj: Object) -> None:
        """Take the answer of our own write, so that nobody acts on an older state."""
        informer = {
            FLAVOR.kind: self._flavors, TRANSACTION.kind: self._transactions, FLUIDOS_CONTRACT.kind: self._contracts,
            ALLOCATION.kind: self._allocations,
        }.get(obj["kind"])  # fmt: skip
        if informer is not None:
            informer.learn(obj)

    # --- running ------------------------------------------------------------------------------------------------------
    @property
    def trouble(self) -> str:
        """Why it cannot be answered from these books; empty when it can."""
        for informer in self._all:
            what = informer.watch.kind.resource
            if not informer.synced.is_set():
                why = f": {informer.last_error}" if informer.last_error is not None else ""
                return f"{what} are not known yet{why}"
        return ""

    async def start(self) -> None:
        """Follow, and return when everything is known."""
        for informer in self._all:
            informer.start()
        await asyncio.gather(*(informer.synced.wait() for informer in self._all))

    async def stop(self) -> None:
        """Follow no more."""
        await asyncio.gather(*(informer.stop() for informer in self._all))
