"""The control API and the intake: what they take, what they refuse with which sentence, and what a stream tells."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from continuo.edge.relay.client import RelayClient
from continuo.edge.relay.model import Authentication, Scheme, Source
from continuo.edge.relay.relay import Settings
from continuo.edge.relay.service import Place, RelayService
from continuo.resources.errors import ApiError, BadRequest, NotFound, TooLarge, Unreachable

from . import bed

pytestmark = pytest.mark.anyio


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[RelayService]:
    made = bed.service(tmp_path, drain=0.0, monitor=Place(), settings=Settings(patience=bed.QUICK, routes=3))
    async with made:
        yield made


@pytest.fixture
def client(service: RelayService, http: aiohttp.ClientSession) -> RelayClient:
    return RelayClient(service.control_url, http)


SECRET = "s3cret-of-a-buyer-that-nobody-may-see"


def raw(**changes: Any) -> dict[str, Any]:
    made = {
        "name": "c", "buyer": "b",
        "flows": [{"sensor": "s", "source": {"namespace": "default", "node": "n", "topic": "t"}}],
        "targets": [{"url": "http://127.0.0.1:9/x"}],
    }  # fmt: skip
    return {**made, **changes}


def flow(**source: Any) -> dict[str, Any]:
    return {"sensor": "s", "source": {"namespace": "default", "node": "n", "topic": "t", **source}}


def to(url: str, **more: Any) -> dict[str, Any]:
    return raw(targets=[{"url": url, **more}])


def by(scheme: str, **more: Any) -> dict[str, Any]:
    return to("http://127.0.0.1:9/x", authentication={"scheme": scheme, **more})


BAD: list[tuple[str, Any, str]] = [
    ("no JSON", b"{", "cannot be read"),
    ("no object", [], "Expected `object`"),
    ("no buyer", {key: value for key, value in raw().items() if key != "buyer"}, "missing required field `buyer`"),
    ("no flows", raw(flows=[]), "Expected `array` of length >= 1"),
    ("no targets", raw(targets=[]), "Expected `array` of length >= 1"),
    ("another name", raw(name="d"), "called 'd', but it was put under 'c'"),
    ("negative rate", raw(flows=[{**flow(), "maxRate": -1}]), "Expected `float` >= 0"),
    ("sensor twice", raw(flows=[flow(), flow(topic="u")]), "sensor 's' has two flows"),
    ("wildcard", raw(flows=[flow(topic="a/#")]), "has a wildcard"),
    ("node with slash", raw(flows=[flow(node="a/b")]), "'a/b' is no node of a source"),
    ("other scheme", to("ftp://127.0.0.1/x"), "matching regex"),
    ("control characters", to("http://127.0.0.1/a\r\nX: y"), "characters that no URL has"),
    ("space", to("http://127.0.0.1/a b"), "characters that no URL has"),
    ("user in the URL", to(f"http://me:{SECRET}@127.0.0.1/x"), "do not belong in a URL"),
    ("fragment", to("http://127.0.0.1/x#y"), "a fragment"),
    ("port 0", to("http://127.0.0.1:0/x"), "nothing listens on port 0"),
    ("port too big", to("http://127.0.0.1:65536/x"), "cannot be read"),
    ("host", to("http://-/x", addresses=["10.0.0.1"]), "neither a name nor an address"),
    ("name without addresses", to("https://buyer.example/x"), "has to say what the name was resolved to"),
    ("address that is none", to("https://buyer.example/x", addresses=["10.0.0"]), "'10.0.0' is no IP address"),
    ("another address", to("http://127.0.0.1:9/x", addresses=["10.0.0.1"]), "can only repeat it"),
    ("target twice", raw(targets=[{"url": "http://127.0.0.1:9/x"}] * 2), "is a target twice"),
    ("unknown authentication", by("basic"), "Invalid enum value 'basic'"),
    ("bearer without secret", by("bearer"), "bearer needs a secret"),
    ("bearer with a line feed", by("bearer", secret=f"{SECRET}\r\nX: y"), "that a header cannot carry"),
    ("signed without secret", by("signed"), "signed needs a secret"),
    ("signed, not base64", by("signed", secret=f"whsec_{SECRET}!"), "is not base64"),
    ("spiffe by http", by("spiffe", spiffeId="spiffe://a.example/b"), "needs an https URL"),
    ("spiffe without own", to("https://127.0.0.1/x", authentication={"scheme": "spiffe", "spiffeId": "spiffe://a/b"}),
     "this relay has no identity"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "body", "sentence"), BAD, ids=[case[0] for case in BAD])
async def test_bad_routes_are_refused_with_a_sentence(
    service: RelayService, http: aiohttp.ClientSession, what: str, body: Any, sentence: str
) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with http.put(f"{service.control_url}/v1/routes/c", data=data) as answer:
        said = await answer.json(content_type="application/problem+json")
    assert answer.status == 400 and sentence in said["detail"] and SECRET not in said["detail"]
    assert service.relay.routes == {}


ASKED: list[tuple[str, str, int, str]] = [
    ("GET", "/", 404, "nothing is here"),
    ("GET", "/v1/routes/none", 404, "there is no route 'none'"),
    ("POST", "/v1/routes/none", 405, "there are PUT, GET, DELETE"),
    ("PUT", "/v1/routes", 405, "there is GET"),
    ("GET", "/v1/status?watch=maybe", 400, "it is true or false"),
    ("GET", "/v1/dead-letters?limit=0", 400, "from 1 to 1000"),
    ("GET", "/v1/dead-letters?limit=9999999", 400, "from 1 to 1000"),
    ("GET", "/v1/dead-letters?route=none", 404, "there is no route 'none'"),
    ("POST", "/v1/dead-letters", 400, "which route"),
    ("POST", "/v1/ingest", 400, "cannot be read"),
    ("POST", "/commands/none/s", 404, "there is no route 'none' of yours"),
    ("GET", "/commands/none/s", 405, "there is POST"),
]


@pytest.mark.parametrize(("method", "path", "status", "sentence"), ASKED)
async def test_what_makes_no_sense_is_refused(
    service: RelayService, http: aiohttp.ClientSession, method: str, path: str, status: int, sentence: str
) -> None:
    async with http.request(method, service.control_url + path) as answer:
        assert (answer.status, sentence in await answer.text()) == (status, True)


async def test_limits(service: RelayService, http: aiohttp.ClientSession, client: RelayClient) -> None:
    async with http.put(f"{service.control_url}/v1/routes/c", data=b" " * (2**20 + 1)) as answer:
        assert answer.status == 413 and "longer than" in await answer.text()
    for name in ("a", "b", "c"):
        await client.put_route(bed.route(name, "http://127.0.0.1:9/x"))
    with pytest.raises(TooLarge, match="all it may have"):
        await client.put_route(bed.route("d", "http://127.0.0.1:9/x"))
    await client.put_route(bed.route("c", "http://127.0.0.1:9/y"))


async def test_routes_are_put_shown_without_secrets_and_deleted(
    service: RelayService, http: aiohttp.ClientSession, client: RelayClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with bed.target(bed.always(403)) as buyer:
        how = Authentication(scheme=Scheme.BEARER, secret=SECRET)
        made = bed.route("a/b c", f"{buyer.url}?key={SECRET}", how=how)
        await client.put_route(made)
        before = service.relay.routes["a/b c"].paths
        await client.put_route(made)
        assert service.relay.routes["a/b c"].paths is before and await client.routes() == ["a/b c"]
        service.relay.accept(bed.source(), b"1", "http")
        await bed.settled(service.relay, lambda: bool(service.relay.letters.of()))
        shown = []
        for path in ("/v1/routes/a%2Fb%20c", "/v1/routes", "/v1/status", "/v1/dead-letters"):
            async with http.get(service.control_url + path) as answer:
                assert answer.status == 200
                shown.append(await answer.text())
        async with http.get(f"{service.monitor_url}/metrics") as answer:
            shown.append(await answer.text())
    assert SECRET not in "".join(shown) + caplog.text
    assert 'continuo_relay_readings_dead_total{number="0",route="a/b c"' in shown[-1]
    (letter,) = await client.dead_letters("a/b c")
    assert letter["reason"] == "it answered 403" and letter["body"] == "MQ=="
    await client.delete_route("a/b c")
    await client.delete_route("a/b c")
    assert await client.routes() == [] and await client.dead_letters() == []


async def test_readings_come_by_an_address_that_nobody_guesses(
    service: RelayService, http: aiohttp.ClientSession, client: RelayClient
) -> None:
    async with bed.target() as buyer:
        await client.put_route(bed.route("c", buyer))
        url = await client.ingest_url(bed.source(), "path-1")
        assert await client.ingest_url(bed.source(), "path-1") == url
        token = url.split("/")[4]
        wrong = [
            url.replace(token, "0" * 32), url.replace("path-1", "path-2"), url.replace("edge-a", "edge-b"), url + "/x",
            url.replace("/default/", "/other/"), url.rpartition("/")[0], service.ingest_url + "/ingest/%ff/a/b/c",
        ]  # fmt: skip
        for bad in wrong:
            async with http.post(bad, data=b"forged") as answer:
                assert answer.status == 404
        for method in ("POST", "PUT", "GET"):
            async with http.request(method, url, data=f"by {method}") as answer:
                assert answer.status == 202
        async with http.post(url) as answer:
            assert answer.status == 400 and "without a body" in await answer.text()
        async with http.post(url, data=b"x" * (2**20 + 1)) as answer:
            assert answer.status == 413
        async with http.post(url, data=b"last", headers={"User-Agent": "Go-http-client/1.1"}) as answer:
            assert answer.headers["Connection"] == "close"
        await buyer.until(4)
        await client.delete_route("c")
        async with http.post(url, data=b"late") as answer:
            assert answer.status == 404
    assert buyer.bodies == [b"by POST", b"by PUT", b"by GET", b"last"]


async def test_a_stream_tells_all_and_then_what_changed(service: RelayService, client: RelayClient) -> None:
    async with bed.target() as buyer:
        for name in ("a", "b"):
            await client.put_route(bed.route(name, buyer.url + name))
        flows = (bed.Flow(sensor="other", source=bed.source(9)),)
        await client.put_route(bed.route("c", buyer, flows=flows))
        stream = client.follow()
        first = await anext(stream)
        assert first.instance == service.relay.instance and {each.name for each in first.routes} == {"a", "b", "c"}
        service.relay.accept(bed.source(9), b"1", "http")
        told = await anext(stream)
        assert [each.name for each in told.routes] == ["c"]
        while not told.routes[0].targets[0].delivered:
            told = await anext(stream)
        status = told.routes[0]
        assert status.received == 1 and status.flows[0].sensor == "other" and status.targets[0].p99 is not None
        await service.relay.delete("c")
        assert (await anext(stream)).routes == ()
        await stream.aclose()
    assert {each.name for each in (await client.status()).routes} == {"a", "b"}


class Carrier:
    """Where commands go in these tests."""

    name = "test"

    def __init__(self) -> None:
        self.sent: list[tuple[Source, bytes]] = []

    async def send(self, source: Source, body: bytes) -> None:
        self.sent.append((source, body))


async def ask(app: Any, method: str, path: str, peer: str | None, body: bytes = b"") -> tuple[int, dict[str, Any]]:
    """One request as uvicorn would make it, from who has proved this ID."""
    from continuo.trust.ids import parse_id

    sent: list[dict[str, Any]] = []
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}
    if peer is not None:
        scope["spiffe_id"] = parse_id(peer)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], msgspec.json.decode(b"".join(each.get("body", b"") for each in sent[1:]))


MANAGER, BUYER = "spiffe://edge.example/ns/fluidos/sa/router-manager", "spiffe://c.example/x"


async def test_only_the_managers_control_and_only_the_buyer_commands(service: RelayService) -> None:
    from continuo.edge.relay.control import Control
    from continuo.edge.relay.sources import Doors
    from continuo.trust.ids import Authorized

    carrier = Carrier()
    control = Control(
        service.relay, service._store, Doors(b"k"),
        ingest="http://x", managers=Authorized.of(ids=[MANAGER]), carrier=carrier,
    )  # fmt: skip
    await service.relay.put(bed.route("c", "http://127.0.0.1:9/x", commands=True))
    await service.relay.put(bed.route("d", "http://127.0.0.1:9/x"))
    for peer in (None, BUYER, "spiffe://edge.example/ns/fluidos/sa/router-managerx"):
        for method, path in (("GET", "/v1/routes"), ("DELETE", "/v1/routes/c"), ("GET", "/v1/status")):
            status, said = await ask(control, method, path, peer)
            assert status == 403 and "may not control" in said["detail"]
    assert (await ask(control, "GET", "/v1/routes", MANAGER))[0] == 200
    asked = [
        (await ask(control, "POST", path, peer, body))[0]
        for path, peer, body in (
            ("/commands/c/s0", BUYER, b"on"), ("/commands/c/s0", MANAGER, b"on"), ("/commands/c/s0", None, b"on"),
            ("/commands/c/s1", BUYER, b"on"), ("/commands/c/s0", BUYER, b""), ("/commands/d/s0", BUYER, b"on"),
            ("/commands/d/s0", "spiffe://d.example/x", b"on"), ("/commands/c/s0", BUYER, b"x" * 70_000),
        )
    ]  # fmt: skip
    assert asked == [200, 404, 403, 404, 400, 404, 403, 413]
    assert carrier.sent == [(bed.source(), b"on")]
    assert set(service.relay.routes) == {"c", "d"}


@pytest.mark.parametrize(
    ("status", "kind"), [(400, BadRequest), (404, NotFound), (500, ApiError), (302, ApiError)],
)  # fmt: skip
async def test_a_client_raises_what_it_was_told(status: int, kind: type[ApiError], http: aiohttp.ClientSession) -> None:
    async with bed.target(bed.always(status)) as other:
        client = RelayClient(other.url.removesuffix("/in"), http)
        with pytest.raises(kind):
            await client.put_route(bed.route("a", other))
    client = RelayClient("http://127.0.0.1:9", http)
    with pytest.raises(Unreachable, match="does not answer"):
        await client.put_route(bed.route("a", other))
