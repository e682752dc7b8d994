"""A provider's cluster with KubeEdge's and FLUIDOS' kinds, objects as REAR makes them, and a relay that only remembers."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from continuo.edge.relay import model
from continuo.edge.relay.model import Delivered, Route, RouteStatus, Source
from continuo.edge.router.desk import Settings
from continuo.edge.router.egress import Policy, networks
from continuo.edge.router.manager import RouterManager
from continuo.edge.router.ports import Heard
from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server
from continuo.embedded.port import Write
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.resources import kinds
from continuo.resources.crds import edge_crds
from continuo.resources.errors import Unreachable
from continuo.resources.meta import Object
from continuo.runtime.backoff import Backoff

SPACE = "fluidos"
NODE = "edge-a"
SINK, OTHER = "http://10.20.0.7:4487/telegraf", "http://10.20.0.8:4487/in"
CUSTOMER = "10.20.0.0/16"


class Relay:
    """A relay's memory, and its mouth."""

    def __init__(self) -> None:
        self.have: dict[str, Route] = {}
        self.instance = "first"
        self.away = False
        self.puts = 0
        self.failing = 0
        """So many lists of routes fail."""
        self.changed: Callable[[], None] = lambda: None
        self._news: asyncio.Queue[Heard | None] = asyncio.Queue()

    def _answers(self) -> None:
        if self.away:
            raise Unreachable("the relay does not answer")

    async def put_route(self, route: Route) -> None:
        self._answers()
        self.puts += 1
        self.have[route.name] = route
        self.changed()

    async def delete_route(self, name: str) -> None:
        self._answers()
        self.have.pop(name, None)
        self.changed()

    async def routes(self) -> list[str]:
        self._answers()
        if self.failing:
            self.failing -= 1
            raise Unreachable("the relay does not answer")
        await self.listing()
        return list(self.have)

    async def listing(self) -> None:
        """What happens while the list is on its way."""

    async def ingest_url(self, source: Source, rule: str) -> str:
        self._answers()
        return f"http://relay:8080/ingest/token/{source.namespace}/{source.node}/{rule}"

    async def follow(self) -> AsyncIterator[Heard]:
        self._answers()
        yield Heard(self.instance, ())
        while (heard := await self._news.get()) is not None:
            yield heard

    def say(self, *statuses: RouteStatus) -> None:
        self._news.put_nowait(Heard(self.instance, statuses))

    def restart(self, *, forgets: bool) -> None:
        self.instance += "+"
        if forgets:
            self.have.clear()
        self._news.put_nowait(None)


class CloudCore:
    """The router of KubeEdge, as far as rules go: it acts on what appears and goes, and on nothing that changes.

    `arms` is what the cloud listens for, `subscribed` what the edge nodes send: a reading needs both to come through.
    """

    def __init__(self, api: Any) -> None:
        self._api = api
        self.arms: dict[tuple[str, str], tuple[str, str]] = {}
        self.subscribed: set[tuple[str, str]] = set()
        self.online: set[str] = {NODE}
        self.unfinished: list[str] = []
        """Rules whose endpoints were not there when they appeared: nothing comes of them."""
        self.leaks: list[str] = []
        """Rules whose source endpoint went before them: they would go on delivering."""
        api.listen(kinds.KUBEEDGE_RULE, self._rule)

    def _rule(self, change: Any) -> None:
        rule = change.object
        said, name = rule["spec"]["sourceResource"], rule["metadata"]["name"]
        source = (said.get("node_name", ""), said.get("topic", said.get("path", "")))
        ends = [self._api.find(kinds.RULE_ENDPOINT, rule["spec"][end], SPACE) for end in ("source", "target")]
        if change.type == "ADDED":
            if None in ends:
                self.unfinished.append(name)
                return
            self.arms[source] = name, rule["spec"]["targetResource"].get("resource", "")
            if source[0] in self.online:
                self.subscribed.add(source)
        elif change.type == "DELETED":
            if ends[0] is None:
                self.leaks.append(name)
                return
            self.arms.pop(source, None)
            if source[0] in self.online:
                self.subscribed.discard(source)

    def delivers(self, topic: str, node: str = NODE) -> str | None:
        """Where a reading of that topic is posted."""
        source = (node, topic)
        return self.arms[source][1] if source in self.arms and source in self.subscribed else None


class Provider:
    """The cluster, and Router Managers that come and go."""

    def __init__(self, engine: EmbeddedEngine, server: Server) -> None:
        self.api = engine.create_cluster("provider")
        for definition in edge_crds():
            self.api.create(definition, Write(manager="helm", trusted=True))
        self.api.create(kinds.NAMESPACE.new(SPACE), Write(manager="test"))
        text = server.kubeconfig(server.url("provider"), "provider")
        self.cluster: KubeCluster = connect(text, name="provider")
        self.relay, self.cloud = Relay(), CloudCore(self.api)
        self.names: dict[str, list[str]] = {}
        self._running: asyncio.Task[None] | None = None

    async def start(self, **settings: Any) -> RouterManager:
        told = {"policy": Policy(allowed=networks([CUSTOMER])), "report_every": 0.05, **settings}
        manager = RouterManager(
            self.cluster, self.relay, Settings(**told), resolve=self._resolve, backoff=Backoff(base=0.02, cap=0.2)
        )
        self._running = asyncio.create_task(manager.run())
        await manager.ready.wait()
        return manager

    async def kill(self) -> None:
        """End the Router Manager where it stands."""
        task, self._running = self._running, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _resolve(self, host: str, port: int) -> list[str]:
        if host.replace(".", "").isdigit() or ":" in host:
            return [host]
        if host not in self.names:
            raise OSError(f"nobody knows {host}")
        return self.names[host]

    # --- objects ------------------------------------------------------------------------------------------------------
    async def node(
        self,
        name: str = NODE,
        *,
        ready: str = "True",
        since: str = "2026-01-01T00:00:00Z",
        heard: str = "",
        held: bool = True,
    ) -> None:
        """The edge node is (not) there; `heard`: its last heartbeat, if later; `held`: by a CloudCore, as KubeEdge says."""
        entry = {
            "type": "Ready", "status": ready, "lastTransitionTime": since, "lastHeartbeatTime": heard or since,
            "reason": "Test", "message": "",
        }  # fmt: skip
        if self.api.find(kinds.NODE, name) is None:
            annotations = {"cloudcore": "10.0.0.1"} if held else {}
            await self.cluster.create(kinds.NODE.new(name, metadata={"annotations": annotations}))
        await self.cluster.patch(kinds.NODE, name, {"status": {"conditions": [entry]}}, subresource="status")

    async def flavor(self, uid: str, *, node: str = NODE, topic: str | None = None, rate: str = "10") -> Object:
        made = flavor(uid, node=node, topic=topic, rate=rate)
        if self.api.find(kinds.FLAVOR, made["metadata"]["name"], SPACE) is None:
            return await self.cluster.create(made)
        name = made["metadata"]["name"]
        return await self.cluster.patch(kinds.FLAVOR, name, {"spec": made["spec"]}, SPACE)

    async def sell(self, name: str, uid: str, *endpoints: Any, buyer: str = "b1", **data: Any) -> None:
        """A contract and its allocation."""
        await self.cluster.create(contract(name, uid, list(endpoints), buyer=buyer, **data))
        made = kinds.ALLOCATION.new(
            f"allocation-{name}", SPACE, metadata={"labels": {"continuo.dev/side": "seller"}},
            spec={"contract": {"name": f"contract-{name}", "namespace": SPACE}},
        )  # fmt: skip
        await self.cluster.create(made)

    async def end(self, name: str) -> None:
        await self.cluster.delete(kinds.FLUIDOS_CONTRACT, f"contract-{name}", SPACE)

    def find(self, kind: Any, name: str) -> Object | None:
        found: Object | None = self.api.find(kind, name, SPACE)
        return copy.deepcopy(found)

    def rules(self) -> list[Object]:
        return list(self.api.list(kinds.KUBEEDGE_RULE, SPACE))

    def state(self, name: str) -> tuple[str, str]:
        found = self.find(kinds.ALLOCATION, f"allocation-{name}") or {}
        status = found.get("status") or {}
        return status.get("status", ""), status.get("message", "")

    def delivery(self, contract: str) -> Any:
        """What a contract shows of its deliveries; nothing before the first report."""
        found = self.find(kinds.FLUIDOS_CONTRACT, contract) or {}
        return (found.get("status") or {}).get("delivery") or {}

    async def until(self, test: Callable[[], Any], what: str) -> None:
        """Wait until it is so, looking whenever anything in the cluster or the relay changes."""
        changed = asyncio.Event()
        watched = (kinds.ALLOCATION, kinds.FLUIDOS_CONTRACT, kinds.KUBEEDGE_RULE, kinds.RULE_ENDPOINT)
        stops = [self.api.listen(kind, lambda _change: changed.set()) for kind in watched]
        self.relay.changed = changed.set
        try:
            async with asyncio.timeout(20):
                while not test():
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            states = [self.state(each["metadata"]["name"][11:]) for each in self.api.list(kinds.ALLOCATION, SPACE)]
            raise AssertionError(f"{what}: {states}, {[rule['spec'] for rule in self.rules()]}") from None
        finally:
            for stop in stops:
                stop()


def flavor(uid: str, *, node: str = NODE, topic: str | None = None, rate: str = "10") -> Object:
    characteristics = {
        "uid": uid, "node": node, "name": uid, "model": "hts221", "manufacturer": "STMicroelectronics",
        "type": {"sensorCategory": "Environmental", "sensorType": ["Humidity"]}, "samplingRate": rate,
        "properties": {"unit": {"measurement": ["%"], "samplingRate": "Hz", "consumption": "mW", "latency": "ms"}},
        "access": {"type": "MQTT", "source": "eventbus-fluidos",
                   "resource": {"topic": topic if topic is not None else f"sensor/{uid}", "node": node}},
    }  # fmt: skip
    owner = {"domain": "p.example", "nodeID": "p", "ip": "10.0.0.1:3004"}
    return kinds.FLAVOR.new(
        f"p.example-sensor-{uid}", SPACE,
        spec={
            "providerID": "p", "availability": True, "owner": owner, "networkPropertyType": "networkProperty",
            "price": {"amount": "1", "currency": "EUR", "period": "month"},
            "flavorType": {"typeIdentifier": "Sensor", "typeData": {"characteristics": characteristics}},
        },
    )  # fmt: skip


def contract(name: str, uid: str, endpoints: list[Any], *, buyer: str = "b1", until: str = "", **data: Any) -> Object:
    who = {"domain": "b.example", "nodeID": buyer, "ip": "10.9.0.4:3004"}
    sold = flavor(uid)
    return kinds.FLUIDOS_CONTRACT.new(
        f"contract-{name}", SPACE, metadata={"labels": {"continuo.dev/side": "seller"}},
        spec={
            "flavor": {"metadata": {"name": sold["metadata"]["name"]}, "spec": sold["spec"]}, "transactionID": f"t-{name}",
            "buyer": who, "seller": sold["spec"]["owner"], "expirationTime": until or "2099-01-01T00:00:00Z",
            "configuration": {"type": "Sensor", "data": {"endpoints": endpoints, **data}},
        },
    )  # fmt: skip


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    engine = EmbeddedEngine()
    engine.start()
    server = Server(engine, tls=False)
    await server.start()
    engine.base_url, engine.credentials = server.base_url, server
    made = Provider(engine, server)
    try:
        yield made
    finally:
        await made.kill()
        await made.cluster.close()
        await server.stop()
        await engine.stop()


def status(
    name: str, uid: str, *, received: int = 0, delivered: int = 0, silent: float = 0.0, trouble: str = "",
    last: str | None = None,
) -> RouteStatus:  # fmt: skip
    target = Delivered(url=SINK, delivered=delivered, bytes=9, failed=0, dead=0, queued=0, dropped=0, trouble=trouble)
    flow = model.Heard(sensor=uid, received=received, silent=silent, last_received=last)
    return RouteStatus(name=name, received=received, last_received=None, flows=(flow,), targets=(target,))
