"""Purchases: requested -> reserved -> active -> ending -> ended, or failed. Killed anywhere, each goes on where it was.

What is about to happen is stored before it happens, and every step may be done twice. Prices and resources are those of
the moment of the purchase, whatever becomes of the offer. What is handed over is a token of this contract alone: the
provider asks the catalog whom it stands for, and it stands for nobody once the contract has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import secrets as random
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, TypeAlias

import msgspec

from continuo.broker.catalog.catalog import Catalog, Refused
from continuo.broker.catalog.peering import Access, Link, Peering, PeeringRefused, PeeringUnavailable
from continuo.broker.catalog.secrets import digest, make_secret
from continuo.broker.catalog.usage import Usage
from continuo.broker.offers.model import Resources
from continuo.storage.database import Database, Session

log = logging.getLogger(__name__)

State: TypeAlias = Literal["requested", "reserved", "active", "ending", "ended", "failed"]
_UNFINISHED = ("requested", "reserved", "ending")
_KEPT_ANSWERS = 24 * 3600.0
_PERIOD = 3_600_000
_LONGEST_WAIT = 60.0
MOST_OPEN = 1_000
"""Contracts that a buyer may have at once."""


class Contract(msgspec.Struct, frozen=True, omit_defaults=True):
    """One purchase of one plan."""

    id: str
    buyer: str
    provider: str
    offer: str
    plan: str
    cost: str
    currency: str
    unit: str
    resources: Resources
    requested: int
    """Milliseconds since 1970, as are all times here."""
    state: State = "requested"
    reason: str = ""
    link: str = ""
    started: int = 0
    ended: int = 0
    metered: int = 0
    """Until when usage is recorded."""
    periods: int = 0
    token: str = ""
    """The hash of what was handed over."""
    wanted_end: str = ""
    """Why it ends, once somebody wants it to."""
    stopped: int = 0
    """When it was over, where that was before anybody wanted it to end."""
    place: str = ""
    """The identity of the cluster that keeps its link."""

    def told(self) -> dict[str, Any]:
        """What those concerned may see: everything but the token's hash."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        for hidden in ("token", "metered", "periods", "wanted_end", "stopped", "place"):
            told.pop(hidden, None)
        return {**told, "state": self.state, "handed_over": bool(self.token)}


class NoSuchContract(Refused):
    """There is none, or none that the caller may know of."""

    code = "contract-unknown"


class NoSuchPlan(Refused):
    """The offer has no such plan."""

    code = "plan-unknown"


class NotNow(Refused):
    """The contract's state forbids it."""

    code = "contract-state"


class PriceChanged(Refused):
    """The plan no longer costs what the buyer saw."""

    code = "price-changed"


class KeyReused(Refused):
    """The same Idempotency-Key with another purchase."""

    code = "idempotency-key-reused"


class HandedOver(Refused):
    """The credentials were handed over before."""

    code = "already-handed-over"


class NotReachable(Refused):
    """The provider's cluster cannot be asked now."""

    code = "provider-unreachable"


@dataclass(frozen=True, slots=True)
class Handed:
    """What a buyer gets once."""

    token: str = field(repr=False)
    access: Access | None = None


@dataclass(frozen=True, slots=True)
class Purchase:
    """What a buyer asks for."""

    buyer: str
    offer: str
    plan: str
    cost: str | None = None
    """The price that the buyer saw; another one refuses the purchase."""

    def fingerprint(self) -> str:
        """The same for the same request."""
        return digest(msgspec.json.encode((self.offer, self.plan, self.cost)).decode())


class Contracts:
    """All contracts, driven to where they are wanted."""

    def __init__(
        self,
        database: Database,
        catalog: Catalog,
        peering: Peering,
        clock: Callable[[], float],
        pause: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._database, self._catalog, self._peering = database, catalog, peering
        self._clock, self._pause = clock, pause
        self._contracts: dict[str, Contract] = {}
        self._drivers: dict[str, asyncio.Task[None]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._followers: dict[Callable[[Contract], None], None] = {}
        self.known_until: Callable[[], int] = self._now
        """Until when active contracts are known to be what they are; nothing later is metered."""

    async def load(self) -> None:
        """Take over what the database holds, and go on with what was under way."""
        rows = await self._database.do(lambda session: session.all("SELECT body FROM contracts"))
        for (body,) in rows:
            contract = msgspec.json.decode(bytes(body), type=Contract)
            self._contracts[contract.id] = contract
            if contract.state in _UNFINISHED:
                self._drive(contract.id)

    async def close(self) -> None:
        """Stop driving; whatever is unfinished is stored."""
        tasks = list(self._drivers.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def concerning(self, account: str | None) -> list[Contract]:
        """The contracts of a buyer or a provider, the newest first; None: everybody's."""
        mine = [c for c in self._contracts.values() if account is None or account in (c.buyer, c.provider)]
        return sorted(mine, key=lambda c: (-c.requested, c.id))

    def active(self) -> list[str]:
        """The contracts that are delivered."""
        return [contract.id for contract in self._contracts.values() if contract.state == "active"]

    def is_active(self, id: str) -> bool:
        """Whether there is such a contract and it is delivered."""
        contract = self._contracts.get(id)
        return contract is not None and contract.state == "active"

    def follow(self, callback: Callable[[Contract], None]) -> Callable[[], None]:
        """Call back with every version of a contract that is stored, until what this returns is called. Must be quick."""
        self._followers[callback] = None
        return lambda: self._followers.pop(callback, None)

    def get(self, id: str, account: str | None) -> Contract:
        """A contract that concerns this account; raises NoSuchContract."""
        contract = self._contracts.get(id)
        if contract is None or (account is not None and account not in (contract.buyer, contract.provider)):
            raise NoSuchContract(f"there is no contract {id} of yours" if account else f"there is no contract {id}")
        return contract

    async def buy(self, purchase: Purchase, key: str | None = None) -> tuple[Contract, bool]:
        """Store the purchase and begin; returns the contract, and whether it is new. The same key buys once."""
        made, new = await (self._buy_once(purchase, key) if key is not None else self._buy(purchase))
        if new:
            self._drive(made.id)
        return made, new

    async def _buy(self, purchase: Purchase) -> tuple[Contract, bool]:
        contract = self._draft(purchase)
        await self._save(contract)
        return contract, True

    def _draft(self, purchase: Purchase) -> Contract:
        offer = self._catalog.own(purchase.offer, None).offer
        plan = offer.plan(purchase.plan)
        if plan is None:
            there = ", ".join(plan.id for plan in offer.plans)
            raise NoSuchPlan(f"the offer {offer.id} has no plan {purchase.plan[:128]}; there are {there}")
        if purchase.cost is not None and Decimal(purchase.cost) != Decimal(plan.cost):
            raise PriceChanged(f"the plan {plan.id} costs {plan.cost} {offer.currency} now, not {purchase.cost}")
        open_ones = sum(
            c.buyer == purchase.buyer and c.state not in ("ended", "failed") for c in self._contracts.values()
        )
        if open_ones >= MOST_OPEN:
            raise NotNow(f"{purchase.buyer} has {open_ones} open contracts, which is the bound; end some first")
        return Contract(
            id=random.token_hex(8), buyer=purchase.buyer, provider=offer.provider, offer=offer.id, plan=plan.id,
            cost=plan.cost, currency=offer.currency, unit=offer.unit, resources=plan.resources, requested=self._now(),
        )  # fmt: skip

    async def _buy_once(self, purchase: Purchase, key: str) -> tuple[Contract, bool]:
        """The contract and the key that bought it, in one transaction: of two that come at once, one buys."""
        async with self._lock(f"{purchase.buyer} {key}"):
            since, fingerprint = self._clock() - _KEPT_ANSWERS, purchase.fingerprint()
            found = await self._database.do(lambda session: _answered(session, purchase.buyer, key, since))
            if found is not None:
                if found[0] != fingerprint:
                    raise KeyReused("this Idempotency-Key was used for another purchase; use a new one")
                return self._contracts[found[1]], False
            contract = self._draft(purchase)
            values = (purchase.buyer, key, fingerprint, contract.id, self._clock())
            await self._save(
                contract, lambda session: session.run("INSERT INTO answered VALUES (?, ?, ?, ?, ?)", *values)
            )
            return contract, True

    async def settled(self, id: str, within: float) -> Contract:
        """The contract when it stopped moving, or as it is after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self._contracts[id].state in _UNFINISHED:
                    if (driver := self._drivers.get(id)) is not None:
                        await asyncio.wait((driver,))
                        continue
                    async with self._lock(id):  # whoever wants it to end stops the driver, and starts another one
                        pass
                    if id not in self._drivers:
                        break  # nobody drives any more: the catalog ends
        return self._contracts[id]

    async def end(self, id: str, account: str | None, why: str) -> Contract:
        """Want a contract to end. The token stops at once; ending again changes nothing."""
        async with self._lock(id):
            contract = self.get(id, account)
            if contract.state in ("ended", "failed", "ending"):
                return contract
            await self._stop_driver(id)
            contract = self._contracts[id]
            await self._save(msgspec.structs.replace(contract, state="ending", token="", reason=why, wanted_end=why))
        self._drive(id)
        return await self.settled(id, 2.0)

    async def lose(self, id: str, why: str, stopped: int) -> None:
        """An active contract was over at that moment, whoever wanted that: end it, and bill nothing later."""
        async with self._lock(id):
            if not self.is_active(id):
                return
            contract = msgspec.structs.replace(
                self._contracts[id], state="ending", token="", reason=why, wanted_end=why, stopped=stopped
            )
            await self._save(contract)
        self._drive(id)

    async def credentials(self, id: str, buyer: str, *, rotate: bool) -> Handed:
        """The contract's peering token and way in, once; with `rotate` new ones, and the old ones are worth nothing."""
        async with self._lock(id):
            contract = self.get(id, buyer)
            if contract.buyer != buyer:
                raise NoSuchContract(f"there is no contract {id} that you bought")
            if contract.state != "active":
                raise NotNow(f"the contract {id} is {contract.state}; only an active one hands over credentials")
            if contract.token and not rotate:
                raise HandedOver("the credentials were handed over before; rotate=true makes new ones and ends the old")
            access = None
            if contract.link == "handed-over":
                try:
                    access = await self._peering.credentials(contract, rotate=rotate)
                except PeeringUnavailable as unavailable:
                    raise NotReachable(str(unavailable)) from unavailable
            token = f"{id}.{make_secret()}"
            await self._save(msgspec.structs.replace(contract, token=digest(token)))
            return Handed(token, access)

    def review(self, token: str, provider: str) -> Contract | None:
        """The active contract with this provider that a peering token stands for."""
        contract = self._contracts.get(token.partition(".")[0])
        if contract is None or contract.provider != provider or contract.state != "active" or not contract.token:
            return None
        return contract if hmac.compare_digest(contract.token, digest(token)) else None

    async def meter(self) -> None:
        """Record the hours that are over of everything that is active, as far as that is known to have been there."""
        for id in self.active():
            async with self._lock(id):
                contract = self._contracts[id]
                while contract.state == "active" and self.known_until() - contract.metered >= _PERIOD:
                    contract = await self._record(contract, contract.metered + _PERIOD)

    async def usage(self, account: str | None, contract: str | None = None) -> list[Usage]:
        """The records of a buyer's or provider's contracts, in order of time."""
        rows = await self._database.do(
            lambda session: session.all("SELECT body FROM usage_records ORDER BY started, contract, sequence")
        )
        records = [msgspec.json.decode(bytes(body), type=Usage) for (body,) in rows]
        mine = [r for r in records if account is None or account in (r.buyer, r.provider)]
        return [r for r in mine if contract is None or r.contract == contract]

    # What moves a contract on

    def _drive(self, id: str) -> None:
        task = asyncio.get_running_loop().create_task(self._to_the_end(id), name=f"contract {id}")
        self._drivers[id] = task
        task.add_done_callback(lambda done: self._drivers.pop(id, None) if self._drivers.get(id) is done else None)

    async def _stop_driver(self, id: str) -> None:
        driver = self._drivers.get(id)
        if driver is not None:
            driver.cancel()
            await asyncio.wait((driver,))
            await self._database.do(lambda _: None)  # what it had begun to save is saved, and known here

    async def _to_the_end(self, id: str) -> None:
        wait = 1.0
        while (contract := self._contracts[id]).state in _UNFINISHED:
            try:
                await self._step(contract)
                wait = 1.0
            except Exception as error:
                log.warning("contract %s stays %s for now: %s: %s", id, contract.state, type(error).__name__, error)
                await self._pause(wait)
                wait = min(2 * wait, _LONGEST_WAIT)

    async def _linked(self, contract: Contract) -> Link | None:
        """The link; None where there will be none, which is on its way to failed then."""
        try:
            return await self._peering.link(contract)
        except PeeringRefused as refusal:
            await self._save(
                msgspec.structs.replace(contract, state="ending", reason=str(refusal), wanted_end="failed")
            )
            return None
        except PeeringUnavailable as unavailable:
            if contract.reason != str(unavailable):  # let those concerned see what it waits for
                await self._save(msgspec.structs.replace(contract, reason=str(unavailable)))
            raise

    async def _step(self, contract: Contract) -> None:
        if contract.state == "requested":
            await self._save(msgspec.structs.replace(contract, state="reserved"))
        elif contract.state == "reserved":
            link = await self._linked(contract)
            if link is None:
                return
            now = self._now()
            await self._save(
                msgspec.structs.replace(
                    contract,
                    state="active",
                    link=link.state,
                    reason=link.reason,
                    started=now,
                    metered=now,
                    place=link.place,
                )
            )
        else:
            await self._peering.unlink(contract)
            await self._finish(contract)

    async def _finish(self, contract: Contract) -> None:
        failed = contract.wanted_end == "failed"
        now = max(contract.stopped or self._now(), contract.metered)
        over = msgspec.structs.replace(
            contract, state="failed" if failed else "ended", ended=now, token="", wanted_end="",
            reason=contract.reason if failed else contract.wanted_end,
        )  # fmt: skip
        if contract.started and now > contract.metered:
            await self._record(over, now)
        else:
            await self._save(over)

    async def _record(self, contract: Contract, until: int) -> Contract:
        """One period, and the contract that knows of it, in one transaction."""
        record = Usage(
            contract.id, contract.periods, contract.buyer, contract.provider, contract.offer, contract.plan,
            contract.metered, until, contract.cost, contract.currency, contract.unit, contract.resources,
        )  # fmt: skip
        body = msgspec.json.encode(record)
        values = (record.contract, record.sequence, record.started / 1000, body)
        known = msgspec.structs.replace(contract, metered=until, periods=contract.periods + 1)
        await self._save(known, lambda session: session.run("INSERT INTO usage_records VALUES (?, ?, ?, ?)", *values))
        return known

    async def _save(self, contract: Contract, more: Callable[[Session], object] | None = None) -> None:
        body = msgspec.json.encode(contract)

        def write(session: Session) -> None:
            session.run(
                "INSERT INTO contracts VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state,"
                " body = excluded.body",
                contract.id, contract.buyer, contract.provider, contract.state, body,
            )  # fmt: skip
            if more is not None:
                more(session)

        await self._database.do(write, lambda _: self._keep(contract))

    def _keep(self, contract: Contract) -> None:
        self._contracts[contract.id] = contract
        for follower in list(self._followers):
            follower(contract)

    def _lock(self, key: str) -> asyncio.Lock:
        if len(self._locks) > 1024:
            self._locks = {other: lock for other, lock in self._locks.items() if lock.locked()}
        return self._locks.setdefault(key, asyncio.Lock())

    def _now(self) -> int:
        return round(self._clock() * 1000)


def _answered(session: Session, buyer: str, key: str, since: float) -> tuple[str, str] | None:
    session.run("DELETE FROM answered WHERE at < ?", since)
    row = session.one("SELECT request, contract FROM answered WHERE account = ? AND key = ?", buyer, key)
    return None if row is None else (str(row[0]), str(row[1]))
