"""Contract objects that somebody deletes or changes by hand, while the catalog looks and while it does not."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from broker.catalog.bench import Bench, Client, Clock, catalog, cheap_hashes
from broker.contracts.world import World, contracted, world
from broker.market import BUY, open_market, passwords
from broker.mortal import Life, Mortal
from continuo.broker.catalog.contracts import Contract
from continuo.broker.contracts.followed import back, judge, spec_of
from continuo.broker.contracts.peering import ClusterPeering
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.broker import CONTRACT
from continuo.resources.errors import ApiError
from continuo.resources.meta import Object
from seeding import seeds

pytestmark = pytest.mark.anyio
HOUR = 3600.0


@pytest.fixture(autouse=True)
def quick_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap_hashes(monkeypatch)


@pytest.fixture
async def made(anyio_backend: str) -> AsyncIterator[World]:
    async with world() as clusters:
        yield clusters


@pytest.fixture
async def storage(tmp_path: Path, anyio_backend: str) -> str:
    path = str(tmp_path / "catalog.sqlite")
    await open_market(path, "green", ("lab", "far"))
    return path


def peering(made: World, life: Life | None = None) -> ClusterPeering:
    client = made.client("broker")
    client.name = "the catalog's broker"  # as its log calls it
    return ClusterPeering(cast(Cluster, Mortal(client, life)) if life is not None else client, within=5.0)


async def bought(bench: Bench, name: str = "lab") -> tuple[Client, str]:
    """The buyer, and an active contract."""
    bench.passwords.update(passwords("lab", "far"))
    buyer = await bench.login(name)
    id = (await buyer.ask("POST", "/api/v1/contracts", BUY)).json["id"]
    assert (await bench.parts.contracts.settled(id, 10.0)).state == "active"
    return buyer, id


async def over(bench: Bench, id: str) -> Contract:
    """The contract once it has ended."""
    changed, contracts = asyncio.Event(), bench.parts.contracts
    stop = contracts.follow(lambda _: changed.set())
    try:
        async with asyncio.timeout(15):
            while (contract := contracts.get(id, None)).state != "ended":
                changed.clear()
                await changed.wait()
            return contract
    finally:
        stop()


async def known(bench: Bench) -> None:
    """A beat in which all links are known."""
    follower = bench.parts.follower
    assert follower is not None
    async with asyncio.timeout(15):
        while bench.parts.contracts.known_until() < round(bench.clock() * 1000):
            await asyncio.sleep(0.01)
            await follower.beat()


@asynccontextmanager
async def said(logger: str, text: str) -> AsyncIterator[None]:
    """Wait at the end until this has been logged meanwhile."""
    heard = asyncio.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if text in record.getMessage():
                heard.set()

    listener, log = Listener(), logging.getLogger(logger)
    log.addHandler(listener)
    level = log.level
    log.setLevel(logging.INFO)
    try:
        yield
        async with asyncio.timeout(15):
            await heard.wait()
    finally:
        log.setLevel(level)
        log.removeHandler(listener)


# --- deleted ----------------------------------------------------------------------------------------------------------
async def test_a_contract_that_is_deleted_by_hand_ends_at_that_moment(made: World, storage: str) -> None:
    clock = Clock(made.engine.now())
    async with contracted(made), catalog(storage, peering=peering(made), clock=clock) as bench:
        buyer, id = await bought(bench)
        token = (await buyer.ask("POST", f"/api/v1/contracts/{id}/credentials")).json["token"]
        clock.now += HOUR / 2
        made.apis["broker"].delete(CONTRACT, id)
        ended = await over(bench, id)
        assert ended.reason.startswith("ended by the broker: its Contract was deleted there at 20")
        assert ended.ended < round((clock.now - HOUR / 4) * 1000), "when it was deleted, not when that was heard"
        assert made.names("broker", CONTRACT) == [] and made.names("lab", kinds.NODE) == ["lab-0"]
        assert bench.parts.contracts.review(token, "green") is None
        clock.now += 5 * HOUR
        await known(bench)
        await bench.parts.contracts.meter()
        records = await bench.parts.contracts.usage("lab", id)
        assert all(record.ended <= ended.ended for record in records)
        shown = (await (await bench.login("lab")).get(f"/api/v1/contracts/{id}")).json
        assert (shown["state"], shown["reason"]) == ("ended", ended.reason)


async def test_what_went_while_nobody_looked_is_billed_as_long_as_it_was_known_to_be_there(
    made: World, storage: str
) -> None:
    clock = Clock()
    async with contracted(made):
        async with catalog(storage, peering=peering(made), clock=clock) as bench:
            _, id = await bought(bench)
            clock.now += 2.5 * HOUR
            await known(bench)
            seen = round(clock.now * 1000)
        made.apis["broker"].delete(CONTRACT, id)
        await made.until(lambda: made.names("broker", CONTRACT) == [])
        clock.now += 10 * HOUR
        async with catalog(storage, peering=peering(made), clock=clock) as bench:
            await bench.parts.contracts.meter()
            ended = await over(bench, id)
            assert ended.ended == seen and "was deleted there, and not by the catalog" in ended.reason
            records = await bench.parts.contracts.usage("lab")
            assert [(record.ended - record.started) / 3_600_000 for record in records] == [1.0, 1.0, 0.5]


async def test_what_nobody_can_see_is_not_metered_until_it_is_seen_again(made: World, storage: str) -> None:
    clock, broker = Clock(), made.engine.cluster("broker")
    async with contracted(made), catalog(storage, peering=peering(made), clock=clock) as bench:
        _, id = await bought(bench)
        await known(bench)
        follower = bench.parts.follower
        assert follower is not None
        async with said("continuo.runtime.informer", "the catalog's broker: contracts.continuo.dev"):
            broker.outage = "unavailable"
        assert not follower._following.current()
        clock.now += 3 * HOUR
        await follower.beat()
        await bench.parts.contracts.meter()
        assert await bench.parts.contracts.usage("lab", id) == []
        assert bench.parts.contracts.is_active(id), "a broker that is away ends nothing"
        broker.outage = None
        await known(bench)
        await bench.parts.contracts.meter()
        assert len(await bench.parts.contracts.usage("lab", id)) == 3


@pytest.mark.parametrize("seed", seeds(1))
async def test_killed_anywhere_while_it_ends(made: World, storage: str, seed: int) -> None:
    rng = Random(seed)
    async with contracted(made):
        async with catalog(storage, peering=peering(made)) as bench:
            bought_ones = [(await bought(bench, name))[1] for name in ("lab", "far", "lab")]
        doomed = bought_ones[:2]
        for id in doomed:
            made.apis["broker"].delete(CONTRACT, id)
        for _ in range(3):
            life = Life(rng.randint(1, 8), rng)
            async with catalog(storage, peering=peering(made, life)):
                await asyncio.wait({asyncio.ensure_future(life.over.wait())}, timeout=0.3)
        async with catalog(storage, peering=peering(made)) as bench:
            for id in doomed:
                assert "ended by the broker" in (await over(bench, id)).reason
            await known(bench)
            assert bench.parts.contracts.active() == bought_ones[2:]
            assert made.names("broker", CONTRACT) == bought_ones[2:]


async def test_a_catalog_before_another_cluster_ends_nothing(made: World, storage: str) -> None:
    """Somebody names the wrong kubeconfig: no Contract of ours is there, and none has been deleted."""
    async with contracted(made):
        async with catalog(storage, peering=peering(made)) as bench:
            _, id = await bought(bench)
        other = made.make("other", nodes=0)
        for crd in made.apis["broker"].list(kinds.CUSTOM_RESOURCE_DEFINITION):
            other.create({**crd, "metadata": {"name": crd["metadata"]["name"]}, "status": {}})
        wrong = ClusterPeering(made.client("other"))
        async with catalog(storage, peering=wrong) as bench:
            async with said("continuo.runtime.controller", "is not the one that keeps contract"):
                assert bench.parts.follower is not None  # a refusal is tried again, and said again
            follower = bench.parts.follower
            assert follower is not None
            before = bench.parts.contracts.known_until()
            bench.clock.now += 5 * HOUR
            await follower.beat()
            assert bench.parts.contracts.is_active(id) and bench.parts.contracts.known_until() == before
        async with catalog(storage, peering=peering(made)) as bench:
            await known(bench)
            assert bench.parts.contracts.is_active(id)


# --- changed ----------------------------------------------------------------------------------------------------------
async def test_what_was_changed_by_hand_is_put_back(made: World, storage: str) -> None:
    broker, lab = made.apis["broker"], made.apis["lab"]
    made.lift_rule()
    async with contracted(made), catalog(storage, peering=peering(made)) as bench:
        _, id = await bought(bench)
        node = f"green-{id[:8]}"
        found = broker.get(CONTRACT, id)
        more = {"cpu": "64", "memory": "2G", "nvidia.com/gpu": "8"}
        broker.update({**found, "spec": {**found["spec"], "resources": more}})
        await made.until(lambda: broker.get(CONTRACT, id)["spec"]["resources"] == {"cpu": "1000m", "memory": "2G"})
        await made.until(lambda: lab.get(kinds.NODE, node)["status"]["allocatable"]["cpu"] == "1000m")
        assert bench.parts.contracts.is_active(id)
    with_rest = lab.get(kinds.NODE, node)["status"]["allocatable"]
    assert with_rest.get("nvidia.com/gpu", "0") == "0"


async def test_what_was_replaced_and_cannot_be_put_back_ends(made: World, storage: str) -> None:
    async with contracted(made):
        async with catalog(storage, peering=peering(made)) as bench:
            _, id = await bought(bench)
        found = made.apis["broker"].get(CONTRACT, id)
        made.apis["broker"].delete(CONTRACT, id)
        await made.until(lambda: made.names("broker", CONTRACT) == [])
        made.apis["broker"].create(
            CONTRACT.new(id, spec={**found["spec"], "resources": {"cpu": "64"}, "plan": "large"})
        )
        async with catalog(storage, peering=peering(made)) as bench:
            ended = await over(bench, id)
            assert ended.reason.startswith("ended by the broker: its Contract was changed there (plan, resources), and")
            assert made.names("broker", CONTRACT) == [] and made.names("lab", kinds.NODE) == ["lab-0"]


async def test_one_that_was_made_anew_as_it_was_goes_on(made: World, storage: str) -> None:
    """As from a backup of the broker's cluster."""
    async with contracted(made):
        async with catalog(storage, peering=peering(made)) as bench:
            _, id = await bought(bench)
        found = made.apis["broker"].get(CONTRACT, id)
        made.apis["broker"].delete(CONTRACT, id)
        await made.until(lambda: made.names("broker", CONTRACT) == [])
        made.apis["broker"].create(CONTRACT.new(id, spec=found["spec"]))
        async with catalog(storage, peering=peering(made)) as bench:
            await known(bench)
            assert bench.parts.contracts.is_active(id)


SOLD = Contract(
    "c1", "lab", "green", "o", "p", "1", "EUR", "hour", {"cpu": "1", "x.io/a": True, "x.io/b": True}, 0, "active"
)


@pytest.mark.parametrize(("change", "finding"), [
    ({}, None),
    ({"features": ["x.io/b", "x.io/a"]}, None),
    ({"node": "gpu"}, None),
    ({"resources": {"cpu": "2"}}, "(resources)"),
    ({"resources": {}, "features": []}, "(resources, features)"),
    ({"consumer": "far"}, "(consumer)"),
])  # fmt: skip
def test_what_counts_as_changed(change: Object, finding: str | None) -> None:
    found: Object = CONTRACT.new("c1", spec={**spec_of(SOLD), **change})
    judged = judge(SOLD, found)
    assert (judged is None) == (finding is None)
    if judged is not None and finding is not None:
        assert judged.what == "changed" and judged.why.endswith(finding)


def test_what_is_put_back() -> None:
    spec = {**spec_of(SOLD), "node": "gpu", "resources": {"cpu": "2", "x.io/more": "1"}, "features": ["x.io/c"]}
    assert back(spec, spec_of(SOLD)) == {**spec_of(SOLD), "resources": {"cpu": "1", "x.io/more": None}}
    without = {name: value for name, value in spec_of(SOLD).items() if name != "features"}
    assert back(spec, without)["features"] is None


def test_what_counts_as_gone() -> None:
    found: Any = CONTRACT.new("c1", metadata={"deletionTimestamp": "2027-01-15T08:00:00Z"}, spec=spec_of(SOLD))
    assert (judged := judge(SOLD, found)) is not None and (judged.what, judged.at) == ("gone", 1_800_000_000.0)
    assert (judged := judge(SOLD, None)) is not None and judged.at is None


async def test_a_kind_that_is_not_there_is_not_a_contract_that_is_gone(made: World, storage: str) -> None:
    async with contracted(made):
        async with catalog(storage, peering=peering(made)) as bench:
            _, id = await bought(bench)
        made.make("other", nodes=0)
        async with catalog(storage, peering=ClusterPeering(made.client("other"))) as bench:
            follower = bench.parts.follower
            assert follower is not None and not follower._following.current()
            with pytest.raises(ApiError, match="does not know the kind Contract"):
                await follower._following.find(bench.parts.contracts.get(id, None))
            assert bench.parts.contracts.is_active(id)


async def test_both_sides_are_told_and_nobody_else(made: World, storage: str) -> None:
    async with contracted(made), catalog(storage, peering=peering(made)) as bench:
        _, id = await bought(bench)
        bench.passwords.update(passwords("green"))
        streams = {name: await told(await bench.login(name)) for name in ("lab", "green", "far")}
        made.apis["broker"].delete(CONTRACT, id)
        for name in ("lab", "green"):
            states = []
            async for contract in streams[name]:
                assert contract["id"] == id and "token" not in contract
                states.append(contract["state"])
                if contract["state"] == "ended":
                    assert contract["reason"].startswith("ended by the broker")
                    break
            assert states[0] == "active"
        _, other = await bought(bench, "far")
        async for contract in streams["far"]:
            assert contract["id"] == other, "what others have bought is not told"
            break
        for stream in streams.values():
            await stream.aclose()
        refused = await bench.anybody.get("/api/v1/contracts/events")
        assert refused.status == 401


async def told(client: Client) -> AsyncGenerator[dict[str, Any], None]:
    """The contracts of the stream; it is open when this returns."""
    answer = await client.http.get(f"{client.url}/api/v1/contracts/events", headers=client.headers())
    assert answer.status == 200

    async def lines() -> AsyncGenerator[dict[str, Any], None]:
        async with answer, asyncio.timeout(20):
            async for line in answer.content:
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))

    return lines()
