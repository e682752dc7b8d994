"""Changes as they happen: full lists, deltas, events; resumed, filtered, and for readers who are slow."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import aiohttp
import pytest

from broker.catalog.bench import Bench, Client, catalog, offer
from continuo.broker.catalog import feed as feed_module
from continuo.broker.catalog.entries import Change, Entry
from continuo.broker.catalog.feed import Feed, Gone
from continuo.broker.offers.model import Offer, Plan

pytestmark = pytest.mark.anyio


async def frame(socket: Any) -> dict[str, Any]:
    message = await asyncio.wait_for(socket.receive(), 20)
    assert message.type is aiohttp.WSMsgType.TEXT, message
    told: dict[str, Any] = json.loads(message.data)
    return told


async def until(socket: Any, revision: int) -> list[dict[str, Any]]:
    """All changes up to this revision."""
    changes: list[dict[str, Any]] = []
    while not changes or changes[-1]["revision"] < revision:
        changes += (await frame(socket)).get("changes", [])
    return changes


async def test_the_first_forms_socket_sends_full_lists(bench: Bench) -> None:
    green = await bench.provider("green", name="Green clouds")
    await green.publish("a", offer())
    async with bench.http.ws_connect(bench.url + "/offers") as socket:
        (provider,) = json.loads((await socket.receive()).data)
        assert (provider["clusterID"], provider["clusterName"]) == ("green", "Green clouds")
        assert provider["offers"][0]["plans"]["basic"]["cost"] == "1.0"
        await green.publish("b", offer())
        (provider,) = json.loads((await asyncio.wait_for(socket.receive(), 20)).data)
        assert [each["id"] for each in provider["offers"]] == ["a", "b"]


@pytest.mark.parametrize("sockets", ["wsproto", None], ids=["any server", "our server"])
async def test_a_snapshot_then_deltas(storage: str, sockets: str | None) -> None:
    more = {"sockets": sockets} if sockets else {}
    async with catalog(storage, **more) as bench:
        green = await bench.provider()
        await green.publish("a", offer())
        async with bench.anybody.stream() as socket:
            await socket.send_json({"op": "subscribe"})
            snapshot = await frame(socket)
            assert (snapshot["op"], snapshot["more"]) == ("snapshot", False)
            assert [each["id"] for each in snapshot["items"]] == ["a"]
            await green.publish("a", offer(cost="2", name="Größe"))
            await green.ask("DELETE", "/offer/a")
            changes = await until(socket, snapshot["revision"] + 2)
            assert [change["type"] for change in changes] == ["offer.upserted", "offer.deleted"]
            assert changes[0]["offer"]["name"] == "Größe" and "offer" not in changes[1]


async def test_an_offer_that_no_longer_matches_is_gone_for_that_reader(bench: Bench) -> None:
    green = await bench.provider()
    await green.publish("a", offer(cost="1"))
    async with bench.anybody.stream() as socket:
        await socket.send_json({"op": "subscribe", "where": "price < 2"})
        start = (await frame(socket))["revision"]
        for cost in ("5", "6", "1.5"):
            await green.publish("a", offer(cost=cost))
        changes = await until(socket, start + 3)
        assert [(c["type"], c["revision"] - start) for c in changes] == [("offer.deleted", 1), ("offer.upserted", 3)]


async def test_events_resume_where_the_last_one_was(bench: Bench) -> None:
    green = await bench.provider()
    for cost in ("1", "2", "3"):
        await green.publish("a", offer(cost=cost))
    headers = {"Last-Event-ID": "1"}
    async with bench.http.get(bench.url + "/api/v1/events", headers=headers) as answer:
        lines = []
        while len([line for line in lines if line.startswith("id:")]) < 2:
            lines.append((await asyncio.wait_for(answer.content.readline(), 20)).decode().strip())
        assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert [line for line in lines if line.startswith(("id", "event"))] == [
        "id: 2",
        "event: offer.upserted",
        "id: 3",
    ] or [line for line in lines if line.startswith("id")] == ["id: 2", "id: 3"]


async def test_what_is_no_longer_kept_cannot_be_resumed(storage: str) -> None:
    async with catalog(storage, keep=4) as bench:
        green = await bench.provider()
        for cost in range(10):
            await green.publish("a", offer(cost=str(cost)))
        assert (await bench.anybody.get("/api/v1/events", since="1")).status == 410
        assert (await bench.anybody.get("/api/v1/events", since="999")).status == 410
        async with bench.anybody.stream() as socket:
            await socket.send_json({"op": "subscribe", "since": 1})
            assert (await frame(socket))["op"] == "reset"
            assert (await frame(socket))["items"][0]["plans"][0]["cost"] == "9"


async def test_a_stream_ends_with_its_token(closed: Bench) -> None:
    lab = await closed.consumer()
    async with lab.stream() as socket:
        await socket.send_json({"op": "subscribe"})
        await frame(socket)
        await closed.operator.ask("POST", "/api/v1/accounts/lab/revoke")
        closed.parts.catalog.feed.beat()
        assert (await asyncio.wait_for(socket.receive(), 20)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 4401


async def test_nobody_reads_a_closed_catalog_without_a_token(closed: Bench) -> None:
    async with closed.http.ws_connect(closed.url + "/offers") as socket:
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 4401
    async with closed.anybody.stream() as socket:
        await socket.send_json({"op": "subscribe"})
        assert "authenticate" in (await frame(socket))["detail"]


async def test_a_ticket_opens_one_socket_once(closed: Bench) -> None:
    lab = await closed.consumer()
    ticket = (await lab.ask("POST", "/api/v1/tickets")).json["ticket"]
    for expected in ("snapshot", "error"):
        async with closed.anybody.stream() as socket:
            await socket.send_json({"op": "subscribe", "ticket": ticket})
            assert (await frame(socket))["op"] == expected


@pytest.mark.parametrize("origin,opens", [("http://evil.example", False), ("http://127.0.0.1", False), ("same", True)])
async def test_pages_of_others_open_no_sockets(bench: Bench, origin: str, opens: bool) -> None:
    origin = bench.url if origin == "same" else origin
    if opens:
        async with bench.anybody.stream({"Origin": origin}) as socket:
            await socket.send_json({"op": "subscribe"})
            assert (await frame(socket))["op"] == "snapshot"
    else:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await bench.anybody.stream({"Origin": origin})
        assert refused.value.status == 403 and (refused.value.headers or {}).get("Connection") == "close"


@pytest.mark.parametrize("seed", range(2))
async def test_whoever_reconnects_misses_nothing_and_hears_nothing_twice(bench: Bench, seed: int) -> None:
    """Readers who are cut off again and again, at any point, while two providers write."""
    dice = random.Random(seed)
    providers = [await bench.provider(name) for name in ("green", "blue")]
    done = asyncio.Event()

    async def write(provider: Client, prefix: str, dice: random.Random) -> None:
        for step in range(40):
            id = f"{prefix}{dice.randrange(6)}"
            if dice.random() < 0.25:
                await provider.ask("DELETE", f"/offer/{id}")
            else:
                await provider.publish(id, offer(cost=str(dice.randrange(100)), name=f"step {step}"))

    readers = [asyncio.create_task(_reader(bench, random.Random(seed * 100 + n), done)) for n in range(4)]
    await asyncio.gather(*(write(p, "gb"[n], random.Random(dice.random())) for n, p in enumerate(providers)))
    done.set()
    last = bench.parts.catalog.feed.revision
    truth = {each["id"]: each for each in (await bench.anybody.get("/api/v1/offers")).json["items"]}
    for reader in readers:
        heard, state = await asyncio.wait_for(reader, 60)
        assert heard == list(range(heard[0], last + 1)) if heard else last == 0
        assert state == truth


async def _reader(bench: Bench, dice: random.Random, done: asyncio.Event) -> tuple[list[int], dict[str, Any]]:
    heard: list[int] = []
    state: dict[str, Any] = {}
    since: int | None = None
    while True:
        async with bench.anybody.stream() as socket:
            await socket.send_json({"op": "subscribe", **({} if since is None else {"since": since})})
            for _ in range(dice.randrange(1, 4)):
                if done.is_set() and since == bench.parts.catalog.feed.revision:
                    return heard, state
                try:
                    told = json.loads((await asyncio.wait_for(socket.receive(), 0.1)).data)
                except TimeoutError:
                    break
                assert told["op"] in ("snapshot", "delta")
                state.update({item["id"]: item for item in told.get("items", ())})
                for change in told.get("changes", ()):
                    heard.append(change["revision"])
                    state.pop(change["id"], None)
                    if change["type"] == "offer.upserted":
                        state[change["id"]] = change["offer"]
                since = told["revision"]
            socket._writer.transport.abort()  # no farewell: the other side learns it from TCP


def entry(id: str, revision: int, cost: str = "1") -> Entry:
    return Entry.of(Offer(id, "p", id, "t", (Plan("a", "a", cost, {}),)), revision, 0.0, {})


async def test_who_is_far_behind_hears_the_last_of_each_offer_and_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "STRICT", 10)
    feed = Feed(keep=100)
    before: dict[str, Entry] = {}
    for revision in range(1, 31):
        id = f"o{revision % 3}"
        after = entry(id, revision)
        feed.add(Change(revision, id, "p", before.get(id), after))
        before[id] = after
    feed.close()
    delta = feed.after(0)
    assert delta.coalesced and delta.revision == 30
    assert [json.loads(item)["revision"] for item in delta.items] == [28, 29, 30]
    near = feed.after(25)
    assert not near.coalesced and len(near.items) == 5


async def test_the_log_is_bounded_and_so_is_what_is_encoded() -> None:
    feed = Feed(keep=50)
    for revision in range(1, 1001):
        feed.add(Change(revision, "o", "p", None, entry("o", revision)))
        feed.frame("text", revision - 1, "", lambda delta: b"x")
    feed.close()
    assert feed.revision - feed.oldest <= 100
    assert len(feed._frames) <= 512
    with pytest.raises(Gone):
        feed.after(1)


async def test_a_filtered_reader_hears_of_deletions_that_began_before_the_restart(storage: str) -> None:
    async with catalog(storage) as bench:
        green = await bench.provider()
        await green.publish("a", offer(cost="1"))
        await green.publish("a", offer(cost="9"))
    async with catalog(storage) as bench, bench.anybody.stream() as socket:
        await socket.send_json({"op": "subscribe", "since": 1, "where": "price < 2"})
        (change,) = (await frame(socket))["changes"]
        assert (change["type"], change["id"]) == ("offer.deleted", "a")
