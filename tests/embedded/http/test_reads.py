from __future__ import annotations

from urllib.parse import quote

import pytest
from http_client import SECRETS, Client, Clock, new_engine, secret

from continuo.embedded.apicore.changelog import Bounds
from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server

pytestmark = pytest.mark.anyio


async def _fill(admin: Client, count: int) -> None:
    for index in range(count):
        reply = await admin.post(SECRETS, secret(f"m{index}", {"half": str(index % 2)}))
        assert reply.status == 201


def _names(reply_json: dict) -> list[str]:
    return [item["metadata"]["name"] for item in reply_json["items"]]


async def test_get_returns_the_object_and_missing_ones_are_404_with_details(admin: Client) -> None:
    await admin.post(SECRETS, secret("a", x="1"))
    assert (await admin.get(f"{SECRETS}/a")).json["data"] == {"x": "MQ=="}
    reply = await admin.get(f"{SECRETS}/b")
    assert (reply.status, reply.message) == (404, 'secrets "b" not found')
    assert reply.json["details"] == {"name": "b", "kind": "secrets"}


async def test_list_pages_show_the_state_of_the_first_page(admin: Client) -> None:
    await _fill(admin, 7)
    first = (await admin.get(f"{SECRETS}?limit=3")).json
    assert _names(first) == ["m0", "m1", "m2"]
    assert first["metadata"]["remainingItemCount"] == 4
    await admin.delete(f"{SECRETS}/m4")
    await admin.post(SECRETS, secret("m45"))
    await admin.patch(f"{SECRETS}/m5", {"data": {"later": "yes"}})
    token = quote(first["metadata"]["continue"])
    second = (await admin.get(f"{SECRETS}?limit=3&continue={token}")).json
    assert _names(second) == ["m3", "m4", "m5"]
    assert "data" not in second["items"][2] or "later" not in second["items"][2]["data"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    last = (await admin.get(f"{SECRETS}?limit=3&continue={quote(second['metadata']['continue'])}")).json
    assert _names(last) == ["m6"]
    assert "continue" not in last["metadata"]


async def test_a_continue_token_expires_with_the_change_log(clock: Clock) -> None:
    engine = new_engine(clock, bounds=Bounds(entries=5))
    admin = Client(Server(engine))
    await _fill(admin, 4)
    first = (await admin.get(f"{SECRETS}?limit=2")).json
    for index in range(10):
        await admin.post(SECRETS, secret(f"n{index}"))
    reply = await admin.get(f"{SECRETS}?limit=2&continue={quote(first['metadata']['continue'])}")
    assert (reply.status, reply.json["reason"]) == (410, "Expired")
    await engine.stop()


async def test_a_wrong_continue_token_is_a_bad_request(admin: Client) -> None:
    reply = await admin.get(f"{SECRETS}?continue=nonsense")
    assert reply.status == 400
    assert "continue key is not valid" in reply.message


async def test_paging_with_a_selector_counts_matches_only(admin: Client) -> None:
    await _fill(admin, 9)
    first = (await admin.get(f"{SECRETS}?limit=2&labelSelector=half%3D0")).json
    assert _names(first) == ["m0", "m2"]
    assert "remainingItemCount" not in first["metadata"]
    token = quote(first["metadata"]["continue"])
    rest = (await admin.get(f"{SECRETS}?limit=5&labelSelector=half%3D0&continue={token}")).json
    assert _names(rest) == ["m4", "m6", "m8"]


async def test_list_at_exactly_one_version(admin: Client) -> None:
    await _fill(admin, 2)
    version = (await admin.get(SECRETS)).json["metadata"]["resourceVersion"]
    await _fill_more(admin)
    then = (await admin.get(f"{SECRETS}?resourceVersion={version}&resourceVersionMatch=Exact")).json
    assert _names(then) == ["m0", "m1"]
    now = (await admin.get(f"{SECRETS}?resourceVersion={version}&resourceVersionMatch=NotOlderThan")).json
    assert _names(now) == ["m0", "m1", "z"]


async def _fill_more(admin: Client) -> None:
    await admin.post(SECRETS, secret("z"))


@pytest.mark.parametrize(
    ("query", "code", "part"),
    [
        ("resourceVersion=abc", 400, "resourceVersion"),
        ("resourceVersion=999999999", 504, "Too large resource version: 999999999"),
        ("resourceVersionMatch=Exact", 422, "unless resourceVersion is provided"),
        ("resourceVersion=1&resourceVersionMatch=Sometimes", 422, "Unsupported value"),
        ("resourceVersion=0&resourceVersionMatch=Exact", 422, "is forbidden for resourceVersion"),
        ("limit=many", 400, "limit"),
        ("labelSelector=a%20b", 400, "label selector"),
        ("fieldSelector=spec.color%3Dred", 400, "field label not supported: spec.color"),
        ("watch=1&sendInitialEvents=true", 422, "NotOlderThan"),
        ("watch=1&resourceVersionMatch=NotOlderThan", 422, "sendInitialEvents"),
    ],
)
async def test_wrong_list_parameters_are_named(admin: Client, query: str, code: int, part: str) -> None:
    reply = await admin.get(f"{SECRETS}?{query}")
    assert reply.status == code
    assert part in reply.message


async def test_field_selectors_by_name_and_by_declared_fields(admin: Client) -> None:
    await _fill(admin, 3)
    assert _names((await admin.get(f"{SECRETS}?fieldSelector=metadata.name%3Dm1")).json) == ["m1"]
    assert _names((await admin.get("/api/v1/secrets?fieldSelector=metadata.name!%3Dm1")).json) == ["m0", "m2"]
    assert _names((await admin.get("/api/v1/namespaces?fieldSelector=status.phase%3DTerminating")).json) == []


async def test_metadata_only_and_unacceptable_forms(admin: Client) -> None:
    await _fill(admin, 1)
    form = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    found = (await admin.get(SECRETS, accept=form)).json
    assert found["kind"] == "PartialObjectMetadataList"
    assert set(found["items"][0]) == {"kind", "apiVersion", "metadata"}
    reply = await admin.get(SECRETS, accept="application/vnd.kubernetes.protobuf")
    assert reply.status == 406


async def test_paths_that_do_not_exist(admin: Client, engine: EmbeddedEngine) -> None:
    for path in ("/apis/none.example/v1/things", "/api/v1/things", "/nothing", "/apis/none.example"):
        assert (await admin.get(path)).status == 404, path
    assert (await admin.get("/api/v1/secrets/a")).status == 404
    assert (await admin.post("/api/v1/secrets", secret("a"))).status == 404
    other = Client(admin.server, "nowhere", admin.token)
    assert (await other.get("/version")).message == 'cluster "nowhere" not found'
