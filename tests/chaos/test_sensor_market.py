"""Two hundred buyers, twenty exclusive sensors; provider, consumers and relay are killed with SIGKILL while they trade.

No sensor is sold twice, no contract is lost on either side, and rules and routes are those of the contracts. The engine runs
here; each site and the relay is a process of its own that starts anew after each kill. The seed is printed; CONTINUO_SEED
repeats a run, CONTINUO_MARKET_KILLS makes it longer.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from continuo.resources import kinds

from .market_books import Books, Witness, holds_of, source_of, uid_of
from .market_buyers import Office, Person
from .market_world import CONSUMERS, SENSORS, WITHIN, World, relay_of, world

PEOPLE, SOLVERS = 160, 20
"""Buyers by hand; Solvers of each consumer."""
LATER = 50
"""Buyers by hand on later days."""
DAWDLERS, EXPIRY = 24, 2.0
"""Buyers by hand who dawdle, and the seconds for which a reservation is good: on a machine that has much else to do, so many
have to be served within that time that somebody is in time."""
WHIMS = 6
"""Solvers of each consumer that are dismissed before they have got anywhere."""
HEAD_START = 4
"""Sensors that Solvers have reserved when people begin."""
A_DAY, LAST = 10, 2
"""Kills while sensors are bought and given back, and while all are in the end."""
pytestmark = pytest.mark.long
KILLS = int(os.environ.get("CONTINUO_MARKET_KILLS", "22"))
SEED = int(os.environ.get("CONTINUO_SEED", "20261122"))


class Market:
    """Days of trade: everybody who has nothing wants a sensor, and in the evening half of them are given back."""

    def __init__(self, made: World, books: Books, rng: random.Random) -> None:
        self.world, self.books, self.rng = made, books, rng
        self.witness = Witness(made)
        self.days = 0

    async def whims(self, kills: int) -> None:
        """Solvers that are wanted no more before they have got anywhere, or a moment after: all is given back."""
        self.world.arm(kills)
        wishes = []
        for office in self.books.offices:
            office.wish(WHIMS)
            wishes += [(office, solver) for solver in office.phases().keys() - office.bought().keys()]
        for office, solver in self.rng.sample(sorted(wishes, key=lambda wish: (wish[0].name, wish[1])), len(wishes)):
            await self.world.some(office.name, self.rng.randint(1, 25))
            office.dismiss(solver)
        await self.settled("what is wanted no more is given back")

    async def day(self, kills: int, popular: int = SENSORS, buyers: int = PEOPLE) -> None:
        """Everything is bought, by whom it may be; half of it is cancelled; each time nothing is left that should not be.

        `kills`: how often somebody dies meanwhile; `popular`: how many sensors people want, the others only Solvers do;
        `buyers`: how many people go to the market.
        """
        await self.whims(kills // 4)
        self.days += 1
        flavors = self.rng.sample(sorted(self.world.flavors()), popular)
        self.world.arm(kills // 2)
        for office in self.books.offices:
            office.wish(SOLVERS)
        await self.world.until(self.unbegun, "Solvers reserve")
        await self.all_of(each.trade(flavors) for each in self.books.people[:buyers] if not each.contract)
        self.books.due = SENSORS
        await self.settled("everything is sold")
        solvers = sum(len(office.bought()) for office in self.books.offices)
        print(f"day {self.days}: {SENSORS} sold, {solvers} of them to Solvers; {self.world.kills} kills so far")
        await self.books.confirmed()
        await self.readings()

        self.world.arm(kills - kills // 4 - kills // 2)
        for office in self.books.offices:
            office.dismiss(*sorted(office.phases().keys() - office.bought().keys()))  # who would buy what is given back
        self.books.due = SENSORS // 2
        await self.give_back(self.rng.sample(sorted(self.books.owners()), SENSORS // 2))
        await self.settled("half is given back")
        await self.readings()

    async def unbegun(self) -> list[str]:
        """Solvers go first, for they have more to do."""
        held = sum(bool(holds_of(flavor)) for flavor in self.world.flavors().values())
        return [f"{held} sensors are held"] if held < len(self.books.sold()) + HEAD_START else []

    async def closing(self, kills: int) -> None:
        """All is given back; nothing is left of any trade."""
        self.world.arm(kills)
        await self.give_back(list(self.books.owners()))
        for office in self.books.offices:
            office.dismiss(*office.phases())
        self.books.due = 0
        await self.settled("all is given back")
        for name in CONSUMERS:
            for kind in (kinds.SOLVER, kinds.RESERVATION, kinds.TRANSACTION, kinds.FLUIDOS_CONTRACT, kinds.ALLOCATION):
                assert self.world.objects(name, kind) == [], kind.kind

    async def settled(self, what: str) -> None:
        """All is as it should be, first while they die, then when nobody does."""
        assert self.witness.crimes == []
        await self.world.until(self.books.complaints, what)
        await self.world.rest()
        await self.world.until(self.books.complaints, what)
        assert self.witness.crimes == []

    async def give_back(self, contracts: Sequence[str]) -> None:
        """Cancel these contracts, each as its buyer does it."""
        gone = set(contracts)
        people = [each for each in self.books.people if each.contract in gone]
        for office in self.books.offices:
            for solver, contract in office.bought().items():
                if contract["metadata"]["name"] in gone:
                    office.dismiss(solver)
        await self.all_of(each.cancel() for each in people)

    async def all_of(self, works: Iterable[Coroutine[None, None, None]]) -> None:
        """Let people do what they do, all at a time; there is an end to it."""
        try:
            async with asyncio.timeout(WITHIN):
                await asyncio.gather(*works)
        except TimeoutError:
            raise AssertionError(f"people still wait: {self.witness.crimes}, {await self.books.complaints()}") from None

    async def readings(self) -> None:
        """Post a reading of each sensor as CloudCore would: it comes to who bought it, and to nobody else."""
        made, sold, flavors = self.world, self.books.sold(), self.world.flavors()
        owners = self.books.owners()
        made.receiver.got.clear()
        wanted = {}
        async with aiohttp.ClientSession(trust_env=False) as http:
            for name, contract in sold.items():
                flavor = flavors[contract["spec"]["flavor"]["metadata"]["name"]]
                path, proof = owners[name]
                body = json.dumps({"day": self.days, "sensor": uid_of(flavor), "left": len(sold)}).encode()
                wanted[path] = [(uid_of(flavor), proof, body)]
                async with http.post(made.cloud.arms[source_of(flavor)][1], data=body) as answer:
                    assert answer.status == 202, await answer.text()

        async def missing() -> list[str]:
            return [path for path in wanted if path not in made.receiver.got]

        await made.until(missing, "readings arrive")
        assert made.receiver.got == wanted


@asynccontextmanager
async def market(
    folder: Path, *, count: int = PEOPLE, expiry: float = 3600.0, dawdles: float = 0.0
) -> AsyncIterator[Market]:
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    async with world(folder, rng, expiry=expiry) as made, relay_of(made) as relay:
        people = [Person(made, number, random.Random(rng.random()), dawdles) for number in range(count)]
        books = Books(made, relay, people, [Office(made, name) for name in CONSUMERS])

        async def unoffered() -> list[str]:
            return [f"{len(made.flavors())} flavors"] if len(made.flavors()) < SENSORS else []

        await made.until(unoffered, "sensors are offered")
        yield Market(made, books, rng)
        print(f"{made.kills} kills: " + ", ".join(
            f"{name} {mortal.kills} ({mortal.at_writes} at a write)" for name, mortal in made.mortals.items()
        ))  # fmt: skip


def test_no_double_sale_no_lost_contract_no_orphan_rule(tmp_path: Path) -> None:
    async def main() -> None:
        async with market(tmp_path) as made:
            days = max(2, KILLS // A_DAY)
            for number in range(days):
                buyers = LATER if number else PEOPLE
                await made.day((KILLS - LAST) // days, popular=SENSORS * 7 // 10, buyers=buyers)
            await made.closing(LAST)
            assert made.world.kills > KILLS // 2

    asyncio.run(main())


def test_reservations_that_expire_while_they_are_bought(tmp_path: Path) -> None:
    async def main() -> None:
        async with market(tmp_path, count=DAWDLERS, expiry=EXPIRY, dawdles=EXPIRY) as made:
            await made.day(KILLS // 2)
            await made.closing(LAST)
            people = made.books.people
            assert any(person.expired for person in people) and any(person.forgotten for person in people)

    asyncio.run(main())
