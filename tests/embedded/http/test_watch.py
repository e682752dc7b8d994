from __future__ import annotations

import asyncio
from random import Random

import pytest
from http_client import SECRETS, TABLE, Client, Clock, new_engine, secret

from continuo.embedded.apicore.changelog import Bounds
from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http import watch as watching
from continuo.embedded.http.server import Server

pytestmark = pytest.mark.anyio
WATCH = f"{SECRETS}?watch=true"


async def _version(admin: Client) -> str:
    return str((await admin.get(SECRETS)).json["metadata"]["resourceVersion"])


async def test_from_a_version_only_later_changes_come(admin: Client) -> None:
    await admin.post(SECRETS, secret("a"))
    version = await _version(admin)
    await admin.post(SECRETS, secret("b"))
    async with admin.watch(f"{WATCH}&resourceVersion={version}") as stream:
        assert await stream.seen(1) == [("ADDED", "b")]
        await admin.patch(f"{SECRETS}/a", {"data": {"x": "MQ=="}})
        deleted = await admin.delete(f"{SECRETS}/b")
        assert deleted.json["status"] == "Success"
        assert await stream.seen(1) == [("MODIFIED", "a")]
        event = await stream.next()
        assert (event["type"], event["object"]["metadata"]["name"]) == ("DELETED", "b")
        assert int(event["object"]["metadata"]["resourceVersion"]) > int(version)


@pytest.mark.parametrize("query", ["", "&resourceVersion=0", "&resourceVersion="])
async def test_without_a_version_the_present_state_comes_first(admin: Client, query: str) -> None:
    for name in ("a", "b"):
        await admin.post(SECRETS, secret(name))
    async with admin.watch(WATCH + query) as stream:
        assert await stream.seen(2) == [("ADDED", "a"), ("ADDED", "b")]
        await admin.post(SECRETS, secret("c"))
        assert await stream.seen(1) == [("ADDED", "c")]


async def test_initial_events_end_with_an_annotated_bookmark(admin: Client) -> None:
    await admin.post(SECRETS, secret("a"))
    query = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    async with admin.watch(WATCH + query) as stream:
        assert await stream.seen(1) == [("ADDED", "a")]
        bookmark = await stream.next()
        assert bookmark["type"] == "BOOKMARK"
        assert bookmark["object"]["kind"] == "Secret"
        assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert bookmark["object"]["metadata"]["resourceVersion"] == await _version(admin)


async def test_bookmarks_come_when_asked_for(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "BOOKMARK_SECONDS", 0.01)
    version = await _version(admin)
    async with admin.watch(f"{WATCH}&resourceVersion={version}&allowWatchBookmarks=1") as stream:
        event = await stream.next()
        assert event == {
            "type": "BOOKMARK",
            "object": {
                "kind": "Secret",
                "apiVersion": "v1",
                "metadata": {"resourceVersion": version, "creationTimestamp": None},
            },
        }


async def test_a_selector_turns_leaving_into_deleted_and_entering_into_added(admin: Client) -> None:
    await admin.post(SECRETS, secret("a", {"on": "1"}))
    version = await _version(admin)
    path = f"{WATCH}&labelSelector=on&resourceVersion={version}"
    async with admin.watch(path) as stream:
        await admin.patch(f"{SECRETS}/a", {"metadata": {"labels": {"on": None, "off": "1"}}})
        event = await stream.next()
        assert (event["type"], event["object"]["metadata"]["labels"]) == ("DELETED", {"on": "1"})
        assert event["object"]["metadata"]["resourceVersion"] == await _version(admin)
        await admin.patch(f"{SECRETS}/a", {"data": {"unseen": "1"}})
        await admin.patch(f"{SECRETS}/a", {"metadata": {"labels": {"on": "2"}}})
        assert await stream.seen(1) == [("ADDED", "a")]
        await admin.patch(f"{SECRETS}/a", {"metadata": {"labels": {"on": "3"}}})
        await admin.delete(f"{SECRETS}/a")
        assert await stream.seen(2) == [("MODIFIED", "a"), ("DELETED", "a")]


async def test_one_namespace_and_one_name(admin: Client) -> None:
    await admin.post("/api/v1/namespaces", {"metadata": {"name": "other"}})
    async with admin.watch(f"{WATCH}&fieldSelector=metadata.name%3Da") as stream:
        await admin.post("/api/v1/namespaces/other/secrets", secret("a"))
        await admin.post(SECRETS, secret("b"))
        await admin.post(SECRETS, secret("a", x="here"))
        event = await stream.next()
        assert event["object"]["data"] == {"x": "aGVyZQ=="}


async def test_a_version_older_than_the_log_is_410_within_the_stream(clock: Clock) -> None:
    engine = new_engine(clock, bounds=Bounds(entries=3))
    admin = Client(Server(engine))
    for index in range(8):
        await admin.post(SECRETS, secret(f"m{index}"))
    async with admin.watch(f"{WATCH}&resourceVersion=1") as stream:
        event = await stream.next()
        assert stream.status == 200
        assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
        assert await stream.next() is None
    await engine.stop()


async def test_a_client_that_falls_behind_is_told_to_list_again(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching.Watch.__init__, "__defaults__", (3,))
    version = await _version(admin)
    async with admin.watch(f"{WATCH}&resourceVersion={version}") as stream:
        stream.hold.clear()
        for index in range(12):
            await admin.post(SECRETS, secret(f"m{index}"))
        stream.hold.set()
        events = []
        while (event := await stream.next()) is not None:
            events.append(event)
        assert events[-1]["type"] == "ERROR"
        assert events[-1]["object"]["code"] == 410
        assert len(events) < 12


async def test_a_table_watch_sends_headers_once(widgets: Client) -> None:
    from http_client import WIDGETS, widget

    await widgets.post(WIDGETS, widget("a", replicas=1))
    async with widgets.watch(f"{WIDGETS}?watch=1", accept=TABLE) as stream:
        first = (await stream.next())["object"]
        assert [column["name"] for column in first["columnDefinitions"]][:2] == ["Name", "Replicas"]
        await widgets.patch(f"{WIDGETS}/a", {"spec": {"replicas": 4}})
        second = (await stream.next())["object"]
        assert second["columnDefinitions"] is None
        assert second["rows"][0]["cells"][:2] == ["a", 4]
        assert second["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


async def test_it_ends_with_its_timeout(admin: Client) -> None:
    async with admin.watch(f"{WATCH}&timeoutSeconds=1&resourceVersion={await _version(admin)}") as stream:
        assert await stream.next() is None


async def test_it_ends_with_its_cluster(engine: EmbeddedEngine, server: Server) -> None:
    engine.create_cluster("rose")
    rose = Client(server, "rose")
    async with rose.watch(WATCH) as stream:
        engine.remove_cluster("rose")
        assert await stream.next() is None
    assert (await rose.get("/version")).status == 404


async def test_it_ends_when_its_definition_is_deleted(widgets: Client) -> None:
    from http_client import WIDGETS

    async with widgets.watch(f"{WIDGETS}?watch=1") as stream:
        await widgets.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.org")
        assert await stream.next() is None


async def test_a_thousand_watchers_share_one_encoding_and_leave_nothing_behind(
    admin: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from continuo.embedded.http import wire

    encoded = []
    original = wire.encode
    monkeypatch.setattr(wire, "encode", lambda value: encoded.append(value) or original(value))
    tasks, streams = [], []
    version = await _version(admin)
    from http_client import Stream

    for _ in range(1000):
        stream = Stream()
        scope = admin._scope("GET", f"{WATCH}&resourceVersion={version}", {})
        tasks.append(asyncio.ensure_future(admin.app(scope, stream.receive, stream.send)))
        streams.append(stream)
    await asyncio.sleep(0)
    order = Random(1).sample(range(1000), 1000)
    await admin.post(SECRETS, secret("a"))
    for index in order:
        assert await streams[index].seen(1) == [("ADDED", "a")]
    assert [obj["kind"] for obj in encoded if obj["kind"] == "Secret"] == ["Secret"]  # for the answer, too
    face = server.attach()._faces["management"]
    assert len(face.hub) == 1000
    for stream in streams:
        stream.closed.set()
    await asyncio.gather(*tasks)
    assert len(face.hub) == 0
