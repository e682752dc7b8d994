"""Figures: from metrics APIs and a Prometheus as they answer, and as they fail; never guessed, never waited for."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from continuo.kube.port import Listing
from continuo.orchestrator.loops.figures import Ask, Figures, Unanswered, asks_of
from continuo.orchestrator.loops.figures_prometheus import Prometheus, one_number
from continuo.orchestrator.loops.model import Figure, Sample
from continuo.resources import kinds
from continuo.resources.errors import Forbidden, NotFound, ServiceUnavailable, Unreachable
from continuo.resources.meta import Kind, Object
from continuo.resources.orchestration_policies import Metric, MetricSource
from orchestrator.loops.given import at, cluster, component, policy

pytestmark = pytest.mark.anyio
KEY = ("default", "shop")
FRESH = "2026-05-04T11:59:50Z"


def measured(name: str, cpu: str = "350m", *, when: str = FRESH, **more: str) -> Object:
    usage = {"cpu": cpu, "memory": "65536Ki"} | more
    return {"metadata": {"name": name, "namespace": "shop"}, "timestamp": when, "window": "15s",
            "containers": [{"name": "c", "usage": usage}]}  # fmt: skip


def pod(name: str, *, ready: bool = True, phase: str = "Running", **metadata: Any) -> Object:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": {"name": name, **metadata}, "status": {"phase": phase, "conditions": conditions}}


class Api:
    """A cluster's lists, each as given, or as it fails; every request is counted."""

    def __init__(self, **lists: Any) -> None:
        self.lists, self.asked = lists, []  # type: ignore[var-annotated]

    async def list(self, kind: Kind, namespace: str | None = None, *, labels: str | None = None) -> Listing:
        self.asked.append((kind.kind, namespace, labels))
        found = self.lists[kind.kind]
        if isinstance(found, BaseException):
            raise found
        return Listing(await found() if callable(found) else found, "1")


def ask(client: Any = None, *, metric: Metric | None = None, **fields: Any) -> Ask:
    base = Ask(KEY, "loop", metric or Metric(target=0.7), 15, "west", client, "shop", "a=b", 0.5, 2)
    return replace(base, **fields)


def figures(now: list[float], **fields: Any) -> Figures:
    return Figures(clock=lambda: now[0], **fields)


NOON = at(0).timestamp()


async def one(wanted: Ask, **fields: Any) -> Figure:
    source = figures([NOON], **fields)
    found = await source.collect(KEY, [wanted])
    await source.close()
    return found["loop"]


# --- the metrics API -----------------------------------------------------------------------------------------------------


async def test_use_is_divided_by_requests_with_one_list() -> None:
    api = Api(PodMetrics=[measured("a"), measured("b", "700000000n")])
    figure = await one(ask(api))
    assert figure == Figure(at(0), (Sample("a", 0.7), Sample("b", 1.4)))
    assert api.asked == [("PodMetrics", "shop", "a=b")]
    memory = await one(ask(api, metric=Metric(target=0.7, resource="memory"), request=128 << 20))
    assert [sample.value for sample in memory.samples] == [0.5, 0.5]


async def test_while_not_all_are_ready_the_pods_say_which_are() -> None:
    gone = {"deletionTimestamp": "2026-05-04T11:59:00Z"}
    pods = [pod("a"), pod("b", ready=False), pod("c"), pod("d", **gone), pod("e", phase="Succeeded")]
    api = Api(PodMetrics=[measured("a"), measured("b", "100m"), measured("d")], Pod=pods)
    figure = await one(ask(api))
    assert figure.samples == (Sample("a", 0.7), Sample("b", 0.2, ready=False), Sample("c", None))


@pytest.mark.parametrize("entry", [
    measured("a", when="2026-05-04T11:58:59Z"), {"metadata": {"name": "a"}}, measured("a", when="yesterday"),
    measured("a", when="2026-05-04T11:59:50"), measured("a") | {"containers": []},
    measured("a") | {"containers": [{"name": "c", "usage": {"memory": "1Mi"}}]},
])  # fmt: skip
async def test_what_is_old_or_says_nothing_is_no_figure(entry: Object) -> None:
    assert (await one(ask(Api(PodMetrics=[entry]), ready=1))).samples == (Sample("a", None),)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (NotFound("no"), "cluster west serves no metrics.k8s.io: install metrics-server there"),
        (Forbidden("no"), "cluster west does not let Continuo read metrics.k8s.io: no"),
        (ServiceUnavailable("no"), "the metrics API of cluster west is not available: no"),
        (Unreachable("no"), "the metrics API of cluster west cannot be asked: no"),
        (KeyError("x"), "the metrics API of cluster west answered what cannot be read; the operator's log has more"),
    ],
)
async def test_why_there_is_no_figure_is_a_sentence(error: Exception, says: str) -> None:
    assert (await one(ask(Api(PodMetrics=error)))).problem == says


async def test_a_cluster_that_is_lost_is_not_even_asked() -> None:
    assert (await one(ask(None))).problem == "cluster west does not answer"


async def test_nodes_are_measured_against_what_they_can_take() -> None:
    def node(name: str, **fields: Any) -> Object:
        status = {"allocatable": {"cpu": "4"}, "conditions": [{"type": "Ready", "status": fields.pop("ready", "True")}]}
        return {"metadata": {"name": name, "labels": fields.pop("labels", {})}, "spec": fields, "status": status}

    nodes = [node("a"), node("b", ready="False"), node("c", unschedulable=True), node("d"),
             node("v", labels={"liqo.io/type": "virtual-node"})]  # fmt: skip
    used = [{"metadata": {"name": name}, "timestamp": FRESH, "usage": {"cpu": "1"}} for name in "abc"]
    figure = await one(ask(Api(NodeMetrics=used, Node=nodes), namespace="", labels=""))
    assert figure.samples == (Sample("a", 0.25), Sample("b", 0.25, ready=False), Sample("d", None))


# --- when and how often --------------------------------------------------------------------------------------------------


async def test_a_figure_is_asked_for_as_often_as_its_policy_says_and_anew_when_it_is_another() -> None:
    now, api = [NOON], Api(PodMetrics=[measured("a"), measured("b")])
    source = figures(now)
    for seconds, asked in ((0, 1), (5, 1), (14.9, 1), (15, 2), (20, 2)):
        now[0] = NOON + seconds
        await source.collect(KEY, [ask(api)])
        assert len(api.asked) == asked, seconds
    assert source.next_due(KEY, "loop") == at(30)
    await source.collect(KEY, [ask(api, cluster="east")])
    await source.collect(KEY, [ask(api, cluster="east", metric=Metric(target=0.5))])
    assert len(api.asked) == 4
    assert await source.collect(KEY, []) == {}
    assert source.next_due(KEY, "loop") is None
    await source.close()


async def test_a_slow_source_holds_nobody_up_and_wakes_whoever_asked() -> None:
    release, woken = asyncio.Event(), asyncio.Semaphore(0)

    async def slowly() -> list[Object]:
        await release.wait()
        return [measured("a"), measured("b")]

    slow, quick = Api(PodMetrics=slowly), Api(PodMetrics=[measured("a"), measured("b")])
    source = figures([NOON], first_wait=0.0)
    source.on_late = lambda keys: woken.release()
    asks = [ask(slow), ask(quick, policy="other")]
    assert "loop" not in await source.collect(KEY, asks)
    assert "loop" not in await source.collect(KEY, asks)
    assert len(slow.asked) == 1
    release.set()
    await woken.acquire()
    await woken.acquire()
    assert set(await source.collect(KEY, asks)) == {"loop", "other"}
    await source.close()


async def test_a_source_that_never_answers_is_given_up() -> None:
    async def never() -> list[Object]:
        await asyncio.Event().wait()
        return []

    figure = await one(ask(Api(PodMetrics=never)), longest=0.01, first_wait=5.0)
    assert figure.problem == "the metrics API of cluster west has not answered within 0.01 s"


async def test_whoever_is_forgotten_is_asked_for_no_longer() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def never() -> list[Object]:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return []

    source = figures([NOON], first_wait=0.0)
    await source.collect(KEY, [ask(Api(PodMetrics=never))])
    await started.wait()
    source.forget(KEY)
    await cancelled.wait()
    await source.close()


def test_what_policies_follow_is_asked_where_it_runs() -> None:
    rules = [
        policy("scale-component", **{"scale-component": {"component": "shop/web", "metric": {"target": 0.7}}}),
        policy("scale-component", name="b", **{"scale-component": {"component": "shop/gone", "metric": {"target": 1}}}),
        policy("scale-cluster", name="c", **{"scale-cluster": {"cluster": "east"}}),
        policy("scale-cluster", name="d", **{"scale-cluster": {"cluster": "east", "metric": {"target": 0.5}}}),
        policy("failover", name="e"),
    ]
    views = {"west": cluster("west"), "east": cluster("east", lost_since=at(0))}
    clients = {"west": object(), "east": object()}
    parts = {"shop/web": component("shop/web", "west", cpu=0.5, ready=2)}
    found = asks_of(KEY, rules, views, parts, clients.get)  # type: ignore[arg-type]
    labels = "continuo.dev/orchestration-namespace=default,continuo.dev/orchestration=shop,"
    labels += "continuo.dev/application=shop,continuo.dev/component=web"
    assert [(a.policy, a.cluster, a.client is not None, a.namespace, a.labels, a.request, a.ready) for a in found] == [
        ("loop", "west", True, "shop", labels, 0.5, 2),
        ("d", "east", False, "", "", 0.0, 0),
    ]


# --- Prometheus ----------------------------------------------------------------------------------------------------------

QUERY = Metric(source=MetricSource.PROMETHEUS, query="sum(queue)", target=10)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    app = web.Application(client_max_size=1 << 20)
    app.router.add_post("/prom/api/v1/query", handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{port}/prom/"
    finally:
        await runner.cleanup()


def vector(*values: Any, when: float = NOON) -> Any:
    result = [{"metric": {"n": str(n)}, "value": [when, value]} for n, value in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


async def figure_of(answer: Any, status: int = 200, **fields: Any) -> Figure:
    async def handler(request: web.Request) -> web.StreamResponse:
        if isinstance(answer, bytes):
            return web.Response(body=answer, status=status)
        return web.json_response(answer, status=status)

    async with serving(handler) as url:
        queries = Prometheus(url, **fields)
        figure = await one(ask(metric=QUERY), queries=queries)
        await queries.close()
        return figure


async def test_a_query_is_asked_as_it_was_written_with_the_token_of_the_moment(tmp_path: Path) -> None:
    seen: list[Any] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((dict(await request.post()), request.headers.get("Authorization")))
        return web.json_response(vector("42.5", when=NOON - 3))

    token = tmp_path / "token"
    token.write_text("first\n")
    async with serving(handler) as url:
        queries = Prometheus(url, token_file=token)
        assert await one(ask(metric=QUERY), queries=queries) == Figure(at(-3), value=42.5)
        token.write_text("second")
        await queries.ask("up", timedelta(seconds=60))
        await queries.close()
    form, authorization = seen[0]
    assert (form["query"], form["lookback_delta"], authorization) == ("sum(queue)", "60s", "Bearer first")
    assert seen[1][1] == "Bearer second"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (vector(), "the query returned nothing; add `or vector(0)` if that means 0"),
        (vector("1", "2", "3"), "the query returned 3 series; add sum(...) or another aggregation"),
        (vector("NaN"), "the query returned NaN, which is no number to scale by"),
        (vector("+Inf"), "the query returned +Inf, which is no number to scale by"),
        (vector("9", when=NOON - 61), "what Prometheus answered is 61 s old"),
        (vector("x"), "Prometheus answered something that is no number with a time"),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, "returned a matrix, not one number"),
        ({"status": "success", "data": {"resultType": "string", "result": [1, "a"]}}, "returned a string, not one"),
        ({"status": "success"}, "returned a thing, not one number"),
        (["what"], "Prometheus refused the query (200)"),
        (b"<html>", "Prometheus answered 200 and no JSON"),
        (b"[" * (2 << 20), "the query returned more than one number"),
    ],
)
async def test_what_is_not_one_number_never_scales(answer: Any, says: str) -> None:
    figure = await figure_of(answer)
    assert figure.value is None
    assert says in figure.problem


async def test_what_it_refuses_it_says() -> None:
    error = {
        "status": "error",
        "errorType": "bad_data",
        "error": 'invalid parameter "query": 1:5: parse error ' + "x" * 900,
    }
    problem = (await figure_of(error, 400)).problem
    assert problem.startswith('Prometheus refused the query (400): invalid parameter "query": 1:5: parse error')
    assert len(problem) < 260


async def test_it_is_not_sent_elsewhere() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("http://127.0.0.1:1/elsewhere")

    async with serving(handler) as url:
        queries = Prometheus(url)
        with pytest.raises(Unanswered, match="302"):
            await queries.ask("up", timedelta(seconds=60))
        await queries.close()


async def test_a_server_that_is_away_or_hangs_is_a_sentence(tmp_path: Path) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    away = Prometheus("http://127.0.0.1:1")
    with pytest.raises(Unanswered, match=r"Prometheus at http://127\.0\.0\.1:1 cannot be asked"):
        await away.ask("up", timedelta(seconds=60))
    await away.close()
    secretless = Prometheus("http://127.0.0.1:1", token_file=tmp_path / "none")
    with pytest.raises(Unanswered, match="the token for Prometheus cannot be read"):
        await secretless.ask("up", timedelta(seconds=60))
    await secretless.close()
    async with serving(hang) as url:
        slow = Prometheus(url, timeout=0.05)
        with pytest.raises(Unanswered, match="has not answered within"):
            await slow.ask("up", timedelta(seconds=60))
        await slow.close()


async def test_without_a_prometheus_the_way_out_is_told() -> None:
    assert (
        await one(ask(metric=QUERY))
    ).problem == "this operator knows no Prometheus: start it with `--prometheus URL`"


@pytest.mark.parametrize("url", ["", "prometheus:9090", "ftp://x", "http://u:p@x", "http://x?query=1", "http://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="no address of a Prometheus"):
        Prometheus(url)


def test_a_scalar_is_a_number_too() -> None:
    assert one_number({"resultType": "scalar", "result": [NOON, "3"]}) == (3.0, at(0))


def test_kinds_of_the_metrics_api() -> None:
    assert kinds.POD_METRICS.path("shop") == "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods"
    assert kinds.NODE_METRICS.path() == "/apis/metrics.k8s.io/v1beta1/nodes"
