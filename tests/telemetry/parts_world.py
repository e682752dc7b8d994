"""A site of the market, its relay, a broker, a hub with a board, and the boards' provider, each in a process of its own.

They work on one cluster of an embedded engine, which is served by the test's own process.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from continuo.cli.hub_admin import ask
from continuo.edge.relay.client import RelayClient
from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server
from continuo.embedded.port import Api, Write
from continuo.resources import kinds
from continuo.resources.boards import BOARD, CLUSTER_PROVIDER_CONFIG, boards_crds
from continuo.resources.broker import CONSUMER, CONTRACT, PROVIDER
from continuo.resources.crds import edge_crds, own_crds
from continuo.resources.meta import Kind, Object
from edge.rear.rear_world import SPACE, k8slice, sensor
from edge.relay.bed import reading, route, source, target
from ports import free_port

PATIENCE = 60.0
PLAN = {"cpu": "2", "memory": "4Gi", "storage": "10G"}


@dataclass
class Starting:
    """A process that was started, and is not ready yet."""

    log: Path
    pipe: int

    def ready(self) -> None:
        with os.fdopen(self.pipe, "rb") as told:
            assert told.read(5) == b"ready", self.log.read_text()


@dataclass
class Parts:
    """What runs, and where each part's metrics are."""

    api: Api
    data: Path
    engine: EmbeddedEngine
    server: Server
    kubeconfig: str
    at: dict[str, str] = field(default_factory=dict)
    control: str = ""
    market: str = ""
    """Where the edge site sells."""
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self, name: str, *arguments: str, ready: bool = True) -> Starting:
        """A `continuo` command in the background."""
        reading_end, writing_end = os.pipe()
        told = ("--ready-fd", str(writing_end)) if ready else ()
        log = self.data / f"{name}.log"
        try:
            with log.open("wb") as out:
                child = subprocess.Popen(
                    [sys.executable, "-m", "continuo.cli.main", *arguments, *told], stdin=subprocess.DEVNULL,
                    stdout=out, stderr=out, pass_fds=[writing_end],
                )  # fmt: skip
        finally:
            os.close(writing_end)
        self.children.append(child)
        return Starting(log, reading_end)

    def stop(self) -> None:
        for child in self.children:
            child.terminate()
        for child in reversed(self.children):
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def place(self, part: str) -> str:
        self.at[part] = f"127.0.0.1:{free_port()}"
        return self.at[part]

    async def until(self, kind: Kind, name: str, test: Callable[[Object], Any]) -> Object:
        """The object, as soon as that holds."""
        stop = self.api.listen(kind, lambda _: self._changed.set())
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    found = self.api.find(kind, name, "default" if kind.namespaced else "")
                    if found is not None and test(found):
                        return found
                    self._changed.clear()
                    await self._changed.wait()
        finally:
            stop()


@asynccontextmanager
async def parts(data: Path) -> AsyncIterator[Parts]:
    """All of them, with something to tell of: until the block ends."""
    await asyncio.to_thread(data.mkdir)
    async with AsyncExitStack() as stack:
        made = await _cluster(stack, data)
        stack.push_async_callback(asyncio.to_thread, made.stop)
        starting = [*_market(made), *_boards(made)]
        await asyncio.gather(*(asyncio.to_thread(each.ready) for each in starting))
        await _sell(made, stack)
        await _buy(made)
        await _board(made)
        yield made


async def _cluster(stack: AsyncExitStack, data: Path) -> Parts:
    engine = EmbeddedEngine()
    engine.start()
    stack.push_async_callback(engine.stop)
    server = Server(engine, tls=False)
    await server.start()
    stack.push_async_callback(server.stop)
    engine.base_url, engine.credentials = server.base_url, server
    api = engine.create_cluster("site")
    for crd in {crd["metadata"]["name"]: crd for crd in (*own_crds(), *edge_crds(), *boards_crds())}.values():
        api.create(crd, Write(manager="helm", trusted=True))
    api.create(kinds.NAMESPACE.new(SPACE), Write(manager="helm"))
    path = data / "kubeconfig"
    await asyncio.to_thread(path.write_text, server.kubeconfig(server.url("site"), "site"))
    return Parts(api, data, engine, server, str(path))


def _market(made: Parts) -> list[Starting]:
    for each in (sensor("s1"), sensor("s2"), k8slice()):
        made.api.create(each)
    made.engine.create_cluster("blue")
    token = {"value": made.server.kubeconfig(made.server.url("blue"), "blue")}
    made.api.create(kinds.NAMESPACE.new("continuo-system"))
    made.api.create(kinds.SECRET.new("blue-kubeconfig", "continuo-system", stringData=token))
    for kind, name, into in (
        (PROVIDER, "green", {}),
        (PROVIDER, "blue", {"name": "blue-kubeconfig"}),
        (CONSUMER, "lab", {}),
    ):
        made.api.create(kind.new(name, spec={"kubeconfig": into} if into else {}))
    for name, provider in (("c1", "green"), ("c2", "blue")):
        spec = {"consumer": "lab", "provider": provider, "offer": "o", "plan": "basic", "resources": PLAN}
        made.api.create(CONTRACT.new(name, spec=spec))
    made.control = f"127.0.0.1:{free_port()}"
    made.market = f"127.0.0.1:{free_port()}"
    at = ("--kubeconfig", made.kubeconfig)
    return [
        made.begin("edge", "edge", "serve", *at, "--insecure", "--listen", made.market, "--domain", "provider.eu",
                   "--node-id", "p1node", "--advertise", made.market, "--no-slices", "--allow-network", "127.0.0.0/8",
                   "--health-port", _port(made.place("edge"))),
        made.begin("relay", "relay", "--insecure", "--data", str(made.data / "relay"), "--ingest", "127.0.0.1:0",
                   "--control", made.control, "--monitor", made.place("relay"), "--give-up", "1"),
        made.begin("broker", "broker", "serve", *at, "--health-port", _port(made.place("broker"))),
    ]  # fmt: skip


def _boards(made: Parts) -> list[Starting]:
    places = [part for name in ("listen", "wamp", "tunnel", "network") for part in (f"--{name}", "127.0.0.1:0")]
    return [
        made.begin("hub", "hub", "--data", str(made.data / "hub"), *places, "--metrics", made.place("hub")),
        made.begin("boards", "boards", "provider", "--kubeconfig", made.kubeconfig, "--poll-interval", "1",
                   "--health-port", _port(made.place("boards"))),
    ]  # fmt: skip


def _port(address: str) -> str:
    return address.partition(":")[2]


async def _sell(made: Parts, stack: AsyncExitStack) -> None:
    """A route to a buyer who takes readings, and one to a buyer who is not there; the way in is left to the caller."""
    http = await stack.enter_async_context(aiohttp.ClientSession())
    buyer = await stack.enter_async_context(target())
    client = RelayClient(f"http://{made.control}", http)
    await client.put_route(route("humidity", buyer))
    await client.put_route(route("lost", f"http://127.0.0.1:{free_port()}/in"))
    url = await client.ingest_url(source(), "rule")
    made.at["ingest"] = url


async def _buy(made: Parts) -> None:
    """A sensor, as another site's node does; the site keeps the contract."""
    async with aiohttp.ClientSession(f"http://{made.market}") as http:
        asked = {
            "flavorID": "provider.eu-sensor-s1",
            "buyerID": {"ID": "c1node", "IP": "127.0.0.1:3005", "domain": "consumer.eu"},
            "configuration": {"type": "sensor", "data": {"endpoints": [f"http://127.0.0.1:{free_port()}/in"]}},
        }
        async with http.post("/api/v2/reservations", json=asked) as answer:
            assert answer.status == 200, await answer.text()
            name = (await answer.json())["transactionID"]
        async with http.post(f"/api/v2/transactions/{name}/purchase", json={}) as answer:
            assert answer.status == 200, await answer.text()


async def send(made: Parts, count: int, first: int = 0) -> None:
    """Readings, as CloudCore posts them."""
    async with aiohttp.ClientSession() as http:
        for number in range(first, first + count):
            async with http.post(made.at["ingest"], data=reading(number)) as answer:
                assert answer.status == 202, await answer.text()


async def _board(made: Parts) -> None:
    """One that is declared, and comes."""
    folder = made.data / "hub"
    told = json.loads(await asyncio.to_thread((folder / "running.json").read_text))
    token = (await ask(folder, None, "token add", project="p", role="admin_iot_project", user=None))["token"]
    made.api.create(kinds.SECRET.new("hub", "default", stringData={"token": token}))
    spec = {
        "endpoint": told["rest"], "caBundle": await asyncio.to_thread(Path(told["ca"]).read_text), "authType": "token",
        "credentials": {"source": "Secret", "secretRef": {"namespace": "default", "name": "hub", "key": "token"}},
    }  # fmt: skip
    made.api.create(CLUSTER_PROVIDER_CONFIG.new("default", spec=spec))
    made.api.create(BOARD.new("roof", "default", spec={"forProvider": {}}))
    found = await made.until(kinds.SECRET, "roof-board", lambda obj: obj["data"].get("code"))
    code = base64.b64decode(found["data"]["code"]).decode()
    await _agent(made, told["wamp"], told["ca"], code)
    await made.until(BOARD, "roof", lambda obj: _status(obj) == "online")


def _status(board: Object) -> str:
    return str((board.get("status") or {}).get("atProvider", {}).get("status"))


async def _agent(made: Parts, hub: str, ca: str, code: str) -> None:
    home = str(made.data / "agent")
    arguments = ("agent", "--home", home, "--hub", hub, "--ca", ca, "--code", code, "--metrics", made.place("agent"))
    os.close(made.begin("agent", *arguments, ready=False).pipe)
