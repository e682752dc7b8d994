"""Buying: once whatever is repeated, whole whenever it is killed, and billed to the thousand millionth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.catalog.bench import Bench, Client, Clock, catalog, offer
from continuo.broker.catalog.catalog import Catalog
from continuo.broker.catalog.contracts import Contract, Contracts, Purchase
from continuo.broker.catalog.peering import Link, PeeringRefused
from continuo.broker.catalog.schema import SCHEMA
from continuo.broker.offers.model import Offer, Plan
from continuo.storage.database import Database

pytestmark = pytest.mark.anyio
BUY = {"offer": "a", "plan": "basic"}


async def sold(bench: Bench, cost: str = "1.0") -> tuple[Client, Client, dict[str, Any]]:
    """A provider, a buyer, and an active contract between them."""
    green, lab = await bench.provider(), await bench.consumer()
    await green.publish("a", offer(cost=cost))
    answer = await lab.ask("POST", "/api/v1/contracts", BUY)
    assert answer.status == 201, answer.body
    return green, lab, answer.json


async def test_a_purchase_and_its_end(bench: Bench) -> None:
    green, lab, contract = await sold(bench, "3.6")
    assert contract["state"] == "active" and contract["link"] == "handed-over"
    path = f"/api/v1/contracts/{contract['id']}"
    handed = await lab.ask("POST", f"{path}/credentials")
    assert handed.json["clusterID"] == "green" and handed.json["token"].startswith(contract["id"])

    async def review(token: str, provider: Client = green) -> Any:
        answer = await provider.ask("POST", "/api/v1/tokenreviews", {"kind": "TokenReview", "spec": {"token": token}})
        assert answer.status == 201
        return answer.json["status"]

    status = await review(handed.json["token"])
    assert status["authenticated"] and status["user"]["username"] == f"continuo:contract:{contract['id']}"
    assert not (await review(handed.json["token"] + "x"))["authenticated"]
    assert not (await review(handed.json["token"], await bench.provider("blue")))["authenticated"], "not sold by blue"

    bench.clock.now += 800
    ended = await lab.ask("DELETE", path)
    assert ended.json["state"] == "ended" and ended.json["reason"] == "ended by the buyer"
    assert not (await review(handed.json["token"]))["authenticated"]
    assert (await lab.ask("DELETE", path)).json["state"] == "ended"
    assert (await lab.ask("POST", f"{path}/credentials")).status == 409
    usage = (await green.get("/api/v1/usage")).body.splitlines()
    assert len(usage) == 1 and b'"seconds":"800' in usage[0] and b'"amount":"0.800000000"' in usage[0]


async def test_credentials_are_handed_over_once_and_rotate(bench: Bench) -> None:
    green, lab, contract = await sold(bench)
    path = f"/api/v1/contracts/{contract['id']}/credentials"
    first = (await lab.ask("POST", path)).json["token"]
    again = await lab.ask("POST", path)
    assert again.status == 409 and again.json["code"] == "already-handed-over"
    second = (await lab.ask("POST", f"{path}?rotate=true")).json["token"]
    assert bench.parts.contracts.review(first, "green") is None
    assert bench.parts.contracts.review(second, "green") is not None
    assert (await green.ask("POST", path)).status == 403
    other = await bench.consumer("other")
    assert (await other.ask("POST", path)).status == 404
    assert (await other.get(f"/api/v1/contracts/{contract['id']}")).status == 404
    assert (await other.ask("DELETE", f"/api/v1/contracts/{contract['id']}")).status == 404
    assert (await other.get("/api/v1/contracts")).json["items"] == []


async def test_the_same_key_buys_once(bench: Bench) -> None:
    await (await bench.provider()).publish("a", offer())
    lab = await bench.consumer()
    key = {"Idempotency-Key": "order-7"}
    answers = await asyncio.gather(*(lab.ask("POST", "/api/v1/contracts", BUY, key) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [200] * 4 + [201]
    assert len({answer.json["id"] for answer in answers}) == 1
    other = await lab.ask("POST", "/api/v1/contracts", {**BUY, "cost": "1"}, key)
    assert other.status == 422 and other.json["code"] == "idempotency-key-reused"
    bench.clock.now += 25 * 3600
    lab = await bench.login("lab")
    assert (await lab.ask("POST", "/api/v1/contracts", BUY, key)).status == 201


async def test_the_price_is_that_of_the_moment(bench: Bench) -> None:
    green, lab, contract = await sold(bench, "1.0")
    await green.publish("a", offer(cost="2"))
    refused = await lab.ask("POST", "/api/v1/contracts", {**BUY, "cost": "1"})
    assert refused.status == 409 and "costs 2 EUR now, not 1" in refused.json["detail"]
    assert (await lab.ask("POST", "/api/v1/contracts", {**BUY, "cost": "2.00"})).status == 201
    assert (await lab.get(f"/api/v1/contracts/{contract['id']}")).json["cost"] == "1.0"
    await green.ask("DELETE", "/offer/a")
    assert (await lab.get(f"/api/v1/contracts/{contract['id']}")).json["state"] == "active"


async def test_accounts_with_open_contracts_stay(bench: Bench) -> None:
    _, _, contract = await sold(bench)
    refused = await bench.operator.ask("DELETE", "/api/v1/accounts/lab")
    assert refused.status == 409 and "open" not in refused.json["detail"] and "contracts" in refused.json["detail"]
    ended = await bench.operator.ask("DELETE", f"/api/v1/contracts/{contract['id']}")
    assert ended.json["reason"] == "ended by the operator"
    assert (await bench.operator.ask("DELETE", "/api/v1/accounts/lab")).status == 204


async def test_hours_are_recorded_as_they_pass_and_add_up(bench: Bench) -> None:
    _, _, contract = await sold(bench, "0.1")
    bench.clock.now += 3 * 3600 + 600
    await bench.parts.contracts.meter()
    await bench.parts.contracts.meter()
    assert len(await bench.parts.contracts.usage("lab")) == 3
    bench.clock.now += 600
    await bench.parts.contracts.end(contract["id"], "lab", "enough")
    records = await bench.parts.contracts.usage("lab")
    assert [record.sequence for record in records] == [0, 1, 2, 3]
    assert all(a.ended == b.started for a, b in pairwise(records))
    assert sum(record.amount for record in records) == Decimal("0.1") * 3 + Decimal("0.033333333")
    table = (await (await bench.login("lab")).get("/api/v1/usage", format="csv")).body.decode().splitlines()
    assert len(table) == 5 and table[0].startswith("contract,sequence,buyer")


class Rehearsal:
    """A peering that notes what is linked, and fails or refuses when it is told to."""

    def __init__(self) -> None:
        self.linked: dict[str, int] = {}
        self.fail = 0
        self.refuse = False
        self.hang: asyncio.Event | None = None
        self.keep = 0
        """How often `unlink` is refused."""
        self.refused = asyncio.Event()

    async def link(self, contract: Contract) -> Link:
        if self.hang is not None:
            await self.hang.wait()
        if self.fail:
            self.fail -= 1
            raise OSError("no route to the provider")
        self.linked[contract.id] = self.linked.get(contract.id, 0) + 1
        if self.refuse:
            self.refused.set()
            raise PeeringRefused("both clusters use 10.0.0.0/16, and nothing translates")
        return Link("linked")

    async def unlink(self, contract: Contract) -> None:
        if self.keep:
            self.keep -= 1
            raise PeeringRefused("the link belongs to somebody else")
        self.linked.pop(contract.id, None)


async def no_pause(_: float) -> None:
    await asyncio.sleep(0)


async def open_contracts(
    path: str, peering: Rehearsal, clock: Clock, pause: Callable[[float], Any] = no_pause
) -> tuple[Database, Contracts]:
    database = Database(path, SCHEMA)
    await database.open()
    books = Catalog(database, clock=clock)
    await books.load()
    if books.index.get("a") is None:
        await books.publish(Offer("a", "green", "A", "t", (Plan("basic", "Basic", "1", {"cpu": "1"}),)))
    contracts = Contracts(database, books, peering, clock, pause)
    await contracts.load()
    return database, contracts


async def test_what_fails_for_now_is_tried_again_and_what_is_refused_is_undone(storage: str) -> None:
    peering, clock = Rehearsal(), Clock()
    database, contracts = await open_contracts(storage, peering, clock)
    peering.fail = 3
    made, _ = await contracts.buy(Purchase("lab", "a", "basic"))
    assert (await contracts.settled(made.id, 20)).state == "active"
    peering.refuse = True
    made, _ = await contracts.buy(Purchase("lab", "a", "basic"))
    failed = await contracts.settled(made.id, 20)
    assert failed.state == "failed" and "10.0.0.0/16" in failed.reason
    assert made.id not in peering.linked and [r for r in await contracts.usage("lab") if r.contract == made.id] == []
    await contracts.close()
    await database.close()


async def test_who_waits_for_a_contract_hears_how_it_went_even_if_it_is_ended_meanwhile(storage: str) -> None:
    peering, clock = Rehearsal(), Clock()
    peering.hang = asyncio.Event()
    database, contracts = await open_contracts(storage, peering, clock)
    made, _ = await contracts.buy(Purchase("lab", "a", "basic"))
    assert (await contracts.settled(made.id, 0)).state in ("requested", "reserved")
    waiting = asyncio.create_task(contracts.settled(made.id, 20))
    await asyncio.sleep(0)
    await contracts.end(made.id, "lab", "enough")
    assert (await waiting).state == "ended"
    other, _ = await contracts.buy(Purchase("lab", "a", "basic"))
    waiting = asyncio.create_task(contracts.settled(other.id, 20))
    await asyncio.sleep(0)
    await contracts.close()
    assert (await waiting).state in ("requested", "reserved")
    await database.close()


async def test_a_reader_of_a_contract_waits_until_it_stopped_moving(tmp_path: Path) -> None:
    peering = Rehearsal()
    peering.hang = asyncio.Event()
    async with catalog(str(tmp_path / "c.sqlite"), peering=peering) as bench:
        await (await bench.provider()).publish("a", offer())
        lab = await bench.consumer()
        made, _ = await bench.parts.contracts.buy(Purchase("lab", "a", "basic"))
        path = f"/api/v1/contracts/{made.id}"
        assert (await lab.get(path, wait="0.01")).json["state"] == "reserved"
        waiting = asyncio.create_task(lab.get(path, wait="30"))
        assert (await lab.get(path)).json["state"] == "reserved", "who does not ask to wait does not"
        peering.hang.set()
        assert (await waiting).json["state"] == "active"


async def test_a_refusal_that_could_not_be_stored_at_first_is_not_lost(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    peering, clock = Rehearsal(), Clock()
    database, contracts = await open_contracts(storage, peering, clock)
    peering.refuse, real, failures = True, Database._together, 1

    def failing(self: Database, batch: list[Any]) -> None:
        nonlocal failures
        if peering.refused.is_set() and failures:  # the write that would keep the refusal
            failures -= 1
            raise OSError("no space left on the device")
        real(self, batch)

    monkeypatch.setattr(Database, "_together", failing)
    made, _ = await contracts.buy(Purchase("lab", "a", "basic"))
    failed = await contracts.settled(made.id, 20)
    assert failures == 0, "the storage did fail"
    assert failed.state == "failed" and "10.0.0.0/16" in failed.reason and made.id not in peering.linked
    peering.refuse = False
    again, _ = await contracts.buy(Purchase("lab", "a", "basic"))
    assert (await contracts.settled(again.id, 20)).state == "active", "others are driven on"
    await contracts.close()
    await database.close()
    database, contracts = await open_contracts(storage, peering, clock)
    assert contracts.get(made.id, "lab").reason == failed.reason, "and it is stored"
    await contracts.close()
    await database.close()


async def test_what_cannot_be_unlinked_is_tried_less_and_less_often(storage: str) -> None:
    peering, clock = Rehearsal(), Clock()
    waits: list[float] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    database, contracts = await open_contracts(storage, peering, clock, pause)
    made, _ = await contracts.buy(Purchase("lab", "a", "basic"))
    assert (await contracts.settled(made.id, 20)).state == "active"
    peering.keep = 9
    await contracts.end(made.id, "lab", "enough")
    assert (await contracts.settled(made.id, 20)).state == "ended" and peering.linked == {}
    assert waits[:4] == [1.0, 2.0, 4.0, 8.0] and len(waits) == 9 and max(waits) <= 60
    await contracts.close()
    await database.close()


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("ends", [False, True], ids=["bought", "bought and ended"])
async def test_killed_at_any_write_it_goes_on(
    storages: Callable[[], str], ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The storage stops taking commits after n of them, for every n: what began before is finished by the next start."""
    for survives in range(12):
        peering, clock = Rehearsal(), Clock()
        path = storages()
        database, contracts = await open_contracts(path, peering, clock)
        left = survives
        together = Database._together

        def limited(self: Database, batch: list[Any], real: Any = together) -> None:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            real(self, batch)

        with monkeypatch.context() as patch:
            patch.setattr(Database, "_run", _killing(limited))
            bought = await _life(contracts, clock, ends)
        await contracts.close()
        await database.close()

        clock.now += 7200
        database, contracts = await open_contracts(path, peering, clock)
        known = contracts.concerning("lab")
        assert len(known) <= 1
        if bought is not None:
            assert [contract.id for contract in known] == [bought], "an answered purchase is never lost"
        for contract in known:
            settled = await contracts.settled(contract.id, 20)
            if settled.state == "active":
                await contracts.end(settled.id, "lab", "enough")
            over = contracts.get(contract.id, "lab")
            records = await contracts.usage("lab")
            assert over.state == "ended" and over.started > 0
            assert sum(r.ended - r.started for r in records) == over.ended - over.started
            assert [r.sequence for r in records] == list(range(len(records)))
        assert peering.linked == {}, "no link is left"
        await contracts.close()
        await database.close()


def _killing(limited: Any) -> Any:
    def run(self: Database, batch: list[Any]) -> None:
        for job in batch:
            try:
                limited(self, [job])
            except Killed:
                job.error = OSError("killed")

    return run


async def _life(contracts: Contracts, clock: Clock, ends: bool) -> str | None:
    """What the process does until it is killed; the id of the contract, if the buyer was answered."""
    try:
        made, _ = await contracts.buy(Purchase("lab", "a", "basic"), "key")
    except OSError:
        return None
    try:
        for _ in range(50):
            await asyncio.sleep(0.001)
            if contracts.get(made.id, "lab").state == "active":
                break
        clock.now += 3600
        await contracts.meter()
        clock.now += 60
        if ends:
            await asyncio.wait_for(contracts.end(made.id, "lab", "enough"), 0.1)
    except (OSError, TimeoutError):
        pass
    return made.id


async def test_ending_while_the_link_is_being_made_leaves_no_link(storage: str) -> None:
    peering, clock = Rehearsal(), Clock()
    peering.hang = asyncio.Event()
    database, contracts = await open_contracts(storage, peering, clock)
    made, _ = await contracts.buy(Purchase("lab", "a", "basic"))
    while contracts.get(made.id, None).state != "reserved":  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    ended = await contracts.end(made.id, "lab", "changed my mind")
    assert (ended.state, ended.started, peering.linked) == ("ended", 0, {})
    assert await contracts.usage("lab") == []
    await contracts.close()
    await database.close()


def test_what_is_told_of_a_contract_has_no_secret() -> None:
    contract = Contract("id", "lab", "green", "a", "basic", "1", "EUR", "hour", {}, 1, token="abcdef")
    assert "abcdef" not in msgspec.json.encode(contract.told()).decode()
    assert contract.told()["handed_over"] is True
