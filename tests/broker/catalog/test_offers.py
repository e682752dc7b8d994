"""Offers over HTTP, in the first form and in the modern one, on both storages."""

from __future__ import annotations

from typing import Any

import pytest

from broker.catalog.bench import Bench, catalog, offer

pytestmark = pytest.mark.anyio

THESIS: dict[str, Any] = {
    "name": "Storage-optimized offer",
    "type": "storage",
    "description": "For all your storage needs.",
    "plans": {
        "basic": {"name": "plan-basic", "cost": "1.0", "resources": {"cpu": "1000m", "memory": "2G", "storage": "100G"}},
        "medium": {
            "planName": "plan-medium", "planID": "medium", "cost": "2.0",
            "resources": {"cpu": "2000m", "memory": "4G", "brokering.liqo.io/redis": True},
        },
    },
}  # fmt: skip


async def test_the_first_forms_routes(bench: Bench) -> None:
    await bench.provider("green", cluster_id="d14e610e")
    peering = {"clusterID": "d14e610e", "authToken": "green-and-a-secret", "authURL": "https://192.0.2.1:6443"}
    proven = await bench.anybody.ask("POST", "/authenticate", peering)
    assert proven.status == 200
    green = bench.anybody
    green.token = proven.json["token"]

    assert (await green.publish("storage", THESIS)).status == 201
    assert (await green.publish("storage", THESIS)).status == 200
    told = (await green.get("/offer/storage")).json
    assert told["plans"]["basic"]["planName"] == "plan-basic" and told["plans"]["basic"]["planID"] == "basic"
    assert told["plans"]["medium"]["cost"] == "2.0"
    assert told["plans"]["medium"]["resources"] == THESIS["plans"]["medium"]["resources"]
    assert [each["id"] for each in (await green.get("/offers")).json] == ["storage"]
    assert (await green.ask("DELETE", "/offer/storage")).status == 204
    assert (await green.get("/offer/storage")).status == 404
    assert (await green.get("/offers")).json == []


async def test_plans_may_be_listed_in_either_spelling(bench: Bench) -> None:
    green = await bench.provider()
    body = {"cost": "1", "resources": {"cpu": "1"}}
    plans = [{"planID": "small", "planName": "Small", **body}, {"id": "big", "name": "Big", **body}]
    assert (await green.publish("a", {"name": "A", "type": "t", "plans": plans})).status == 201
    told = (await green.get("/api/v1/offers/a")).json["plans"]
    assert [(plan["id"], plan["name"]) for plan in told] == [("small", "Small"), ("big", "Big")]


async def test_a_write_names_the_version_that_it_means(bench: Bench) -> None:
    green = await bench.provider()
    address, new = "/api/v1/offers/a", {"If-None-Match": "*"}
    assert (await green.ask("PUT", address, offer())).status == 428
    made = await green.ask("PUT", address, offer(), new)
    assert made.status == 201
    assert (await green.ask("PUT", address, offer(), new)).status == 412
    seen = {"If-Match": made.headers["ETag"]}
    changed = await green.ask("PUT", address, offer(cost="2"), seen)
    assert changed.status == 200 and changed.headers["ETag"] != made.headers["ETag"]
    assert (await green.ask("PUT", address, offer(cost="3"), seen)).status == 412
    assert (await green.ask("DELETE", address, headers=seen)).status == 412
    assert (await green.get(address, {"If-None-Match": changed.headers["ETag"]})).status == 304
    assert (await green.ask("DELETE", address, headers={"If-Match": changed.headers["ETag"]})).status == 204


async def test_the_same_offer_again_is_no_change(bench: Bench) -> None:
    green = await bench.provider()
    first = (await green.ask("PUT", "/api/v1/offers/a", offer(), {"If-None-Match": "*"})).json
    again = (await green.ask("PUT", "/api/v1/offers/a", offer(), {"If-Match": "*"})).json
    assert again["revision"] == first["revision"]
    assert (await green.get("/api/v1/offers")).json["revision"] == first["revision"]


async def test_what_is_listed_can_be_published_again(bench: Bench) -> None:
    green = await bench.provider()
    await green.publish("storage", THESIS)
    told = (await green.get("/offer/storage")).json
    assert (await green.publish("storage", told)).status == 200


async def test_everything_is_there_after_a_restart(storage: str) -> None:
    async with catalog(storage) as before:
        green = await before.provider()
        await green.publish("a", offer())
        await green.publish("b", offer(cost="2"))
        await green.ask("DELETE", "/offer/a")
        await before.parts.catalog.measure("green", {"latency": 12.5})
        revision = (await green.get("/api/v1/offers")).json["revision"]
    async with catalog(storage) as after:
        told = (await after.anybody.get("/api/v1/offers")).json
        assert [each["id"] for each in told["items"]] == ["b"]
        assert told["revision"] == revision
        assert told["items"][0]["measured"] == {"latency": 12.5}
        green.http, green.url = after.http, after.url
        assert (await green.publish("c", offer())).status == 201, "tokens outlive a restart"


async def test_two_catalogs_never_share_a_storage(storage: str) -> None:
    from continuo.broker.catalog.schema import SCHEMA
    from continuo.storage.database import Database, StorageFailed

    async with catalog(storage):
        with pytest.raises(StorageFailed, match="another catalog uses"):
            await Database(storage, SCHEMA).open()


async def test_a_storage_that_fails_refuses_and_says_so(bench: Bench) -> None:
    green = await bench.provider()
    await green.publish("a", offer())
    with pytest.raises(Exception, match="storage does not take changes"):
        await bench.parts.database.run("INSERT INTO nowhere VALUES (1)")
    assert (await bench.anybody.get("/readyz")).status == 503
    await bench.parts.database.run("ALTER TABLE changes RENAME TO away")
    refused = await green.publish("a", offer(cost="2"))
    assert refused.status == 503 and refused.json["code"] == "storage-failed"
    assert (await bench.anybody.get("/offer/a")).json["plans"]["basic"]["cost"] == "1.0", "nothing half"
    await bench.parts.database.run("ALTER TABLE away RENAME TO changes")
    assert (await green.publish("a", offer(cost="2"))).status == 200
    assert (await bench.anybody.get("/readyz")).status == 200


async def test_pages_hold_every_offer_once_whatever_the_order(bench: Bench) -> None:
    green = await bench.provider()
    for number in range(23):
        await green.publish(f"o{number:02}", offer(cost=str(number % 5)))
    for order in ("id", "price", "-price", "resources.cpu", "measured.latency", "name"):
        seen: list[str] = []
        query = {"order": order, "limit": "4", "where": "price >= 1"}
        while True:
            page = (await bench.anybody.get("/api/v1/offers", **query)).json
            seen += [each["id"] for each in page["items"]]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
        assert sorted(seen) == sorted(f"o{n:02}" for n in range(23) if n % 5), order
    cheap = (await bench.anybody.get("/offers", order="price", limit="5")).json
    assert [each["plans"][0]["cost"] for each in cheap["items"]] == ["0"] * 5


async def test_the_next_page_is_linked(bench: Bench) -> None:
    green = await bench.provider()
    for number in range(3):
        await green.publish(f"o{number}", offer())
    first = await bench.anybody.get("/api/v1/offers", limit="2", where="price < 5")
    address = first.headers["Link"].removeprefix("<").partition(">")[0]
    following = await bench.anybody.get(address)
    assert [each["id"] for each in following.json["items"]] == ["o2"]


async def test_filters_see_plans_prices_regions_labels_and_what_was_measured(bench: Bench) -> None:
    green, blue = await bench.provider("green"), await bench.provider("blue", region="us-east")
    await green.publish("disks", THESIS)
    await blue.publish("gpus", offer(cost="9", labels={"tier": "gold", "brokering.liqo.io/gpu": "a100"}))
    await bench.parts.catalog.measure("blue", {"latency": 11.0})

    async def matching(where: str) -> dict[str, list[str]]:
        answer = await bench.anybody.get("/offers", where=where)
        assert answer.status == 200, answer.body
        return {each["id"]: each["matches"] for each in answer.json["items"]}

    assert await matching("price < 2.5") == {"disks": ["basic", "medium"]}
    assert await matching("price < 2.5 && resources.cpu >= 2") == {"disks": ["medium"]}
    assert await matching("resources.memory == quantity('2G') && region == 'eu-south'") == {"disks": ["basic"]}
    assert await matching("has(labels.tier)") == {"gpus": ["basic"]}
    assert await matching("labels['brokering.liqo.io/gpu'] == 'a100'") == {"gpus": ["basic"]}
    assert await matching("resources['brokering.liqo.io/redis'] == 1") == {"disks": ["medium"]}
    assert await matching("measured.latency < 16") == {"gpus": ["basic"]}
    assert await matching("!(measured.latency < 16)") == {}, "what was never measured is neither"
    long = await bench.anybody.ask("POST", "/api/v1/offers:search", {"where": "kind == 'storage'", "order": "-price"})
    assert [each["id"] for each in long.json["items"]] == ["gpus", "disks"]


async def test_a_list_that_did_not_change_is_not_sent_again(bench: Bench) -> None:
    green = await bench.provider()
    await green.publish("a", offer())
    first = await green.get("/api/v1/offers", where="price > 0")
    assert (
        await green.get("/api/v1/offers", {"If-None-Match": first.headers["ETag"]}, where="price > 0")
    ).status == 304
    assert (
        await green.get("/api/v1/offers", {"If-None-Match": first.headers["ETag"]}, where="price > 1")
    ).status == 200
    await green.publish("a", offer(cost="2"))
    assert (
        await green.get("/api/v1/offers", {"If-None-Match": first.headers["ETag"]}, where="price > 0")
    ).status == 200
