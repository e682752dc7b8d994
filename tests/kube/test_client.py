from __future__ import annotations

import asyncio
import json
import logging
import random
import socket

import pytest
from aiohttp import web
from kube_stub import WIDGET, client_of, serving

from continuo.kube.access import Access, Identity, Tls
from continuo.kube.client import KubeCluster
from continuo.kube.port import Change
from continuo.kube.transport import BETWEEN, QUIET, TRIES, Transports
from continuo.kube.watching import WatchSettings
from continuo.resources.errors import (
    BadRequest,
    Conflict,
    Expired,
    Forbidden,
    InternalError,
    NotFound,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from continuo.resources.kinds import CLUSTER_ROLE, CONFIG_MAP, NAMESPACE, POD
from continuo.resources.meta import Object

pytestmark = pytest.mark.anyio
WIDGETS = "/apis/example.dev/v1/namespaces/shop/widgets"
GROUP = {"resources": [{"name": "widgets", "kind": "Widget", "namespaced": True, "shortNames": ["w"]}]}


def named(name: str, version: int = 1) -> Object:
    return {"metadata": {"name": name, "namespace": "shop", "resourceVersion": str(version)}}


def event(kind: str, name: str, version: int = 1, **fields: object) -> bytes:
    return json.dumps({"type": kind, "object": {**named(name, version), **fields}}).encode() + b"\n"


async def collect(cluster: KubeCluster, since: str = "5") -> list[Change]:
    return [change async for change in cluster.watch(WIDGET, "shop", since=since)]


# --- requests ---
async def test_each_call_is_the_request_that_kubernetes_documents() -> None:
    async with serving() as stub, client_of(stub) as cluster:
        stub.json(named("a"))
        cluster.discovery.remember(WIDGET)
        widget = WIDGET.new("a", "shop")
        await cluster.get(WIDGET, "a", "shop")
        await cluster.create(widget, manager="me", dry_run=True)
        await cluster.apply(widget, manager="me", subresource="status")
        await cluster.apply(widget, manager="me", force=False)
        await cluster.patch(WIDGET, "a", {"spec": {}}, "shop", subresource="status")
        await cluster.patch(CONFIG_MAP, "a", [], "shop", type="json", manager="me")
        await cluster.replace(widget)
        await cluster.delete(WIDGET, "a", "shop", propagation="Foreground", uid="u-1")
        await cluster.raw("/version")
        assert stub.lines == [
            f"GET {WIDGETS}/a",
            f"POST {WIDGETS}?fieldManager=me&dryRun=All",
            f"PATCH {WIDGETS}/a/status?fieldManager=me&force=true",
            f"PATCH {WIDGETS}/a?fieldManager=me&force=false",
            f"PATCH {WIDGETS}/a/status",
            "PATCH /api/v1/namespaces/shop/configmaps/a?fieldManager=me",
            f"PUT {WIDGETS}/a",
            f"DELETE {WIDGETS}/a",
            "GET /version",
        ]
        types = [request.headers.get("Content-Type") for request in stub.requests]
        assert types[2:6] == [
            "application/apply-patch+yaml",
            "application/apply-patch+yaml",
            "application/merge-patch+json",
            "application/json-patch+json",
        ]
        assert stub.bodies[7]["preconditions"] == {"uid": "u-1"}
        assert stub.bodies[7]["propagationPolicy"] == "Foreground"
        assert {request.headers["Authorization"] for request in stub.requests} == {"Bearer secret-token"}
        assert cluster.requests == {
            "get": 1, "create": 1, "apply": 2, "patch": 2, "replace": 1, "delete": 1, "raw": 1,
        }  # fmt: skip


async def test_names_cannot_change_the_path() -> None:
    async with serving() as stub, client_of(stub) as cluster:
        stub.json(named("a"))
        await cluster.get(CLUSTER_ROLE, "system:node/../x?y#z")
        await cluster.get(WIDGET, "a", "../../kube-system")
        assert stub.requests[0].raw_path.endswith("/clusterroles/system:node%2F..%2Fx%3Fy%23z")
        assert "/namespaces/..%2F..%2Fkube-system/" in stub.requests[1].raw_path


async def test_an_object_without_its_namespace_is_not_sent() -> None:
    async with serving() as stub, client_of(stub) as cluster:
        cluster.discovery.remember(WIDGET)
        with pytest.raises(BadRequest, match="Widget a lives in a namespace"):
            await cluster.get(WIDGET, "a")
        with pytest.raises(BadRequest, match="a Widget lives in a namespace"):
            await cluster.create(WIDGET.new("a"))
        assert stub.lines == []


async def test_a_list_is_fetched_in_pages_and_its_items_know_their_kind() -> None:
    async with serving() as stub, client_of(stub) as cluster:
        stub.json({"metadata": {"continue": "a+b/c=", "resourceVersion": "7"}, "items": [named("a"), named("b")]})
        stub.json({"metadata": {"resourceVersion": "7"}, "items": [named("c")]})
        listing = await cluster.list(WIDGET, labels="app in (x,y)", fields="metadata.name!=z")
        assert [item["metadata"]["name"] for item in listing.items] == ["a", "b", "c"]
        assert {(item["apiVersion"], item["kind"]) for item in listing.items} == {("example.dev/v1", "Widget")}
        assert listing.resource_version == "7"
        assert [dict(request.query) for request in stub.requests] == [
            {"labelSelector": "app in (x,y)", "fieldSelector": "metadata.name!=z", "limit": "500"},
            {
                "labelSelector": "app in (x,y)",
                "fieldSelector": "metadata.name!=z",
                "limit": "500",
                "continue": "a+b/c=",
            },
        ]
        assert cluster.requests["list"] == 2


async def test_an_empty_list_may_be_null() -> None:
    async with serving() as stub, client_of(stub) as cluster:
        stub.json({"metadata": {"resourceVersion": "7"}, "items": None})
        assert (await cluster.list(WIDGET)).items == []


async def test_pages_that_expire_are_fetched_again_in_one_piece() -> None:
    async with serving() as stub, client_of(stub) as cluster:
        stub.json({"metadata": {"continue": "x", "resourceVersion": "7"}, "items": [named("a")]})
        stub.refuse(410, "Expired", "the token is too old")
        stub.json({"metadata": {"resourceVersion": "9"}, "items": [named("b")]})
        listing = await cluster.list(WIDGET)
        assert [item["metadata"]["name"] for item in listing.items] == ["b"]
        assert "limit" not in stub.requests[2].query


# --- refusals ---
@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (401, "Unauthorized", Unauthorized),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (410, "Gone", Expired),
        (500, "InternalError", InternalError),
    ],
)
async def test_a_status_becomes_its_error(code: int, reason: str, error: type[Exception]) -> None:
    async with serving() as stub, client_of(stub) as cluster:
        stub.refuse(code, reason, "the reason why")
        with pytest.raises(error, match=r"^the reason why$"):
            await cluster.get(WIDGET, "a", "shop")
        assert len(stub.lines) == 1


async def test_a_refusal_that_is_no_status_still_says_what_came() -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<h1>bad gateway</h1>", status=502)

    async with serving() as stub, client_of(stub) as cluster:
        stub.then(page)
        with pytest.raises(InternalError, match=r"HTTP 502 .*widgets/a.*bad gateway"):
            await cluster.get(WIDGET, "a", "shop")


async def test_a_success_that_is_not_json_is_an_error_and_not_a_crash() -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<h1>welcome to the proxy</h1>")

    async with serving() as stub, client_of(stub) as cluster:
        stub.then(page)
        for call in (cluster.get(WIDGET, "a", "shop"), cluster.list(WIDGET)):
            with pytest.raises(InternalError, match=r"cluster green.*not the JSON of an API server"):
                await call


@pytest.mark.parametrize(("code", "reason"), [(429, "TooManyRequests"), (503, "ServiceUnavailable")])
async def test_a_busy_server_is_asked_again_when_it_said(code: int, reason: str) -> None:
    async with serving() as stub, client_of(stub) as cluster:
        stub.refuse(code, reason, "busy", {"Retry-After": "0"}).refuse(code, reason, "busy", {"Retry-After": "0"})
        stub.json(named("a"))
        assert (await cluster.get(WIDGET, "a", "shop"))["metadata"]["name"] == "a"
        assert cluster.requests["get"] == 3


async def test_a_server_that_stays_busy_is_left_alone_after_some_tries() -> None:
    async with serving() as stub, client_of(stub) as cluster:
        stub.refuse(429, "TooManyRequests", "busy", {"Retry-After": "0"})
        with pytest.raises(TooManyRequests):
            await cluster.get(WIDGET, "a", "shop")
        assert cluster.requests["get"] == 1 + cluster.RETRIES


async def test_a_wait_that_is_too_long_is_the_callers() -> None:
    async with serving() as stub, client_of(stub) as cluster:
        stub.refuse(503, "ServiceUnavailable", "down for the night", {"Retry-After": "3600"})
        with pytest.raises(ServiceUnavailable):
            await cluster.get(WIDGET, "a", "shop")
        assert cluster.requests["get"] == 1


async def test_what_must_not_happen_twice_is_sent_once() -> None:
    async with serving() as stub, client_of(stub) as cluster:
        cluster.discovery.remember(WIDGET)
        stub.refuse(503, "ServiceUnavailable", "busy", {"Retry-After": "0"})
        with pytest.raises(ServiceUnavailable):
            await cluster.create(WIDGET.new("a", "shop"))
        with pytest.raises(ServiceUnavailable):
            await cluster.patch(WIDGET, "a", [{"op": "add", "path": "/x/-", "value": 1}], "shop", type="json")
        assert len(stub.lines) == 2


async def test_a_token_that_is_refused_is_asked_for_anew_once() -> None:
    class Rotating:
        def __init__(self) -> None:
            self.identities = [Identity("Bearer old"), Identity("Bearer new")]

        async def current(self) -> Identity:
            return self.identities[0]

        def invalidate(self) -> bool:
            self.identities = self.identities[1:]
            return True

    async def guard(request: web.Request) -> web.Response:
        good = request.headers["Authorization"] == "Bearer new"
        return web.json_response(named("a"), status=200 if good else 401)

    async with serving() as stub, client_of(stub, credentials=Rotating()) as cluster:
        stub.then(guard)
        await cluster.get(WIDGET, "a", "shop")
        assert [request.headers["Authorization"] for request in stub.requests] == ["Bearer old", "Bearer new"]


# --- no answer ---
async def test_nobody_listening_is_unreachable_with_the_address() -> None:
    async with serving() as stub:
        url = stub.url
    cluster = KubeCluster("green", Access(url))
    with pytest.raises(Unreachable, match=f"cluster green at {url} cannot be reached: .*[Rr]efused"):
        await cluster.get(NAMESPACE, "a")
    with pytest.raises(Unreachable, match="cannot be reached"):
        await collect(cluster)
    await cluster.close()


async def test_a_server_that_does_not_answer_is_unreachable_after_the_timeout() -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving() as stub, client_of(stub, timeout=0.05) as cluster:
        stub.then(hang)
        with pytest.raises(Unreachable, match="no answer in time"):
            await cluster.get(WIDGET, "a", "shop")


@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_connection_that_breaks_is_used_anew_once_when_that_is_safe(repeatable: bool) -> None:
    async def drop(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async with serving() as stub, client_of(stub) as cluster:
        cluster.discovery.remember(WIDGET)
        stub.then(drop).json(named("a"))
        if repeatable:
            await cluster.apply(WIDGET.new("a", "shop"), manager="me")
            assert len(stub.lines) == 2
        else:
            with pytest.raises(Unreachable):
                await cluster.create(WIDGET.new("a", "shop"))
            assert len(stub.lines) == 1


async def test_a_closed_client_says_so() -> None:
    async with serving() as stub, client_of(stub) as cluster:
        await cluster.close()
        with pytest.raises(Unreachable, match="was closed"):
            await cluster.get(WIDGET, "a", "shop")


# --- watching ---
async def test_a_watch_asks_for_bookmarks_and_a_bounded_time() -> None:
    async with serving() as stub, client_of(stub) as cluster:
        stub.stream(event("ADDED", "a", 6))
        changes = await collect(cluster)
        assert [(change.type, change.object["metadata"]["resourceVersion"]) for change in changes] == [
            ("BOOKMARK", "5"),
            ("ADDED", "6"),
        ]
        query = dict(stub.requests[0].query)
        assert 290 <= int(query.pop("timeoutSeconds")) <= 590
        assert query == {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": "5"}


@pytest.mark.parametrize("seed", range(8))
async def test_events_arrive_whole_wherever_the_network_cuts_them(seed: int) -> None:
    rng = random.Random(seed)
    names = [f"w{number}" for number in range(40)]
    text = b"".join(
        event("MODIFIED", name, 6 + number, data="é" * rng.randrange(300)) for number, name in enumerate(names)
    )
    cuts = sorted(rng.sample(range(1, len(text)), 60))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    async with serving() as stub, client_of(stub) as cluster:
        stub.stream(*pieces)
        changes = await collect(cluster)
        assert [change.object["metadata"]["name"] for change in changes[1:]] == names


async def test_a_line_of_many_megabytes_is_one_event() -> None:
    async with serving() as stub, client_of(stub) as cluster:
        big = event("ADDED", "big", 6, data="x" * 8_000_000)
        stub.stream(*(big[start : start + 65536] for start in range(0, len(big), 65536)), event("ADDED", "b", 7))
        changes = await collect(cluster)
        assert [len(change.object.get("data", "")) for change in changes] == [0, 8_000_000, 0]


async def test_an_error_in_the_stream_is_raised() -> None:
    async with serving() as stub, client_of(stub) as cluster:
        status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
        stub.stream(event("ADDED", "a"), json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
        with pytest.raises(Expired, match="too old resource version"):
            await collect(cluster)


async def test_pods_come_without_managed_fields_and_lack_nothing_else() -> None:
    metadata = {
        "name": "a", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 2, "creationTimestamp": None,
        "generateName": "a-", "labels": {"x": "y"}, "annotations": {"n": "m"}, "finalizers": ["f/g"],
        "ownerReferences": [{"name": "o"}], "deletionTimestamp": "t", "deletionGracePeriodSeconds": 3,
    }  # fmt: skip
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": "n"}, "status": {"phase": "X"}}
    sent = {**pod, "metadata": {**metadata, "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}]}}
    mark = {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": "8", "creationTimestamp": None}}
    status = {"kind": "Status", "status": "Failure", "reason": "Expired", "message": "too old", "code": 410}
    lines = [("ADDED", sent), ("BOOKMARK", mark), ("ERROR", status)]
    async with serving() as stub, client_of(stub) as cluster:
        stub.stream(*(json.dumps({"type": kind, "object": obj}).encode() + b"\n" for kind, obj in lines))
        seen = []
        with pytest.raises(Expired, match="too old"):
            async for change in cluster.watch(POD, "shop", since="5"):
                seen.append(change.object)
        assert seen[1:] == [pod, mark]
        stub.answers.clear()
        stub.json(sent)
        assert await cluster.patch(POD, "a", {}, "shop") == pod


async def test_a_refused_watch_is_raised() -> None:
    async with serving() as stub, client_of(stub) as cluster:
        stub.refuse(410, "Expired", "too old")
        with pytest.raises(Expired):
            await collect(cluster)


async def test_a_watch_that_is_cut_is_unreachable_after_its_whole_events() -> None:
    async with serving() as stub, client_of(stub) as cluster:
        stub.stream(event("ADDED", "a"), event("ADDED", "b")[:20], cut=True)
        seen = []
        with pytest.raises(Unreachable):
            async for change in cluster.watch(WIDGET, since="5"):
                seen.append(change.object["metadata"].get("name"))
        assert seen == [None, "a"]


async def test_a_line_that_is_no_event_is_an_error() -> None:
    async with serving() as stub, client_of(stub) as cluster:
        stub.stream(b"<html>\n")
        with pytest.raises(InternalError, match="no event"):
            await collect(cluster)


async def silent(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await asyncio.Event().wait()
    return response


async def test_a_silent_watch_ends_so_that_a_dead_connection_is_noticed() -> None:
    async with serving() as stub, client_of(stub, watching=WatchSettings(idle=0.05)) as cluster:
        stub.then(silent)
        assert [change.type for change in await collect(cluster)] == ["BOOKMARK"]


async def test_the_kernel_asks_who_is_silent_for_a_sign_of_life() -> None:
    """A watch sends nothing: behind a cut network nobody would tell it that its cluster is gone."""
    transports = Transports()
    async with serving() as stub:
        stub.then(silent)
        async with transports.acquire(Tls()).get(stub.url) as response:
            assert response.connection is not None and response.connection.transport is not None
            connected = response.connection.transport.get_extra_info("socket")
            asked = {name: connected.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
                     for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT") if hasattr(socket, name)}  # fmt: skip
            assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert set(asked.values()) <= {QUIET, BETWEEN, TRIES}
        await transports.release(Tls())


# --- kinds ---
async def test_unknown_kinds_are_discovered_once() -> None:
    async with serving() as stub, client_of(stub) as cluster:
        stub.json(GROUP).json(named("a"))
        await cluster.apply(WIDGET.new("a", "shop"), manager="me")
        await cluster.apply(WIDGET.new("a", "shop"), manager="me")
        assert [line.split("?")[0] for line in stub.lines] == [
            "GET /apis/example.dev/v1",
            f"PATCH {WIDGETS}/a",
            f"PATCH {WIDGETS}/a",
        ]


async def test_a_kind_that_is_not_served_is_named() -> None:
    async with serving() as stub, client_of(stub) as cluster:
        stub.json(GROUP)
        with pytest.raises(NotFound, match=r"no kind Gadget in example.dev/v1: install its CRD"):
            await cluster.create({"apiVersion": "example.dev/v1", "kind": "Gadget", "metadata": {"name": "a"}})
        with pytest.raises(BadRequest, match="no apiVersion and kind"):
            await cluster.create({"metadata": {"name": "a"}})


async def test_whether_a_kind_is_served_is_asked_anew() -> None:
    async with serving() as stub, client_of(stub) as cluster:
        stub.refuse(404, "NotFound", "the server could not find the requested resource").json(GROUP)
        assert [await cluster.discovery.serves(WIDGET) for _ in range(2)] == [False, True]


# --- connections and secrets ---
async def test_clusters_with_one_tls_setup_share_connections_until_the_last_is_closed() -> None:
    transports = Transports()
    async with serving() as stub:
        stub.json(named("a"))
        async with client_of(stub, transports=transports, prefix="/clusters/green") as green:
            async with client_of(stub, transports=transports, prefix="/clusters/rose") as rose:
                await green.get(WIDGET, "a", "shop")
                await rose.get(WIDGET, "a", "shop")
                assert len({request.transport for request in stub.requests}) == 1
            await green.get(WIDGET, "a", "shop")
            assert stub.lines[1] == f"GET /clusters/rose{WIDGETS}/a"
        assert transports.open == 0


async def test_secrets_are_in_no_log_and_no_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving() as stub, client_of(stub) as cluster:
        stub.refuse(403, "Forbidden", "no").stream(event("ADDED", "a"))
        with pytest.raises(Forbidden) as caught:
            await cluster.get(WIDGET, "a", "shop")
        await collect(cluster)
        shown = (
            caplog.text
            + repr(cluster)
            + repr(cluster.access)
            + str(caught.value)
            + repr(await cluster.access.credentials.current())
        )
        assert "secret-token" not in shown
