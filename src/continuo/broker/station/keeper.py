"""Keeps the virtual nodes that Providers, Consumers and Aggregates mean: one key for each of these objects.

Everything follows from the objects and from what the fleet says of its nodes. A finalizer makes deletion wait until nothing
is left at either end; who has lost a cluster for good takes it off by hand.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol, TypeAlias

from continuo.broker.station.conditions import standing
from continuo.broker.station.layout import Home, of_aggregate, of_consumer, of_provider
from continuo.broker.station.members import Members, Party, Who
from continuo.broker.station.names import FINALIZER, MANAGER
from continuo.federation.reflection.fleet import Fleet, Peer
from continuo.federation.reflection.fleet import Key as NodeKey
from continuo.federation.reflection.node import stamp
from continuo.kube.port import Cluster
from continuo.resources.broker import (
    AGGREGATE,
    CONSUMER,
    PROVIDER,
    AggregateSpec,
    ConsumerSpec,
    ProviderSpec,
    decode_spec,
)
from continuo.resources.errors import ApiError, Conflict, Invalid, NotFound
from continuo.resources.meta import Kind, Object, deleting
from continuo.runtime.controller import DONE, Controller, Result
from continuo.runtime.informer import Informer, Watch

log = logging.getLogger(__name__)
Key: TypeAlias = tuple[str, str]
"""A kind's name, and an object's."""
_KINDS: Mapping[str, Kind] = {"Provider": PROVIDER, "Consumer": CONSUMER, "Aggregate": AGGREGATE}
_OF = "consumer"


class Networks(Protocol):
    """What arranges networks between clusters, by their identifiers."""

    def add(self, cluster_id: str, cluster: Cluster) -> None: ...
    async def remove(self, cluster_id: str) -> None: ...
    def expect(self, who: str, cluster_id: str | None, node: str = "") -> None:
        """On somebody's account networks may lead to a cluster, for which the node stands, if one does; None: no more."""
        ...

    def busy(self, cluster_id: str) -> bool:
        """Whether a network of the cluster is still there, or on its way."""
        ...


def _consumer_of(aggregate: Object) -> tuple[str, ...]:
    return (aggregate["spec"].get("consumer") or "",)


class Keeper:
    """Brings the fleet to where the objects of the broker's cluster want it."""

    def __init__(
        self, broker: Cluster, home: Home, fleet: Fleet, members: Members, networks: Networks,
        offer: Callable[[str], Mapping[str, str]], *, now: Callable[[], datetime] | None = None,
    ) -> None:  # fmt: skip
        self._broker, self._home, self._fleet, self._members = broker, home, fleet, members
        self._networks, self._offer = networks, offer
        self._now = now or (lambda: datetime.now(UTC))
        self._informers = {
            "Provider": Informer(broker, Watch(PROVIDER)),
            "Consumer": Informer(broker, Watch(CONSUMER)),
            "Aggregate": Informer(broker, Watch(AGGREGATE, indexers={_OF: _consumer_of})),
        }
        self._nodes: dict[Key, dict[NodeKey, Peer]] = {}
        self._owner: dict[NodeKey, Key] = {}
        self._swept: dict[Key, set[NodeKey]] = {}
        """Nodes of objects on their way out of which nothing is left."""
        self._ids: dict[Who, str] = {}
        self.controller: Controller[Key] = Controller("virtual nodes", self._reconcile, workers=8)
        members.on_change(lambda party, name: self._look(party, name))
        fleet.follow(self._node_changed)

    async def start(self) -> None:
        """Return when the objects are known; from then on they are kept."""
        for name, informer in self._informers.items():
            informer.on_change(self._told(name))
            informer.start()
        await asyncio.gather(*(informer.synced.wait() for informer in self._informers.values()))
        self.controller.start()

    async def stop(self) -> None:
        """Keep no more; everything stays as it is."""
        await self.controller.stop()
        await asyncio.gather(*(informer.stop() for informer in self._informers.values()))

    def networks_changed(self) -> None:
        """A network came or went: who waits for that may go on."""
        for who in list(self._ids):
            obj = self._informers[who[0]].cache.get(("", who[1]))
            if obj is None or deleting(obj):
                self.controller.add(who)

    def offers_changed(self) -> None:
        """What aggregates offer may have changed: let their nodes say so."""
        for key, nodes in self._nodes.items():
            if key[0] == "Aggregate":
                for node in nodes:
                    self._tell_offer(key[1], node)

    # --- what is told ---
    def _told(self, kind: str) -> Callable[[Object | None, Object | None], None]:
        def changed(old: Object | None, new: Object | None) -> None:
            obj = new if new is not None else old
            if obj is not None:
                if kind != "Aggregate":
                    self._expect(kind, obj, there=new is not None)
                self._look(kind, obj["metadata"]["name"])

        return changed

    def _expect(self, kind: str, obj: Object, *, there: bool) -> None:
        """Say at once which clusters networks will lead to, so that no pod is taken for one of an unknown cluster."""
        name, spec = obj["metadata"]["name"], obj.get("spec") or {}
        reachable = there and spec.get("kubeconfig") is not None
        node = (spec.get("node") or name) if kind == "Provider" else ""
        self._networks.expect(f"{kind} {name}", (spec.get("clusterID") or name) if reachable else None, node)

    def _look(self, kind: str, name: str) -> None:
        self.controller.add((kind, name))
        if kind == "Consumer":
            for aggregate in self._informers["Aggregate"].cache.by_index(_OF, name):
                self.controller.add(("Aggregate", aggregate["metadata"]["name"]))

    def _node_changed(self, node: NodeKey) -> None:
        owner = self._owner.get(node)
        if owner is not None:
            self.controller.add(owner)

    # --- one object ---
    async def _reconcile(self, key: Key) -> Result:
        kind, name = key
        obj = self._informers[kind].cache.get(("", name))
        if obj is None:
            await self._gone(key)
            return DONE
        try:
            problems, wanted = await self._wanted(key, obj)
        except Invalid as error:
            problems, wanted = [str(error)], None
        if wanted is not None and wanted and not deleting(obj) and not await self._held(kind, obj):
            return DONE  # it comes back with the finalizer
        over = await self._settle(key, self._kept(key) if wanted is None else wanted)
        if deleting(obj) or (wanted == [] and not problems):
            if over and not self._still_needed(key):
                await self._release(kind, obj)
            return DONE
        if kind != "Aggregate":
            await self._say(kind, obj, problems, key)
        return DONE

    async def _wanted(self, key: Key, obj: Object) -> tuple[list[str], list[Peer] | None]:
        """What is wrong, and the nodes that there should be; None: those that there are."""
        kind, name = key
        if kind == "Aggregate":
            return self._wanted_of_aggregate(name, obj)
        party: Party = "Provider" if kind == "Provider" else "Consumer"
        spec = decode_spec(obj, ProviderSpec) if kind == "Provider" else decode_spec(obj, ConsumerSpec)
        client = await self._client((party, name), spec, gone=deleting(obj))
        problem = self._members.problem(party, name)
        if client is None:
            return ([problem] if problem else []), (None if problem and not deleting(obj) else [])
        peer = (
            of_provider(self._home, name, spec, client)
            if isinstance(spec, ProviderSpec)
            else of_consumer(self._home, name, spec, client)
        )
        return ([problem] if problem else []), [replace(peer, detached=deleting(obj))]

    def _wanted_of_aggregate(self, name: str, obj: Object) -> tuple[list[str], list[Peer] | None]:
        spec = decode_spec(obj, AggregateSpec)
        consumer = self._informers["Consumer"].cache.get(("", spec.consumer))
        client = self._members.client("Consumer", spec.consumer)
        if consumer is None or client is None:
            return [], []
        made = of_aggregate(self._home, name, spec, decode_spec(consumer, ConsumerSpec), client.name)
        return [], [replace(made, detached=deleting(obj) or deleting(consumer))]

    async def _client(self, who: Who, spec: ProviderSpec | ConsumerSpec, *, gone: bool) -> str | None:
        """The name of the client, made or made anew where that is needed."""
        members, known = self._members, self._members.client(*who)
        kubeconfig = await members.know(who, spec.kubeconfig)
        if kubeconfig is None or members.fits(who, kubeconfig):
            return known.name if known is not None and (spec.kubeconfig is not None or gone) else None
        if known is not None:
            await self._disconnect(who)
        made = members.connect(who, kubeconfig)
        if made is None:
            return None
        self._fleet.add_cluster(made)
        self._ids[who] = spec.cluster_id or who[1]
        self._networks.add(self._ids[who], made)
        members.tell(who)
        return made.name

    async def _disconnect(self, who: Who) -> None:
        client, id_ = self._members.client(*who), self._ids.pop(who, None)
        if client is not None:
            await self._fleet.remove_cluster(client.name)
        if id_ is not None:
            await self._networks.remove(id_)
        await self._members.drop(who)

    # --- its nodes ---
    def _kept(self, key: Key) -> list[Peer]:
        return list(self._nodes.get(key, {}).values())

    async def _settle(self, key: Key, wanted: Iterable[Peer]) -> bool:
        """Bring the fleet there; True when nothing of the object is in it."""
        nodes = self._nodes.setdefault(key, {})
        peers = {peer.key: peer for peer in wanted}
        for node, peer in list(nodes.items()):
            if node not in peers:
                peers[node] = replace(peer, detached=True)
        swept = self._swept.get(key, set())
        for node, peer in peers.items():
            if peer.detached and node in swept:
                continue
            if (owner := self._owner.setdefault(node, key)) != key:
                log.warning("%s %s: node %s of cluster %s is that of %s %s", *key, node[1], node[0], *owner)
                continue
            nodes[node] = peer
            offer = self._offer(key[1]) if key[0] == "Aggregate" else None
            try:
                await self._fleet.put(peer, offer)
            except ApiError as error:
                log.warning("%s %s: %s", *key, error)
            if peer.detached and (found := self._fleet.standing(*node)) is not None and found.ready:
                await self._drop(key, node)
                self._swept.setdefault(key, set()).add(node)
            elif not peer.detached:
                swept.discard(node)
        if not nodes:
            self._nodes.pop(key, None)
        return not nodes

    async def _drop(self, key: Key, node: NodeKey) -> None:
        await self._fleet.drop(*node)
        self._nodes.get(key, {}).pop(node, None)
        self._owner.pop(node, None)

    def _tell_offer(self, aggregate: str, node: NodeKey) -> None:
        try:
            self._fleet.offer(*node, self._offer(aggregate))
        except NotFound:
            return  # it is on its way out

    async def _gone(self, key: Key) -> None:
        for node in list(self._nodes.get(key, {})):
            await self._drop(key, node)
        self._nodes.pop(key, None)
        self._swept.pop(key, None)
        if key[0] != "Aggregate":
            who: Who = ("Provider" if key[0] == "Provider" else "Consumer", key[1])
            await self._members.know(who, None)
            await self._disconnect(who)
            self._members.tell(who)

    def _still_needed(self, key: Key) -> bool:
        """Whether somebody else still needs the object's cluster in order to clean up."""
        if key[0] == "Aggregate":
            return False
        who: Who = ("Provider" if key[0] == "Provider" else "Consumer", key[1])
        client = self._members.client(*who)
        id_ = self._ids.get(who)
        if client is None or id_ is None:
            return False
        speaks = any(client.name in (each.peer.home, each.peer.remote) for each in self._fleet.standings)
        return speaks or self._networks.busy(id_)

    # --- what is written on it ---
    async def _held(self, kind: str, obj: Object) -> bool:
        """Whether our finalizer is on it; it is put there if not."""
        if FINALIZER in (obj["metadata"].get("finalizers") or ()):
            return True
        metadata, name = {"finalizers": [FINALIZER]}, obj["metadata"]["name"]
        body = _KINDS[kind].new(name, metadata=metadata)
        body["metadata"]["uid"] = obj["metadata"]["uid"]
        try:
            self._informers[kind].learn(await self._broker.apply(body, manager=f"{MANAGER}-finalizer"))
        except (NotFound, Conflict):
            return False  # it went, or is another one by now
        self.controller.add((kind, name))
        return False

    async def _release(self, kind: str, obj: Object) -> None:
        held = obj["metadata"].get("finalizers") or []
        if FINALIZER not in held:
            return
        left = [entry for entry in held if entry != FINALIZER]
        patch = {"metadata": {"finalizers": left, "resourceVersion": obj["metadata"]["resourceVersion"]}}
        try:
            written = await self._broker.patch(_KINDS[kind], obj["metadata"]["name"], patch, manager=MANAGER)
        except NotFound:
            return
        except Conflict:
            return  # somebody wrote meanwhile: the watch brings it back
        if not deleting(obj):
            self._informers[kind].learn(written)

    async def _say(self, kind: str, obj: Object, problems: list[str], key: Key) -> None:
        waiting, ready = [], []
        for node in self._nodes.get(key, {}):
            found = self._fleet.standing(*node)
            if found is not None and found.ready:
                ready.append(node[1])
            else:
                waiting.append(f"node {node[1]}: {found.why if found is not None else 'it is being made'}")
        if not (problems or waiting or ready):
            return
        entry = standing(obj, problems, waiting, ready, stamp(self._now()))
        if entry is None:
            return
        body = _KINDS[kind].new(obj["metadata"]["name"], status={"conditions": [entry]})
        body["metadata"]["uid"] = obj["metadata"]["uid"]
        try:
            self._informers[kind].learn(await self._broker.apply(body, manager=MANAGER, subresource="status"))
        except (NotFound, Conflict):
            return
