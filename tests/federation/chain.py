"""Consumer, broker and providers with a fleet between them that can be killed, and a witness of everything that runs."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from broker.paths.clusters import Clusters, until, world
from continuo.embedded.port import StoredChange
from continuo.federation.reflection.engine import Settings
from continuo.federation.reflection.fleet import Fleet, Peer
from continuo.federation.reflection.pair import Placement, later
from continuo.federation.reflection.twin import TWIN_UID
from continuo.kube.client import KubeCluster
from continuo.resources import kinds
from continuo.resources.errors import ApiError
from continuo.resources.meta import Key, Object, annotations_of, is_true, key_of
from continuo.runtime.backoff import Backoff
from continuo.runtime.controller import DONE, Controller, Result
from continuo.runtime.informer import Informer, Watch

CONSUMER, BROKER, PROVIDERS = "rome", "hub", ("milan", "zurich")
SPACE, THERE = "shop", "shop-rome"
SCHEDULER = "a-broker"
STAYS = {"operator": "Exists", "effect": "NoExecute"}
"""Tolerates that a node is out of reach: what was evicted would be lost on purpose."""


def pod(name: str, *, tolerations: tuple[Object, ...] = (STAYS,), labels: dict[str, str] | None = None) -> Object:
    spec = {
        "nodeName": "far", "tolerations": list(tolerations), "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "main", "image": "i", "ports": [{"containerPort": 80}]}],
    }  # fmt: skip
    return kinds.POD.new(name, SPACE, metadata={"labels": labels or {"app": "main"}}, spec=spec)


class Witness:
    """Sees every change at the providers as it happens, and complains when a pod of the consumer runs twice."""

    def __init__(self, clusters: Clusters) -> None:
        self._origin: dict[str, str] = {}
        self.alive: dict[str, set[tuple[str, str]]] = {}
        self.complaints: list[str] = []
        clusters.engine.cluster(BROKER).listen(kinds.POD, self._at_broker)
        for name in PROVIDERS:
            clusters.engine.cluster(name).listen(kinds.POD, self._at(name))

    def _at_broker(self, change: StoredChange) -> None:
        of = annotations_of(change.object).get(TWIN_UID)
        if of is not None:
            self._origin[change.object["metadata"]["uid"]] = of

    def _at(self, provider: str) -> Callable[[StoredChange], None]:
        def changed(change: StoredChange) -> None:
            of = self._origin.get(annotations_of(change.object).get(TWIN_UID, ""))
            if of is None:
                return
            alive, me = self.alive.setdefault(of, set()), (provider, change.object["metadata"]["uid"])
            if change.type == "DELETED":
                alive.discard(me)
            else:
                alive.add(me)
            if len(alive) > 1:
                self.complaints.append(f"a pod runs in {sorted(alive)}")

        return changed


class Binder:
    """Places the broker's pods on its providers in turn."""

    def __init__(self, cluster: KubeCluster, nodes: tuple[str, ...]) -> None:
        self._cluster, self._nodes = cluster, itertools.cycle(reversed(nodes))
        self._pods = Informer(cluster, Watch(kinds.POD, fields="spec.nodeName="))
        self._controller: Controller[Key] = Controller("binder", self._bind, workers=2)

    async def start(self) -> None:
        self._pods.on_change(lambda _, new: self._controller.add(key_of(new)) if new is not None else None)
        self._pods.start()
        self._controller.start()

    async def stop(self) -> None:
        await self._controller.stop()
        await self._pods.stop()

    async def _bind(self, key: Key) -> Result:
        found = self._pods.cache.get(key)
        if found is None or found["spec"].get("schedulerName") != SCHEDULER:
            return DONE
        target = {"apiVersion": "v1", "kind": "Node", "name": next(self._nodes)}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": key[1]}, "target": target}
        try:
            await self._cluster.post(kinds.POD, key[1], "binding", body, key[0])
        except ApiError:
            return Result(requeue_after=0.1) if key in self._pods.cache else DONE
        return DONE


class Chain:
    """All of it."""

    def __init__(self, clusters: Clusters) -> None:
        self.clusters = clusters
        self.consumer = clusters.make(CONSUMER)
        self.broker = clusters.make(BROKER, nodes=0)
        self.providers = {name: clusters.make(name) for name in PROVIDERS}
        self._ends: list[KubeCluster] = []
        self.fleet: Fleet | None = None
        self._binder: Binder | None = None

    @property
    def peers(self) -> list[Peer]:
        offer = {"cpu": "1k", "memory": "1Ti", "pods": "1k"}
        first = Settings("far", frozenset({SPACE}), offer, naming="suffixed", scheduler=SCHEDULER)
        taint = {"key": "continuo.dev/brokered", "value": "true", "effect": "NoSchedule"}
        onward = [
            Peer(BROKER, name, Settings(name, frozenset(), offer, consumers=True, taints=(taint,),
                                        labels={"continuo.dev/provider": name}))
            for name in PROVIDERS
        ]  # fmt: skip
        return [Peer(CONSUMER, BROKER, first), *onward]

    async def start(self, place: Placement = later) -> None:
        """A new fleet, as a new process would have it."""
        fleet = self.fleet = Fleet(beat=0.1, while_away=0.1, backoff=Backoff(base=0.05, cap=0.2))
        self._ends = [self.clusters.client(name) for name in (CONSUMER, BROKER, *PROVIDERS)]
        for client in self._ends:
            client.RETRIES = 1
            fleet.add_cluster(client)
        fleet.placed_by(BROKER, place)
        await fleet.declare(self.peers)
        self._binder = Binder(self.broker, PROVIDERS)
        await self._binder.start()

    async def ready(self) -> None:
        """Return when every node is up."""
        assert self.fleet is not None
        async with asyncio.timeout(20):
            for peer in self.peers:
                await self.fleet.ready(*peer.key)

    async def kill(self) -> None:
        """End the fleet at whatever line it is: what it was about to write is not written any more."""
        for client in self._ends:
            await client.close()
        fleet, self.fleet = self.fleet, None
        binder, self._binder = self._binder, None
        if binder is not None:
            await binder.stop()
        if fleet is not None:
            await fleet.close()

    def outage(self, name: str, how: str | None) -> None:
        self.clusters.engine.cluster(name).outage = how

    def pods_in(self, name: str) -> list[Object]:
        return self.clusters.engine.cluster(name).list(kinds.POD, THERE)

    async def all_ready(self, names: set[str]) -> None:
        """Return when the consumer has exactly these pods, all of them Ready."""
        await until(
            self.consumer, kinds.POD,
            lambda found: {obj["metadata"]["name"] for obj in found if is_true(obj, "Ready")} == names == {
                obj["metadata"]["name"] for obj in found
            }, SPACE,
        )  # fmt: skip


@asynccontextmanager
async def chain() -> AsyncIterator[Chain]:
    async with world() as clusters:
        made = Chain(clusters)
        await made.consumer.create(kinds.NAMESPACE.new(SPACE))
        try:
            yield made
        finally:
            await made.kill()
