"""The buyer's Contracts and Allocations: how the seller says they are doing, and their end.

One stream for each seller tells of all contracts there; it is opened again when it breaks, and everything is told anew.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from typing import Protocol

from continuo.edge.rear.buyer import phases
from continuo.edge.rear.buyer.desk import ADDRESS, Desk
from continuo.edge.rear.buyer.solver import allocation_of
from continuo.edge.rear.client import RearClient, Sellers
from continuo.edge.rear.names import FINALIZER, K8SLICE
from continuo.edge.rear.refusals import Refusal
from continuo.edge.rear.times import seconds
from continuo.resources.errors import ApiError, Unreachable
from continuo.resources.kinds import ALLOCATION, FLUIDOS_CONTRACT
from continuo.resources.meta import Object, annotations_of, deleting
from continuo.runtime.backoff import Backoff
from continuo.runtime.controller import DONE, Result

log = logging.getLogger(__name__)
DAY = 86400.0
UNHEARD = 60.0
"""Seconds after which a contract is asked for of which the seller has said nothing."""
STATES = ("Active", "Provisioning", "ResourceCreation", "Peering", "Released", "Inactive", "Error")


class Linker(Protocol):
    """Makes a node of a K8Slice that was bought."""

    def follow(self, look: Callable[[str], None]) -> None:
        """Call back with a contract whose node is doing otherwise."""
        ...

    async def link(self, contract: Object, seller: RearClient) -> tuple[str, str]:
        """Bring the link one step on; returns the Allocation's state and a sentence."""
        ...

    async def unlink(self, contract: Object) -> str:
        """Take it away; returns what is still to be waited for, nothing when all is gone."""
        ...


class Ears:
    """Listens to every seller of whom there is a contract."""

    def __init__(self, desk: Desk, sellers: Sellers, look: Callable[[str], None], rng: random.Random) -> None:
        self._desk, self._sellers, self._look, self._random = desk, sellers, look, rng
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._told: dict[str, dict[str, Object | None]] = {}
        self._complete: set[str] = set()
        self._expected: dict[str, set[str]] = {}
        """Contracts that were there before a seller was asked: it tells of them, or has them no more."""
        self._backoff = Backoff(base=0.5, cap=30.0)

    def listen(self, address: str) -> None:
        """Listen to the seller there from now on."""
        if address and address not in self._tasks:
            self._tasks[address] = asyncio.create_task(self._hear(address), name=f"seller {address}")

    def said(self, address: str, contract: str) -> tuple[bool, Object | None]:
        """(whether it was said, how the contract is doing; None: it has ended)."""
        told = self._told.get(address, {})
        if contract in told:
            return True, told[contract]
        return address in self._complete and contract in self._expected.get(address, ()), None

    def complete(self, address: str) -> bool:
        """Whether the seller there has told everything that it had, and tells what is new."""
        return address in self._complete

    async def again(self, address: str) -> None:
        """Ask the seller anew: it has told everything that it had, and of a contract nothing."""
        task = self._tasks.pop(address, None)
        if task is not None and address in self._complete:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._forget(address)
        elif task is not None:
            self._tasks[address] = task
        self.listen(address)

    def _ours(self, address: str) -> Iterator[str]:
        for contract in self._desk.cache(FLUIDOS_CONTRACT):
            if annotations_of(contract).get(ADDRESS) == address:
                yield contract["metadata"]["name"]

    def _forget(self, address: str) -> None:
        self._complete.discard(address)
        self._told.pop(address, None)

    async def _hear(self, address: str) -> None:
        failures = 0
        while True:
            self._expected[address] = set(self._ours(address))
            try:
                async for news in self._sellers.at(address).follow(self._desk.node.node_id):
                    failures = 0
                    self._take(address, news)
                failures += 1
            except Refusal as refusal:
                failures += 1
                log.info("seller %s: %s", address, refusal)
                if refusal.status in (404, 405, 406):
                    return  # it does not tell, and never will
            except ApiError as error:
                failures += 1
                log.info("seller %s: %s", address, error)
            except Exception:
                failures += 1
                log.exception("seller %s", address)
            self._forget(address)
            await asyncio.sleep(self._backoff.delay(failures, self._random))

    def _take(self, address: str, news: tuple[str, Object | None] | None) -> None:
        if news is None:
            if address not in self._complete:
                self._complete.add(address)
                for contract in self._ours(address):
                    self._look(contract)
            return
        name, standing = news
        self._told.setdefault(address, {})[name] = standing
        self._look(name)

    async def close(self) -> None:
        """Listen no more."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Contracts:
    """The controller of the buyer's Contracts."""

    def __init__(
        self,
        desk: Desk,
        sellers: Sellers,
        look: Callable[[str], None],
        rng: random.Random,
        linker: Linker | None = None,
    ) -> None:
        self._desk, self._sellers, self._linker = desk, sellers, linker
        self.ears = Ears(desk, sellers, look, rng)
        if linker is not None:
            linker.follow(look)

    async def reconcile(self, name: str) -> Result:
        """Say how a contract is doing, or end it."""
        contract = self._desk.get(FLUIDOS_CONTRACT, name)
        if contract is None:
            return DONE
        if deleting(contract):
            return await self._end(contract)
        address, now = annotations_of(contract).get(ADDRESS, ""), self._desk.clock()
        self.ears.listen(address)
        until = seconds(contract["spec"].get("expirationTime"))
        if until is not None and until <= now:
            return await self._released(contract, "it has expired", DONE)
        heard, standing = self.ears.said(address, name)
        left = Result(min(DAY, until - now) if until is not None else DAY)
        if heard and standing is None:
            return await self._released(contract, "the seller has it no more", left)
        if _is_slice(contract) and self._linker is not None:
            return await self._link(contract, left)
        if not heard:
            before = phases.word(contract) or phases.RUNNING
            await self._say(contract, before, phases.message(contract) or "bought", None, None)
            return await self._unheard(address, contract, left)
        assert standing is not None
        state = standing.get("allocation") if standing.get("allocation") in STATES else "Provisioning"
        word = {"Active": phases.ACTIVE, "Error": phases.FAILED, "Released": phases.INACTIVE}.get(
            str(state), phases.RUNNING
        )
        text = str(standing.get("message") or "")[:1000]
        await self._say(contract, word, text or f"the seller says: {state}", str(state), standing.get("delivery"))
        return left

    async def _unheard(self, address: str, contract: Object, left: Result) -> Result:
        """A contract of which its seller says nothing for long is asked for; it may have ended before it was heard of."""
        if not self.ears.complete(address):
            return left
        age = self._desk.clock() - (seconds(contract["metadata"].get("creationTimestamp")) or 0.0)
        if age < UNHEARD:
            return Result(min(left.requeue_after or UNHEARD, UNHEARD))
        await self.ears.again(address)
        return left

    async def _released(self, contract: Object, why: str, left: Result) -> Result:
        """It is over: what was made of it goes, the Contract stays until somebody deletes it."""
        still = await self._unlink(contract)
        await self._say(contract, phases.INACTIVE, f"{why}; {still}" if still else why, "Released", None)
        return Result(1.0) if still else left

    async def _unlink(self, contract: Object) -> str:
        """Take the node of a slice away; what is still to be waited for."""
        if self._linker is None or not _is_slice(contract):
            return ""
        return await self._linker.unlink(contract)

    async def _link(self, contract: Object, left: Result) -> Result:
        assert self._linker is not None
        if self._desk.get(ALLOCATION, allocation_of(contract)) is None:
            still = await self._unlink(contract)
            await self._say(contract, phases.ACTIVE, still or "bought; no Allocation asks for a link", None, None)
            return Result(1.0) if still else left
        address = annotations_of(contract).get(ADDRESS, "")
        try:
            state, text = await self._linker.link(contract, self._sellers.at(address))
        except (ApiError, Refusal) as error:
            await self._say(contract, phases.RUNNING, str(error), "Peering", None)
            raise Unreachable(str(error)) from error
        await self._say(contract, phases.ACTIVE if state == "Active" else phases.RUNNING, text, state, None)
        return left if state == "Active" else Result(1.0)

    async def _say(self, contract: Object, word: str, text: str, state: str | None, delivery: object) -> None:
        """Write it on the Contract, and on its Allocation if there is one."""
        desk = self._desk
        status: Object = {"phase": phases.phase(contract, word, text, desk.clock())}
        status |= {"delivery": delivery} if delivery is not None else {}
        await desk.say(FLUIDOS_CONTRACT, contract, status)
        allocation = desk.get(ALLOCATION, allocation_of(contract))
        if allocation is None:
            return
        said = allocation.get("status") or {}
        state = state or said.get("status") or ("Inactive" if _is_slice(contract) else "Provisioning")
        if said.get("status") != state or said.get("message") != text:
            told = {"status": state, "message": text, "lastUpdateTime": desk.now()}
            await desk.say(ALLOCATION, allocation, told)

    async def _end(self, contract: Object) -> Result:
        """Cancel at the seller; only then does the Contract go. One that has expired need not be cancelled."""
        desk, meta = self._desk, contract["metadata"]
        if FINALIZER not in (meta.get("finalizers") or ()):
            return DONE
        until, now = seconds(contract["spec"].get("expirationTime")), desk.clock()
        seller = self._sellers.at(annotations_of(contract).get(ADDRESS, "") or "unknown.invalid")
        try:
            if left := await self._unlink(contract):
                await self._say(contract, phases.RUNNING, left, "Peering", None)
                return Result(1.0)
            await seller.cancel(meta["name"])
        except (ApiError, Refusal) as error:
            gone = isinstance(error, Refusal) and error.status in (403, 404)
            if not gone and (until is None or until > now):
                await self._say(contract, phases.RUNNING, f"cancelling: {error}", None, None)
                raise Unreachable(str(error)) from error
            log.warning("contract %s ends without its seller: %s", meta["name"], error)
        await desk.finalizer(FLUIDOS_CONTRACT, contract, FINALIZER, there=False)
        return DONE


def _is_slice(contract: Object) -> bool:
    return bool(contract["spec"]["flavor"]["spec"]["flavorType"]["typeIdentifier"] == K8SLICE)
