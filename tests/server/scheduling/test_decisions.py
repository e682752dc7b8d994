"""Decisions that are taken, and what makes the same ones be refused: time, others, limits, and loops on hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from continuo.resources.loop import DECISION
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from scheduling.bench import Bench, Client, beside, cluster, component, places, running, spec, status
from scheduling.test_bad_decisions import DECISIONS, create, delete, move, place, resize, scale

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bench(anyio_backend: str) -> AsyncIterator[Bench]:
    async with running() as made:
        yield made


async def decide(
    bench: Bench, actions: list[Object], *, name: str = "d-1", client: Client | None = None, **more: Any
) -> tuple[int, Object]:
    body = {"decisionId": name, "basedOn": bench.parts.infrastructure.log.current, "reason": "it is near", **more}
    code, answer, _ = await (client or bench.ai).call("POST", DECISIONS, json={**body, "actions": actions})
    return code, answer


async def kept(bench: Bench) -> list[Object]:
    return (await bench.cluster.list(DECISION, "default")).items


def codes(answer: Object) -> list[str | None]:
    return [verdict.get("code") for verdict in answer["actions"]]


async def test_an_accepted_decision_is_an_object_that_the_operator_enacts(bench: Bench) -> None:
    code, answer = await decide(bench, [place("shop/late", "green")], confidence=0.9, ttlSeconds=60)
    assert code == 200 and answer["actions"] == [{"op": "placeComponent", "result": "accepted"}]
    (made,) = await kept(bench)
    assert made["metadata"]["name"] == answer["decision"]
    orchestration = await bench.cluster.get(LOW_LEVEL_ORCHESTRATION, "main", "default")
    assert made["metadata"]["ownerReferences"][0]["uid"] == orchestration["metadata"]["uid"]
    said = made["spec"]
    assert (said["orchestration"], said["source"], said["confidence"]) == ("main", "external/ai", 0.9)
    assert said["actions"] == [{"op": "placeComponent", "component": "shop/late", "cluster": "green"}]
    assert said["expires"] == answer["expires"] == "2026-03-01T10:01:00Z"
    code, told, _ = await bench.ai.call("GET", f"{DECISIONS}/d-1")
    assert (code, told["stage"], told["source"]) == (200, "Received", "external/ai")


async def test_how_far_it_is_and_what_it_did_can_be_asked_by_who_made_it(bench: Bench) -> None:
    _, answer = await decide(bench, [place("shop/late", "green")])
    said = {"stage": "Verified", "message": "shop/late runs on green", "effect": {"latency": "3ms"}}
    await bench.cluster.patch(
        DECISION, answer["decision"], {"status": said}, "default", subresource="status", manager="continuo"
    )

    async def verified() -> Object:
        async with asyncio.timeout(10):
            while True:
                _, told, _ = await bench.ai.call("GET", f"{DECISIONS}/d-1")
                if told["stage"] == "Verified":
                    found: Object = told
                    return found
                await asyncio.sleep(0.01)

    assert (await verified())["effect"] == {"latency": "3ms"}
    assert (await bench.other.call("GET", f"{DECISIONS}/d-1"))[0] == 404
    assert (await bench.other.call("GET", f"{DECISIONS}/{answer['decision']}"))[0] == 404
    assert (await bench.root.call("GET", f"{DECISIONS}/{answer['decision']}"))[0] == 200


async def test_the_same_again_is_answered_the_same_and_another_under_its_id_is_refused(bench: Bench) -> None:
    version = bench.parts.infrastructure.log.current
    first = await decide(bench, [place("shop/late", "green")], basedOn=version)
    bench.clock.pass_(30)
    assert await decide(bench, [place("shop/late", "green")], basedOn=version) == first
    code, answer = await decide(bench, [place("shop/late", "blue")], basedOn=version)
    assert (code, answer["code"]) == (409, "decision-id-reused")
    assert len(await kept(bench)) == 1
    refused = await decide(bench, [move("shop/db", "green")], basedOn=version, name="d-2")
    assert await decide(bench, [move("shop/db", "green")], basedOn=version, name="d-2") == refused
    assert refused[0] == 422
    code, answer = await decide(bench, [scale("shop/cache", 2)], name="d-1", client=bench.other)
    assert code == 200, "an id is its caller's own"


async def test_a_server_that_was_started_anew_gives_the_same_answer(bench: Bench) -> None:
    version = bench.parts.infrastructure.log.current
    first = await decide(bench, [place("shop/late", "green")], basedOn=version)
    async with beside(bench) as again:
        assert await decide(again, [place("shop/late", "green")], basedOn=version) == first
        code, answer = await decide(again, [place("shop/late", "blue")], basedOn=version)
        assert (code, answer["code"]) == (409, "decision-id-reused")


async def test_many_at_once_with_one_id_are_one(bench: Bench) -> None:
    version = bench.parts.infrastructure.log.current
    found = await asyncio.gather(
        *(decide(bench, [place("shop/late", "green")], basedOn=version) for _ in range(8)),
        *(decide(bench, [place("shop/late", "blue")], basedOn=version) for _ in range(8)),
    )
    assert sorted({code for code, _ in found}) == [200, 409]
    assert len(await kept(bench)) == 1


async def test_a_dry_run_says_all_and_does_nothing(bench: Bench) -> None:
    code, answer = await decide(bench, [place("shop/late", "green")], dryRun=True)
    assert code == 200 and answer["decision"] is None and not await kept(bench)
    code, _ = await decide(bench, [place("shop/late", "rose")], dryRun=True)
    assert code == 422
    code, _ = await decide(bench, [place("shop/late", "green")])
    assert code == 200, "the id of a rehearsal is free"


async def test_some_may_be_accepted_and_all_or_nothing_means_it(bench: Bench) -> None:
    actions = [place("shop/late", "green"), scale("shop/cache", 2), move("shop/db", "blue")]
    code, answer = await decide(bench, actions, allOrNothing=True)
    assert (code, answer["code"]) == (422, "pinned")
    assert codes(answer) == ["all-or-nothing", "all-or-nothing", "pinned"]
    assert not await kept(bench)
    code, answer = await decide(bench, actions, name="d-2")
    assert code == 200 and codes(answer) == [None, None, "pinned"]
    assert len((await kept(bench))[0]["spec"]["actions"]) == 2


async def test_what_changed_where_it_matters_makes_it_stale_and_what_did_not_does_not(bench: Bench) -> None:
    version = bench.parts.infrastructure.log.current
    told = status()
    told["clusters"][1]["requested"] = {"cpu": "2"}
    told["clusters"][0]["reason"] = "Elsewhere"
    await bench.say(told)
    await bench.until(lambda state: state["stateVersion"] != version)
    code, _ = await decide(bench, [place("shop/late", "green")], basedOn=version, dryRun=True)
    assert code == 200, "there is still room, and nothing else matters"
    changed = spec()
    changed["clusters"][1]["labels"] = {"new": "true"}
    changed["apps"][0]["components"][3]["resources"] = {"requests": {"cpu": "1"}}
    before = (await bench.state())["stateVersion"]
    await bench.declare(changed)
    await bench.until(lambda state: state["stateVersion"] != before)
    code, answer = await decide(bench, [place("shop/late", "blue")], basedOn=version)
    assert (code, answer["code"]) == (409, "stale"), answer
    assert answer["detail"].startswith("requests of main/shop/late (workloads) has changed")
    code, answer = await decide(bench, [move("shop/web", "green")], basedOn=version, name="d-2")
    assert code == 409 and "labels of main/green" in answer["detail"], answer
    code, _ = await decide(bench, [move("shop/web", "blue")], basedOn=version, name="d-3")
    assert code == 200, "neither shop/web nor blue has changed"
    assert answer["stateVersion"] == bench.parts.infrastructure.log.current


async def test_a_version_from_before_what_is_remembered_is_too_old(bench: Bench) -> None:
    version = bench.parts.infrastructure.log.current
    bench.parts.infrastructure.log.forget()
    before = bench.parts.infrastructure.log.version
    await bench.declare({**spec(), "links": []})
    await bench.until(lambda _: bench.parts.infrastructure.log.version > before)
    bench.parts.infrastructure.log.forget()
    code, answer = await decide(bench, [place("shop/late", "green")], basedOn=version)
    assert (code, answer["code"]) == (409, "state-version-unknown") and "too old" in answer["detail"]


async def test_room_that_was_promised_is_taken_and_nobody_decides_twice(bench: Bench) -> None:
    code, _ = await decide(bench, [scale("shop/cache", 5)])
    assert code == 200, "2500m of 3 free on green"
    code, answer = await decide(bench, [place("shop/late", "green"), move("shop/web", "green")], name="d-2")
    assert code == 200 and codes(answer) == [None, "no-room-cpu"], "the later one has no room"
    code, answer = await decide(bench, [scale("shop/cache", 2)], name="d-3", client=bench.other)
    assert (code, answer["code"]) == (409, "being-decided")
    code, _ = await decide(bench, [scale("shop/cache", 2)], name="d-4", client=bench.other, priority=1)
    assert code == 200, "a higher priority wins over what is still open"
    bench.clock.pass_(301)
    code, _ = await decide(bench, [scale("shop/cache", 3)], name="d-5", client=bench.other)
    assert code == 200, "what has expired is no longer open"


async def test_paused_deleting_and_held_win(bench: Bench) -> None:
    await bench.declare({**spec(), "paused": True})
    await bench.until(
        lambda _: bench.parts.infrastructure.orchestrations.cache.get(("default", "main"))["spec"].get("paused")
    )
    code, answer = await decide(bench, [place("shop/late", "green")])
    assert (code, answer["code"]) == (409, "paused")
    policy = {"name": "pods", "approval": "required", "scale-component": {
        "component": "shop/cache", "max": 4, "metric": {"target": 0.7}}}  # fmt: skip
    await bench.declare({**spec(), "paused": False, "policies": [policy]})
    cache = bench.parts.infrastructure.orchestrations.cache
    await bench.until(lambda _: cache.get(("default", "main"))["spec"].get("policies"))
    code, answer = await decide(bench, [scale("shop/cache", 2)], name="d-2")
    assert code == 200 and answer["approval"] is True
    assert (await kept(bench))[0]["spec"]["approval"] is True
    patch = {"metadata": {"finalizers": ["continuo.dev/orchestration"]}}
    await bench.cluster.patch(LOW_LEVEL_ORCHESTRATION, "main", patch, "default")
    await bench.cluster.delete(LOW_LEVEL_ORCHESTRATION, "main", "default")
    await bench.until(lambda state: not state["pending"])
    code, answer = await decide(bench, [place("shop/late", "green")], name="d-3")
    assert (code, answer["code"]) == (409, "deleting")


async def test_only_so_many_decisions_in_a_minute(bench: Bench) -> None:
    for number in range(60):
        await decide(bench, [place("shop/late", "mars")], name=f"d-{number}")
    code, answer, headers = await bench.ai.call("POST", DECISIONS, json={
        "decisionId": "d-60", "basedOn": bench.parts.infrastructure.log.current, "reason": "more",
        "actions": [place("shop/late", "green")]})  # fmt: skip
    assert (code, answer["code"]) == (429, "rate-limited") and int(headers["Retry-After"]) == 60
    assert (await decide(bench, [scale("shop/cache", 2)], client=bench.other))[0] == 200, "others are not held up"
    bench.clock.pass_(60)
    assert (await decide(bench, [place("shop/late", "green")], name="d-60"))[0] == 200


async def test_only_so_much_moves_in_an_hour(bench: Bench) -> None:
    many = spec()
    names = [f"c{number}" for number in range(9)]
    small = {"requests": {"cpu": "10m"}}
    many["apps"][0]["components"] = [component(name, placement={}, resources=small) for name in names]
    await bench.declare(many)
    await bench.adjust({"places": places(**dict.fromkeys(names, "rose"))})
    await bench.until(lambda state: len(state["workloads"]) == 9 and not state["pending"])
    code, answer = await decide(bench, [move(f"shop/{name}", "green") for name in names[:3]])
    assert code == 200
    code, answer = await decide(bench, [move(f"shop/{name}", "blue") for name in names[3:6]], name="d-2")
    assert code == 200 and codes(answer) == [None, "blast-radius", "blast-radius"], "four may move however few"
    code, answer = await decide(bench, [move("shop/c8", "blue")], name="d-3")
    assert (code, answer["code"]) == (429, "blast-radius") and "4 may be in all" in answer["detail"]
    bench.clock.pass_(3600)
    code, _ = await decide(bench, [move("shop/c8", "blue")], name="d-3")
    assert code == 200, "an hour later it may, under the same id"


async def test_only_so_many_clusters_come_and_go_in_an_hour(bench: Bench) -> None:
    found = [create(f"new-{number}") for number in range(5)]
    code, answer = await decide(bench, found)
    assert code == 200 and codes(answer) == [None, None, None, None, "too-many-creations"]
    since = {"decision": "external-1", "since": "2026-03-01T09:00:00Z", "policy": "external"}
    made = [{"cluster": cluster(f"new-{number}"), **since} for number in range(2)]
    bench.clock.pass_(400)  # the decision above has expired
    await bench.adjust({"places": places(web="rose", cache="green"), "clusters": made})
    await bench.until(lambda state: len(state["clusters"]) == 5)
    code, answer = await decide(bench, [delete("new-0"), delete("new-1")], name="d-2")
    assert code == 200 and codes(answer) == [None, "too-many-deletions"]
    code, answer = await decide(bench, [delete("new-1")], name="d-3")
    assert (code, answer["code"]) == (429, "too-many-deletions")
    code, answer = await decide(bench, [resize("new-0", 3)], name="d-4")
    assert code == 422 and answer["code"] == "cluster-unknown", "it counts as gone"


async def test_components_that_belong_together_move_together(bench: Bench) -> None:
    pair = spec()
    pair["apps"][0]["components"] += [component("a", placement={}), component("b", placement={"beside": ["a"]})]
    await bench.declare(pair)
    await bench.adjust({"places": places(web="rose", cache="green", a="rose", b="rose")})
    await bench.until(lambda state: len(state["workloads"]) == 6 and len(state["pending"]) == 1)
    code, answer = await decide(bench, [move("shop/a", "blue")])
    assert (code, answer["code"]) == (422, "beside")
    code, answer = await decide(bench, [move("shop/b", "blue"), move("shop/a", "blue")], name="d-2")
    assert code == 200 and codes(answer) == [None, None]


async def test_two_orchestrations_are_told_apart(bench: Bench) -> None:
    other = spec()
    other["apps"][0]["name"] = "store"
    await bench.declare(other, "other")
    await bench.until(lambda state: len(state["workloads"]) == 8)
    code, answer = await decide(bench, [place("shop/late", "green")])
    assert (code, answer["code"]) == (422, "orchestration-required") and "main, other" in answer["detail"]
    code, answer = await decide(bench, [place("shop/late", "green")], orchestration="default/main", name="d-2")
    assert code == 200 and answer["orchestration"] == "main"


async def test_what_waits_is_told_with_every_candidate(bench: Bench) -> None:
    told = status()
    waits = {
        "name": "late",
        "phase": "Pending",
        "reason": "AwaitingScheduler",
        "lastTransitionTime": "2026-03-01T09:59:50Z",
        "decideBy": "2026-03-01T10:00:20Z",
    }
    told["apps"] = [{"name": "shop", "owner": "ann", "phase": "Pending", "components": [waits]}]
    await bench.say(told)
    await bench.until(lambda state: state["pending"][0]["since"])
    code, body, _ = await bench.ai.call("GET", "/scheduler/v1/placements/pending")
    (late,) = body["components"]
    assert code == 200 and body["total"] == 1
    assert (late["component"], late["scheduler"], late["decideBy"]) == ("late", "external", "2026-03-01T10:00:20Z")
    assert [(each["cluster"], each["score"] is not None) for each in late["candidates"]] == [
        ("blue", True), ("green", True), ("rose", False),
    ]  # fmt: skip
    assert late["candidates"][2]["refusals"] == [{"cause": "hint", "message": "tier cloud, and edge is wanted"}]
    await decide(bench, [place("shop/late", "green")])
    _, body, _ = await bench.ai.call("GET", "/scheduler/v1/placements/pending")
    assert body["components"] == [], "it is decided, though not carried out yet"
