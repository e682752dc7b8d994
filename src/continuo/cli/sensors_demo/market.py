"""The buyers' part: asking, reserving, buying and cancelling by REAR, and a Solver that does it alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from continuo.cli.failures import Failed
from continuo.cli.sensors_ask import Shop, everywhere
from continuo.cli.sensors_demo import scene
from continuo.cli.sensors_demo.receivers import Receiver
from continuo.edge.node import NodeIdentity
from continuo.edge.rear.client import Sellers
from continuo.edge.rear.refusals import Refusal
from continuo.kube.port import Cluster
from continuo.resources.kinds import FLUIDOS_CONTRACT, SOLVER
from continuo.resources.meta import Object
from continuo.runtime.following import until
from continuo.trust.identity import Identity
from continuo.trust.ids import Authorized


class Buyer:
    """Somebody who buys by hand, and follows how its contracts are doing."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._standing: dict[str, Object | None] = {}
        self._changed = asyncio.Event()

    async def ask(self, where: str) -> list[Object]:
        """The sensors that are for sale and fit, as `continuo sensors ls --where` finds them."""
        return sorted(await everywhere([self._shop], where), key=lambda flavor: str(flavor["metadata"]["name"]))

    async def reserve(self, flavor: Object, receivers: Sequence[Receiver], *, exclusive: bool = False) -> str:
        """The transaction. Raises Refusal."""
        return await self.reserve_for(flavor, [each.configuration() for each in receivers], exclusive=exclusive)

    async def reserve_for(self, flavor: Object, endpoints: list[Any], *, exclusive: bool = False) -> str:
        """The same for endpoints that are nobody's."""
        terms = {"type": "Sensor", "data": {"endpoints": endpoints, "exclusive": exclusive}}
        made = await self._shop.client.reserve(flavor["metadata"]["name"], self._shop.node, terms)
        return str(made["transactionID"])

    async def purchase(self, transaction: str) -> str:
        """The contract's name."""
        return str((await self._shop.client.purchase(transaction))["contractID"])

    async def contracts(self) -> list[Object]:
        """All that this buyer has, as on the wire."""
        return await self._shop.client.contracts(self._shop.node.node_id)

    async def active(self, contract: str, timeout: float) -> None:
        """Return when its path is there."""
        await self._until(contract, lambda said: said is not None and said["allocation"] == "Active", "Active", timeout)

    async def cancel(self, contract: str, timeout: float) -> None:
        """End it; returns when the seller has nothing left of it."""
        await self._shop.client.cancel(contract)
        await self._until(contract, lambda said: contract in self._standing and said is None, "gone", timeout)

    async def _until(self, contract: str, test: Any, what: str, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                while not test(self._standing.get(contract)):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            last = self._standing.get(contract)
            raise Failed(
                f"contract {contract} is not {what} after {timeout:g} s; the seller said last: {last}"
            ) from None

    async def follow(self) -> None:
        """Learn how contracts are doing until cancelled."""
        async for news in self._shop.follow():
            if news is not None:
                self._standing[news[0]] = news[1]
                self._changed.set()


@asynccontextmanager
async def buying(party: str, identity: Identity, address: str) -> AsyncIterator[Buyer]:
    """A buyer with its connections, which talks to the provider's site and nobody else."""
    context = identity.client_context(Authorized.of(ids=[scene.site_id(scene.PROVIDER)]))
    sellers = Sellers(lambda: context)
    buyer = Buyer(Shop(address, sellers.at(address), NodeIdentity(scene.domain(party), party, "")))
    following = asyncio.create_task(buyer.follow())
    try:
        yield buyer
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await sellers.close()


async def refusal(asked: Any) -> Refusal:
    """Why the seller refuses; Failed where it does not."""
    try:
        await asked
    except Refusal as refused:
        return refused
    raise Failed("the seller took what it must refuse")


async def solve(cluster: Cluster, receiver: Receiver, timeout: float) -> Object:
    """Apply the Solver and do nothing else; it, when it is done."""
    await cluster.apply(scene.solver(receiver.configuration()), manager="kubectl")
    over = ("Solved", "Failed")
    found = await until(
        cluster, SOLVER, lambda all_: any(_phase(each)[0] in over for each in all_), scene.SPACE, timeout=timeout,
        what=f"Solver {scene.SOLVER} to be done",
    )  # fmt: skip
    word, said = _phase(found[0])
    if word != "Solved":
        raise Failed(f"Solver {scene.SOLVER} has failed: {said}")
    return found[0]


async def bought(cluster: Cluster) -> str:
    """The newest contract that a cluster's Solvers made."""
    found = (await cluster.list(FLUIDOS_CONTRACT, scene.SPACE)).items
    return str(max(found, key=lambda each: str(each["metadata"]["creationTimestamp"]))["metadata"]["name"])


def _phase(solver: Object) -> tuple[str, str]:
    said = (solver.get("status") or {}).get("solverPhase") or {}
    return str(said.get("phase", "")), str(said.get("message", ""))


def sensor_of(flavor: Object) -> str:
    """The UID of a flavor's sensor."""
    return str(flavor["spec"]["flavorType"]["typeData"]["characteristics"]["uid"])
