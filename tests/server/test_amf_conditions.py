"""`If-Match`: whoever decided on an older declaration does not undo a newer one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from server_bench import Bench, blueprint

from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

pytestmark = pytest.mark.anyio
PATH = "/amf/v1/applications/a"
STALE = "application a was changed since you looked at it: get it again, and decide anew"


async def tag(bench: Bench) -> str:
    return str((await bench.ann.call("GET", PATH))[2]["ETag"])


async def put(bench: Bench, seen: str, image: int) -> tuple[int, Any, Any]:
    body = {"blueprint": blueprint(image=f"registry.example.org/web:{image}")}
    return await bench.ann.call("PUT", PATH, json=body, headers={"If-Match": seen})


async def image(bench: Bench) -> str:
    return str((await bench.apps())["shop"]["components"][0]["image"])


@pytest.fixture
async def seen(bench: Bench) -> str:
    """The tag of an application that was just submitted."""
    await bench.ann.post({"id": "a", "blueprint": blueprint()})
    return await tag(bench)


async def test_a_change_that_was_decided_on_an_older_declaration_is_refused(bench: Bench, seen: str) -> None:
    assert (await put(bench, seen, 2))[0] == 202
    status, problem, headers = await put(bench, seen, 3)
    assert (status, problem["code"], problem["detail"]) == (412, "changed-meanwhile", STALE)
    assert headers["Content-Type"] == "application/problem+json"
    assert await image(bench) == "registry.example.org/web:2"
    status, problem, _ = await bench.ann.call("DELETE", PATH, headers={"If-Match": seen})
    assert (status, problem["detail"]) == (412, STALE) and "shop" in await bench.apps()
    assert "annotations" not in (await bench.orchestration())["metadata"], "a refused deletion leaves no mark"
    now = await tag(bench)
    assert (await put(bench, now, 3))[0] == 202
    assert (await bench.ann.call("DELETE", PATH, headers={"If-Match": await tag(bench)}))[0] == 202
    assert await bench.apps() == {}


async def test_a_change_past_this_interface_counts_too(bench: Bench, seen: str) -> None:
    patch = [{"op": "replace", "path": "/spec/apps/0/components/0/replicas", "value": 3}]
    await bench.cluster.patch(LOW_LEVEL_ORCHESTRATION, "main", patch, "default", type="json", manager="somebody")
    assert (await put(bench, seen, 2))[0] == 412, "also while the watch is still on its way"


async def test_a_change_of_state_is_no_reason_to_refuse(bench: Bench, seen: str) -> None:
    component = {"name": "web", "phase": "Running", "ready": "1/1"}
    await bench.say({"apps": [{"name": "shop", "owner": "ann", "phase": "Running", "components": [component]}]})
    await bench.until(bench.ann, PATH, lambda _, body: body["state"] == "Running")
    assert await tag(bench) != seen
    assert (await put(bench, seen, 2))[0] == 202


async def test_of_many_with_the_same_tag_one_wins(bench: Bench, seen: str) -> None:
    answers = await asyncio.gather(*(put(bench, seen, number) for number in range(2, 10)))
    assert sorted(answer[0] for answer in answers) == [202] + [412] * 7


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("*", 202),
        ('"other", {}', 202),
        ("W/{}", 202),
        ('"other"', 412),
        ('""', 412),
        ("unquoted", 422),
        ("", 422),
    ],
)
async def test_every_form_of_the_header(bench: Bench, seen: str, header: str, status: int) -> None:
    given = header.format(seen)
    answer = await put(bench, given, 2)
    assert answer[0] == status
    if status == 422:
        assert answer[1]["code"] == "parameter-invalid" and "ETag" in answer[1]["detail"]
    assert (await image(bench) == "registry.example.org/web:2") == (status == 202)


async def test_deleting_again_with_the_same_tag_is_the_same_answer(bench: Bench, seen: str) -> None:
    component = {"name": "web", "phase": "Running", "ready": "1/1"}
    await bench.say({"apps": [{"name": "shop", "owner": "ann", "phase": "Running", "components": [component]}]})
    await bench.until(bench.ann, PATH, lambda _, body: body["state"] == "Running")
    for _ in range(2):
        assert (await bench.ann.call("DELETE", PATH, headers={"If-Match": seen}))[0] == 202
    assert (await bench.ann.call("PUT", PATH, json={"blueprint": blueprint()}, headers={"If-Match": seen}))[0] == 409
