"""Over real sockets and TLS: start, stop, faults, durability, and kubectl."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import yaml
from http_client import SECRETS, secret, widget_definition
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server

pytestmark = pytest.mark.anyio


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path)


class Running:
    """An engine with its server, and an HTTP session of its administrator."""

    def __init__(self, data: Path) -> None:
        self.data = data

    async def __aenter__(self) -> Running:
        self.engine = EmbeddedEngine(self.data)
        self.server = Server(self.engine, data_dir=self.data)
        await self.server.start()
        self.engine.base_url, self.engine.credentials = self.server.base_url, self.server
        self.engine.start()
        self.config = yaml.safe_load(self.engine.kubeconfig("management"))
        self.url = self.config["clusters"][0]["cluster"]["server"]
        tls = ssl.create_default_context(cadata=self.server.authority.ca_pem.decode())
        token = self.config["users"][0]["user"]["token"]
        self.session = aiohttp.ClientSession(
            headers={"authorization": f"Bearer {token}"}, connector=aiohttp.TCPConnector(ssl=tls)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()
        await self.server.stop()
        await self.engine.stop()

    def path(self, path: str) -> str:
        return self.url + path


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for line in response.content:
        yield line


async def test_the_printed_kubeconfig_reaches_the_cluster_over_verified_tls(running: Running) -> None:
    async with running:
        assert running.url == f"https://127.0.0.1:{running.server.port}/clusters/management"
        async with running.session.get(running.path("/api/v1/namespaces")) as reply:
            assert reply.status == 200
        async with running.session.get(running.url.replace("127.0.0.1", "localhost") + "/version") as reply:
            assert reply.status == 200
        async with running.session.get(running.server.base_url + "/readyz") as reply:
            assert await reply.text() == "ok"
        async with aiohttp.ClientSession() as stranger:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await stranger.get(running.path("/version"))


async def test_an_answered_write_survives_without_a_clean_stop(running: Running, tmp_path: Path) -> None:
    async with running:
        async with running.session.post(running.path(SECRETS), json=secret("kept")) as reply:
            assert reply.status == 201
        copy = tmp_path / "copy"
        shutil.copytree(running.data, copy, ignore=shutil.ignore_patterns("copy"))
        again = EmbeddedEngine(copy)
        from continuo.resources.kinds import SECRET

        assert again.management.get(SECRET, "kept", "default")["metadata"]["name"] == "kept"
        await again.stop()


async def test_stopping_ends_open_watches_and_waits_for_nobody(running: Running) -> None:
    async with running:
        response = await running.session.get(running.path(f"{SECRETS}?watch=1"))
        reader = asyncio.ensure_future(response.read())
        async with asyncio.timeout(5):  # bounded at all: it would wait for ever
            await running.server.stop()
        await asyncio.wait_for(reader, 5)


async def test_an_outage_cuts_connections_and_ends_watches(running: Running) -> None:
    async with running:
        api = running.engine.management
        watch = await running.session.get(running.path(f"{SECRETS}?watch=1"))
        api.outage = "drop"
        await asyncio.wait_for(watch.read(), 5)
        with pytest.raises(aiohttp.ClientConnectionError):
            await running.session.get(running.path("/version"))
        api.outage = "maintenance"
        async with running.session.get(running.path("/version")) as reply:
            assert reply.status == 503
            assert (await reply.json())["message"] == "the API server is not available: maintenance"
        api.outage = None
        async with running.session.get(running.path("/version")) as reply:
            assert reply.status == 200


async def test_answered_requests_wait_for_no_garbage_collection(running: Running) -> None:
    async with running:
        gc.collect()
        gc.disable()
        try:
            for _ in range(50):
                async with running.session.get(running.path(SECRETS)) as reply:
                    assert reply.status == 200
            kept = [each for each in gc.get_objects() if isinstance(each, RequestResponseCycle)]
        finally:
            gc.enable()
        assert len(kept) < 10, "a connection (there may be some of other tests) keeps its last request, and no others"


async def test_a_port_in_use_is_named(running: Running, tmp_path: Path) -> None:
    async with running:
        second = Server(running.engine, port=running.server.port)
        with pytest.raises(OSError, match=f"port {running.server.port} on 127.0.0.1 is in use"):
            await second.start()


# --- kubectl ----------------------------------------------------------------------------------------------------------
class Kubectl:
    """The real client, with a home of its own."""

    def __init__(self, running: Running, home: Path) -> None:
        self.home = home
        home.mkdir()
        config = home / "config"
        config.write_text(running.engine.kubeconfig("management"))
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(config)}

    async def __call__(self, *arguments: str, stdin: str = "", fails: bool = False) -> str:
        process = await asyncio.create_subprocess_exec(
            "kubectl", *arguments, env=self.env, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
        assert (process.returncode != 0) is fails, out.decode()
        return out.decode()


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
async def test_kubectl_from_definition_to_deletion(running: Running, tmp_path: Path) -> None:
    async with running:
        kubectl = Kubectl(running, tmp_path / "home")
        await kubectl("apply", "-f", "-", stdin=yaml.dump(widget_definition()))
        await kubectl("wait", "--for=condition=Established", "crd/widgets.example.org", "--timeout=10s")
        manifest = "apiVersion: example.org/v1\nkind: Widget\nmetadata: {name: a}\nspec: {replicas: %d}\n"
        assert "created" in await kubectl("apply", "-f", "-", stdin=manifest % 1)
        assert "configured" in await kubectl("apply", "-f", "-", stdin=manifest % 2)
        assert "unchanged" in await kubectl("apply", "-f", "-", stdin=manifest % 2)
        wrong = await kubectl("apply", "-f", "-", stdin=manifest % 2 + "color: red\n", fails=True)
        assert 'unknown field "color"' in wrong
        other = ("apply", "--server-side", "--field-manager=other", "-f", "-")
        assert "conflict" in await kubectl(*other, stdin=manifest % 3, fails=True)
        await kubectl(*other, "--force-conflicts", stdin=manifest % 3)
        await kubectl("scale", "widget", "a", "--replicas=5")
        table = await kubectl("get", "wd", "-o", "wide")
        assert table.split() == ["NAME", "REPLICAS", "READY", "NOTE", "AGE", "a", "5", "none", *table.split()[8:]]
        assert "replicas <integer>" in " ".join((await kubectl("explain", "widget.spec")).replace("\t", " ").split())
        assert "deleted" in await kubectl("delete", "widget", "a")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
async def test_kubectl_typed_commands_and_access(running: Running, tmp_path: Path) -> None:
    async with running:
        kubectl = Kubectl(running, tmp_path / "home")
        for command in (
            "create namespace shop", "create configmap c --from-literal=a=b", "create secret generic s --from-literal=a=b",
            "create serviceaccount bot", "create role r --verb=get,list --resource=pods",
            "create rolebinding rb --role=r --user=jane", "create deployment web --image=nginx --port=80",
            "create service clusterip web --tcp=80:8080", "create job j --image=a", "create quota q --hard=pods=2",
            "create ingress i --rule=a.org/*=web:80", "create poddisruptionbudget p --selector=a=b --min-available=1",
            "create cronjob cj --image=a --schedule=@daily", "label deployment web tier=front",
            "set image deployment/web nginx=nginx:2", "rollout restart deployment/web",
        ):  # fmt: skip
            await kubectl(*command.split())
        assert "bot" in await kubectl("get", "sa", "bot")
        assert (await kubectl("create", "token", "bot")).count(".") == 2
        assert "admin" in await kubectl("auth", "whoami")
        assert (await kubectl("auth", "can-i", "list", "pods", "--as=jane")).strip() == "yes"
        assert (await kubectl("auth", "can-i", "delete", "pods", "--as=jane", fails=True)).strip() == "no"
        assert "Forbidden" in await kubectl("get", "secrets", "--as=jane", fails=True)
        assert "deployments" in await kubectl("api-resources", "--api-group=apps")


async def test_pipelined_requests_are_answered_in_order_and_the_connection_ends_when_asked(running: Running) -> None:
    async with running:
        tls = ssl.create_default_context(cadata=running.server.authority.ca_pem.decode())
        reader, writer = await asyncio.open_connection("127.0.0.1", running.server.port, ssl=tls)
        token = running.session.headers["authorization"]

        def request(method: str, path: str, body: bytes = b"", *more: str) -> bytes:
            lines = [f"{method} {path} HTTP/1.1", "host: x", f"authorization: {token}", f"content-length: {len(body)}"]
            return "\r\n".join([*lines, "content-type: application/json", *more, "", ""]).encode() + body

        secrets = f"/clusters/management{SECRETS}"
        first = request("POST", secrets, b'{"metadata": {"name": "a"}}', "expect: 100-continue")
        rest = [request("HEAD", f"{secrets}/a"), request("GET", f"{secrets}/none", b"", "connection: close")]
        writer.write(b"".join([first, *rest]))
        answers = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    go_on, created, body, head, missing, why = re.split(rb"\r\n\r\n|(?<=})(?=HTTP)", answers)
    assert go_on == b"HTTP/1.1 100 Continue"
    assert created.startswith(b"HTTP/1.1 201 Created\r\n")
    assert b'"name":"a"' in body
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"content-length: {len(body)}".encode() in head, "that of the body which a HEAD does not get"
    assert missing.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert b"connection: close" in missing
    assert b'"reason":"NotFound"' in why
