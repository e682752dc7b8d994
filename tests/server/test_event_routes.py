"""`GET /events`: pages and streams, whose they are, and how a reader goes on where it was."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from server_bench import Bench, Client

from continuo.cli.events import Wish
from continuo.cli.events_server import Server, from_server
from continuo.cli.failures import BadInput, Failed
from continuo.events.ledger import Work, advance
from continuo.events.outbox import put, read, written
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

pytestmark = pytest.mark.anyio

JSON = {"Accept": "application/json"}
ANN = Work("app.deploy", "app/shop", begins=True, tenant="ann")
BOB = Work("app.deploy", "app/bar", begins=True, tenant="bob")
CLUSTER = Work("cluster.create", "cluster/green", begins=True)


async def happen(bench: Bench, *works: Work, drop: int = 0) -> Object:
    """What the operator does: everything under way ends, this begins; `drop` cuts the outbox to its last entries."""
    obj = await bench.orchestration()
    now = datetime.datetime.now(datetime.UTC)
    ledger, box = read(obj)
    ledger, ends = advance(ledger, [], now)
    ledger, begun = advance(ledger, works, now)
    box = put(box, (*ends, *begun))
    await bench.say(written(ledger, box[-drop:] if drop else box))
    await seen(bench, ledger.events)
    return await bench.orchestration()


async def seen(bench: Bench, position: int) -> None:
    """Return when the server has taken the event at that position, which is the number of its entry where none is missing."""
    log = bench.parts.events.log
    async with asyncio.timeout(10):
        while not any(json.loads(entry.body)["data"].get("position") == position for entry in log.after(0, 1000)):
            await log.wait(log.newest, 10)


async def items(client: Client, query: str = "") -> list[Any]:
    """A page."""
    status, body, _ = await client.call("GET", f"/events{query}", headers=JSON)
    assert status == 200, body
    return body["items"]


def short(found: list[Any]) -> list[str]:
    return [f"{e['subject']} {e['type'].split('.')[-2]}" for e in found]


@contextlib.asynccontextmanager
async def stream(client: Client, query: str = "", **headers: str) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
    """(id, event) as they come."""

    async def read_all(content: Any) -> AsyncIterator[tuple[str, Any]]:
        id_, data = "", ""
        async for line in content:
            text = line.decode().rstrip("\n")
            if text.startswith("id: "):
                id_ = text[4:]
            elif text.startswith("data: "):
                data = text[6:]
            elif not text and data:
                yield id_, json.loads(data)
                data = ""

    asked = {"Authorization": f"Bearer {client.token}", "Accept": "text/event-stream", **headers}
    timeout = aiohttp.ClientTimeout(total=20)
    async with client.session.get(f"{client.base}/events{query}", headers=asked, timeout=timeout) as answer:
        assert answer.status == 200 and answer.content_type == "text/event-stream"
        yield read_all(answer.content)


async def test_callers_hear_of_their_own_and_administrators_of_all(bench: Bench) -> None:
    await happen(bench, CLUSTER, ANN, BOB)
    assert short(await items(bench.root)) == ["cluster/green started", "app/shop started", "app/bar started"]
    assert short(await items(bench.ann)) == ["app/shop started"]
    assert short(await items(bench.bob)) == ["app/bar started"]
    assert await items(bench.eve) == []
    status, problem, headers = await bench.client.call("GET", "/events", headers=JSON)
    assert (status, problem["code"]) == (401, "unauthenticated") and "WWW-Authenticate" in headers


async def test_an_event_says_what_it_should(bench: Bench) -> None:
    obj = await happen(bench, ANN)
    (event,) = await items(bench.ann)
    uid = obj["metadata"]["uid"]
    assert event["source"] == "/orchestrations/default/main" and event["specversion"] == "1.0"
    assert event["id"] == f"{uid.replace('-', '')[:12]}-1/000001" and event["taskid"] == event["id"][:-7]
    assert event["correlationid"].startswith(f"{uid}/") and event["tenant"] == "ann"


FILTERS = [
    ("?type=app.*", ["app/shop started", "app/shop succeeded"]),
    ("?type=app.deploy.started", ["app/shop started"]),
    ("?type=*.succeeded", ["cluster/green succeeded", "app/shop succeeded"]),
    ("?type=dev.continuo.cluster.create.started.v1", ["cluster/green started"]),
    ("?type=app.deploy.started,cluster.create.started", ["cluster/green started", "app/shop started"]),
    ("?subject=cluster/*", ["cluster/green started", "cluster/green succeeded"]),
    ("?subject=app/shop&type=*.succeeded", ["app/shop succeeded"]),
    ("?orchestration=other", []),
    ("?orchestration=ma*&type=app.deploy", ["app/shop started", "app/shop succeeded"]),
    ("?orchestration=default/main&type=app.deploy", ["app/shop started", "app/shop succeeded"]),
    ("?since=2001-01-01T00:00:00Z&type=*.succeeded", ["cluster/green succeeded", "app/shop succeeded"]),
    ("?since=2999-01-01T00:00:00%2B00:00", []),
    ("?since=1h&subject=app/*", ["app/shop started", "app/shop succeeded"]),
]


async def test_filters(bench: Bench) -> None:
    await happen(bench, CLUSTER, ANN)
    await happen(bench)
    for query, expected in FILTERS:
        assert short(await items(bench.root, query)) == expected, query


UNCLEAR = [
    ("?since=yesterday", "since: 'yesterday' is neither a time"),
    ("?since=999999999d", "longer ago than there is time"),
    ("?type=" + "*.a" * 9, "more than four stars"),
    ("?type=" + "a," * 40, "too many"),
    ("?limit=0", "limit: must be 1 to 1000"),
    ("?limit=many", "limit: must be 1 to 1000"),
    ("?after=here", "is no id of an event"),
    ("?after=a.-1", "is no id of an event"),
]


async def test_what_cannot_be_understood_is_said(bench: Bench) -> None:
    for query, said in UNCLEAR:
        status, problem, _ = await bench.root.call("GET", f"/events{query}", headers=JSON)
        assert status == 400 and said in problem["detail"], query


async def test_pages(bench: Bench) -> None:
    await happen(bench, CLUSTER, ANN, BOB)
    await happen(bench)
    whole = await items(bench.root)
    found: list[Any] = []
    after, more = "", True
    while more:
        _, body, _ = await bench.root.call(
            "GET", f"/events?limit=4&after={after}" if after else "/events?limit=4", headers=JSON
        )
        found, after, more = found + body["items"], body["last"], body["more"]
    assert found == whole
    batch = "application/cloudevents-batch+json"
    status, body, headers = await bench.root.call("GET", "/events", headers={"Accept": batch})
    assert (status, body) == (200, whole) and headers["Content-Type"] == batch


async def test_a_stream_goes_on_where_its_reader_was(bench: Bench) -> None:
    await happen(bench, ANN)
    async with stream(bench.ann) as events:
        first, event = await anext(events)
        assert short([event]) == ["app/shop started"]
        await happen(bench)
        last, event = await anext(events)
        assert short([event]) == ["app/shop succeeded"]
    await happen(bench, CLUSTER, ANN)
    async with stream(bench.ann, **{"Last-Event-ID": last}) as events:
        assert short([(await anext(events))[1]]) == ["app/shop started"]
    async with stream(bench.ann, **{"Last-Event-ID": first}) as events:
        assert short([(await anext(events))[1], (await anext(events))[1]]) == ["app/shop succeeded", "app/shop started"]


async def test_another_log_is_told_and_everything_follows(bench: Bench) -> None:
    await happen(bench, ANN)
    async with stream(bench.ann, **{"Last-Event-ID": "abc.17"}) as events:
        _, gap = await anext(events)
        assert gap["type"] == "dev.continuo.events.gap.v1" and "another log" in gap["data"]["message"]
        assert short([(await anext(events))[1]]) == ["app/shop started"]


async def test_what_went_by_unseen_is_a_gap(bench: Bench) -> None:
    await happen(bench, ANN)
    await happen(bench, ANN, BOB, CLUSTER, drop=1)
    found = await items(bench.ann)
    assert short(found[:1]) == ["app/shop started"] and found[1]["type"] == "dev.continuo.events.gap.v1"
    assert found[1]["data"]["missing"] == 3
    assert len(await items(bench.eve)) == 0


async def test_a_reader_that_fell_behind_is_cut(bench: Bench) -> None:
    """The log keeps less than the reader missed: it hears of that, and has to begin anew."""
    feed = bench.parts.events
    feed.log._bounds = type(feed.log._bounds)(count=4)
    await happen(bench, ANN)
    async with stream(bench.root) as events:
        last, _ = await anext(events)
    for _ in range(4):
        await happen(bench, ANN, BOB)
    async with stream(bench.root, **{"Last-Event-ID": last}) as events:
        found = [event async for _, event in events]
    assert [event["type"] for event in found] == ["dev.continuo.events.gap.v1"]
    assert "fell behind" in found[0]["data"]["message"]


async def test_the_last_events_of_one_that_is_deleted(bench: Bench) -> None:
    await happen(bench, ANN)
    await happen(bench)
    await bench.cluster.delete(LOW_LEVEL_ORCHESTRATION, "main", "default")
    assert short(await items(bench.ann)) == ["app/shop started", "app/shop succeeded"]


async def test_one_that_goes_before_its_tasks_ended_leaves_a_gap(bench: Bench) -> None:
    await happen(bench, ANN)
    await bench.cluster.delete(LOW_LEVEL_ORCHESTRATION, "main", "default")
    await bench.parts.events.log.wait(1, 10)
    found = await items(bench.ann)
    assert found[1]["type"] == "dev.continuo.events.gap.v1" and "it is gone" in found[1]["data"]["message"]


async def test_the_command_line_reads_pages_and_goes_on_after_a_break(bench: Bench, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("ann-token\n", encoding="utf-8")
    server = Server.named(bench.client.base, token, None)
    await happen(bench, ANN, BOB)
    await happen(bench)
    paged = [event async for event in from_server(server, Wish((), ("app.*",), (), "1h", False))]
    assert short(paged) == ["app/shop started", "app/shop succeeded"]
    followed = from_server(server, Wish(("main",), (), (), None, True))
    assert short([await anext(followed), await anext(followed)]) == ["app/shop started", "app/shop succeeded"]
    bench.parts.events.closed = True  # every stream ends now
    bench.parts.events.log.wake()
    coming = asyncio.ensure_future(anext(followed))
    await happen(bench, ANN)
    bench.parts.events.closed = False
    async with asyncio.timeout(20):
        assert short([await coming]) == ["app/shop started"]
    await followed.aclose()


async def test_the_command_line_says_what_the_server_refuses(bench: Bench, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("wrong", encoding="utf-8")
    asked = from_server(Server.named(bench.client.base, token, None), Wish((), (), (), None, False))
    with pytest.raises(Failed, match="the bearer token is not valid here"):
        await anext(asked)
    token.write_text("ann-token", encoding="utf-8")
    for follow in (False, True):
        wish = Wish((), (), (), "nope", follow)
        with pytest.raises(BadInput, match="neither a time"):
            await anext(from_server(Server.named(bench.client.base, token, None), wish))
