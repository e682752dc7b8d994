"""Who buys: people who call the provider's gateway themselves, and Solvers in the consumers' clusters."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field

from continuo.edge.node import NodeIdentity
from continuo.edge.rear.refusals import Refusal
from continuo.edge.rear.wire import pick
from continuo.embedded.port import Write
from continuo.resources import kinds
from continuo.resources.errors import NotFound, Unreachable
from continuo.resources.meta import Object

from .market_world import ALIKE, PROVIDER, SENSORS, SPACE, World

_TEST = Write(manager="test")
PLANS = 3
"""Sensors that a buyer is content with, one of them."""


@dataclass
class Person:
    """Buys by hand, and asks again whatever had no answer."""

    world: World
    number: int
    rng: random.Random
    dawdles: float = 0.0
    """Seconds for which a purchase may be put off, or forgotten, after the reservation."""
    contract: str = ""
    """What the seller said was bought."""
    flavor: str = ""
    expired: int = 0
    forgotten: list[str] = field(default_factory=list)
    """Flavors that were reserved and not cared for any more."""

    @property
    def name(self) -> str:
        return f"person-{self.number}"

    @property
    def secret(self) -> str:
        return f"token-of-{self.name}" if self.number % 3 == 0 else ""

    async def trade(self, flavors: list[str]) -> None:
        """Buy one of a few sensors; return with it, or when all of them are sold to others."""
        wanted = dict.fromkeys(self.rng.sample(flavors, PLANS), -1)
        while wanted:
            for flavor, asked_at in list(wanted.items()):
                if self.world.writes[flavor] == asked_at:
                    continue  # the answer would be the same
                wanted[flavor] = self.world.writes[flavor]
                if await self._buy(flavor):
                    return
                if self._sold:
                    del wanted[flavor]
            if wanted:  # somebody who has one of them reserved may yet not buy it
                await self.world.flavor_written(wanted)

    async def cancel(self) -> None:
        """End the contract."""
        while True:
            try:
                await self.world.seller.cancel(self.contract)
                self.contract = self.flavor = ""
                return
            except (Unreachable, Refusal) as error:
                await self._again(error)

    async def _buy(self, flavor: str) -> bool:
        self._sold = False
        while True:
            try:
                answer = await self.world.seller.reserve(flavor, self._identity, self._configuration)
                transaction = str(pick(answer, "transactionID"))
                if self.dawdles and self.rng.random() < 0.5:
                    if self.rng.random() < 0.3:
                        self.forgotten.append(flavor)
                        return False
                    await asyncio.sleep(self.rng.uniform(0.6, 1.1) * self.dawdles)
                bought = await self._purchase(transaction)
            except (Unreachable, Refusal) as error:
                if isinstance(error, Refusal) and error.status == 409:
                    self._sold = "is sold to another buyer" in error.sentence
                    return False
                await self._again(error)
                continue
            if bought is not None:
                assert pick(bought, "transactionID") == transaction
                self.contract, self.flavor = str(pick(bought, "contractID")), flavor
                return True

    async def _purchase(self, transaction: str) -> Object | None:
        """The contract; None: the reservation has expired."""
        while True:
            try:
                return await self.world.seller.purchase(transaction)
            except (Unreachable, Refusal) as error:
                if isinstance(error, Refusal) and error.status in (404, 408):
                    assert self.dawdles, f"{self.name} lost its reservation: {error}"
                    self.expired += 1
                    return None
                await self._again(error)

    async def _again(self, error: Unreachable | Refusal) -> None:
        """Wait for what may have passed; raises what will not pass."""
        if isinstance(error, Refusal):
            if error.status != 503:
                raise error
            await asyncio.sleep(self.rng.uniform(0.02, 0.1))  # as a client does that was told to come again
        await self.world.mortals[PROVIDER].up.wait()

    @property
    def _identity(self) -> NodeIdentity:
        return NodeIdentity("people.eu", self.name, "127.0.0.1:1")

    @property
    def _configuration(self) -> Object:
        said: Object = {"url": f"{self.world.endpoints}/{self.name}"}
        said |= {"authentication": {"scheme": "bearer", "secret": self.secret}} if self.secret else {}
        return {"type": "Sensor", "data": {"endpoints": [said], "exclusive": True}}


class Office:
    """The Solvers of one consumer."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name, self._api = world, name, world.api(name)
        self._next = 0
        secret = kinds.SECRET.new("sink", SPACE, stringData={"secret": f"token-of-{name}"})
        self._api.create(secret, _TEST)

    def wish(self, count: int) -> None:
        """So many new Solvers, each for a sensor of a certain latency."""
        for _ in range(count):
            number, self._next = self._next, self._next + 1
            group = number % (SENSORS // ALIKE)
            name = f"solver-{number}"
            filters = {
                "latencyFilter": {"name": "Range", "data": {"max": str(10 * group + 10), "min": str(10 * group)}}
            }
            endpoint: Object = {"url": f"{self.world.endpoints}/{self.name}/{name}"}
            if number % 3 == 0:
                endpoint["authentication"] = {"scheme": "bearer", "secretRef": {"name": "sink", "key": "secret"}}
            spec = {
                "selector": {"flavorType": "Sensor", "filters": filters}, "intentID": f"intent-{name}",
                "configuration": {"type": "Sensor", "data": {"endpoints": [endpoint], "exclusive": True}},
                "findCandidate": True, "reserveAndBuy": True, "establishPeering": True,
            }  # fmt: skip
            self._api.create(kinds.SOLVER.new(name, SPACE, spec=spec), _TEST)

    def proof(self, solver: str) -> str:
        """What its endpoint is proved to with."""
        return f"Bearer token-of-{self.name}" if int(solver.rpartition("-")[2]) % 3 == 0 else ""

    def phases(self) -> dict[str, tuple[str, str]]:
        """By Solver: its phase, and what it says."""
        found = {}
        for solver in self._api.list(kinds.SOLVER, SPACE):
            said = (solver.get("status") or {}).get("solverPhase") or {}
            found[solver["metadata"]["name"]] = str(said.get("phase") or ""), str(said.get("message") or "")
        return found

    def bought(self) -> dict[str, Object]:
        """The Contracts by the Solver that they are for."""
        found = {}
        for contract in self._api.list(kinds.FLUIDOS_CONTRACT, SPACE):
            owner = next((each["name"] for each in contract["metadata"].get("ownerReferences") or ()), "")
            assert owner not in found, f"{self.name}/{owner} has {contract['metadata']['name']} and another contract"
            found[owner] = contract
        return found

    def dismiss(self, *solvers: str) -> None:
        """They are wanted no more."""
        for solver in solvers:
            with suppress(NotFound):
                self._api.delete(kinds.SOLVER, solver, SPACE)
