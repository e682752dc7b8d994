"""Reserving, buying, cancelling and expiring, on a real API: what is answered, and what is there afterwards."""

from __future__ import annotations

import asyncio
import json

import pytest

from continuo.edge.rear.names import HOLDS
from continuo.edge.rear.refusals import Refusal
from continuo.edge.rear.requests import ReserveRequest
from continuo.edge.rear.seller.seller import Seller
from continuo.resources import kinds
from continuo.resources.kinds import ALLOCATION, FLAVOR, FLUIDOS_CONTRACT, SECRET, TRANSACTION
from edge.rear.rear_world import BUY, SPACE, Time, World, asks, content, selling, sensor, settled, world


def run(body):  # type: ignore[no-untyped-def]
    async def main() -> None:
        async with world() as made:
            await body(made)

    asyncio.run(main())


async def refused(coroutine) -> Refusal:  # type: ignore[no-untyped-def]
    with pytest.raises(Refusal) as caught:
        await coroutine
    return caught.value


def holds_of(made: World, uid: str) -> dict[str, dict[str, object]]:
    flavor = made.engine.cluster("provider").get(FLAVOR, f"provider.eu-sensor-{uid}", SPACE)
    found: dict[str, dict[str, object]] = json.loads((flavor["metadata"].get("annotations") or {}).get(HOLDS, "{}"))
    return found


def test_a_sensor_is_reserved_and_bought_once_however_often_it_is_asked_for() -> None:
    async def body(made: World) -> None:
        cluster = made.make("provider")
        await cluster.create(sensor("s1"))
        async with selling(cluster, Time()) as seller:
            first = await seller.market.reserve(asks("s1"), None)
            again = await seller.market.reserve(asks("s1"), None)
            assert first["metadata"]["uid"] == again["metadata"]["uid"]
            one = await seller.market.purchase(first["metadata"]["name"], None, BUY)
            two = await seller.market.purchase(first["metadata"]["name"], None, BUY)
            assert one["metadata"]["uid"] == two["metadata"]["uid"]
            assert one["metadata"]["name"].startswith("contract-provider-eu-sensor-s1-")
            third = await seller.market.reserve(asks("s1"), None)
            assert third["metadata"]["name"] == first["metadata"]["name"]
        (allocation,) = made.objects("provider", ALLOCATION)
        assert allocation["metadata"]["labels"] == {"continuo.dev/side": "seller"}
        assert allocation["spec"]["forwarding"] is False
        assert holds_of(made, "s1")[first["metadata"]["name"]] == {
            "exclusive": False, "until": None, "contract": one["metadata"]["name"],
        }  # fmt: skip

    run(body)


def test_a_shared_sensor_is_sold_to_many_and_then_to_nobody_exclusively() -> None:
    async def body(made: World) -> None:
        cluster = made.make("provider")
        await cluster.create(sensor("s1"))
        async with selling(cluster, Time()) as seller:
            for buyer in ("c1", "c2"):
                found = await seller.market.reserve(asks("s1", buyer), None)
                await seller.market.purchase(found["metadata"]["name"], None, BUY)
            assert len(made.objects("provider", FLUIDOS_CONTRACT)) == 2
            said = await refused(seller.market.reserve(asks("s1", "c3", exclusive=True), None))
            assert (said.status, said.code) == (409, "shared")

    run(body)


def test_an_exclusive_hold_hides_the_sensor_and_ends_with_its_time() -> None:
    async def body(made: World) -> None:
        cluster, clock = made.make("provider"), Time()
        await cluster.create(sensor("s1"))
        async with selling(cluster, clock, expiry=60.0) as seller:
            mine = await seller.market.reserve(asks("s1", exclusive=True), None)
            flavor = made.engine.cluster("provider").get(FLAVOR, "provider.eu-sensor-s1", SPACE)
            assert flavor["spec"]["availability"] is False
            said = await refused(seller.market.reserve(asks("s1", "c2"), None))
            assert (said.status, said.code) == (409, "taken")
            clock.now += 61
            late = await refused(seller.market.purchase(mine["metadata"]["name"], None, BUY))
            assert late.status == 408 and "reserve the flavor again" in late.sentence
            other = await seller.market.reserve(asks("s1", "c2", exclusive=True), None)
            assert list(holds_of(made, "s1")) == [other["metadata"]["name"]]
            seller._keeper.controller.add(mine["metadata"]["name"])
            await settled(lambda: _phase(made, mine["metadata"]["name"]) == "Timed Out")
            late = await refused(seller.market.purchase(mine["metadata"]["name"], None, BUY))
            assert late.status == 408
            clock.now += 61
            seller._keeper.controller.add(mine["metadata"]["name"])
            await settled(lambda: _phase(made, mine["metadata"]["name"]) == "")

    run(body)


async def known(seller: Seller, count: int) -> None:
    changed = asyncio.Event()
    seller.books.on_flavor(lambda _old, _new: changed.set())
    while len(seller.books.flavors) != count:
        changed.clear()
        await changed.wait()


def _phase(made: World, name: str) -> str:
    found = {each["metadata"]["name"]: each for each in made.objects("provider", TRANSACTION)}
    return str(found[name]["status"]["phase"]["phase"]) if name in found else ""


def test_cancelling_takes_path_first_then_the_hold_and_leaves_nothing() -> None:
    async def body(made: World) -> None:
        cluster = made.make("provider")
        await cluster.create(sensor("s1"))
        endpoint = {"url": "https://c1.example.org/in", "authentication": {"scheme": "bearer", "secret": "hunter2"}}
        async with selling(cluster, Time()) as seller:
            found = await seller.market.reserve(asks("s1", exclusive=True, endpoints=[endpoint]), None)
            contract = await seller.market.purchase(found["metadata"]["name"], None, BUY)
            secret = await cluster.get(SECRET, f"endpoints-{found['metadata']['name']}", SPACE)
            assert content(secret) == {"0": "hunter2"}
            for kind in (TRANSACTION, FLUIDOS_CONTRACT, ALLOCATION, FLAVOR):
                assert "hunter2" not in json.dumps(made.objects("provider", kind))
            said = contract["spec"]["configuration"]["data"]
            assert said["secretRef"] == {"name": secret["metadata"]["name"]}
            assert said["endpoints"][0]["authentication"]["secretRef"]["key"] == "0"
            (allocation,) = made.objects("provider", ALLOCATION)
            patch = {"metadata": {"finalizers": ["continuo.dev/paths"]}}
            await cluster.patch(ALLOCATION, allocation["metadata"]["name"], patch, SPACE)
            await seller.market.cancel(contract["metadata"]["name"], None)
            await settled(lambda: "deletionTimestamp" in made.objects("provider", ALLOCATION)[0]["metadata"])
            assert holds_of(made, "s1")  # the path is still there: nobody else may have the sensor yet
            again = await refused(seller.market.reserve(asks("s1", exclusive=True, endpoints=[endpoint]), None))
            assert (again.status, again.code) == (409, "ending")
            await cluster.patch(ALLOCATION, allocation["metadata"]["name"], {"metadata": {"finalizers": []}}, SPACE)
            await settled(lambda: not made.objects("provider", FLUIDOS_CONTRACT))
            assert not holds_of(made, "s1") and not made.objects("provider", TRANSACTION)
            assert not [each for each in made.objects("provider", SECRET)]
            await seller.market.reserve(asks("s1", "c2", exclusive=True), None)

    run(body)


def test_a_withdrawn_flavor_goes_with_its_last_hold() -> None:
    async def body(made: World) -> None:
        cluster = made.make("provider")
        await cluster.create(sensor("s1"))
        async with selling(cluster, Time()) as seller:
            found = await seller.market.reserve(asks("s1"), None)
            contract = await seller.market.purchase(found["metadata"]["name"], None, BUY)
            patch = {
                "metadata": {"annotations": {"continuo.dev/withdrawn": "device led-1 is gone"}},
                "spec": {"availability": False},
            }
            await cluster.patch(FLAVOR, "provider.eu-sensor-s1", patch, SPACE)
            said = await refused(seller.market.reserve(asks("s1", "c2"), None))
            assert said.status == 409 and "device led-1 is gone" in said.sentence
            await seller.market.cancel(contract["metadata"]["name"], None)
            await settled(lambda: not made.objects("provider", FLAVOR))

    run(body)


def test_a_flavor_that_is_deleted_while_somebody_has_it_stays_until_he_has_it_no_more() -> None:
    async def body(made: World) -> None:
        cluster = made.make("provider")
        await cluster.create(sensor("s1"))
        async with selling(cluster, Time()) as seller:
            found = await seller.market.reserve(asks("s1", exclusive=True), None)
            contract = await seller.market.purchase(found["metadata"]["name"], None, BUY)
            await cluster.delete(FLAVOR, "provider.eu-sensor-s1", SPACE)
            assert holds_of(made, "s1")
            await seller.market.cancel(contract["metadata"]["name"], None)
            await settled(lambda: not made.objects("provider", FLAVOR))

    run(body)


def test_several_sensors_of_one_device_are_held_together_or_not_at_all() -> None:
    async def body(made: World) -> None:
        cluster = made.make("provider")
        for uid in ("s1", "s2", "s3"):
            await cluster.create(sensor(uid, device="board"))
        await cluster.create(sensor("other", device="elsewhere"))
        async with selling(cluster, Time()) as seller:
            await known(seller, 4)
            await seller.market.reserve(asks("s3", "c2", exclusive=True), None)
            said = await refused(seller.market.reserve(asks("s1", exclusive=True, sensors=["s1", "s2", "s3"]), None))
            assert said.status == 409 and not holds_of(made, "s1") and not holds_of(made, "s2")
            both = await seller.market.reserve(asks("s1", exclusive=True, sensors=["s1", "s2"]), None)
            assert set(holds_of(made, "s1")) == set(holds_of(made, "s2")) == {both["metadata"]["name"]}
            contract = await seller.market.purchase(both["metadata"]["name"], None, BUY)
            said = await refused(seller.market.reserve(asks("s2", "c3"), None))
            assert "sold to another" in said.sentence
            wrong = await refused(seller.market.reserve(asks("s1", "c4", sensors=["s1", "other"]), None))
            assert wrong.status == 400 and "'other'" in wrong.sentence
            await seller.market.cancel(contract["metadata"]["name"], None)
            await settled(lambda: not holds_of(made, "s1") and not holds_of(made, "s2"))

    run(body)


def test_whoever_did_not_reserve_it_neither_buys_nor_reads_nor_cancels_it() -> None:
    async def body(made: World) -> None:
        cluster, mine, other = made.make("provider"), "spiffe://c.example/a", "spiffe://c.example/b"
        await cluster.create(sensor("s1"))
        async with selling(cluster, Time()) as seller:
            found = await seller.market.reserve(asks("s1"), mine)
            name = found["metadata"]["name"]
            for peer in (other, None):
                assert (await refused(seller.market.purchase(name, peer, BUY))).status == 403
                assert (await refused(seller.market.forgo(name, peer))).status == 403
            contract = await seller.market.purchase(name, mine, BUY)
            for peer in (other, None):
                assert (await refused(seller.market.contract(contract["metadata"]["name"], peer))).status == 403
                assert (await refused(seller.market.cancel(contract["metadata"]["name"], peer))).status == 403
            elses = await seller.market.reserve(asks("s1"), other)
            assert elses["metadata"]["name"] != name  # the same words of somebody else are another transaction

    run(body)


def test_a_reservation_can_be_given_up_until_it_is_bought() -> None:
    async def body(made: World) -> None:
        cluster = made.make("provider")
        await cluster.create(sensor("s1"))
        async with selling(cluster, Time()) as seller:
            found = await seller.market.reserve(asks("s1", exclusive=True), None)
            await seller.market.forgo(found["metadata"]["name"], None)
            assert not holds_of(made, "s1") and not made.objects("provider", TRANSACTION)
            found = await seller.market.reserve(asks("s1", exclusive=True), None)
            await seller.market.purchase(found["metadata"]["name"], None, BUY)
            said = await refused(seller.market.forgo(found["metadata"]["name"], None))
            assert said.status == 409 and "cancel contract" in said.sentence

    run(body)


def test_a_contract_ends_with_its_time() -> None:
    async def body(made: World) -> None:
        cluster, clock = made.make("provider"), Time()
        await cluster.create(sensor("s1"))
        async with selling(cluster, clock, lifetime=100.0) as seller:
            found = await seller.market.reserve(asks("s1", exclusive=True), None)
            await seller.market.purchase(found["metadata"]["name"], None, BUY)
            clock.now += 101
            seller._keeper.controller.add(found["metadata"]["name"])
            await settled(lambda: not made.objects("provider", FLUIDOS_CONTRACT) and not holds_of(made, "s1"))

    run(body)


def test_a_contract_torn_out_by_force_gives_the_sensor_back() -> None:
    async def body(made: World) -> None:
        cluster = made.make("provider")
        await cluster.create(sensor("s1"))
        async with selling(cluster, Time()) as seller:
            found = await seller.market.reserve(asks("s1", exclusive=True), None)
            contract = await seller.market.purchase(found["metadata"]["name"], None, BUY)
        await cluster.delete(FLUIDOS_CONTRACT, contract["metadata"]["name"], SPACE)
        await cluster.patch(FLUIDOS_CONTRACT, contract["metadata"]["name"], {"metadata": {"finalizers": []}}, SPACE)
        async with selling(cluster, Time()):
            await settled(lambda: not holds_of(made, "s1") and not made.objects("provider", TRANSACTION))

    run(body)


def test_a_refused_endpoint_leaves_nothing_behind() -> None:
    async def nowhere(url: str) -> None:
        raise ValueError(f"{url} is loopback")

    async def body(made: World) -> None:
        cluster = made.make("provider")
        await cluster.create(sensor("s1"))
        async with selling(cluster, Time(), egress=nowhere) as seller:
            said = await refused(seller.market.reserve(asks("s1"), None))
            assert (said.status, said.code) == (400, "endpoint-refused") and "endpoints[0]" in said.sentence
        assert not holds_of(made, "s1") and not made.objects("provider", TRANSACTION)
        assert not made.objects("provider", kinds.SECRET)

    run(body)


def test_who_comes_a_moment_too_late_leaves_no_secret_behind() -> None:
    async def body(made: World) -> None:
        cluster = made.make("provider")
        await cluster.create(sensor("s1"))

        def wants(buyer: str) -> ReserveRequest:
            proof = {"scheme": "bearer", "secret": f"of {buyer}"}
            endpoint = {"url": f"https://{buyer}.example.org/in", "authentication": proof}
            return asks("s1", buyer, exclusive=True, endpoints=[endpoint])

        async with selling(cluster, Time()) as seller:
            reserving = [seller.market.reserve(wants(buyer), None) for buyer in ("c1", "c2", "c3")]
            told = await asyncio.gather(*reserving, return_exceptions=True)  # each finds it free, one may have it
            (won,) = [each for each in told if not isinstance(each, BaseException)]
            assert [each.status for each in told if isinstance(each, Refusal)] == [409, 409]
            (secret,) = made.objects("provider", SECRET)
            assert secret["metadata"]["name"] == f"endpoints-{won['metadata']['name']}"
            again = wants(won["spec"]["buyer"]["nodeID"])
            await seller.market.reserve(again, None)
            assert len(made.objects("provider", SECRET)) == 1  # what is renewed keeps its own

    run(body)
