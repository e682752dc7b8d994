"""A provider of sensors with nothing simulated but the silicon: KubeEdge, the Router Manager, the relay, buyers' servers."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt
from aiohttp import web

from continuo.edge.listening import Place
from continuo.edge.relay.client import RelayClient
from continuo.edge.relay.service import Options, RelayService
from continuo.edge.router.desk import Settings
from continuo.edge.router.egress import Policy, networks
from continuo.edge.router.manager import RouterManager
from continuo.kube.client import KubeCluster
from continuo.resources import kinds
from continuo.resources.crds.fluidos import fluidos_crds
from continuo.resources.errors import AlreadyExists, NotFound
from continuo.resources.meta import Kind, Object
from continuo.testbed.definitions import install_definitions
from continuo.testbed.edgefiles import MQTT_PORT, ROUTER_PORT
from continuo.testbed.edgenode import EdgeNode
from continuo.testbed.waiting import until
from edge.router.edge_cluster import SPACE, contract, flavor

SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Post:
    """A request that a buyer got."""

    at: float
    """Monotonic."""
    headers: dict[str, str]
    body: bytes

    @property
    def number(self) -> int:
        """Which reading it is."""
        return int(json.loads(self.body)["sequence"])


@dataclass
class Buyer:
    """A buyer's server, which answers what it is told to."""

    url: str
    posts: list[Post] = field(default_factory=list)
    status: int = 200
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def numbers(self) -> list[int]:
        """The readings that it took, as they came."""
        return [post.number for post in self.posts]

    async def until(self, test: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
        """Return when it is so after some request."""
        try:
            async with asyncio.timeout(seconds):
                while not test():
                    self.came.clear()
                    await self.came.wait()
        except TimeoutError:
            raise AssertionError(f"{what}: {self.url} got {self.numbers()[-20:]}") from None


@dataclass(frozen=True, slots=True)
class Site:
    """What a bed is for these tests: addresses on its network."""

    cluster: KubeCluster
    cloud: str
    """Of CloudCore."""
    gateway: str
    """Of this process."""
    nodes: dict[str, str]
    """Edge nodes' addresses by name."""


class Shop:
    """The provider's side at work."""

    def __init__(self, site: Site, folder: Path, http: aiohttp.ClientSession) -> None:
        self.site, self.cluster, self._folder, self._http = site, site.cluster, folder, http
        self.buyers: dict[str, Buyer] = {}
        self._manager: asyncio.Task[None] | None = None
        self.router: RouterManager | None = None
        self.relay: RelayService | None = None
        self._ingest_port = self._number = self._offered = 0

    # --- programs -----------------------------------------------------------------------------------------------------
    async def open_relay(self) -> RelayService:
        """Start the relay, on the addresses of last time."""
        gateway = self.site.gateway
        self.relay = RelayService(Options(
            data=self._folder / "relay", ingest=Place(gateway, self._ingest_port),
            cloudcore=f"http://{self.site.cloud}:{ROUTER_PORT}",
        ))  # fmt: skip
        await self.relay.start()
        self._ingest_port = int(self.relay.ingest_url.rpartition(":")[2])
        return self.relay

    async def open_manager(self, **settings: Any) -> RouterManager:
        """Start the Router Manager."""
        assert self.relay is not None
        policy = Policy(allowed=networks([f"{self.site.gateway}/32"]))
        told = Settings(**{"policy": policy, "report_every": 0.5, **settings})
        self.router = RouterManager(self.cluster, RelayClient(self.relay.control_url, self._http), told)
        self._manager = asyncio.create_task(self.router.run())
        await self.router.ready.wait()
        return self.router

    async def close_manager(self) -> None:
        """End the Router Manager; everything stays as it is."""
        task, self._manager = self._manager, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def close_relay(self) -> None:
        """End the relay."""
        relay, self.relay = self.relay, None
        if relay is not None:
            await relay.stop()

    async def close(self) -> None:
        """End both."""
        await self.close_manager()
        await self.close_relay()

    # --- objects ------------------------------------------------------------------------------------------------------
    async def sensors(self, count: int, node: str = "edge-1") -> list[str]:
        """Offer sensors that nobody has bought yet, as the Edge Resource Manager does; their UIDs."""
        uids = [f"s{self._offered + number}" for number in range(1, count + 1)]
        self._offered += count
        for uid in uids:
            await self._create(flavor(uid, node=node))
        return uids

    async def sell(self, name: str, uid: str, *buyers: Buyer, offer: Object | None = None, **data: Any) -> None:
        """A contract and its allocation, as REAR's seller leaves them; for the Flavor `offer`, where it is not ours."""
        made = contract(name, uid, [buyer.url for buyer in buyers], **data)
        sold = offer or flavor(uid, node="edge-1")
        made["spec"]["flavor"] = {"metadata": {"name": sold["metadata"]["name"]}, "spec": sold["spec"]}
        await self._create(made)
        await self._create(kinds.ALLOCATION.new(
            f"allocation-{name}", SPACE, metadata={"labels": {"continuo.dev/side": "seller"}},
            spec={"contract": {"name": f"contract-{name}", "namespace": SPACE}, "forwarding": False},
        ))  # fmt: skip

    async def end(self, name: str) -> None:
        """Cancel a contract."""
        await self.cluster.delete(kinds.FLUIDOS_CONTRACT, f"contract-{name}", SPACE)

    async def clear(self) -> None:
        """Cancel all contracts, and wait for the end of their allocations; Rules take a little longer."""
        for kind in (kinds.FLUIDOS_CONTRACT, kinds.ALLOCATION):
            for name in await self.names(kind):
                await self.cluster.delete(kind, name, SPACE)
        await self.until_gone(kinds.FLUIDOS_CONTRACT, kinds.ALLOCATION)

    async def until_gone(self, *among: Kind) -> None:
        """Wait until there is nothing of these kinds."""

        async def left() -> str | None:
            found = [await self.names(kind) for kind in among]
            return f"{sorted(set().union(*found))} are still there" if any(found) else None

        await until(left, "the end of all paths", SECONDS)

    async def _create(self, obj: Object) -> None:
        try:
            await self.cluster.create(obj)
        except AlreadyExists:
            return

    async def rules(self, *uids: str) -> list[Object]:
        """The Rules of these sensors."""
        topics = {f"sensor/{uid}" for uid in uids}
        found = (await self.cluster.list(kinds.KUBEEDGE_RULE, SPACE)).items
        return [rule for rule in found if rule["spec"]["sourceResource"].get("topic") in topics]

    async def names(self, kind: Kind) -> set[str]:
        """The names of all objects of a kind."""
        return {item["metadata"]["name"] for item in (await self.cluster.list(kind, SPACE)).items}

    async def state(self, name: str) -> tuple[str, str]:
        """What an allocation says of itself."""
        try:
            found = await self.cluster.get(kinds.ALLOCATION, f"allocation-{name}", SPACE)
        except NotFound:
            return "", "it is gone"
        status = found.get("status") or {}
        return status.get("status", ""), status.get("message", "")

    async def until_state(self, name: str, state: str, words: str = "", seconds: float = SECONDS) -> str:
        """Wait until an allocation says that; its message."""
        said = ("", "")

        async def so() -> str | None:
            nonlocal said
            said = await self.state(name)
            return None if said[0] == state and words in said[1] else f"it says {said}"

        await until(so, f"allocation {name}", seconds)
        return said[1]

    async def until(self, test: Callable[[], Any], what: str, seconds: float = SECONDS) -> None:
        """Wait until an awaited answer is true."""

        async def so() -> str | None:
            return None if await test() else "not yet"

        await until(so, what, seconds)

    # --- the edge -----------------------------------------------------------------------------------------------------
    def mqtt(self, node: str = "edge-1") -> aiomqtt.Client:
        """A client of an edge node's broker."""
        return aiomqtt.Client(self.site.nodes[node], MQTT_PORT, timeout=5.0)

    async def publish(
        self, uid: str, count: int = 1, *, rate: float = 0.0, node: str = "edge-1", space: str = SPACE,
        topic: str = "",
    ) -> dict[int, float]:  # fmt: skip
        """Publish readings of a sensor, with numbers that no other has; when each was, by number."""
        sent = {}
        async with self.mqtt(node) as client:
            for _ in range(count):
                self._number += 1
                sent[self._number] = time.monotonic()
                await client.publish(f"{space}/{topic or f'sensor/{uid}'}", reading(self._number), qos=1)
                if rate:
                    await asyncio.sleep(1 / rate)
        return sent

    async def until_flows(self, uid: str, buyer: Buyer, seconds: float = SECONDS, *, topic: str = "") -> None:
        """Publish until a reading comes through: whoever was away takes a while to be back."""
        mine: set[int] = set()

        async def flows() -> str | None:
            try:
                mine.update(await self.publish(uid, topic=topic))
            except aiomqtt.MqttError as error:
                return str(error)
            with suppress(AssertionError):
                await buyer.until(lambda: not mine.isdisjoint(buyer.numbers()), "a reading", 0.3)
            return "none of the readings has come" if mine.isdisjoint(buyer.numbers()) else None

        await until(flows, f"the path of {uid}", seconds)

    async def subscribed(self, node: EdgeNode) -> set[str]:
        """The sensors whose readings an edge node sends to the cloud, as it has written down."""
        prefix = f"{SPACE}/sensor/"
        found = (await node.command(sys.executable, "-c", _SUBSCRIBED)).split()
        return {topic.removeprefix(prefix) for topic in found if topic.startswith(prefix)}


_SUBSCRIBED = """
import sqlite3
database = sqlite3.connect("file:/var/lib/kubeedge/edgecore.db?mode=ro", uri=True)
print(*(topic for (topic,) in database.execute("select topic from sub_topics")))
"""


def reading(number: int, value: float = 40.0) -> bytes:
    """A reading's payload."""
    return json.dumps({"time": time.time(), "sequence": number, "humidity": value}).encode()


@asynccontextmanager
async def shop(site: Site, folder: Path) -> AsyncIterator[Shop]:
    """The provider's programs and a place for buyers; everything ended and taken away afterwards."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        made = Shop(site, folder, http)
        await install_definitions(site.cluster, fluidos_crds())
        await made._create(kinds.NAMESPACE.new(SPACE))
        stack.push_async_callback(made.close)
        await made.open_relay()
        await made.open_manager()
        yield made


@asynccontextmanager
async def buyers(shop: Shop, *names: str) -> AsyncIterator[list[Buyer]]:
    """Servers on the bed's network."""
    app = web.Application()
    made = {name: Buyer("") for name in names}

    async def take(request: web.Request) -> web.Response:
        buyer = made[request.match_info["name"]]
        body = await request.read()
        buyer.posts.append(Post(time.monotonic(), dict(request.headers), body))
        buyer.came.set()
        return web.Response(status=buyer.status)

    app.router.add_post("/{name}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, shop.site.gateway, 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        for name, buyer in made.items():
            buyer.url = f"http://{shop.site.gateway}:{port}/{name}"
        yield list(made.values())
    finally:
        await runner.cleanup()
