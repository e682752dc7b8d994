"""Whatever buyers, time and restarts do, in any order: an exclusive sensor has one buyer, who keeps what he bought."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from continuo.edge.rear import holds
from continuo.edge.rear.holds import Hold
from continuo.edge.rear.names import HOLDS, contract_name
from continuo.edge.rear.refusals import Refusal
from continuo.edge.rear.seller.seller import Seller
from continuo.kube.client import KubeCluster
from continuo.resources.kinds import ALLOCATION, FLAVOR, FLUIDOS_CONTRACT, SECRET, TRANSACTION
from continuo.resources.meta import Object
from edge.rear.rear_world import BUY, SPACE, Time, World, asks, seller_of, sensor, settled, world

EXPIRY = 60.0
BUYERS, SENSORS = ("c1", "c2", "c3"), ("s1", "s2")
who = st.tuples(st.sampled_from(BUYERS), st.sampled_from(SENSORS), st.booleans())
moves = st.one_of(
    st.tuples(st.just("reserve"), who), st.tuples(st.just("purchase"), who), st.tuples(st.just("cancel"), who),
    st.tuples(st.just("forgo"), who), st.tuples(st.just("wait"), st.sampled_from((20.0, 61.0))),
    st.tuples(st.just("restart"), st.none()),
)  # fmt: skip


@dataclass
class Market:
    made: World
    cluster: KubeCluster
    clock: Time = field(default_factory=Time)
    seller: Seller | None = None
    known: dict[tuple[str, str, bool], str] = field(default_factory=dict)
    """Transactions by who asked for what, and whether exclusively."""
    sold: dict[str, str] = field(default_factory=dict)
    """Contracts that were answered, and not cancelled since, by transaction."""

    async def restart(self) -> None:
        await self.close()
        self.seller = seller_of(self.cluster, self.clock, expiry=EXPIRY)
        await self.seller.start()

    async def close(self) -> None:
        if self.seller is not None:
            await self.seller.stop()

    async def move(self, kind: str, about: object) -> None:
        assert self.seller is not None
        market = self.seller.market
        if kind == "restart":
            await self.restart()
            return
        if kind == "wait":
            self.clock.now += float(about)  # type: ignore[arg-type]
            for transaction in self.known.values():
                self.seller._keeper.controller.add(transaction)
            return
        buyer, uid, exclusive = key = about  # type: ignore[misc]
        try:
            if kind == "reserve":
                found = await market.reserve(asks(uid, buyer, exclusive=exclusive), None)
                self.known[key] = found["metadata"]["name"]
            elif key in self.known:
                await self.on(kind, key, market)
        except Refusal as refusal:
            assert refusal.status in (404, 408, 409), refusal

    async def on(self, kind: str, key: tuple[str, str, bool], market) -> None:  # type: ignore[no-untyped-def]
        transaction = self.known[key]
        if kind == "purchase":
            contract = await market.purchase(transaction, None, BUY)
            self.sold[transaction] = contract["metadata"]["name"]
        elif kind == "forgo":
            await market.forgo(transaction, None)
            assert transaction not in self.sold
        elif transaction in self.sold:
            name = self.sold.pop(transaction)
            await market.cancel(name, None)

    def check(self) -> None:
        """What holds at every moment."""
        contracts = {each["metadata"]["name"]: each for each in self.made.objects("provider", FLUIDOS_CONTRACT)}
        assert set(self.sold.values()) <= {
            name for name, each in contracts.items() if "deletionTimestamp" not in each["metadata"]
        }
        for flavor in self.made.objects("provider", FLAVOR):
            live = {name: hold for name, hold in told(flavor).items() if not hold.lapsed(self.clock.now)}
            if any(hold.exclusive for hold in live.values()):
                assert len(live) == 1, live
            for transaction in self.sold:
                if (
                    contracts[self.sold[transaction]]["spec"]["flavor"]["metadata"]["name"]
                    == flavor["metadata"]["name"]
                ):
                    assert live[transaction].contract == self.sold[transaction]

    async def clear(self) -> None:
        """When all is cancelled and time has passed nothing is left."""
        assert self.seller is not None
        for name in list(self.sold.values()):
            await self.seller.market.cancel(name, None)
        await settled(lambda: not self.made.objects("provider", FLUIDOS_CONTRACT))
        self.clock.now += 3 * EXPIRY
        await self.restart()
        await settled(lambda: not self.made.objects("provider", TRANSACTION) and not any(
            told(each) for each in self.made.objects("provider", FLAVOR)))  # fmt: skip
        assert not self.made.objects("provider", ALLOCATION) and not self.made.objects("provider", SECRET)
        for flavor in self.made.objects("provider", FLAVOR):
            assert flavor["spec"]["availability"] and not flavor["metadata"].get("finalizers")


def told(flavor: Object) -> dict[str, Hold]:
    return holds.read(flavor)


@settings(max_examples=12)
@given(st.lists(moves, min_size=6, max_size=30))
def test_interleavings_keep_what_was_promised(steps: list[tuple[str, object]]) -> None:
    async def main() -> None:
        async with world() as made:
            cluster = made.make("provider")
            for uid in SENSORS:
                await cluster.create(sensor(uid))
            market = Market(made, cluster)
            await market.restart()
            try:
                for kind, about in steps:
                    await market.move(kind, about)
                    market.check()
                await market.clear()
            finally:
                await market.close()

    asyncio.run(main())


@settings(max_examples=8)
@given(st.lists(st.lists(moves, min_size=2, max_size=8), min_size=3, max_size=4))
def test_moves_at_once_keep_it_too(waves: list[list[tuple[str, object]]]) -> None:
    async def main() -> None:
        async with world() as made:
            cluster = made.make("provider")
            for uid in SENSORS:
                await cluster.create(sensor(uid))
            market = Market(made, cluster)
            await market.restart()
            try:
                for wave in waves:
                    at_once = [step for step in wave if step[0] not in ("restart", "cancel", "forgo")]
                    await asyncio.gather(*(market.move(*step) for step in at_once))
                    market.check()
                    for step in wave:
                        if step not in at_once:
                            await market.move(*step)
                    market.check()
                await market.clear()
            finally:
                await market.close()

    asyncio.run(main())


hold = st.builds(
    Hold, st.booleans(), st.one_of(st.none(), st.integers(0, 4_000_000_000).map(float)), st.sampled_from(("", "c"))
)


@given(st.dictionaries(st.text("0123456789abcdef-", min_size=1, max_size=60), hold, max_size=5))
def test_holds_are_read_as_they_were_written(found: dict[str, Hold]) -> None:
    flavor = {"metadata": {"name": "f", "resourceVersion": "7"}, "spec": {"availability": True}}
    patch = holds.patch(flavor, found)
    text = patch["metadata"]["annotations"][HOLDS]
    assert (text is None) == (not found)
    written = {"metadata": {"name": "f", "annotations": {HOLDS: text} if text else {}}, "spec": {}}
    assert holds.read(written) == found
    assert patch["metadata"]["resourceVersion"] == "7"
    if found:
        assert set(json.loads(text)) == set(found)


@given(st.text(max_size=200))
def test_nonsense_in_the_annotation_is_a_refusal_and_nothing_else(text: str) -> None:
    flavor = {"metadata": {"name": "f", "annotations": {HOLDS: text}}, "spec": {}}
    try:
        holds.read(flavor)
    except Refusal as refusal:
        assert refusal.status == 503 and HOLDS in refusal.sentence


def test_names_follow_from_what_is_traded() -> None:
    assert (
        contract_name("a.b-sensor-1", "x") == contract_name("a.b-sensor-1", "x") != contract_name("a.b-sensor-1", "y")
    )
    assert "." not in contract_name("a.b-sensor-1", "x")
    assert SPACE == "fluidos"
