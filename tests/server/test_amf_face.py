"""What the face refuses, in which words, and that nothing a caller sends makes it fail."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import strategies as st
from server_bench import Bench, blueprint, running

from continuo.resources.meta import Object
from continuo.server.subjects import Policy

pytestmark = pytest.mark.anyio
APPS = "/amf/v1/applications"
VALIDATE = "/amf/v1/blueprints:validate"
YAML = {"Content-Type": "application/yaml"}


def refused(answer: tuple[int, Any, Any]) -> tuple[int, str]:
    """(status, code) of a problem; it must be one."""
    status, body, headers = answer
    assert headers["Content-Type"] == "application/problem+json"
    assert body["status"] == status and body["title"] and body["detail"]
    return status, body["code"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", APPS),
        ("POST", APPS),
        ("GET", f"{APPS}/x"),
        ("PUT", f"{APPS}/x"),
        ("DELETE", f"{APPS}/x"),
        ("POST", VALIDATE),
    ],
)
async def test_every_route_asks_who_calls(bench: Bench, method: str, path: str) -> None:
    for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}):
        answer = await bench.client.call(method, path, headers=header)
        assert refused(answer) == (401, "unauthenticated")
        assert answer[2]["WWW-Authenticate"].startswith("Bearer")


async def test_health_and_documentation_are_open(bench: Bench) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert (await bench.client.call("GET", path))[0] == 200
    for page in ("/docs", "/redoc"):  # they would load scripts from somewhere else
        assert refused(await bench.client.call("GET", page)) == (404, "not-found")
    paths = (await bench.client.call("GET", "/openapi.json"))[1]["paths"]
    assert set(paths[APPS]) == {"get", "post"} and set(paths[APPS + "/{handle}"]) == {"get", "put", "delete"}


async def test_a_wrong_blueprint_is_told_line_and_column(bench: Bench) -> None:
    wrong = blueprint().replace("K8S_POD", "VM").replace("binding: {node: web}", "binding: {node: wbe}")
    answer = await bench.ann.call("POST", APPS, data=wrong, headers=YAML)
    assert refused(answer) == (422, "blueprint-invalid")
    found = {problem["code"]: problem for problem in answer[1]["problems"]}
    assert found["target-unknown"]["hint"] == "did you mean web?" and found["target-unknown"]["line"] == 7
    assert all(problem["column"] > 0 and problem["message"] for problem in found.values())
    status, verdict, _ = await bench.ann.call("POST", VALIDATE, data=wrong, headers=YAML)
    assert (status, verdict["valid"]) == (200, False) and verdict["problems"] == answer[1]["problems"]


async def test_validation_shows_what_it_would_become(bench: Bench) -> None:
    status, verdict, _ = await bench.ann.call("POST", VALIDATE, data=blueprint(), headers=YAML)
    assert (status, verdict["valid"], verdict["placement"]) == (200, True, {"web": "rose"})
    assert verdict["preview"]["components"][0]["expose"][0]["is-public"] is True
    assert await bench.apps() == {}


REFUSALS: list[tuple[int, str, Object]] = [
    (415, "media-type", {"data": blueprint(), "headers": {"Content-Type": "text/plain"}}),
    (415, "media-type", {"data": b"x", "headers": {"Content-Type": ""}}),
    (422, "blueprint-required", {"data": "  \n", "headers": YAML}),
    (422, "body-invalid", {"data": "{", "headers": {"Content-Type": "application/json"}}),
    (422, "body-invalid", {"json": {"blueprint": blueprint(), "surprise": 1}}),
    (422, "body-invalid", {"json": {"blueprint": blueprint(), "id": "../../etc"}}),
    (422, "body-invalid", {"json": {"blueprint": 5}}),
    (422, "body-invalid", {"data": "[" * 100_000, "headers": {"Content-Type": "application/json"}}),
    (422, "parameter-invalid", {"data": blueprint(), "headers": YAML, "params": {"id": "a b"}}),
    (422, "parameter-invalid", {"data": blueprint(), "headers": YAML, "params": {"dryRun": "perhaps"}}),
    (404, "orchestration-unknown", {"json": {"blueprint": blueprint(), "orchestration": "nowhere"}}),
    (413, "body-too-large", {"data": b" " * (1 << 20) + b"xx", "headers": YAML}),
    (422, "blueprint-invalid", {"data": b"\xff\xfe\x00", "headers": YAML}),
    (422, "blueprint-invalid", {"data": "tosca_definitions_version: tosca_simple_yaml_1_3\n", "headers": YAML}),
]


async def test_what_does_not_fit_is_refused_with_its_code(bench: Bench) -> None:
    for status, code, request in REFUSALS:
        assert refused(await bench.ann.call("POST", APPS, **request)) == (status, code), request
    assert refused(await bench.ann.call("GET", "/amf/v1/nothing")) == (404, "not-found")
    assert refused(await bench.ann.call("PATCH", APPS)) == (405, "method-not-allowed")
    assert refused(await bench.ann.call("GET", f"{APPS}/%00%ff")) == (404, "application-unknown")
    assert await bench.apps() == {}


async def test_a_body_without_length_is_cut_off_too(bench: Bench) -> None:
    async def endless() -> Any:
        for _ in range(40):
            yield b"#" * 65536

    headers = {**YAML, "Authorization": "Bearer ann-token"}
    # Only the status: the connection ends while the body is still being sent.
    async with bench.client.session.post(bench.client.base + APPS, data=endless(), headers=headers) as response:
        assert response.status == 413


async def test_groups_decide_who_may_use_it() -> None:
    async with running(Policy(groups=frozenset(["dev"]))) as bench:
        assert refused(await bench.eve.call("GET", APPS)) == (403, "not-allowed")
        assert (await bench.bob.call("GET", APPS))[0] == 200
        assert (await bench.root.call("GET", APPS))[0] == 200


async def test_the_management_cluster_can_check_tokens() -> None:
    async with running(reviews=True) as bench:
        engine = bench.engine
        token = engine.credentials.tokens.issue("management", "system:serviceaccount:team:ci", ())  # type: ignore[union-attr]
        caller = bench.client.as_(token)
        assert (await caller.post(blueprint()))[1]["owner"] == "system:serviceaccount:team:ci"
        assert refused(await bench.client.as_(token[:-4] + "AAAA").call("GET", APPS)) == (401, "unauthenticated")
        before = bench.reviews()
        for _ in range(5):
            assert (await caller.call("GET", APPS))[0] == 200
        assert bench.reviews() == before, "answers are remembered for a while"


async def test_an_unreachable_management_cluster_is_said(bench: Bench) -> None:
    await bench.ann.post({"id": "a", "blueprint": blueprint()})
    bench.engine.management.outage = "refuse"
    answer = await bench.ann.post({"id": "b", "blueprint": blueprint("other")})
    assert refused(answer) == (503, "management-unavailable") and answer[2]["Retry-After"]
    assert (await bench.ann.call("GET", f"{APPS}/a"))[0] == 200, "what is known can still be read"
    bench.engine.management.outage = None
    assert (await bench.ann.post({"id": "b", "blueprint": blueprint("other")}))[0] == 202


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
WRAPPERS = st.fixed_dictionaries(
    {"blueprint": st.sampled_from([blueprint(), blueprint(secret=True)]) | st.text() | JSON},
    optional={"id": st.text() | JSON, "inputs": st.dictionaries(st.sampled_from(["PASSWORD", "tls_cert", "x"]), JSON) | JSON,
              "orchestration": st.just("main") | JSON, "dryRun": JSON},
)  # fmt: skip


def _damaged(text: str, rng: random.Random) -> bytes:
    raw = bytearray(text.encode())
    for _ in range(rng.randint(1, 6)):
        place, what = rng.randrange(len(raw)), rng.random()
        if what < 0.4:
            raw[place] = rng.randrange(256)
        elif what < 0.7:
            del raw[place : place + rng.randint(1, 12)]
        else:
            raw[place:place] = rng.choice(
                [b'"\\ud800"', b".nan", b"[", b"{", b"*a", b"&a ", b"\x00", b"- ", b"!!x ", b"~"]
            )
    return bytes(raw)


async def test_no_body_makes_it_fail(bench: Bench) -> None:
    """Never a 5xx, and always JSON, whatever arrives: random wrappers, and blueprints with random damage."""
    bodies: list[tuple[bytes, str]] = []

    from hypothesis import HealthCheck, Phase, given, settings

    @settings(max_examples=150, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(JSON | WRAPPERS)
    def collect(value: Any) -> None:
        bodies.append((json.dumps(value).encode(), "application/json"))

    collect()
    rng = random.Random(7)
    bodies += [(_damaged(blueprint(), rng), "application/yaml") for _ in range(150)]
    for body, media in bodies:
        for path in (APPS, VALIDATE):
            headers = {"Content-Type": media}
            status, answer, _ = await bench.ann.call(
                "POST", path, data=body, headers=headers, params={"dryRun": "true"}
            )
            assert status < 500 and isinstance(answer, dict), (status, path, body, answer)
