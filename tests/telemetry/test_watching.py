"""Requests, calls and looks as they are measured, and traces as they are handed on."""

from __future__ import annotations

import asyncio
import os
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from continuo.events.publisher import Publisher
from continuo.kube.config import connect
from continuo.kube.transport import Transports
from continuo.orchestrator.telling import Telling
from continuo.resources import kinds
from continuo.resources.errors import NotFound
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.runtime.clusterset import ClusterSet, member_of
from continuo.runtime.controller import Controller, Result
from continuo.runtime.informer import Watch
from continuo.telemetry.asgi import Watched
from continuo.telemetry.calls import Calls
from continuo.telemetry.metrics import Metrics
from continuo.telemetry.served import served
from continuo.telemetry.tracing import current, exemplar, root, span, traceparent, tracing_from, wanted
from continuo.telemetry.working import Controllers

from .collector import collecting
from .serving import serving

pytestmark = pytest.mark.anyio


def lines(metrics: Metrics, accept: str = "") -> list[str]:
    return metrics.exposition(accept)[0].decode().splitlines()


async def test_requests_count_under_their_route_and_never_under_their_path() -> None:
    metrics, app = Metrics(), FastAPI()

    @app.get("/things/{name}")
    async def thing(name: str) -> str:
        if name == "broken":
            raise RuntimeError(name)
        return name

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter(["data: 1\n\n"]), media_type="text/event-stream")

    app.add_middleware(Watched, metrics=metrics)
    async with serving(app) as url, aiohttp.ClientSession() as http:
        for path in ("/things/one", "/things/two", "/things/broken", "/nowhere/secret", "/stream"):
            async with http.get(url + path) as answer:
                await answer.read()
    said = [line for line in lines(metrics) if "_count{" in line]
    name = "continuo_http_request_duration_seconds_count"
    assert f'{name}{{method="GET",route="/things/{{name}}",status="200"}} 2.0' in said
    assert f'{name}{{method="GET",route="/things/{{name}}",status="500"}} 1.0' in said
    assert f'{name}{{method="GET",route="none",status="404"}} 1.0' in said
    assert f'{name}{{method="GET",route="/stream",status="200"}} 1.0' in said
    assert len(said) == 4 and "secret" not in "".join(said)


async def test_calls_to_a_cluster_are_measured_traced_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    headers: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        headers.append(request.headers.get("traceparent"))
        if "missing" in request.path:
            return web.json_response({"kind": "Status", "reason": "NotFound", "code": 404, "message": "no"}, status=404)
        return web.json_response({"metadata": {"name": "x"}})

    app, metrics = web.Application(), Metrics()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    calls = Calls(metrics)
    address = {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}
    config = {"clusters": [{"name": "c", "cluster": address}], "users": [{"name": "u", "user": {}}], "current-context": "x",
              "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}]}  # fmt: skip
    cluster = connect(config, name="default/shop-green-kubeconfig", transports=Transports(calls))
    try:
        await cluster.get(kinds.SECRET, "there", "default")
        with pytest.raises(NotFound):
            await cluster.get(kinds.SECRET, "missing", "default")
        assert headers == [None, None], "nobody traces"
        async with collecting() as collector:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
            tracing = tracing_from(os.environ, "test")
            assert tracing is not None
            with root(tracing, "outer") as step:
                assert step is not None
                await cluster.get(kinds.SECRET, "there", "default")
            await asyncio.to_thread(tracing.close)
            (call,) = collector.named("kubernetes get")
        assert headers[2] is not None and headers[2].split("-")[1:3] == [step.trace_id, call.id]
    finally:
        await cluster.close()
        await runner.cleanup()
    said = lines(metrics)
    assert 'continuo_api_request_duration_seconds_count{server="default/shop-green",verb="get"} 3.0' in said
    assert 'continuo_api_request_errors_total{reason="NotFound",server="default/shop-green",verb="get"} 1.0' in said
    calls.forget("default/shop-green-kubeconfig")
    assert not [line for line in lines(metrics) if "shop-green" in line]


async def test_looks_are_told_to_whoever_observes() -> None:
    metrics = Metrics()
    made: list[Controller[str]] = []
    observer = Controllers(metrics, lambda: {c.name: len(c.queue) for c in made})
    tried: list[str] = []
    enough = asyncio.Event()

    async def reconcile(key: str) -> Result:
        tried.append(key)
        if len(tried) == 4:
            enough.set()
        if key == "bad" and tried.count("bad") == 1:
            raise ValueError("once")
        return Result(3600.0 if key == "later" else None)

    controller: Controller[str] = Controller("things", reconcile, workers=1, observer=observer)
    made.append(controller)
    for key in ("good", "bad", "later"):
        controller.add(key)
    assert 'continuo_workqueue_depth{controller="things"} 3.0' in lines(metrics)
    controller.start()
    async with asyncio.timeout(20):
        await enough.wait()
    await controller.stop()
    said = lines(metrics)
    assert 'continuo_reconciles_total{controller="things",result="done"} 2.0' in said
    assert 'continuo_reconciles_total{controller="things",result="again"} 1.0' in said
    assert 'continuo_reconciles_total{controller="things",result="failed"} 1.0' in said
    assert 'continuo_reconcile_errors_total{controller="things"} 1.0' in said
    assert 'continuo_workqueue_queue_duration_seconds_count{controller="things"} 4.0' in said


async def test_probes_and_metrics_are_served_together() -> None:
    metrics, trouble = Metrics(), ""
    async with served("127.0.0.1", 0, lambda: trouble, metrics) as port, aiohttp.ClientSession() as http:
        base = f"http://127.0.0.1:{port}"
        async with http.get(f"{base}/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        accept = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
        async with http.get(f"{base}/metrics", headers=accept) as answer:
            assert answer.content_type == "application/openmetrics-text"
            assert (await answer.text()).endswith("# EOF\n")
        trouble = "it cannot"
        async with http.get(f"{base}/readyz") as answer:
            assert (answer.status, await answer.text()) == (503, "it cannot\n")
    async with served("127.0.0.1", 0, str, metrics, probes=False) as port, aiohttp.ClientSession() as http:  # noqa: SIM117
        async with http.get(f"http://127.0.0.1:{port}/healthz") as answer:
            assert answer.status == 404


async def test_without_a_trace_there_is_nothing() -> None:
    with span("step", {"a": "b"}) as step, root(None, "outer") as outer:
        assert (step, outer, current(), traceparent(), exemplar()) == (None, None, None, None, None)


async def test_a_step_is_over_for_tasks_that_outlive_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch that was begun within a look is no part of it an hour later."""
    async with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        tracing = tracing_from(os.environ, "test")
        assert tracing is not None
        go = asyncio.Event()

        async def outlives() -> Any:
            inside = current()
            await go.wait()
            with span("too late") as step:
                return inside, step, traceparent()

        with root(tracing, "look", parent="garbage") as look:
            task = asyncio.create_task(outlives())
            await asyncio.sleep(0)
        go.set()
        assert await task == (look, None, None)
        with pytest.raises(ValueError, match="no"), root(tracing, "fails"):
            raise ValueError("no")
        await asyncio.to_thread(tracing.close)
    assert [(s.name, s.parent, s.failed) for s in collector.spans] == [
        ("look", "", ""),
        ("fails", "", "ValueError: no"),
    ]


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_standard_variables_decide(environment: dict[str, str], says: bool) -> None:
    assert wanted(environment) is says
    assert (tracing_from({}, "x")) is None


def test_what_is_declared_is_told_by_one_process() -> None:
    """A backend follows the same clusters as its operator: two who tell of them would double every sum."""
    for whole in (True, False):
        telling = Telling(whole=whole)
        hub = member_of("management", cast("Any", NoCluster()), (Watch(LOW_LEVEL_ORCHESTRATION),))
        controller: Controller[tuple[str, str]] = Controller("orchestrator", never, observer=telling.controllers)
        telling.follow(hub, ClusterSet((), no_client), controller, Publisher())
        asyncio.run(_shows(telling.metrics, whole))


async def _shows(metrics: Metrics, whole: bool) -> None:
    said = (await metrics.told())[0].decode()
    assert ('continuo_clusters{kubernetes_type="",phase="Ready"' in said) is whole
    assert 'continuo_snapshot_age_seconds{server="management"} 0.0' in said


class NoCluster:
    name = "management"


async def never(_: tuple[str, str]) -> Result:
    raise AssertionError("nothing is looked at")


def no_client(kubeconfig: str, *, name: str) -> Any:
    raise AssertionError("nothing is followed")
