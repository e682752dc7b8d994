"""A broker's cluster on the embedded engine: providers' nodes that run what is bound to them, and a selector to kill."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from continuo.broker.policies.decisions import stamp
from continuo.broker.selector.names import BROKERED, CONSUMER, DECISION, PROVIDER
from continuo.broker.selector.selector import Selector
from continuo.cli.host import Host
from continuo.embedded.port import Api
from continuo.embedded.standins.settings import Settings
from continuo.embedded.standins.workload.nodes import BUILTIN_NETWORK
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.resources import broker as models
from continuo.resources import kinds
from continuo.resources.crds import own_crds
from continuo.resources.errors import Conflict
from continuo.resources.meta import Object, annotations_of, deleting
from continuo.runtime.backoff import Backoff

PATIENCE = 15.0
SPACE = "shop"
ANYTHING: list[Object] = [{"name": "any", "expression": "true"}]


class Bench:
    """One broker."""

    def __init__(self, host: Host, cluster: KubeCluster, api: Api) -> None:
        self.host, self.cluster, self.api = host, cluster, api
        self.clock = 0.0
        """Seconds that the selector's clock is ahead."""
        self.bindings: list[tuple[str, str]] = []
        """(UID, node) of every pod that came to a node."""
        self.selector: Selector | None = None
        self.connect: Callable[[], KubeCluster] = lambda: connect(host.engine.kubeconfig("broker"), name="broker")
        """As whom the selector works."""
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._stops = [api.listen(kinds.POD, self._saw), api.listen(None, lambda _: self._changed.set())]

    def _saw(self, change: Any) -> None:
        node = change.object["spec"].get("nodeName")
        if node and (change.previous is None or not change.previous["spec"].get("nodeName")):
            self.bindings.append((change.object["metadata"]["uid"], node))

    def now(self) -> float:
        return self.host.engine.now() + self.clock

    # --- the selector ---
    async def start(self) -> Selector:
        """Start, or start again."""
        cluster = self.connect()
        self.selector = Selector(
            cluster, now=self.now, backoff=Backoff(base=0.05, cap=0.2), rng=random.Random(1),
        )  # fmt: skip

        async def work(selector: Selector = self.selector) -> None:
            try:
                await selector.run()
            finally:
                await cluster.close()

        self._task = asyncio.create_task(work())
        ready = asyncio.create_task(self.selector.ready.wait())
        await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._task.done():
            self._task.result()
        return self.selector

    async def kill(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def close(self) -> None:
        await self.kill()
        for stop in self._stops:
            stop()

    # --- what there is ---
    async def provider(self, name: str, *, cpu: str = "100", pods: int = 200, node: bool = True, **spec: Any) -> None:
        await self.cluster.create(models.PROVIDER.new(name, spec=spec))
        if not node:
            return
        network = f"10.{len(self.api.list(kinds.NODE)) + 1}.0.0/16"
        taint = {"key": BROKERED, "value": "true", "effect": "NoSchedule"}
        status = {
            "allocatable": {"cpu": cpu, "memory": "1000Gi", "pods": str(pods)},
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        made = kinds.NODE.new(
            f"node-{name}",
            metadata={"labels": {PROVIDER: name, BUILTIN_NETWORK: ""}},
            spec={"taints": [taint], "podCIDR": network},
        )
        self.api.create({**made, "status": status})

    async def measure(self, provider: str, *, age: float = 0.0, **values: float) -> None:
        measured = [{"name": key, "value": value, "at": stamp(self.now() - age)} for key, value in values.items()]
        await self.cluster.patch(models.PROVIDER, provider, {"status": {"measured": measured}}, subresource="status")

    async def consumer(self, name: str = "acme", namespace: str = SPACE, **spec: Any) -> None:
        await self.cluster.create(models.CONSUMER.new(name, spec=spec))
        labels = {CONSUMER: spec.get("clusterID", name)}
        await self.cluster.create(kinds.NAMESPACE.new(namespace, metadata={"labels": labels}))

    async def policy(self, name: str = "pol", **spec: Any) -> None:
        await self.cluster.apply(models.BROKER_POLICY.new(name, spec=spec), manager="test")

    async def deployment(self, name: str, replicas: int, namespace: str = SPACE, cpu: str = "1") -> None:
        labels = {"app": name}
        resources = {"requests": {"cpu": cpu}}
        pod = {"containers": [{"name": "m", "image": "i", "resources": resources}]}
        spec = {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {**pod, "terminationGracePeriodSeconds": 1}},
        }  # fmt: skip
        await self.cluster.apply(kinds.DEPLOYMENT.new(name, namespace, spec=spec), manager="test")

    async def pod(self, name: str, namespace: str = SPACE, **spec: Any) -> None:
        await self.cluster.create(
            kinds.POD.new(name, namespace, spec={"containers": [{"name": "m", "image": "i"}], **spec})
        )

    # --- what is seen ---
    def pods(self, namespace: str = SPACE) -> list[Object]:
        return [pod for pod in self.api.list(kinds.POD, namespace) if not deleting(pod)]

    def where(self, namespace: str = SPACE) -> dict[str, int]:
        """How many pods are on each provider; `-` for none."""
        found: dict[str, int] = {}
        for pod in self.pods(namespace):
            name = (pod["spec"].get("nodeName") or "-").removeprefix("node-")
            found[name] = found.get(name, 0) + 1
        return found

    async def until(self, true: Callable[[], Any]) -> None:
        """Wait until something holds, looking whenever anything changed."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not true():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            ledgers = [obj.get("status") for obj in self.api.list(models.CONSUMER)]
            raise AssertionError(f"pods are at {self.where()}; {ledgers}") from None

    async def until_obj(self, kind: Any, name: str, true: Callable[[Object], Any]) -> Object:
        """Wait until one object is as wanted."""
        done = asyncio.Event()
        stop = self.api.listen(kind, lambda _: done.set())
        try:
            async with asyncio.timeout(PATIENCE):
                while not true(self.api.get(kind, name)):
                    done.clear()
                    await done.wait()
        finally:
            stop()
        return self.api.get(kind, name)

    async def idle(self) -> None:
        """Wait until the selector has nothing to do any more."""
        assert self.selector is not None
        quiet = 0
        async with asyncio.timeout(PATIENCE):
            while quiet < 3:
                await asyncio.sleep(0.02)
                parts = (self.selector.facts, self.selector.moves, self.selector.pods)
                quiet = quiet + 1 if all(part.queue.idle for part in parts) else 0

    def told(self, name: str, namespace: str = SPACE) -> dict[str, Any]:
        """The explanation on a pod."""
        text = annotations_of(self.api.get(kinds.POD, name, namespace)).get(DECISION, "{}")
        found: dict[str, Any] = json.loads(text)
        return found

    async def hammer(self, count: int, namespace: str) -> None:
        """Bind as quickly as possible what nobody allowed: what a rival of the selector would do."""
        for pod in self.pods(namespace)[:count]:
            name = pod["metadata"]["name"]
            body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
                    "target": {"kind": "Node", "name": "node-p1"}}  # fmt: skip
            try:
                await self.cluster.post(kinds.POD, name, "binding", body, namespace)
            except Conflict:
                continue


@asynccontextmanager
async def broker() -> AsyncIterator[Bench]:
    host = Host(None, standins=Settings(speed=20.0), seed=1, tls=False)
    await host.start()
    api = host.engine.create_cluster("broker")
    cluster = connect(host.engine.kubeconfig("broker"), name="broker")
    bench = Bench(host, cluster, api)
    try:
        for crd in own_crds():
            await cluster.create(crd)
        yield bench
    finally:
        await bench.close()
        await cluster.close()
        await host.stop()
