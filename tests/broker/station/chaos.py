"""A broker's world in which anything may happen, seeded; a witness of what runs; and what is left when all is over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from random import Random

from broker.station.broker_world import BROKER, BrokerWorld, declare_all, deployment, space, until
from continuo.embedded.port import StoredChange
from continuo.federation.reflection.twin import TWIN_UID
from continuo.resources import kinds
from continuo.resources.broker import AGGREGATE, BROKER_POLICY, CONSUMER, CONTRACT, PROVIDER
from continuo.resources.errors import NotFound
from continuo.resources.meta import Object, annotations_of, is_true

ROME, PROVIDERS = "rome", ("milan", "turin", "lyon")
BOUGHT = "c0ffee0012345678"
NODES = {"shop": "broker", "batch": "pool", "bought": f"milan-{BOUGHT[:8]}"}
"""The namespaces of rome, and the nodes to which they go: the orchestrator's, the aggregator's, and one that was bought."""
MOVES = {"perWorkload": 2, "perConsumer": 3, "returnAfter": 0}
Thing = tuple[str, str, str, str]
"""Cluster, kind, namespace and name."""


class Witness:
    """Sees every pod of rome as it comes and goes, and complains when one is in two places of a hop at a time."""

    def __init__(self, made: BrokerWorld) -> None:
        self._origin: dict[str, str] = {}
        self._alive: dict[str, dict[str, set[tuple[str, str]]]] = {"at the broker": {}, "at providers": {}}
        self.complaints: list[str] = []
        self.moved = 0
        engine = made.clusters.engine
        engine.cluster(BROKER).listen(kinds.POD, self._at_broker)
        for name in PROVIDERS:
            engine.cluster(name).listen(kinds.POD, self._at(name))

    def _at_broker(self, change: StoredChange) -> None:
        of = annotations_of(change.object).get(TWIN_UID)
        if of is not None:
            self._origin[change.object["metadata"]["uid"]] = of
            self._seen("at the broker", BROKER, of, change)

    def _at(self, provider: str) -> Callable[[StoredChange], None]:
        def changed(change: StoredChange) -> None:
            of = annotations_of(change.object).get(TWIN_UID)
            if of is not None:
                self._seen("at providers", provider, self._origin.get(of, of), change)

        return changed

    def _seen(self, hop: str, cluster: str, of: str, change: StoredChange) -> None:
        alive, me = self._alive[hop].setdefault(of, set()), (cluster, change.object["metadata"]["uid"])
        if change.type == "DELETED":
            alive.discard(me)
        else:
            alive.add(me)
        if len(alive) > 1:
            self.complaints.append(f"{change.object['metadata']['name']} of {of} is {hop} twice: {sorted(alive)}")


class Clock:
    """Lets so many writes of all clusters pass; when there are none for a while, nothing more is to be waited for."""

    QUIET = 0.2

    def __init__(self, made: BrokerWorld) -> None:
        self._left, self._passed = 0, asyncio.Event()
        for api in made.clusters.engine.clusters():
            api.listen(None, self._count)

    def _count(self, _: StoredChange) -> None:
        self._left -= 1
        if self._left <= 0:
            self._passed.set()

    async def quiet(self) -> None:
        """Return when nothing is written any more."""
        while True:
            await self.writes(1)
            if not self._passed.is_set():
                return

    async def writes(self, number: int) -> None:
        self._left, self._passed = number, asyncio.Event()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.QUIET):
                await self._passed.wait()


class Chaos:
    """What may happen, one thing after the other, by chance. `only` narrows it down."""

    def __init__(self, made: BrokerWorld, seed: int, what: Iterable[str]) -> None:
        self.made, self.rng, self.what = made, Random(seed), tuple(what)
        self.witness, self.clock = Witness(made), Clock(made)
        self.replicas: dict[str, int] = {}
        self.done: list[str] = []
        self._going: set[str] = set()

    def api(self, cluster: str = BROKER):  # type: ignore[no-untyped-def]
        return self.made.clusters.engine.cluster(cluster)

    # --- what there is ------------------------------------------------------------------------------------------------
    async def begin(self, *spaces: str) -> None:
        await declare_all(self.made, PROVIDERS)
        self.api().patch(BROKER_POLICY, "all", "", "merge", {"spec": {"moves": MOVES}})
        for name in spaces:
            self.api(ROME).create(space(name, NODES[name]))
            self.api(ROME).create(deployment(name, NODES[name], 2))
            self.replicas[name] = 2
        if "bought" in spaces:
            self.buy()

    async def run(self, steps: int) -> None:
        """Live so many steps; the process is killed in most of them."""
        await self.made.start()
        for _ in range(steps):
            step = self.rng.choice(self.what)
            self.done.append(step)
            getattr(self, step)()
            await self.clock.writes(self.rng.randint(1, 60))
            if self.rng.random() < 0.6:
                self.done.append("kill")
                await self.made.kill()
                if self.rng.random() < 0.5:
                    self.done.append(step := self.rng.choice(self.what))
                    getattr(self, step)()
                await self._start()

    async def _start(self) -> None:
        """A supervisor starts it again and again until it works; it may be killed while it starts, too."""
        if self.rng.random() < 0.3:
            self.done.append("kill at start")
            starting = asyncio.create_task(self.made.start())
            await self.clock.writes(self.rng.randint(1, 15))
            await self.made.kill()
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        starting = asyncio.create_task(self.made.start())
        await asyncio.wait({starting}, timeout=0.5)
        if not starting.done() or starting.exception() is not None:
            self.api().outage = None  # nothing starts without the broker's own API
            await asyncio.gather(starting, return_exceptions=True)
            if starting.exception() is not None:
                await self.made.kill()
                await self.made.start()

    # --- what may happen ----------------------------------------------------------------------------------------------
    def scale(self) -> None:
        name = self.rng.choice(sorted(self.replicas))
        self.replicas[name] = self.rng.randint(0, 5)
        self.api(ROME).patch(kinds.DEPLOYMENT, "web", name, "merge", {"spec": {"replicas": self.replicas[name]}})

    def policy(self) -> None:
        """Pods have to leave a provider, or may return."""
        out = self.rng.sample((*PROVIDERS, ""), 1)[0]
        rules = [{"name": "not", "expression": f"provider.name != '{out}'"}] if out else []
        self.api().patch(BROKER_POLICY, "all", "", "merge", {"spec": {"compliance": rules}})

    def region(self) -> None:
        name = self.rng.choice(PROVIDERS)
        region = self.rng.choice(("eu-south", "us-east"))
        rules = [{"name": "europe", "expression": "provider.region.startsWith('eu-')"}]
        with suppress(NotFound):
            self.api().patch(PROVIDER, name, "", "merge", {"spec": {"region": region}})
            self.api().patch(BROKER_POLICY, "all", "", "merge", {"spec": {"compliance": rules}})

    def outage(self) -> None:
        """A cluster goes away; one whose Provider is being deleted is not, since that gives up what runs there."""
        name = self.rng.choice([each for each in (ROME, BROKER, *PROVIDERS) if not self._leaves(each)])
        self.api(name).outage = self.rng.choice(("drop", "refuse", "503 Service Unavailable"))

    def recover(self) -> None:
        for name in (ROME, BROKER, *PROVIDERS):
            self.api(name).outage = None

    def provider(self) -> None:
        """One Provider is deleted; one that was is declared again."""
        name = self.rng.choice(PROVIDERS)
        if self.api().find(PROVIDER, name) is None:
            spec = {"region": "eu-south", "kubeconfig": {"name": name}}
            self.api().create(PROVIDER.new(name, spec=spec))
        elif self.api(name).outage is None and self.api().outage is None and not self._claimed(name):
            self._going.add(name)
            self.api().delete(PROVIDER, name)

    def aggregate(self) -> None:
        if self.api().find(AGGREGATE, "pool") is None:
            self.api().create(AGGREGATE.new("pool", spec={"consumer": ROME}))
        else:
            self.api().delete(AGGREGATE, "pool")

    def consumer(self) -> None:
        if self.api().find(CONSUMER, ROME) is None:
            self.api().create(CONSUMER.new(ROME, spec={"kubeconfig": {"name": ROME}}))
        elif self.api(ROME).outage is None and not self._contract():
            self.api().delete(CONSUMER, ROME)

    def contract(self) -> None:
        if self._contract():
            if self.api("milan").outage is None:
                self.api().delete(CONTRACT, BOUGHT)
        elif self.api().find(CONSUMER, ROME) is not None:
            self.buy()

    def buy(self) -> None:
        plan = {"cpu": "4", "memory": "8Gi"}
        spec = {"consumer": ROME, "provider": "milan", "offer": "o", "plan": "basic", "resources": plan}
        self.api().create(CONTRACT.new(BOUGHT, spec=spec))

    def _contract(self) -> bool:
        return self.api().find(CONTRACT, BOUGHT) is not None

    def _claimed(self, provider: str) -> bool:
        return provider == "milan" and self._contract()

    def _leaves(self, cluster: str) -> bool:
        """Whether something is being taken away there."""
        going = [obj for kind in (PROVIDER, CONSUMER, AGGREGATE, CONTRACT) for obj in self.api().list(kind)
                 if "deletionTimestamp" in obj["metadata"]]  # fmt: skip
        return any(
            cluster == obj["metadata"]["name"] or cluster in (ROME, BROKER)
            or (cluster == "milan" and obj["kind"] == "Contract") for obj in going
        )  # fmt: skip

    # --- the end ------------------------------------------------------------------------------------------------------
    async def settle(self) -> None:
        """Leave the world alone with everything declared; each Deployment then has what it asks for, once."""
        self.recover()
        for kind in (PROVIDER, CONSUMER, AGGREGATE, CONTRACT):
            await until(
                self.made.broker, kind, lambda found: all("deletionTimestamp" not in o["metadata"] for o in found)
            )
        for name in PROVIDERS:
            if self.api().find(PROVIDER, name) is None:
                self.provider()
        if self.api().find(CONSUMER, ROME) is None:
            self.consumer()
        if self.api().find(AGGREGATE, "pool") is None:
            self.aggregate()
        if "bought" in self.replicas and not self._contract():
            self.buy()
        self.api().patch(BROKER_POLICY, "all", "", "merge", {"spec": {"compliance": []}})
        rome = self.made.clusters.client(ROME)
        for name, count in self.replicas.items():
            await until(rome, kinds.POD, lambda found, n=count: len(found) == n and all(map(well, found)), name)  # type: ignore[misc]
        await self._same_everywhere()

    async def _same_everywhere(self) -> None:
        """One copy of each pod at each hop: what is too much is on its way out already."""
        wanted = {
            f"{name}-rome": {obj["metadata"]["uid"] for obj in self.api(ROME).list(kinds.POD, name)}
            for name in self.replicas
        }
        for there in (name for name in wanted if name != "bought-rome"):
            await until(self.made.broker, kinds.POD, copies_of(wanted[there]), there)
            wanted[there] = {obj["metadata"]["uid"] for obj in self.api().list(kinds.POD, there)}
        for there, uids in wanted.items():
            for name in PROVIDERS:
                client = self.made.clusters.client(name)
                await until(client, kinds.POD, lambda found, uids=uids: twins(found) <= Counter(uids), there)  # type: ignore[misc]
            found = [obj for name in PROVIDERS for obj in self.api(name).list(kinds.POD, there)]
            assert twins(found) == Counter(uids), f"{there}: pods are lost"

    async def clear(self) -> None:
        """Everything that was declared goes, the workloads first."""
        rome = self.made.clusters.client(ROME)
        for name in self.replicas:
            self.api(ROME).patch(kinds.DEPLOYMENT, "web", name, "merge", {"spec": {"replicas": 0}})
            await until(rome, kinds.POD, lambda found: not found, name)
            self.api(ROME).delete(kinds.NAMESPACE, name)
            await until(rome, kinds.NAMESPACE, lambda found, n=name: n not in {o["metadata"]["name"] for o in found})  # type: ignore[misc]
        order = [(CONTRACT, BOUGHT), (AGGREGATE, "pool"), (CONSUMER, ROME), *((PROVIDER, name) for name in PROVIDERS)]
        self.rng.shuffle(order)
        for kind, name in order:
            with suppress(NotFound):
                self.api().delete(kind, name)
        for kind, _ in order:
            await until(self.made.broker, kind, lambda found: not found)
        self.api().delete(BROKER_POLICY, "all")


def well(pod: Object) -> bool:
    return is_true(pod, "Ready") and bool((pod.get("status") or {}).get("podIP"))


def twins(found: list[Object]) -> Counter[str]:
    return Counter(annotations_of(obj).get(TWIN_UID, "nobody's") for obj in found)


def copies_of(uids: set[str]) -> Callable[[list[Object]], bool]:
    return lambda found: twins(found) == Counter(uids)


def everything(made: BrokerWorld) -> set[Thing]:
    """All objects of all clusters, but for what is said of them and the parts of the process that only tell who works."""
    return {
        (api.name, resource.kind.kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        for api in made.clusters.engine.clusters()
        for resource in api.resources()
        if resource.kind.kind not in ("Event", "Endpoints") and "list" in resource.verbs
        for obj in api.list(resource.kind)
        if obj["metadata"].get("namespace") != "liqo" or resource.kind.kind not in ("Pod", "ReplicaSet")
    }


def finalizers(made: BrokerWorld) -> list[str]:
    """Finalizers of ours that are somewhere."""
    return [
        f"{api.name} {resource.kind.kind} {obj['metadata']['name']}"
        for api in made.clusters.engine.clusters()
        for resource in api.resources()
        if "list" in resource.verbs
        for obj in api.list(resource.kind)
        if any("continuo.dev" in each for each in obj["metadata"].get("finalizers") or ())
    ]


__all__ = ["Chaos", "everything", "finalizers"]
