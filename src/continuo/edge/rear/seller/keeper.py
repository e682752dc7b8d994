"""Looks after every transaction: what lapses is let go, what was bought is finished, what ends is wound up.

One key is one transaction. Times are timers of the queue, so nothing is polled; every decision is made from the flavor
as the server has it and written on the condition that it still is so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from continuo.edge.rear import holds, names
from continuo.edge.rear.holds import Hold
from continuo.edge.rear.names import FINALIZER, K8SLICE
from continuo.edge.rear.refusals import Refusal
from continuo.edge.rear.seller import deeds
from continuo.edge.rear.seller.books import Books
from continuo.edge.rear.seller.closing import Closing
from continuo.edge.rear.seller.merging import Merging
from continuo.edge.rear.seller.writes import Writes
from continuo.edge.rear.times import seconds
from continuo.resources.kinds import ALLOCATION, FLUIDOS_CONTRACT, SECRET, TRANSACTION
from continuo.resources.meta import Object, deleting
from continuo.runtime.backoff import Backoff
from continuo.runtime.controller import DONE, Controller, Result

log = logging.getLogger(__name__)
DAY = 86400.0
AGAIN = 5.0


class Lender(Protocol):
    """Gives a K8Slice to its buyer, and takes it back."""

    def follow(self, look: Callable[[str], None]) -> None:
        """Call back with a contract whose slice is doing otherwise."""
        ...

    async def lend(self, contract: Object, allocation: Object | None) -> float | None:
        """Let the buyer have it; returns seconds until it wants to look again. Called again and again."""
        ...

    async def take_back(self, contract: Object) -> bool:
        """Let the buyer have it no more; whether nothing is left."""
        ...

    async def credentials(self, contract: Object) -> str:
        """A kubeconfig (base64) made for this one answer; empty where there is nothing to enter."""
        ...


class Keeper:
    """The controller of a seller's transactions."""

    def __init__(
        self, books: Books, writes: Writes, closing: Closing, *, clock: Callable[[], float], expiry: float,
        lender: Lender | None = None, backoff: Backoff | None = None,
    ) -> None:  # fmt: skip
        self._books, self._writes, self._closing = books, writes, closing
        self._clock, self._expiry, self._lender = clock, expiry, lender
        self._merging = Merging(books, writes)
        self.controller: Controller[str] = Controller("rear-trades", self.reconcile, backoff=backoff)
        books.on_trade(self.controller.add)
        if lender is not None:
            lender.follow(self._look)

    def _look(self, contract: str) -> None:
        found = self._books.contract(contract)
        if found is not None:
            self.controller.add(str(found["spec"]["transactionID"]))

    async def reconcile(self, transaction: str) -> Result:
        """Bring one transaction to where it should be now."""
        contract = self._books.contract_of(transaction)
        if contract is not None:
            return await self._sold(contract)
        async with self._writes.turn(transaction):
            found = self._books.transaction(transaction)
            return await self._reserved(found) if found is not None else await self._remains(transaction)

    # --- contracts ----------------------------------------------------------------------------------------------------
    async def _sold(self, contract: Object) -> Result:
        if deleting(contract):
            return await self._wind_up(contract)
        until = seconds(contract["spec"].get("expirationTime"))
        left = until - self._clock() if until is not None else DAY
        if left <= 0:
            meta = contract["metadata"]
            log.info("contract %s has expired", meta["name"])
            await self._writes.remove(FLUIDOS_CONTRACT, meta["name"], meta["namespace"], uid=meta["uid"])
            return DONE
        allocation = self._books.allocation(self._allocation_of(contract))
        if allocation is None:
            allocation = await self._closing.allocate(contract)
        again = await self._lender.lend(contract, allocation) if self._lender and _is_slice(contract) else None
        return Result(min(left, DAY, again if again is not None else DAY))

    @staticmethod
    def _allocation_of(contract: Object) -> str:
        spec = contract["spec"]
        return names.allocation_name(spec["flavor"]["metadata"]["name"], spec["transactionID"])

    async def _wind_up(self, contract: Object) -> Result:
        """Path or slice first, then the hold, then what was written down; the Contract itself goes last."""
        meta, own = contract["metadata"], str(contract["spec"]["transactionID"])
        if FINALIZER not in (meta.get("finalizers") or ()):
            return DONE
        allocation = self._books.allocation(self._allocation_of(contract))
        if allocation is not None:
            if not deleting(allocation):
                await self._writes.remove(ALLOCATION, allocation["metadata"]["name"], meta["namespace"])
            return Result(AGAIN)
        if self._lender and _is_slice(contract) and not await self._lender.take_back(contract):
            return Result(1.0)
        found = await self._books.live_transaction(own)
        flavors = deeds.flavors_of(found) if found is not None else [contract["spec"]["flavor"]["metadata"]["name"]]
        held = [flavor["metadata"]["name"] for flavor in self._books.held(own)]
        for name in dict.fromkeys((*flavors, *held)):
            await self._writes.release(name, own, lambda _hold: True)
            await self._merging.tidy(name)
        await self._writes.remove(SECRET, names.secret_name(own), self._books.namespace)
        await self._writes.remove(TRANSACTION, own, self._books.namespace)
        kept = [each for each in meta["finalizers"] if each != FINALIZER]
        version = meta["resourceVersion"]
        await self._writes.patch(
            FLUIDOS_CONTRACT, contract, {"metadata": {"finalizers": kept, "resourceVersion": version}}
        )
        log.info("contract %s has ended", meta["name"])
        return DONE

    # --- reservations -------------------------------------------------------------------------------------------------
    async def _reserved(self, found: Object) -> Result:
        own, flavors = found["metadata"]["name"], deeds.flavors_of(found)
        try:
            flavor = await self._books.live_flavor(flavors[0])
            hold = holds.read(flavor).get(own) if flavor is not None else None
        except Refusal as refusal:
            log.warning("transaction %s: %s", own, refusal)
            return Result(self._expiry)
        if flavor is not None and hold is not None and hold.contract:
            return await self._bought(found, flavor, hold)
        now = self._clock()
        if hold is not None and not hold.lapsed(now):
            return Result(max(0.0, (hold.until or now) - now))
        return await self._lapsed(found, now)

    async def _bought(self, found: Object, flavor: Object, hold: Hold) -> Result:
        """It is bought, and there seems to be no Contract: it is to be made, unless there was one that somebody tore out."""
        if await self._books.live_contract(hold.contract) is not None:
            return DONE  # the watch tells of it in a moment
        live = await self._books.live_transaction(found["metadata"]["name"])
        if live is None:
            return await self._remains(found["metadata"]["name"])
        if deeds.phase_of(live) != "Solved":
            log.info("transaction %s: finishing its purchase", live["metadata"]["name"])
            await self._closing.complete(live, flavor)
            return DONE
        own = live["metadata"]["name"]
        log.warning("transaction %s: its contract %s is gone without having ended; it ends now", own, hold.contract)
        for name in deeds.flavors_of(live):
            await self._writes.release(name, own, lambda _hold: True)
        await self._writes.remove(SECRET, names.secret_name(own), self._books.namespace)
        await self._writes.remove(TRANSACTION, own, self._books.namespace, uid=live["metadata"]["uid"])
        return DONE

    async def _lapsed(self, found: Object, now: float) -> Result:
        """Nobody bought it in time. It is remembered for as long again, so that a late buyer hears why."""
        own, meta = found["metadata"]["name"], found["metadata"]
        if not await self._let_go(own, deeds.flavors_of(found), now):
            return Result(AGAIN)
        await self._writes.remove(SECRET, names.secret_name(own), self._books.namespace)
        if deeds.phase_of(found) != "Timed Out":
            said = deeds.phase("Timed Out", "nobody bought it in time: reserve again", now, found)
            await self._writes.patch(TRANSACTION, found, {"status": {"phase": said}}, status=True)
        left = (seconds(found["spec"].get("expirationTime")) or 0.0) + self._expiry - now
        if left > 0:
            return Result(left)
        live = await self._books.live_transaction(own)
        if live is not None and live["metadata"]["resourceVersion"] == meta["resourceVersion"]:
            await self._writes.remove(TRANSACTION, own, self._books.namespace, uid=meta["uid"])
            return DONE
        return Result(AGAIN)

    async def _let_go(self, own: str, flavors: list[str], now: float) -> bool:
        """Take off what has lapsed, that which decides first; False: it was renewed or bought meanwhile."""
        held = [flavor["metadata"]["name"] for flavor in self._books.held(own)]
        for name in dict.fromkeys((*flavors, *held)):
            first = name == flavors[0]

            def may(hold: Hold, first: bool = first) -> bool:
                return hold.lapsed(now) or not first

            await self._writes.release(name, own, may)
            live = await self._books.live_flavor(name) if first else None
            if live is not None and own in holds.read(live):
                return False
            await self._merging.tidy(name)
        return True

    async def _remains(self, own: str) -> Result:
        """A hold or a Secret of a reservation that was never written down: it lapses by itself."""
        if await self._books.live_transaction(own) is not None:
            return DONE  # the watch tells of it in a moment
        now, waits = self._clock(), []
        for flavor in self._books.held(own):
            name, hold = flavor["metadata"]["name"], holds.read(flavor)[own]
            if hold.contract and not hold.primary and await self._books.live_contract(hold.contract) is not None:
                return DONE
            if hold.contract or hold.lapsed(now):
                log.info("flavor %s: the hold of %s, of which nothing else is there, is over", name, own)
                await self._writes.release(name, own, lambda hold: bool(hold.contract) or hold.lapsed(now))
            else:
                waits.append((hold.until or now) - now)
        secret = self._books.secret(names.secret_name(own))
        if secret is not None and not waits:
            left = deeds.secret_until(secret) - now
            if left > 0:
                return Result(left)
            await self._writes.remove(SECRET, secret["metadata"]["name"], self._books.namespace)
        return Result(max(0.0, min(waits))) if waits else DONE


def _is_slice(contract: Object) -> bool:
    return bool(contract["spec"]["flavor"]["spec"]["flavorType"]["typeIdentifier"] == K8SLICE)
