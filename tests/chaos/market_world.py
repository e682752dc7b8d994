"""A provider with twenty sensors and two consumers, on one engine; their sites and the relay are processes that may die."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from continuo.edge.discovery.settings import NODE_LABEL
from continuo.edge.listening import Face, Place
from continuo.edge.rear.client import RearClient, Sellers
from continuo.edge.relay.client import RelayClient
from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server
from continuo.embedded.port import Api, StoredChange, Write
from continuo.resources import kinds
from continuo.resources.crds import edge_crds
from continuo.resources.errors import ApiError
from continuo.resources.meta import Kind, Object
from edge.router.edge_cluster import CloudCore
from edge.sensors.descriptions import encoded, fork
from ports import free_ports

from .mortals import Mortal, Nursery

SPACE, PLANT = "fluidos", "default"
PROVIDER, CONSUMERS = "provider", ("consumer-1", "consumer-2")
SENSORS, ALIKE = 20, 4
"""How many there are, and how many have the same latency, by which Solvers choose."""
EDGES = ("edge-1", "edge-2")
LOOPBACK = "127.0.0.1"
WITHIN = 90.0
"""Seconds after which something that has to happen counts as never happening."""
_WEIGHTS = {"relay": 3, PROVIDER: 8, CONSUMERS[0]: 4, CONSUMERS[1]: 4}
_SETUP = Write(manager="setup")


class Receiver:
    """The buyers' endpoints: one path for each, which keeps what was posted there."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.got: dict[str, list[tuple[str, str, bytes]]] = {}
        """By path: sensor, proof, body."""
        self._changed = changed

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        headers = dict(scope["headers"])
        said = headers[b"ce-subject"].decode(), headers.get(b"authorization", b"").decode(), body
        self.got.setdefault(scope["path"], []).append(said)
        self._changed()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class World:
    """Everything, and waiting for it."""

    def __init__(self, engine: EmbeddedEngine, server: Server, folder: Path, rng: random.Random) -> None:
        self.engine, self.folder = engine, folder
        self._server, self._rng, self._changed = server, rng, asyncio.Event()
        self.mortals: dict[str, Mortal] = {}
        self.writes: Counter[str] = Counter()
        """How often each Flavor was written."""
        self._waiting: dict[str, list[asyncio.Event]] = {}
        for name in (PROVIDER, *CONSUMERS):
            self._make(name)
        self.api(PROVIDER).listen(kinds.FLAVOR, self._flavor_changed)
        self.cloud = CloudCore(self.api(PROVIDER))
        self.cloud.online.update(EDGES)
        self.receiver = Receiver(self._changed.set)
        ports = free_ports(4)
        self.rear, self.control, self.ingest, self.monitor = (f"{LOOPBACK}:{port}" for port in ports)
        self.sellers = Sellers()
        self.endpoints = ""
        """Where buyers' endpoints are, as a URL."""

    def _make(self, name: str) -> None:
        api = self.engine.create_cluster(name)
        for definition in edge_crds():
            api.create(definition, Write(manager="helm", trusted=True))
        api.create(kinds.NAMESPACE.new(SPACE), _SETUP)
        api.listen(None, lambda _: self._changed.set())
        (self.folder / name).write_text(self._server.kubeconfig(self._server.url(name), name), encoding="utf-8")

    def api(self, name: str) -> Api:
        return self.engine.cluster(name)

    def objects(self, name: str, kind: Kind, namespace: str = SPACE) -> list[Object]:
        return self.engine.cluster(name).list(kind, namespace)

    def flavors(self) -> dict[str, Object]:
        """What is offered, by name."""
        return {each["metadata"]["name"]: each for each in self.objects(PROVIDER, kinds.FLAVOR, PLANT)}

    @property
    def seller(self) -> RearClient:
        return self.sellers.at(self.rear)

    # --- what there is to begin with ----------------------------------------------------------------------------------
    async def furnish(self, stack: AsyncExitStack) -> None:
        """Edge nodes with boards, buyers' endpoints, and a consumer that knows the provider."""
        face = Face(self.receiver, Place(), {})
        await face.start()
        stack.push_async_callback(face.stop)
        self.endpoints = face.url
        api = self.api(PROVIDER)
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        for name in EDGES:
            api.create(kinds.NODE.new(name, metadata={"labels": {NODE_LABEL: "true"}}), _SETUP)
            api.patch(kinds.NODE, name, "", "merge", {"status": {"conditions": [ready]}}, _SETUP, subresource="status")
        for number in range(SENSORS):
            api.create(_device(number), _SETUP)
        for name in CONSUMERS:
            known = kinds.KNOWN_CLUSTER.new("provider", SPACE, spec={"address": self.rear})
            self.api(name).create(known, _SETUP)

    async def populate(self, nursery: Nursery, expiry: float) -> None:
        """Bring all processes to life. They are not mortal before they are `armed`."""
        site = ["--insecure", "--namespace", SPACE, "--expiry", str(expiry)]
        provider = [
            *site, "--kubeconfig", str(self.folder / PROVIDER), "--no-buy", "--listen", self.rear, "--advertise", self.rear,
            "--domain", "provider.eu", "--node-id", "p-1", "--relay", f"http://{self.control}",
            "--allow-network", f"{LOOPBACK}/32",
        ]  # fmt: skip
        relay = [
            "--insecure", "--data", str(self.folder / "relay-data"), "--control", self.control, "--ingest", self.ingest,
            "--monitor", self.monitor,
        ]  # fmt: skip
        told = [("relay", "relay", relay, PROVIDER, 60), ("site", PROVIDER, provider, PROVIDER, 60)]
        for name in CONSUMERS:
            consumer = [
                *site, "--kubeconfig", str(self.folder / name), "--no-sell", "--no-find", "--domain", f"{name}.eu",
                "--node-id", name, "--advertise", f"{LOOPBACK}:1",
            ]  # fmt: skip
            told.append(("site", name, consumer, name, 40))
        for command, name, arguments, cluster, span in told:
            mortal = Mortal(
                nursery, command, name, arguments, self.folder, rng=random.Random(self._rng.random()), span=span
            )
            self.mortals[name] = mortal
            self.api(cluster).listen(None, lambda _, mortal=mortal: mortal.saw())
        await asyncio.gather(*(mortal.start() for mortal in self.mortals.values()))

    # --- life and death -----------------------------------------------------------------------------------------------
    def arm(self, kills: int) -> None:
        """From now on so many deaths more, by dice."""
        for name in self._rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=kills):
            self.mortals[name].allowed += 1
        for mortal in self.mortals.values():
            mortal.armed = True

    async def rest(self) -> None:
        """Nobody dies any more; returns when all work."""
        for mortal in self.mortals.values():
            mortal.armed = False
        await asyncio.gather(*(mortal.wait_up() for mortal in self.mortals.values()))

    @property
    def kills(self) -> int:
        return sum(mortal.kills for mortal in self.mortals.values())

    # --- waiting ------------------------------------------------------------------------------------------------------
    def _flavor_changed(self, change: StoredChange) -> None:
        self.writes[change.object["metadata"]["name"]] += 1
        for waiting in self._waiting.pop(change.object["metadata"]["name"], ()):
            waiting.set()

    async def some(self, name: str, count: int) -> None:
        """Return after so many changes in a cluster, or when nothing changes there any more."""
        api, event = self.api(name), asyncio.Event()
        since = api.version
        stop = api.listen(None, lambda change: event.set() if change.version >= since + count else None)
        try:
            async with asyncio.timeout(1.0):
                await event.wait()
        except TimeoutError:
            return
        finally:
            stop()

    async def flavor_written(self, known: dict[str, int]) -> None:
        """Return when one of these Flavors has been written another number of times than is known."""
        event = asyncio.Event()
        for name in known:
            self._waiting.setdefault(name, []).append(event)
        if all(self.writes[name] == count for name, count in known.items()):
            await event.wait()

    async def until(self, complaints: Callable[[], Awaitable[list[str]]], what: str) -> None:
        """Return when there is no complaint; they are asked for after every change of any cluster, relay or endpoint."""
        found: list[str] = []
        try:
            async with asyncio.timeout(WITHIN):
                while True:
                    self._changed.clear()
                    found = await complaints()
                    if not found:
                        return
                    await self._changed.wait()
        except TimeoutError:
            logs = "\n".join(f"--- {mortal.name}\n{mortal.tail()}" for mortal in self.mortals.values())
            raise AssertionError(f"{what}: {len(found)} complaints: {found[:12]}\n{logs}") from None

    async def listen(self, relay: RelayClient) -> None:
        """Take the relay's news for changes, for ever."""
        while True:
            try:
                async for _ in relay.follow():
                    self._changed.set()
            except ApiError:
                await self.mortals["relay"].up.wait()
            self._changed.set()

    async def close(self) -> None:
        await self.sellers.close()


@asynccontextmanager
async def world(folder: Path, rng: random.Random, *, expiry: float = 3600.0) -> AsyncIterator[World]:
    """All that there is, alive, with nothing sold yet."""
    async with AsyncExitStack() as stack:
        nursery = await Nursery.open()
        stack.push_async_callback(nursery.close)
        engine = EmbeddedEngine()
        engine.start()
        stack.push_async_callback(engine.stop)
        server = Server(engine, tls=False)
        await server.start()
        stack.push_async_callback(server.stop)
        engine.base_url, engine.credentials = server.base_url, server
        made = World(engine, server, folder, rng)
        stack.push_async_callback(made.close)
        await made.furnish(stack)
        stack.push_async_callback(_end, made)
        await made.populate(nursery, expiry)
        yield made


async def _end(made: World) -> None:
    await asyncio.gather(*(mortal.stop() for mortal in made.mortals.values()))


@asynccontextmanager
async def relay_of(made: World) -> AsyncIterator[RelayClient]:
    """The relay's control API; its news are changes of the world meanwhile."""
    async with aiohttp.ClientSession(trust_env=False) as http:
        client = RelayClient(f"http://{made.control}", http)
        listening = asyncio.create_task(made.listen(client))
        try:
            yield client
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


def _device(number: int) -> Object:
    said = fork(f"s{number}", latency=str(5 + 10 * (number // ALIKE)), samplingRate="0.01", name=f"Sensor {number}")
    spec = {"nodeName": EDGES[number % 2], "protocol": {"protocolName": "bluetooth"}}
    return kinds.DEVICE.new(f"board-{number}", PLANT, metadata={"annotations": {"sensors": encoded([said])}}, spec=spec)
