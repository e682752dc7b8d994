"""Workload clusters' Prometheus, found by a real one: by a file, of the server, and through API servers' proxies."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from continuo.cli.host import Host
from continuo.cli.hub_tls import own, utc_now
from continuo.kube.config import connect
from continuo.resources import kinds
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.server.app import create_app, make_parts
from continuo.server.subjects import Gate, Policy
from continuo.server.tokens import TokenFile
from continuo.telemetry.process import process_metrics
from scenarios.beds import Bed
from scenarios.specs import cluster

from .prometheus import Prometheus, running
from .serving import serving
from .test_prometheus import quick
from .workload import exporting

pytestmark = pytest.mark.anyio

TOKENS = 'prom-token,prometheus,1,continuo:metrics\nann-token,ann,2,dev\nroot-token,root,0,"system:masters"\n'
JOB = 'job="continuo-federation"'


@pytest.fixture
async def bed(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Bed]:
    """A management cluster without an operator: what it says is said by the tests."""
    host = Host(None, seed=1)
    await host.start()
    made = Bed(host)
    await asyncio.to_thread((tmp_path / "kubeconfig").write_text, made.kubeconfig)
    try:
        yield made
    finally:
        await made.close()
        await host.stop()


async def declared(bed: Bed, *names: str) -> None:
    """Clusters that are ready, with their Prometheus, as an operator would say."""
    await bed.apply("shop", {"clusters": [cluster(name, packages=["prometheus"]) for name in names]})
    packages = [{"name": "prometheus", "phase": "Ready", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    status = {"clusters": [
        {"name": name, "phase": "Ready", "endpoint": f"https://127.0.0.{number}:6443", "packages": packages,
         "lastTransitionTime": "2026-01-01T00:00:00Z"}
        for number, name in enumerate(names, 77)
    ]}  # fmt: skip
    await bed.api.patch(LOW_LEVEL_ORCHESTRATION, "shop", {"status": status}, "default", subresource="status")


@asynccontextmanager
async def monitoring(home: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`continuo monitoring all` in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "continuo.cli.main", "monitoring", "all", "--kubeconfig", str(home / "kubeconfig"),
        "--into", str(home / "main"), *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def written(home: Path, *arguments: str) -> str:
    """Files are there; what was said."""
    async with monitoring(home, *arguments) as process, asyncio.timeout(60):
        _, said = await process.communicate()
        assert process.returncode == 0, said.decode()
        return said.decode()


@asynccontextmanager
async def prometheus(folder: Path, home: Path) -> AsyncIterator[Prometheus]:
    """Prometheus with the files that were written, asking a little more often."""
    config = yaml.safe_load((home / "main" / "prometheus.yml").read_text())
    text = json.dumps(quick(config)).replace('"30s"', '"1s"')
    async with running(folder, home / "main", json.loads(text)) as made:
        yield made


async def below(stack: AsyncExitStack, folder: Path, home: Path, name: str) -> str:
    """A workload cluster's own Prometheus; HOST:PORT."""
    exporter = await stack.enter_async_context(exporting("shop-elsewhere"))
    config = {"global": {"external_labels": {"cluster": f"shop-{name}"}, "scrape_interval": "1s"},
              "scrape_configs": [{"job_name": "cluster", "static_configs": [{"targets": [exporter]}]}]}  # fmt: skip
    made = await stack.enter_async_context(running(folder, home / name, config))
    return made.url.removeprefix("http://")


async def test_clusters_that_come_and_go_are_read_from_a_file(
    prometheus_folder: Path, tmp_path: Path, bed: Bed
) -> None:
    async with AsyncExitStack() as stack:
        green = await below(stack, prometheus_folder, tmp_path, "green")
        await declared(bed, "green")
        at = f"green={green}"
        follower = await stack.enter_async_context(monitoring(tmp_path, "--file-sd", "--follow", "--at", at))
        assert follower.stderr is not None
        first = (await follower.stderr.readline()).decode()
        assert "targets/continuo-federation.json" in first and "prometheus.yml" in first
        main = await stack.enter_async_context(prometheus(prometheus_folder, tmp_path))
        (memory,) = await main.until('node_memory_MemTotal_bytes{cluster="green"}')
        assert (memory["metric"]["orchestration"], memory["metric"]["job"]) == ("default/shop", "cluster")
        assert not {label for label in memory["metric"] if label.startswith("exported_")}

        await declared(bed, "green", "rose")
        assert (
            await follower.stderr.readline()
        ).decode() == f"wrote {tmp_path}/main/targets/continuo-federation.json\n"
        await main.until(f'up{{{JOB}, cluster="rose"}} == 0', "though nobody reloaded it")
        await declared(bed, "rose")
        await main.until(f'absent(up{{{JOB}, cluster="green"}})')


async def test_the_server_tells_whoever_may_know(prometheus_folder: Path, tmp_path: Path, bed: Bed) -> None:
    await declared(bed, "green", "rose")
    face = connect(bed.kubeconfig, name="management")
    parts = make_parts(face, Gate([TokenFile(TOKENS)], Policy(frozenset(("dev",)))), namespace="default")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(face.close)
        url = await stack.enter_async_context(serving(create_app(parts, None, process_metrics("server"))))
        told = f"{url}/monitoring/v1/targets"
        await asyncio.to_thread((tmp_path / "token").write_text, "prom-token")
        await written(tmp_path, "--http-sd", told, "--http-sd-token-file", str(tmp_path / "token"))
        assert await _asked(told, "prom-token") == 200
        main = await stack.enter_async_context(prometheus(prometheus_folder, tmp_path))
        for name in ("green", "rose"):
            await main.until(f'up{{{JOB}, orchestration="default/shop", cluster="{name}"}}')
        await declared(bed, "rose")
        await main.until(f'absent(up{{{JOB}, cluster="green"}})')
        assert await _asked(told, "") == 401
        assert await _asked(told, "ann-token") == 403, "who may use the API sees only what is its own"
        assert await _asked(f"{url}/amf/v1/applications", "prom-token") == 403, (
            "and who may read metrics reads these alone"
        )
        assert await _asked(f"{url}/metrics", "prom-token") == 200
        assert await _asked(told, "root-token") == 200


async def _asked(url: str, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        return answer.status


@dataclass
class ApiServer:
    """Stands in for the proxy of an API server: lets in whoever has the token, and sends it on to a Service."""

    behind: str
    url: str = ""
    ca: str = ""
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.headers.get("Authorization") != "Bearer green-token":
            raise web.HTTPUnauthorized
        path = "/api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy"
        if not request.path.startswith(f"{path}/"):
            raise web.HTTPNotFound
        rest = request.raw_path.removeprefix(path)
        async with aiohttp.ClientSession() as http, http.get(f"http://{self.behind}{rest}") as said:
            return web.Response(body=await said.read(), headers={"Content-Type": said.headers["Content-Type"]})


@asynccontextmanager
async def api_server(behind: str, home: Path) -> AsyncIterator[ApiServer]:
    made = ApiServer(behind)
    certificates = await asyncio.to_thread(own, home, ["127.0.0.1"], utc_now)
    app = web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        context: ssl.SSLContext = certificates.context
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        made.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        assert certificates.ca is not None
        made.ca = await asyncio.to_thread(certificates.ca.read_text)
        yield made
    finally:
        await runner.cleanup()


def _kubeconfig(server: ApiServer) -> Object:
    ca = base64.b64encode(server.ca.encode()).decode()
    config: dict[str, Any] = {
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server.url, "certificate-authority-data": ca}}],
        "users": [{"name": "u", "user": {"token": "green-token"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }  # fmt: skip
    data = {"value": base64.b64encode(yaml.safe_dump(config).encode()).decode()}
    return kinds.SECRET.new("shop-green-kubeconfig", "default", data=data)


async def test_clusters_without_an_address_are_asked_through_their_api_servers(
    prometheus_folder: Path, tmp_path: Path, bed: Bed
) -> None:
    async with AsyncExitStack() as stack:
        green = await below(stack, prometheus_folder, tmp_path, "green")
        server = await stack.enter_async_context(api_server(green, tmp_path / "tls"))
        await declared(bed, "green", "rose")
        await bed.api.apply(_kubeconfig(server), manager="test")
        said = await written(tmp_path, "--through-api-servers")
        assert "shop/rose is left out: " in said and "has no kubeconfig yet" in said
        assert "green-token" not in said + (tmp_path / "main" / "prometheus.yml").read_text()
        token = tmp_path / "main" / "credentials" / "default-shop-green" / "token"
        assert token.stat().st_mode & 0o777 == 0o600 and token.parent.stat().st_mode & 0o777 == 0o700
        main = await stack.enter_async_context(prometheus(prometheus_folder, tmp_path))
        await main.until(f'up{{{JOB}, orchestration="default/shop", cluster="green"}} == 1')
        (memory,) = await main.until('node_memory_MemTotal_bytes{cluster="green"}')
        assert memory["metric"]["orchestration"] == "default/shop"
        assert set(server.asked) == {"/api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy/federate"}
