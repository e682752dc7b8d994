"""A broker's cluster, providers and a consumer behind one HTTP server, and the controller of contracts in front of them."""

from __future__ import annotations

import asyncio
import base64
import copy
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from random import Random
from typing import Any

from continuo.broker.contracts.controller import Contracted
from continuo.broker.contracts.members import Changed, Party
from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server
from continuo.embedded.port import Api, Write
from continuo.embedded.standins.settings import Settings
from continuo.embedded.standins.workload import NewNode, register, workload_standin
from continuo.embedded.standins.workload.nodes import BUILTIN_NETWORK
from continuo.federation.reflection.fleet import Fleet
from continuo.federation.reflection.twin import VIRTUAL_NODE
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.kube.port import Cluster
from continuo.kube.transport import Transports
from continuo.resources import kinds
from continuo.resources.broker import CONSUMER, CONTRACT, PROVIDER
from continuo.resources.crds import own_crds
from continuo.resources.meta import Kind, Object, condition
from continuo.runtime.backoff import Backoff

SYSTEM = "continuo-system"
PLAN = {"cpu": "2", "memory": "4Gi", "storage": "10G", "nvidia.com/gpu": "1"}
_CRDS = [crd for crd in own_crds() if crd["spec"]["group"] == CONTRACT.group]


class Known:
    """Implements Members: clusters by who declared them."""

    def __init__(self) -> None:
        self.clients: dict[tuple[Party, str], Cluster] = {}
        self._callbacks: list[Changed] = []

    def client(self, party: Party, name: str) -> Cluster | None:
        return self.clients.get((party, name))

    def name_of(self, party: Party, name: str) -> str | None:
        client = self.client(party, name)
        return client.name if client is not None else None

    def problem(self, party: Party, name: str) -> str | None:
        return None if (party, name) in self.clients else "it was taken away"

    def on_change(self, callback: Changed) -> None:
        self._callbacks.append(callback)

    def put(self, party: Party, name: str, client: Cluster | None) -> None:
        if client is None:
            self.clients.pop((party, name), None)
        else:
            self.clients[party, name] = client
        for callback in self._callbacks:
            callback(party, name)


class World:
    """Clusters by name, seen from inside (`api`) and over HTTP (`client`)."""

    def __init__(self, engine: EmbeddedEngine, server: Server) -> None:
        self.engine, self.server = engine, server
        self._transports = Transports()
        self._clients: list[KubeCluster] = []
        self.apis: dict[str, Api] = {}

    def make(self, name: str, nodes: int = 1) -> Api:
        api = self.apis[name] = self.engine.create_cluster(name)
        for number in range(nodes):
            node = NewNode(f"{name}-{number}", "v1.34.0", f"192.0.2.{number + 1}", cluster_cidr="10.0.0.0/16",
                           labels={BUILTIN_NETWORK: "builtin"})  # fmt: skip
            register(api, node)
        return api

    def kubeconfig(self, name: str) -> str:
        return self.server.kubeconfig(self.server.url(name), name)

    def client(self, name: str, text: str | None = None) -> KubeCluster:
        client = connect(text or self.kubeconfig(name), name=name, transports=self._transports)
        self._clients.append(client)
        return client

    def declare(self, kind: Kind, name: str, **spec: Any) -> Object:
        """A party, with its kubeconfig in a Secret if its cluster is there."""
        broker = self.apis["broker"]
        if name in self.apis:
            data = {"value": base64.b64encode(self.kubeconfig(name).encode()).decode()}
            broker.create(kinds.SECRET.new(f"{name}-kubeconfig", SYSTEM, data=data))
            spec["kubeconfig"] = {"name": f"{name}-kubeconfig"}
        return broker.create(kind.new(name, spec=spec))

    def contract(self, id: str, consumer: str, provider: str, **more: Any) -> Object:
        spec = {"consumer": consumer, "provider": provider, "offer": "o", "plan": "basic", "resources": PLAN, **more}
        return self.apis["broker"].create(CONTRACT.new(id, spec=spec))

    def lift_rule(self) -> None:
        """Let Contracts be changed, as their definition does not."""
        broker = self.apis["broker"]
        found = next(
            crd for crd in broker.list(kinds.CUSTOM_RESOURCE_DEFINITION) if crd["spec"]["names"]["kind"] == "Contract"
        )
        changed = copy.deepcopy(found)
        schema = changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        if schema.pop("x-kubernetes-validations", None) is not None:
            broker.update(changed)

    def space(self, node: str, name: str = "shop") -> None:
        """A namespace of the consumer that goes to a node."""
        self.apis["lab"].create(kinds.NAMESPACE.new(name, metadata={"labels": {"continuo.dev/offload": node}}))

    async def until(self, test: Callable[[], Any], *names: str) -> None:
        """Look whenever something changes in these clusters, until the test holds."""
        changed = asyncio.Event()
        with self._listening(names or tuple(self.apis), changed):
            async with asyncio.timeout(20):
                while not test():
                    changed.clear()
                    await changed.wait()

    @contextmanager
    def _listening(self, names: tuple[str, ...], changed: asyncio.Event) -> Iterator[None]:
        followed = (CONTRACT, kinds.POD, kinds.NODE, kinds.NAMESPACE, kinds.SERVICE_ACCOUNT, kinds.CONFIG_MAP)
        stops = [
            self.apis[name].listen(kind, lambda _: changed.set())
            for name in names
            for kind in followed
            if kind is not CONTRACT or name == "broker"
        ]
        try:
            yield
        finally:
            for stop in stops:
                stop()

    def said(self, id: str) -> tuple[str, str]:
        """Ready's status and reason; empty: there is no such contract, or nothing is said."""
        found = self.apis["broker"].find(CONTRACT, id)
        ready = condition(found, "Ready") if found is not None else None
        return (ready["status"], ready["reason"]) if ready is not None else ("", "")

    def message(self, id: str) -> str:
        return str((condition(self.apis["broker"].get(CONTRACT, id), "Ready") or {}).get("message"))

    def names(self, cluster: str, kind: Kind, prefix: str = "", namespace: str = "") -> list[str]:
        found = [obj["metadata"]["name"] for obj in self.apis[cluster].list(kind, namespace)]
        return sorted(name for name in found if name.startswith(prefix))

    async def close(self) -> None:
        for client in self._clients:
            await client.close()


def pod(node: str, name: str = "web", namespace: str = "shop") -> Object:
    spec = {
        "nodeName": node, "tolerations": [{"key": VIRTUAL_NODE, "operator": "Exists"}],
        "containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 1,
    }  # fmt: skip
    return kinds.POD.new(name, namespace, spec=spec)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """Broker, providers green and blue, the consumer lab that lets the broker in, and far, who does not."""
    engine = EmbeddedEngine()
    engine.start()
    server = Server(engine, tls=False)
    await server.start()
    engine.base_url, engine.credentials = server.base_url, server
    standin = workload_standin(engine, rng=Random(3), settings=Settings(speed=50.0, lease_renewal=3000.0))
    standin.start()
    made = World(engine, server)
    broker = made.make("broker", nodes=0)
    for crd in _CRDS:
        broker.create(crd, Write(manager="helm", trusted=True))
    broker.create(kinds.NAMESPACE.new(SYSTEM))
    for name in ("green", "blue", "lab"):
        made.make(name)
    for kind, names in ((PROVIDER, ("green", "blue")), (CONSUMER, ("lab", "far"))):
        for name in names:
            made.declare(kind, name)
    try:
        yield made
    finally:
        await made.close()
        standin.stop()
        await server.stop()
        await engine.stop()


@asynccontextmanager
async def contracted(
    world: World, wrap: Callable[[Cluster], Cluster] = lambda cluster: cluster
) -> AsyncIterator[tuple[Contracted, Fleet, Known]]:
    """The controller and its fleet; what they do at the end is die."""
    known, fleet = Known(), Fleet(beat=0.1, while_away=0.1, backoff=Backoff(base=0.05, cap=0.2), rng=Random(1))
    for party, names in (("Provider", ("green", "blue")), ("Consumer", ("lab",))):
        for name in names:
            client = wrap(world.client(name))
            fleet.add_cluster(client)
            known.clients[party, name] = client  # type: ignore[index]
    controller = Contracted(wrap(world.client("broker")), fleet, known)
    task = asyncio.create_task(controller.run())
    try:
        yield controller, fleet, known
    finally:
        await controller.stop(0.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await fleet.close()
