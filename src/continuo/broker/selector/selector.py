"""The loop: follows the broker's cluster, keeps the world, and works until it is cancelled.

Everything is derived from what is observed; there is no state that a restart would miss. Two queues beside the pods': facts
(what a change of a policy, a provider, a consumer or the clock touches) and moves (one consumer at a time).
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Iterable

from continuo.broker.selector.choosing import Chooser
from continuo.broker.selector.creation import Creation
from continuo.broker.selector.desk import Desk
from continuo.broker.selector.moving import Mover
from continuo.broker.selector.names import MOVE, PROVIDER
from continuo.broker.selector.placing import Placer
from continuo.broker.selector.pods import ended, is_ready
from continuo.broker.selector.world import Pair
from continuo.kube.port import Cluster
from continuo.resources.broker import AGGREGATE, BROKER_POLICY
from continuo.resources.errors import BadRequest, NotFound
from continuo.resources.meta import Key, Object, annotations_of, deleting, key_of, labels_of
from continuo.runtime.backoff import Backoff
from continuo.runtime.controller import DONE, Controller, Result
from continuo.runtime.informer import Informer

log = logging.getLogger(__name__)
WORKERS = 32
"""Pods that are written about at a time."""
_Fact = tuple[str, str]


class Selector:
    """The scheduler of consumers' pods in one broker's cluster. `node` is what its own node is called at consumers."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        instance: str = "continuo-broker",
        now: Callable[[], float] = time.time,
        backoff: Backoff | None = None,
        rng: random.Random | None = None,
        pods: Informer | None = None,
        node: str = "broker",
    ) -> None:
        self.desk = Desk(cluster, instance, now, backoff, pods, node)
        self.facts: Controller[_Fact] = Controller("facts", self._fact, workers=1, backoff=backoff, rng=rng)
        self.pods: Controller[Key] = Controller("pods", self._pod, workers=WORKERS, backoff=backoff, rng=rng)
        chooser = Chooser(self.desk)
        self._placer = Placer(self.desk, chooser, self.pods.add, lambda consumer: self.moves.add(consumer))
        mover = Mover(self.desk, self._placer)
        self.moves: Controller[str] = Controller("moves", mover.reconcile, workers=4, backoff=backoff, rng=rng)
        self._creation = Creation(self.desk, chooser, lambda: self.facts.add(("room", "")))
        self._world = self.desk.world
        self.ready = asyncio.Event()
        """Set when everything that was there is known and being looked at."""

    def trouble(self) -> str:
        """Why it cannot work now, in one sentence; empty when it can."""
        for informer in self.desk.informers:
            if informer.stale_since is not None and informer.last_error is not None:
                return f"{informer.watch.kind.resource} cannot be followed: {informer.last_error}"
        return "" if self.ready.is_set() else "the broker's cluster is still being read"

    def placement(self, copy: Object) -> Object:
        """A pod that is about to be created here, on the node of who takes it; itself where the loop has to see it first.

        For `Fleet.placed_by`. To be called in the loop in which this one runs.
        """
        if self.trouble():
            return copy
        placed = self._creation.place(copy)
        self._set_clocks()
        if placed is not copy:
            self._expect(self._creation.patience)
        return placed

    async def run(self) -> None:
        """Work until cancelled. Raises what stands in the way at the start."""
        desk = self.desk
        await _installed(desk.cluster)
        for informer in desk.informers:
            informer.start()
        desk.events.start()
        controllers = (self.facts, self.moves, self.pods)
        try:
            await asyncio.gather(*(informer.synced.wait() for informer in desk.informers))
            self._begin()
            for controller in controllers:
                controller.start()
            self.ready.set()
            log.info("the broker of cluster %s places pods", desk.cluster.name)
            await asyncio.get_running_loop().create_future()
        finally:
            self.ready.clear()
            await asyncio.gather(*(controller.stop(2.0) for controller in controllers))
            await asyncio.gather(*(informer.stop() for informer in desk.informers))
            await desk.events.stop()

    def _begin(self) -> None:
        """Take in what the informers found, in an order in which nothing is judged twice; then follow them."""
        desk, world = self.desk, self._world
        for obj in desk.policies.cache:
            world.policy(obj["metadata"]["name"], obj)
        for obj in desk.providers.cache:
            world.provider(obj["metadata"]["name"], obj)
        for obj in desk.consumers.cache:
            world.consumer(obj["metadata"]["name"], obj)
        for obj in desk.aggregates.cache:
            world.aggregate(obj["metadata"]["name"], obj)
        for obj in desk.namespaces.cache:
            world.namespace(obj["metadata"]["name"], obj)
        desk.nodes.on_change(self._on_node)
        desk.namespaces.on_change(self._on_namespace)
        desk.policies.on_change(self._on_fact("policy"))
        desk.providers.on_change(self._on_fact("provider"))
        desk.consumers.on_change(self._on_fact("consumer"))
        desk.aggregates.on_change(self._on_fact("aggregate"))
        desk.pods.on_change(self._on_pod)
        self._clock(list(world.providers))

    # --- what is told ---
    def _on_fact(self, what: str) -> Callable[[Object | None, Object | None], None]:
        def told(old: Object | None, new: Object | None) -> None:
            obj = new if new is not None else old
            assert obj is not None
            self._take_in(what, obj["metadata"]["name"], new)

        return told

    def _on_namespace(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        assert obj is not None
        name = obj["metadata"]["name"]
        before = self._world.consumer_id(name)
        if self._world.namespace(name, new) != before:
            self._look_at(self.desk.pods.cache.by_index("in", name))

    def _on_node(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        assert obj is not None
        name = obj["metadata"]["name"]
        if not self._world.rooms.node(name, new):
            return
        self.facts.add(("room", ""))
        stood, stands = (labels_of(state).get(PROVIDER) if state is not None else None for state in (old, new))
        if old is not None and stood != stands:
            for provider in {stood, stands} - {None}:
                self.facts.add(("expiry", str(provider)))
            for namespace in self._namespaces():
                self._look_at(self.desk.at(namespace, name))

    def _namespaces(self) -> Iterable[str]:
        return [name for consumer in self._world.consumers for name in self._world.namespaces_of(consumer)]

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        assert obj is not None
        key, uid = key_of(obj), obj["metadata"]["uid"]
        if old is not None and new is not None and old["metadata"]["uid"] != uid:
            self._gone(key, old)
        judged = new is not None and self._creation.came(key, new)
        if new is None or ended(new):
            self._gone(key, obj)
            return
        node = new["spec"].get("nodeName")
        if node:
            self.desk.assumed.pop(key, None)
            if not judged:  # else it was booked when it was placed
                self._world.book(key, uid, node, new)
            if annotations_of(new).get(MOVE) and (old is None or is_ready(old) != is_ready(new)):
                self._moved_in(key[0])
        if not judged and (old is None or _schedules(old) != _schedules(new)):
            self.pods.add(key)

    def _gone(self, key: Key, pod: Object) -> None:
        desk = self.desk
        self._placer.ended(key, pod["metadata"]["uid"])
        if desk.assumed.get(key) == pod["metadata"]["uid"]:
            del desk.assumed[key]
        if self._world.release(key, pod["metadata"]["uid"]):
            self.facts.add(("room", ""))
        consumer = self._world.consumer_at(key[0])
        if consumer is None:
            return
        desk.wants.get(consumer.name, {}).pop(key, None)
        if desk.ledger(consumer.name):
            self.moves.add(consumer.name)

    def _moved_in(self, namespace: str) -> None:
        consumer = self._world.consumer_at(namespace)
        if consumer is not None:
            self.moves.add(consumer.name)

    # --- what follows ---
    async def _pod(self, key: Key) -> Result:
        result = await self._placer.reconcile(key)
        self._set_clocks()
        return result

    async def _fact(self, key: _Fact) -> Result:
        """What need not follow at once."""
        what, name = key
        world, desk = self._world, self.desk
        if what == "room":
            self._more_room()
        elif what == "expected":
            self._creation.give_up(self._expect)
        elif what == "expiry":
            self._touched(world.effects([(consumer, name) for consumer in world.consumers]))
            self._clock([name])
        else:
            obj = desk.policies.cache.get(("", name))
            if obj is not None and name in world.policies:
                await desk.actor.judge_policy(obj, world.policies[name].problem)
        return DONE

    def _expect(self, seconds: float) -> None:
        self.facts.queue.add_after(("expected", ""), seconds)

    def _take_in(self, what: str, name: str, obj: Object | None) -> None:
        """Something other than a pod changed: see what it touches. At once, so that nothing is decided on what was."""
        world = self._world
        match what:
            case "provider":
                self._touched(world.provider(name, obj))
                self._clock([name])
            case "consumer":
                self._consumer(name, obj)
            case "aggregate":
                self._touched(world.aggregate(name, obj))
            case _:
                before = world.policies.get(name)
                self._touched(world.policy(name, obj))
                if world.policies.get(name) is not before:
                    self._clock(list(world.providers))
                self.facts.add(("policy", name))

    def _consumer(self, name: str, obj: Object | None) -> None:
        world = self._world
        before = world.consumers.get(name)
        pairs = world.consumer(name, obj)
        after = world.consumers.get(name)
        self.moves.add(name)
        if after is before:
            return  # only its status changed
        self._touched(pairs)
        for id_ in {facts.id for facts in (before, after) if facts is not None}:
            for namespace in world.namespaces_with(id_):
                self._look_at(self.desk.pods.cache.by_index("in", namespace))
        self._clock(list(world.providers))

    def _touched(self, pairs: Iterable[Pair]) -> None:
        """Look again at the pods of these consumers at these providers, at those that wait, and at those that were moved."""
        waiting: set[str] = set()
        for consumer, provider in pairs:
            nodes = self._world.rooms.nodes_of(provider)
            for namespace in self._world.namespaces_of(consumer):
                for node in nodes:
                    self._look_at(self.desk.at(namespace, node))
                self._look_at(self.desk.pods.cache.by_index("home", (namespace, provider)))
                if namespace not in waiting:
                    waiting.add(namespace)
                    self._look_at(self.desk.at(namespace, ""))
            if self.desk.wants.get(consumer):
                self.moves.add(consumer)

    def _more_room(self) -> None:
        self._placer.wake()
        for consumer, wants in self.desk.wants.items():
            if wants:
                self.moves.add(consumer)

    def _look_at(self, pods: Iterable[Object]) -> None:
        for pod in pods:
            self.pods.add(key_of(pod))

    def _clock(self, providers: Iterable[str]) -> None:
        """Judge a provider anew when data of today's verdicts grows too old."""
        now = self.desk.now()
        for provider in providers:
            until = min((self._world.until(consumer, provider) for consumer in self._world.consumers), default=math.inf)
            if until < math.inf:
                self.facts.queue.add_after(("expiry", provider), max(0.0, until - now) + 0.01)

    def _set_clocks(self) -> None:
        """The same, for verdicts that depend on the pod."""
        now = self.desk.now()
        while self._world.fresh:
            decision = self._world.fresh.pop().decision
            if decision.until == math.inf:
                continue
            for verdict in (*decision.allowed, *decision.removed):
                if verdict.until < math.inf:
                    self.facts.queue.add_after(("expiry", verdict.provider), max(0.0, verdict.until - now) + 0.01)


def _schedules(pod: Object) -> tuple[object, ...]:
    """All of a pod that decides where it may be."""
    metadata, spec = pod["metadata"], pod["spec"]
    gates = bool(spec.get("schedulingGates"))
    return metadata["uid"], spec.get("nodeName"), metadata.get("labels"), deleting(pod), gates


async def _installed(cluster: Cluster) -> None:
    try:
        for kind in (BROKER_POLICY, AGGREGATE):
            await cluster.list(kind)
    except NotFound as error:
        raise BadRequest(
            f"cluster {cluster.name} does not serve the brokers' kinds: install them with "
            "`continuo install --crds-only | kubectl apply --server-side -f -`"
        ) from error
