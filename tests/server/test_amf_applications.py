"""Submitting, looking at, replacing and deleting applications through the real face."""

from __future__ import annotations

import asyncio
import base64

import pytest
from server_bench import Bench, blueprint

from continuo.resources.kinds import SECRET
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.resources.orchestration_types import MAX_APPS

pytestmark = pytest.mark.anyio
APPS = "/amf/v1/applications"


def running(name: str, owner: str, phase: str = "Running") -> Object:
    component = {
        "name": "web", "cluster": "rose", "phase": phase, "reason": "Available", "ready": "1/1",
        "urls": [{"name": "WebCP", "url": "http://web.shop.example"}],
    }  # fmt: skip
    return {
        "name": name,
        "owner": owner,
        "phase": phase,
        "namespace": name,
        "cluster": "rose",
        "components": [component],
    }


async def test_a_blueprint_becomes_one_entry_and_its_state_is_told(bench: Bench) -> None:
    status, body, headers = await bench.ann.post({"id": "order-1", "blueprint": blueprint()})
    assert (status, body["id"], body["name"], body["owner"]) == (202, "order-1", "shop", "ann")
    assert headers["Location"] == body["links"]["self"] == f"{APPS}/order-1"
    apps = await bench.apps()
    assert apps["shop"]["owner"] == "ann", "the blueprint's author is not the owner"
    managers = [entry["manager"] for entry in (await bench.orchestration())["metadata"]["managedFields"]]
    assert managers == ["administrator", "continuo-amf/shop"]

    status, seen, headers = await bench.ann.call("GET", f"{APPS}/order-1")
    assert (status, seen["state"], seen["reason"], seen["placement"]) == (200, "Pending", "NotSeenYet", {"web": "rose"})
    tag = headers["ETag"]
    assert (await bench.ann.call("GET", f"{APPS}/order-1", headers={"If-None-Match": tag}))[0] == 304

    await bench.say({"apps": [running("shop", "ann")]})
    _, seen = await bench.until(bench.ann, f"{APPS}/order-1", lambda _, body: body["state"] == "Running")
    assert seen["urls"] == {"web/WebCP": "http://web.shop.example"}
    assert seen["components"][0]["ready"] == "1/1"
    status, _, headers = await bench.ann.call("GET", f"{APPS}/order-1", headers={"If-None-Match": tag})
    assert status == 200 and headers["ETag"] != tag


async def test_a_bare_blueprint_in_every_yaml_type(bench: Bench) -> None:
    for number, media in enumerate(("application/yaml", "text/yaml; charset=utf-8", "application/x-yaml")):
        status, body, _ = await bench.ann.call(
            "POST",
            APPS,
            params={"id": f"n-{number}"},
            data=blueprint(f"shop-{number}"),
            headers={"Content-Type": media},
        )
        assert (status, body["id"]) == (202, f"n-{number}")


async def test_the_same_again_is_the_same_answer_and_other_content_is_not(bench: Bench) -> None:
    first = await bench.ann.post({"id": "a", "blueprint": blueprint()})
    version = (await bench.orchestration())["metadata"]["resourceVersion"]
    again = await bench.ann.post({"id": "a", "blueprint": blueprint()})
    assert (first[0], first[1]) == (again[0], again[1])
    assert (await bench.orchestration())["metadata"]["resourceVersion"] == version, "nothing was written"
    status, problem, _ = await bench.ann.post({"id": "a", "blueprint": blueprint(image="registry.example.org/web:2")})
    assert (status, problem["code"]) == (409, "application-exists") and "PUT" in problem["detail"]
    status, problem, _ = await bench.ann.post({"id": "a", "blueprint": blueprint("other")})
    assert (status, problem["code"]) == (409, "id-taken")


async def test_put_changes_an_application_in_place(bench: Bench) -> None:
    await bench.ann.post({"id": "a", "blueprint": blueprint()})
    status, body, _ = await bench.ann.call(
        "PUT", f"{APPS}/a", json={"blueprint": blueprint(image="registry.example.org/web:2")}
    )
    assert (status, body["id"]) == (202, "a")
    assert (await bench.apps())["shop"]["components"][0]["image"] == "registry.example.org/web:2"
    status, problem, _ = await bench.ann.call("PUT", f"{APPS}/a", json={"blueprint": blueprint("other")})
    assert (status, problem["code"]) == (409, "name-differs")
    assert (await bench.bob.call("PUT", f"{APPS}/a", json={"blueprint": blueprint()}))[0] == 404


async def test_a_change_that_others_would_half_undo_is_refused(bench: Bench) -> None:
    await bench.ann.post(blueprint())
    apps = [{"name": "shop", "components": [{"name": "web", "command": ["sh"]}]}]
    body = LOW_LEVEL_ORCHESTRATION.new("main", "default", spec={"apps": apps})
    await bench.cluster.apply(body, manager="somebody")
    status, problem, _ = await bench.ann.call(
        "PUT", f"{APPS}/shop", json={"blueprint": blueprint(image="registry.example.org/web:2")}
    )
    assert (status, problem["code"]) == (409, "managed-elsewhere")
    assert (await bench.apps())["shop"]["components"][0]["image"] == "registry.example.org/shop/web:1"
    assert (await bench.ann.call("DELETE", f"{APPS}/shop"))[0] == 202
    assert await bench.apps() == {}, "deleting cuts the entry out, whoever else wrote into it"


async def test_everybody_sees_and_touches_their_own_only(bench: Bench) -> None:
    await bench.ann.post({"id": "a", "blueprint": blueprint()})
    await bench.bob.post({"id": "b", "blueprint": blueprint("kiosk")})
    assert [app["id"] for app in (await bench.ann.call("GET", APPS))[1]] == ["a"]
    assert (await bench.ann.call("GET", APPS, params={"owner": "bob"}))[1] == []
    assert (await bench.eve.call("GET", APPS))[1] == []
    assert (await bench.ann.call("GET", f"{APPS}/b"))[0] == 404
    assert (await bench.ann.call("DELETE", f"{APPS}/b"))[0] == 404
    status, problem, _ = await bench.bob.post({"id": "c", "blueprint": blueprint()})
    assert (status, problem["code"]) == (409, "name-taken")
    status, problem, _ = await bench.bob.post({"id": "a", "blueprint": blueprint("third")})
    assert (status, problem["code"]) == (409, "id-taken")
    assert {app["owner"] for app in (await bench.root.call("GET", APPS))[1]} == {"ann", "bob"}
    assert [app["id"] for app in (await bench.root.call("GET", APPS, params={"owner": "bob"}))[1]] == ["b"]
    assert (await bench.root.call("GET", f"{APPS}/b"))[1]["owner"] == "bob"
    assert (await bench.root.call("PUT", f"{APPS}/b", json={"blueprint": blueprint("kiosk", image="x.org/y:2")}))[
        0
    ] == 202
    assert (await bench.apps())["kiosk"]["owner"] == "bob", "an administrator's change keeps the owner"


async def test_deleting_is_told_until_it_is_gone(bench: Bench) -> None:
    await bench.ann.post({"id": "a", "blueprint": blueprint(secret=True), "inputs": {"PASSWORD": "s3cret-value"}})
    await bench.bob.post({"id": "b", "blueprint": blueprint("kiosk")})
    await bench.say({"apps": [running("shop", "ann"), running("kiosk", "bob")]})
    await bench.until(bench.ann, f"{APPS}/a", lambda _, body: body["state"] == "Running")
    answers = [await bench.ann.call("DELETE", f"{APPS}/a") for _ in range(3)]
    assert [answer[0] for answer in answers] == [202, 202, 202] and answers[0][1] == answers[2][1]
    assert list(await bench.apps()) == ["kiosk"]
    await bench.say({"apps": [running("shop", "ann", "Undeploying"), running("kiosk", "bob")]})
    _, seen = await bench.until(bench.ann, f"{APPS}/a", lambda _, body: body["state"] == "Undeploying")
    assert seen["id"] == "a"
    assert (await bench.bob.post({"id": "x", "blueprint": blueprint()}))[1]["code"] == "name-taken"
    await bench.say({"apps": [running("kiosk", "bob")]})
    await bench.until(bench.ann, f"{APPS}/a", lambda status, _: status == 404)
    assert (await bench.ann.call("DELETE", f"{APPS}/a"))[0] == 404
    async with asyncio.timeout(10):
        while (await bench.cluster.list(SECRET, "default")).items:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        while (await bench.orchestration())["metadata"].get("annotations"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_hundred_at_once_lose_nothing(bench: Bench) -> None:
    places = ["main", "second", "third", "fourth"]
    for place in places[1:]:
        await bench.declare(place)

    async def one(number: int) -> int:
        owner = (bench.ann, bench.bob)[number % 2]
        body = {
            "id": f"id-{number}", "blueprint": blueprint(f"app-{number}"), "orchestration": places[number // 25],
        }  # fmt: skip
        status, _, headers = await owner.post(body)
        if status == 202:
            assert (await owner.call("GET", headers["Location"]))[0] == 200, "what was accepted is there at once"
        return status

    async def operator() -> None:
        for number in range(20):
            await bench.say({"observedGeneration": number})

    statuses, _ = await asyncio.gather(asyncio.gather(*(one(number) for number in range(100))), operator())
    assert statuses == [202] * 100
    apps = {name: app for place in places for name, app in (await bench.apps(place)).items()}
    assert {(app["id"], app["owner"]) for app in apps.values()} == {
        (f"id-{number}", ("ann", "bob")[number % 2]) for number in range(100)
    }
    removed = await asyncio.gather(
        *((bench.ann, bench.bob)[number % 2].call("DELETE", f"{APPS}/id-{number}") for number in range(0, 100, 4))
    )
    assert {answer[0] for answer in removed} == {202}
    assert sum([len(await bench.apps(place)) for place in places]) == 75
    clusters = (await bench.orchestration())["spec"]["clusters"]
    assert [cluster["name"] for cluster in clusters] == ["rose", "green"]


async def test_a_full_orchestration_says_so(bench: Bench) -> None:
    app = {"owner": "bob", "cluster": "rose", "components": [{"name": "web", "image": "x.org/y:1"}]}
    apps = [{"name": f"app-{number}", **app} for number in range(MAX_APPS)]
    await bench.cluster.apply(LOW_LEVEL_ORCHESTRATION.new("main", "default", spec={"apps": apps}), manager="bulk")
    await bench.until(bench.bob, APPS, lambda _, body: len(body) == MAX_APPS)
    status, problem, _ = await bench.ann.post(blueprint())
    assert (status, problem["code"]) == (409, "orchestration-full") and str(MAX_APPS) in problem["detail"]


async def test_of_many_owners_who_want_one_name_one_gets_it(bench: Bench) -> None:
    callers = [bench.ann, bench.bob, bench.eve, bench.root] * 5
    answers = await asyncio.gather(*(caller.post(blueprint()) for caller in callers))
    owner = (await bench.apps())["shop"]["owner"]
    assert {body["owner"] for status, body, _ in answers if status == 202} == {owner}
    assert sorted(status for status, _, _ in answers) == [202] * 5 + [409] * 15


async def test_two_faces_at_once_keep_one_owner_per_name(bench: Bench) -> None:
    """Replicas share nothing but the cluster: the version in each write decides."""
    from server_bench import TOKENS, Client, connect, create_app, make_parts, serving

    from continuo.server.subjects import Gate, Policy
    from continuo.server.tokens import TokenFile

    second = connect(bench.engine.kubeconfig("management"), name="management")
    gate = Gate([TokenFile(TOKENS)], Policy())
    parts = make_parts(second, gate, namespace="default", orchestration="main")
    async with serving(create_app(parts)) as base:
        other = Client(bench.client.session, base, "bob-token")
        await bench.until(other, "/readyz", lambda status, _: status == 200)
        names = [f"app-{number}" for number in range(20)]
        answers = await asyncio.gather(
            *(bench.ann.post({"blueprint": blueprint(name)}) for name in names),
            *(other.post({"blueprint": blueprint(name)}) for name in names),
        )
        apps = await bench.apps()
        won = {(body["name"], body["owner"]) for status, body, _ in answers if status == 202}
        assert won == {(name, app["owner"]) for name, app in apps.items()} and len(apps) == 20
        assert sorted({status for status, _, _ in answers}) == [202, 409]
    await second.close()


async def test_secrets_are_made_first_never_shown_and_follow_the_blueprint(bench: Bench) -> None:
    body = {"blueprint": blueprint(secret=True), "inputs": {"PASSWORD": "s3cret-value"}}
    status, answer, _ = await bench.ann.post(body)
    assert status == 202
    secret = await bench.cluster.get(SECRET, "shop-web-env", "default")
    assert base64.b64decode(secret["data"]["PASSWORD"]) == b"s3cret-value"
    assert secret["metadata"]["annotations"]["continuo.dev/owner"] == "ann"
    told = [answer, (await bench.ann.call("GET", f"{APPS}/shop"))[1]]
    told.append((await bench.ann.call("POST", "/amf/v1/blueprints:validate", json=body))[1])
    assert told[2]["valid"] and told[2]["secrets"] == ["shop-web-env"]
    assert "s3cret-value" not in str(told) and secret["data"]["PASSWORD"] not in str(told)
    assert (await bench.ann.post({**body, "inputs": {"PASSWORD": "newer-value"}}))[0] == 202
    secret = await bench.cluster.get(SECRET, "shop-web-env", "default")
    assert base64.b64decode(secret["data"]["PASSWORD"]) == b"newer-value"
    assert (await bench.ann.call("PUT", f"{APPS}/shop", json={"blueprint": blueprint()}))[0] == 202
    assert (await bench.cluster.list(SECRET, "default")).items == [], "the new blueprint needs none"


async def test_a_blueprint_cannot_reach_for_the_secrets_of_others(bench: Bench) -> None:
    """They stand in the same namespace: kubeconfigs, cloud credentials, other owners' passwords."""
    await bench.cluster.create(SECRET.new("shop-web-env", "default", data={"x": "eA=="}))
    status, problem, _ = await bench.ann.post({"blueprint": blueprint(secret=True), "inputs": {"PASSWORD": "p"}})
    assert (status, problem["code"]) == (409, "secret-name-taken")
    assert (await bench.cluster.get(SECRET, "shop-web-env", "default"))["data"] == {"x": "eA=="}
    await bench.cluster.create(SECRET.new("main-rose-kubeconfig", "default", data={"value": "eA=="}))
    stolen = blueprint("thief").replace(
        "template_version: '1'", "template_version: '1', tls_secret: main-rose-kubeconfig"
    )
    status, problem, _ = await bench.ann.post({"blueprint": stolen})
    assert (status, problem["code"]) == (422, "secret-not-usable")
    own = stolen.replace("main-rose-kubeconfig", "ann-tls")
    metadata, pair = {"annotations": {"continuo.dev/owner": "ann"}}, {"tls.crt": "eA==", "tls.key": "eA=="}
    await bench.cluster.create(SECRET.new("ann-tls", "default", metadata=metadata, type="kubernetes.io/tls", data=pair))
    assert (await bench.ann.post({"blueprint": own}))[0] == 202
    assert list(await bench.apps()) == ["thief"]


async def test_a_refused_entry_leaves_no_secrets(bench: Bench) -> None:
    """The management cluster has the last word, after the Secrets were made."""
    body = {"blueprint": blueprint(secret=True), "inputs": {"PASSWORD": "p"}, "id": "x"}
    original = bench.engine.management.patch

    def full(*args: object, **kwargs: object) -> Object:
        from continuo.resources.errors import Invalid

        raise Invalid("spec.apps: Too many: 101: must have at most 100 items")

    bench.engine.management.patch = full  # type: ignore[method-assign,assignment]
    try:
        status, problem, _ = await bench.ann.post(body)
    finally:
        bench.engine.management.patch = original  # type: ignore[method-assign]
    assert (status, problem["code"]) == (422, "refused-by-cluster") and "Too many" in problem["detail"]
    assert (await bench.cluster.list(SECRET, "default")).items == []


async def test_a_dry_run_checks_everything_and_changes_nothing(bench: Bench) -> None:
    before = (await bench.orchestration())["metadata"]["resourceVersion"]
    body = {"blueprint": blueprint(secret=True), "inputs": {"PASSWORD": "p"}, "dryRun": True}
    status, verdict, _ = await bench.ann.post(body)
    assert (status, verdict["valid"], verdict["preview"]["owner"]) == (200, True, "ann")
    assert (await bench.orchestration())["metadata"]["resourceVersion"] == before
    assert (await bench.cluster.list(SECRET, "default")).items == []
    await bench.bob.post(blueprint())
    assert (await bench.ann.post(body))[0] == 409
