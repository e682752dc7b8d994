"""One trace from a request to the last write to a cluster, as a collector sees it."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import yaml

from continuo.cli.host import Host
from continuo.embedded.standins.settings import Settings
from continuo.kube.config import connect
from continuo.orchestrator.operator import Operator
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.server.app import create_app, make_parts
from continuo.server.subjects import Gate, Policy
from continuo.server.tokens import TokenFile
from continuo.telemetry.metrics import Metrics
from continuo.telemetry.scraping import configuration
from continuo.telemetry.served import served
from continuo.telemetry.tracing import ANNOTATION, Tracing, tracing_from
from scenarios.beds import Bed
from scenarios.specs import app, cluster, component, item

from .collector import Collector, collecting
from .prometheus import running
from .serving import serving
from .test_prometheus import quick

pytestmark = pytest.mark.anyio

APPS = "/amf/v1/applications"
TOKENS = 'ann-token,ann,1,dev\nroot-token,root,0,"system:masters"\n'
SHOP = {"clusters": [cluster("green")], "apps": [app("shop", "green", component("web", "green"))]}
BLUEPRINT = """
tosca_definitions_version: tosca_simple_yaml_1_3
metadata: {template_name: shop, template_author: ann, template_version: '1'}
imports: [charity_custom_types_v13.yaml]
topology_template:
  node_templates:
    web: {type: Charity.Component, properties: {name: web, deployment_unit: K8S_POD, image: 'registry.example.org/web:1'}}
"""


@asynccontextmanager
async def working(host: Host, tracing: Tracing | None) -> AsyncIterator[Operator]:
    operator = host.operator(tracing=tracing)
    task = asyncio.create_task(operator.run())
    try:
        yield operator
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await operator.management.close()


@asynccontextmanager
async def engine() -> AsyncIterator[Host]:
    host = Host(None, standins=Settings(speed=10.0), seed=1)
    await host.start()
    try:
        yield host
    finally:
        await host.stop()


async def submit(bed: Bed, tracing: Tracing, metrics: Metrics, traceparent: str | None = None) -> str:
    """Hand in a blueprint over HTTP and wait until it runs; the metrics as OpenMetrics."""
    face = connect(bed.kubeconfig, name="management")
    parts = make_parts(face, Gate([TokenFile(TOKENS)], Policy()), namespace="default", orchestration="main")
    headers = {"Authorization": "Bearer ann-token", "Content-Type": "application/yaml"}
    if traceparent:
        headers["traceparent"] = traceparent
    async with serving(create_app(parts, None, metrics, tracing)) as url, aiohttp.ClientSession() as http:
        async with asyncio.timeout(20):
            while True:
                async with http.post(url + APPS, data=BLUEPRINT, headers=headers) as answer:
                    if answer.status == 202:
                        break
                    assert answer.status in (404, 503), await answer.text()  # it has not read the orchestrations yet
                await asyncio.sleep(0.02)
        await bed.until("main", lambda obj: item(obj, "apps", "shop").get("phase") == "Running")
        wanted = {"Authorization": "Bearer root-token", "Accept": "application/openmetrics-text; version=1.0.0"}
        async with http.get(url + "/metrics", headers=wanted) as answer:
            assert answer.content_type == "application/openmetrics-text"
            said = await answer.text()
        async with http.get(url + "/metrics", headers={"Authorization": "Bearer ann-token"}) as answer:
            assert answer.status == 403
        async with http.get(url + "/metrics") as answer:
            assert answer.status == 401
    await face.close()
    return said


@pytest.fixture
async def collector(anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    async with collecting() as made:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
        yield made


async def test_one_trace_from_the_request_to_the_last_write(collector: Collector) -> None:
    server, operator = (tracing_from(os.environ, name) for name in ("server", "operator"))
    assert server is not None and operator is not None
    caller = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
    async with engine() as host:
        bed = Bed(host)
        await bed.credentials()
        async with working(host, operator) as worker:
            await bed.apply("main", {"clusters": [cluster("green", tier="cloud")]})
            await bed.ready("main")
            said = await submit(bed, server, Metrics(), caller)
            obj = await bed.ready("main")
            metrics, _ = await worker.telling.metrics.told("application/openmetrics-text; version=1.0.0")
        await bed.close()
    for tracing in (server, operator):
        await asyncio.to_thread(tracing.close)

    trace = caller.split("-")[1]
    declared = {span.parent for span in collector.named("kubernetes apply") if span.service == "server"}
    (posted,) = [span for span in collector.named(f"POST {APPS}") if span.id in declared]
    assert (posted.service, posted.trace, posted.parent) == ("server", trace, caller.split("-")[2])
    told = annotations_of(obj)[ANNOTATION]
    assert told.split("-")[1] == trace

    writes = [
        span for span in collector.named("kubernetes apply")
        if span.attributes["k8s.cluster.name"] == "default/main-green-kubeconfig"
    ]  # fmt: skip
    deployments = [span for span in writes if span.attributes["url.path"].endswith("/deployments/web")]
    assert deployments, [span.attributes["url.path"] for span in writes]
    for span in deployments:
        assert span.trace == trace
        assert collector.above(span) == [f"POST {APPS}", "reconcile", "act", "deploy component"]
    assert re.search(
        rf'continuo_http_request_duration_seconds_bucket{{.*route="{APPS}".*}} 1.0 # {{trace_id="{trace}"}}', said
    )
    durations = "continuo_(reconcile|loop_stage|api_request)_duration_seconds_bucket"
    shown = re.findall(rf'^{durations}.* # {{trace_id="{trace}"}}', metrics.decode(), re.MULTILINE)
    assert {"reconcile", "loop_stage", "api_request"} == set(shown)
    events = {entry["subject"]: entry.get("traceparent", "") for entry in obj["status"]["outbox"]}
    assert trace in events["app/shop"], events


async def test_a_real_prometheus_keeps_which_trace_took_how_long(
    collector: Collector, prometheus_folder: Path, tmp_path: Path
) -> None:
    trace = "0123456789abcdef0123456789abcdef"
    told = {"annotations": {ANNOTATION: f"00-{trace}-0123456789abcdef-01"}}
    tracing = tracing_from(os.environ, "operator")
    assert tracing is not None
    async with (
        engine() as host,
        working(host, tracing) as worker,
        served("127.0.0.1", 0, worker.trouble, worker.telling.metrics) as port,
        running(
            prometheus_folder, tmp_path, quick(configuration({"continuo-operator": [f"127.0.0.1:{port}"]}, [], ()))
        ) as main,
    ):
        bed = Bed(host)
        await bed.credentials()
        await bed.api.apply(LOW_LEVEL_ORCHESTRATION.new("o", "default", metadata=told, spec=SHOP), manager="test")
        await bed.ready("o")
        for what in ("reconcile", "loop_stage", "api_request"):
            await main.exemplar(f"continuo_{what}_duration_seconds_bucket", trace_id=trace)
        await bed.close()
    await asyncio.to_thread(tracing.close)


async def test_what_is_mended_later_is_a_trace_of_its_own(collector: Collector) -> None:
    operator = tracing_from(os.environ, "operator")
    assert operator is not None
    asked = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
    async with engine() as host:
        bed = Bed(host)
        await bed.credentials()
        async with working(host, operator):
            spec = await bed.placed("main", {"clusters": [cluster("green")]})
            metadata = {"annotations": {ANNOTATION: asked}}
            body = LOW_LEVEL_ORCHESTRATION.new("main", "default", metadata=metadata, spec=spec)
            await bed.api.apply(body, manager="test")
            await bed.ready("main")
            kind, name = kinds.MACHINE_DEPLOYMENT, "main-green-md-0"
            old = await bed.api.get(kind, name, "default")
            await bed.api.delete(kind, name, "default")
            await bed.wait(bed.api, kind, name, "default", lambda obj: obj and _uid(obj) != _uid(old))
        await bed.close()
    await asyncio.to_thread(operator.close)

    looks = collector.named("reconcile")
    first = [span for span in looks if span.trace == asked.split("-")[1]]
    later = [span for span in looks if span.trace != asked.split("-")[1]]
    assert first and later
    assert all(span.links == (asked.split("-")[1],) for span in later if span.parent == "")


async def test_one_trace_from_the_command_to_the_last_write(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`continuo apply`, as a step of whatever called it, leads to what the operator writes for it."""
    operator = tracing_from(os.environ, "operator")
    assert operator is not None
    pipeline = "00-00112233445566778899aabbccddeeff-0011223344556677-01"
    monkeypatch.setenv("TRACEPARENT", pipeline)
    async with engine() as host:
        bed = Bed(host)
        await bed.credentials()
        (tmp_path / "kubeconfig").write_text(bed.kubeconfig, encoding="utf-8")
        body = LOW_LEVEL_ORCHESTRATION.new("main", "default", spec=await bed.placed("main", SHOP))
        (tmp_path / "main.yaml").write_text(yaml.safe_dump(body), encoding="utf-8")
        async with working(host, operator):
            said = await command("apply", "-f", f"{tmp_path}/main.yaml", "--kubeconfig", f"{tmp_path}/kubeconfig")
            assert said == (0, "lowlevelorchestration/main applied\n", "")
            obj = await bed.ready("main")
        await bed.close()
    await asyncio.to_thread(operator.close)

    trace, caller = pipeline.split("-")[1:3]
    (applied,) = collector.named("continuo apply")
    assert (applied.service, applied.trace, applied.parent) == ("continuo-cli", trace, caller)
    assert annotations_of(obj)[ANNOTATION] == f"00-{trace}-{applied.id}-01"
    by_command = [span for span in collector.named("kubernetes apply") if span.service == "continuo-cli"]
    assert len(by_command) == 2 and {span.parent for span in by_command} == {applied.id}, "a dry run, and the change"
    writes = [
        span for span in collector.named("kubernetes apply") if span.attributes["url.path"].endswith("/deployments/web")
    ]
    assert writes
    for span in writes:
        assert (span.service, span.trace) == ("operator", trace)
        assert collector.above(span) == ["continuo apply", "reconcile", "act", "deploy component"]


async def test_a_command_does_not_wait_for_a_collector_that_is_away(
    anyio_backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and never listens
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        async with engine() as host:
            bed = Bed(host)
            (tmp_path / "kubeconfig").write_text(bed.kubeconfig, encoding="utf-8")
            body = LOW_LEVEL_ORCHESTRATION.new("main", "default", spec={"clusters": []})
            (tmp_path / "main.yaml").write_text(yaml.safe_dump(body), encoding="utf-8")
            code, out, err = await command(
                "apply", "-f", f"{tmp_path}/main.yaml", "--kubeconfig", f"{tmp_path}/kubeconfig"
            )
            obj = await bed.api.get(LOW_LEVEL_ORCHESTRATION, "main", "default")
            await bed.close()
    assert (code, out) == (0, "lowlevelorchestration/main applied\n")
    assert err == "the trace of this command is lost: no collector took it; see OTEL_EXPORTER_OTLP_ENDPOINT\n"
    assert ANNOTATION in annotations_of(obj), "the operator's part of the trace is seen nevertheless"


async def command(*arguments: str) -> tuple[int, str, str]:
    """`continuo` in a process of its own: this one's loop serves what it speaks to."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "continuo.cli.main", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def _uid(obj: Object) -> str:
    return str(obj["metadata"]["uid"])
