"""Keeps the virtual nodes that Providers, Consumers and Aggregates mean: one key for each of these objects.

Everything follows from the objects, from the nodes that are there, and from what the fleet says of them. A finalizer makes
deletion wait until nothing is left at either end; who has lost a cluster for good takes it off by hand.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol, TypeAlias

from continuo.broker.aggregate.claims import elder, rival_of, taken
from continuo.broker.contracts.terms import CONTRACT
from continuo.broker.selector.names import PROVIDER as STANDS_FOR
from continuo.broker.station.layout import Home, of_aggregate, of_consumer, of_provider
from continuo.broker.station.members import Members, Party, Who
from continuo.broker.station.names import BROKER, FINALIZER
from continuo.broker.station.papers import Papers, is_held, is_noted, way_in
from continuo.broker.station.remains import providers_with_nodes, sweep_nodes
from continuo.federation.reflection.fleet import Fleet, Peer
from continuo.federation.reflection.fleet import Key as NodeKey
from continuo.federation.reflection.twin import VIRTUAL_NODE
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.broker import (
    AGGREGATE,
    CONSUMER,
    PROVIDER,
    AggregateSpec,
    ConsumerSpec,
    ProviderSpec,
    SecretRef,
    decode_spec,
)
from continuo.resources.errors import ApiError, Invalid, NotFound
from continuo.resources.meta import Object, deleting, labels_of
from continuo.runtime.controller import DONE, Controller, Result
from continuo.runtime.informer import Informer, Watch

log = logging.getLogger(__name__)
Key: TypeAlias = tuple[str, str]
"""A kind's name, and an object's."""
_OF, _NODE = "consumer", "node"
SOON = 0.2
"""Seconds until what is being swept is looked at again."""
_BEFORE: Key = ("", "")
"""Stands for what earlier processes left of objects that are gone."""


class Networks(Protocol):
    """What arranges networks between clusters, for those who are them."""

    def add(self, who: Who, cluster_id: str, cluster: Cluster) -> None: ...
    async def remove(self, who: Who) -> None: ...
    def expect(self, who: str, cluster_id: str | None, node: str = "") -> None:
        """On somebody's account networks may lead to a cluster, for which the node stands, if one does; None: no more."""
        ...

    def busy(self, who: Who) -> bool:
        """Whether a network of the cluster is still there, or on its way, which nobody else could take away."""
        ...


def _consumer_of(aggregate: Object) -> tuple[str, ...]:
    return (aggregate["spec"].get("consumer") or "",)


def _node_of(obj: Object) -> tuple[str, ...]:
    return (obj["spec"].get("node") or obj["metadata"]["name"],)


def _what_matters(obj: Object | None) -> object:
    """What of an Aggregate or Provider others may have to know."""
    if obj is None:
        return None
    metadata = obj["metadata"]
    return metadata["uid"], obj["spec"], deleting(obj), is_held(obj)


def _party(key: Key) -> Who:
    return "Provider" if key[0] == "Provider" else "Consumer", key[1]


def _is_shut(obj: Object) -> bool:
    """Whether a Provider or Consumer is not to be entered."""
    return obj["kind"] != "Aggregate" and obj["spec"].get("kubeconfig") is None


class Keeper:
    """Brings the fleet to where the objects of the broker's cluster want it.

    `claimed` says whether somebody else (a contract) still needs the cluster of a Provider or Consumer.
    """

    def __init__(
        self, broker: Cluster, home: Home, fleet: Fleet, members: Members, networks: Networks,
        offer: Callable[[str], Mapping[str, str]], *, claimed: Callable[[Party, str], bool] = lambda _party, _name: False,
        now: Callable[[], datetime] | None = None,
    ) -> None:  # fmt: skip
        self._broker, self._home, self._fleet, self._members = broker, home, fleet, members
        self._networks, self._offer, self._claimed = networks, offer, claimed
        self._informers = {
            "Provider": Informer(broker, Watch(PROVIDER, indexers={_NODE: _node_of})),
            "Consumer": Informer(broker, Watch(CONSUMER)),
            "Aggregate": Informer(broker, Watch(AGGREGATE, indexers={_OF: _consumer_of})),
        }
        self._papers = Papers(broker, self._informers, now or (lambda: datetime.now(UTC)))
        self._nodes: dict[Key, dict[NodeKey, Peer]] = {}
        self._owner: dict[NodeKey, Key] = {}
        self._blocked: dict[NodeKey, set[Key]] = {}
        """Who waits for a node that somebody else has."""
        self._swept: dict[Key, set[NodeKey]] = {}
        """Nodes of objects on their way out of which nothing is left."""
        self._ids: dict[Who, str] = {}
        self._unsearched: set[Who] = set()
        """Clusters that may have nodes which an earlier process made under names that nobody uses any more."""
        self._left: set[str] = set()
        """Providers of which an earlier process may have left a node."""
        self._leaving: set[Key] = set()
        """Objects that wait until others have let go of their clusters."""
        self.controller: Controller[Key] = Controller("virtual nodes", self._reconcile, workers=8)
        members.on_change(lambda party, name: self._look(party, name))
        fleet.follow(self._node_changed)

    async def start(self) -> None:
        """Return when the objects are known; from then on they are kept."""
        for name, informer in self._informers.items():
            informer.on_change(self._told(name))
            informer.start()
        await asyncio.gather(*(informer.synced.wait() for informer in self._informers.values()))
        self.controller.add(_BEFORE)
        self.controller.start()

    async def stop(self) -> None:
        """Keep no more; everything stays as it is."""
        await self.controller.stop()
        await asyncio.gather(*(informer.stop() for informer in self._informers.values()))

    def let_go(self) -> None:
        """A network, a node or a contract went: who waits for that may go on."""
        for key in (*self._leaving, *(key for keys in self._blocked.values() for key in keys)):
            self.controller.add(key)

    def offers_changed(self) -> None:
        """What aggregates offer may have changed: let their nodes say so."""
        for key, nodes in self._nodes.items():
            if key[0] == "Aggregate":
                for node in nodes:
                    self._tell_offer(key[1], node)

    # --- what is told ---
    def _told(self, kind: str) -> Callable[[Object | None, Object | None], None]:
        def changed(old: Object | None, new: Object | None) -> None:
            for obj in (old, new):
                if obj is not None:
                    self._look(kind, obj["metadata"]["name"])
                    if _what_matters(old) != _what_matters(new):
                        self._look_at_rivals(kind, obj)
            known = new if new is not None else old
            if kind != "Aggregate" and known is not None:
                self._expect(kind, known, there=new is not None)

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

    def _look_at_rivals(self, kind: str, obj: Object) -> None:
        """A node's name may be free now, or not any more."""
        if kind == "Aggregate":
            self._look("Consumer", _consumer_of(obj)[0])
        elif kind == "Provider":
            for rival in self._informers[kind].cache.by_index(_NODE, _node_of(obj)[0]):
                self.controller.add((kind, rival["metadata"]["name"]))

    def _node_changed(self, node: NodeKey) -> None:
        owner = self._owner.get(node)
        if owner is not None:
            self.controller.add(owner)

    # --- one object ---
    async def _reconcile(self, key: Key) -> Result:
        if key == _BEFORE:
            await self._look_for_left()
            return DONE
        kind, name = key
        obj = self._informers[kind].cache.get(("", name))
        if obj is None:
            return await self._gone(key)
        try:
            problems, wanted = await self._wanted(key, obj)
        except Invalid as error:
            problems, wanted = [str(error)], None
        leaving = deleting(obj) or _is_shut(obj) or (wanted is not None and all(peer.detached for peer in wanted))
        ref = self._ref(kind, obj) if wanted and not leaving else None
        if wanted and not leaving and not is_noted(obj, ref):
            if await self._papers.hold(kind, obj, ref):
                self.controller.add(key)
            return DONE  # it comes back with the finalizer
        problems += await self._settle(key, self._kept(key, detached=leaving) if wanted is None else wanted)
        left = DONE
        if leaving:
            stays = self._stays(key, obj, problems, known=wanted is not None)
            if not stays:
                self._leaving.discard(key)
                await self._papers.release(kind, obj)
                problems = [] if deleting(obj) else problems
                if _is_shut(obj):
                    await self._leave(_party(key))
                    left = await self._sweep(key)
            else:
                self._leaving.add(key)
                problems = [stays] if wanted is None else problems or [stays]
        await self._say(key, obj, problems)
        return left

    async def _wanted(self, key: Key, obj: Object) -> tuple[list[str], list[Peer] | None]:
        """What is wrong, and the nodes that there should be; None: those that there are."""
        kind, name = key
        if kind == "Aggregate":
            return self._wanted_of_aggregate(name, obj)
        party, _ = _party(key)
        spec = decode_spec(obj, ProviderSpec) if kind == "Provider" else decode_spec(obj, ConsumerSpec)
        client = await self._client((party, name), spec, way_in(obj, spec.kubeconfig), gone=deleting(obj))
        problem = self._members.problem(party, name)
        problems = [problem] if problem else []
        if client is None:
            return problems, None if problem else []
        peer = (
            of_provider(self._home, name, spec, client)
            if isinstance(spec, ProviderSpec)
            else of_consumer(self._home, name, spec, client)
        )
        if kind == "Provider" and (rival := self._rival_of_provider(peer.settings.node, obj)) is not None:
            return [*problems, taken(peer.settings.node, "the broker's cluster", f"Provider {rival}")], []
        peer = replace(peer, detached=deleting(obj) or _is_shut(obj))
        return problems, [peer, *await self._strays((party, name), peer)]

    def _wanted_of_aggregate(self, name: str, obj: Object) -> tuple[list[str], list[Peer] | None]:
        spec = decode_spec(obj, AggregateSpec)
        consumer = self._informers["Consumer"].cache.get(("", spec.consumer))
        if consumer is None:
            return [], []
        its = decode_spec(consumer, ConsumerSpec)
        if way_in(consumer, its.kubeconfig) is None:
            return [], []
        client = self._members.client("Consumer", spec.consumer)
        if client is None:
            return [
                self._members.problem("Consumer", spec.consumer) or f"Consumer {spec.consumer} is not connected"
            ], None
        made = of_aggregate(self._home, name, spec, its, client.name)
        rival = self._rival_of_aggregate(made.settings.node, obj, spec.consumer, its)
        if rival is not None:
            return [taken(made.settings.node, f"Consumer {spec.consumer}", " ".join(rival))], []
        return [], [replace(made, detached=deleting(obj) or deleting(consumer) or _is_shut(consumer))]

    @staticmethod
    def _ref(kind: str, obj: Object) -> SecretRef | None:
        """The Secret that an object names."""
        if kind == "Aggregate":
            return None
        return (decode_spec(obj, ProviderSpec) if kind == "Provider" else decode_spec(obj, ConsumerSpec)).kubeconfig

    def _rival_of_provider(self, node: str, obj: Object) -> str | None:
        """Who has the node that a Provider names: an older one that the broker enters, too."""
        others = self._informers["Provider"].cache.by_index(_NODE, node)
        return elder(obj, (other for other in others if other["spec"].get("kubeconfig")))

    def _rival_of_aggregate(self, node: str, obj: Object, consumer: str, its: ConsumerSpec) -> Key | None:
        """Who has the node that an aggregate names."""
        others = self._informers["Aggregate"].cache.by_index(_OF, consumer)
        return rival_of(obj, node, consumer, its.node or self._home.node, others)

    async def _strays(self, who: Who, own: Peer) -> list[Peer]:
        """Nodes that an earlier process made for this object under another name: looked for once for each client."""
        if who not in self._unsearched:
            return []
        mark = f"{STANDS_FOR}={who[1]}" if who[0] == "Provider" else f"{BROKER}={self._home.id}"
        cluster = self._broker if who[0] == "Provider" else self._members.client(*who)
        if cluster is None:
            return []
        try:
            found = (await cluster.list(kinds.NODE, labels=f"{mark},{VIRTUAL_NODE}")).items
        except ApiError as error:
            log.info("%s %s: its nodes cannot be seen yet: %s", *who, error)
            return []  # when it answers, the standing of its node changes, and this is tried again
        names = {obj["metadata"]["name"] for obj in found if CONTRACT not in labels_of(obj)}
        if who[0] == "Consumer":
            names -= {_node_of(obj)[0] for obj in self._informers["Aggregate"].cache.by_index(_OF, who[1])}
        self._unsearched.discard(who)
        return [
            replace(own, settings=replace(own.settings, node=name), detached=True)
            for name in sorted(names - {own.settings.node})
            if (own.home, name) not in self._owner
        ]

    async def _client(
        self, who: Who, spec: ProviderSpec | ConsumerSpec, way: SecretRef | None, *, gone: bool
    ) -> str | None:
        """The name of the client, made or made anew where that is needed; one that worked is kept until another one does."""
        members, known = self._members, self._members.client(*who)
        kubeconfig = await members.know(who, way)
        if kubeconfig is None:
            return known.name if known is not None and (way is not None or gone) else None
        if not members.fits(who, kubeconfig):
            made = members.make(who, kubeconfig)
            if made is None:
                return known.name if known is not None else None
            if known is not None:
                await self._disconnect(who, known)
            self._fleet.add_cluster(made)
            members.take(who, kubeconfig, made)  # there is always one: who looks meanwhile must not take it for gone
            if known is not None:
                await known.close()
            self._unsearched.add(who)
            members.tell(who)
            known = made
        id_ = spec.cluster_id or who[1]
        if known is not None and self._ids.get(who) != id_:
            await self._networks.remove(who)
            self._ids[who] = id_
            self._networks.add(who, id_, known)
        return known.name if known is not None else None

    async def _disconnect(self, who: Who, client: Cluster) -> None:
        await self._fleet.remove_cluster(client.name)
        self._ids.pop(who, None)
        await self._networks.remove(who)

    # --- its nodes ---
    def _kept(self, key: Key, *, detached: bool) -> list[Peer]:
        return [replace(peer, detached=detached or peer.detached) for peer in self._nodes.get(key, {}).values()]

    async def _settle(self, key: Key, wanted: Iterable[Peer]) -> list[str]:
        """Bring the fleet there; returns what stands in the way."""
        nodes, problems = self._nodes.setdefault(key, {}), list[str]()
        peers = {peer.key: peer for peer in wanted}
        for node, peer in list(nodes.items()):
            if node not in peers:
                peers[node] = replace(peer, detached=True)
        swept = self._swept.setdefault(key, set())
        for node, peer in peers.items():
            if peer.detached and node in swept:
                continue
            if (why := self._foreign(key, node)) is not None:
                problems.append(why)
                continue
            self._owner[node], nodes[node] = key, peer
            await self._put(key, peer)
            if peer.detached and self._is_over(peer):
                await self._drop(key, node)
                swept.add(node)
            elif not peer.detached:
                swept.discard(node)
        if not nodes:
            self._nodes.pop(key, None)
        return problems

    def _foreign(self, key: Key, node: NodeKey) -> str | None:
        """Who else has the node; None: nobody has."""
        owner, found = self._owner.get(node), self._fleet.standing(*node)
        if owner == key:
            return None
        contract = found.peer.settings.labels.get(CONTRACT) if found is not None else None
        if owner is None and contract is None:
            return None
        self._blocked.setdefault(node, set()).add(key)
        return taken(node[1], f"cluster {node[0]}", " ".join(owner) if owner is not None else f"Contract {contract}")

    async def _put(self, key: Key, peer: Peer) -> None:
        try:
            await self._fleet.put(peer, self._offer(key[1]) if key[0] == "Aggregate" else None)
        except ApiError as error:
            log.warning("%s %s: %s", *key, error)

    def _is_over(self, peer: Peer) -> bool:
        """Whether nothing is left of a node, or nobody is left who could reach it."""
        found = self._fleet.standing(*peer.key)
        if found is None:
            return any(name not in (self._home.cluster, *self._members.names) for name in (peer.home, peer.remote))
        return found.peer.detached and found.ready

    async def _drop(self, key: Key, node: NodeKey) -> None:
        await self._fleet.drop(*node)
        self._nodes.get(key, {}).pop(node, None)
        if self._owner.get(node) == key:
            del self._owner[node]
        for waits in self._blocked.pop(node, ()):
            self.controller.add(waits)
        self.let_go()

    def _tell_offer(self, aggregate: str, node: NodeKey) -> None:
        try:
            self._fleet.offer(*node, self._offer(aggregate))
        except NotFound:
            return  # it is on its way out

    async def _gone(self, key: Key) -> Result:
        if self._nodes.get(key) and key[0] == "Provider":
            self._left.add(key[1])  # somebody took the finalizer off
        for node in list(self._nodes.get(key, {})):
            await self._drop(key, node)
        self._nodes.pop(key, None)
        self._swept.pop(key, None)
        self._leaving.discard(key)
        if key[0] != "Aggregate":
            await self._leave(_party(key))
        return await self._sweep(key)

    async def _look_for_left(self) -> None:
        """Find what nobody would look at: whose object is gone, or is not held any more."""
        self._left = await providers_with_nodes(self._broker)
        for name in self._left:
            self.controller.add(("Provider", name))

    async def _sweep(self, key: Key) -> Result:
        """Take away what is left in the broker's cluster of a Provider that is entered no more."""
        if key[0] != "Provider" or key[1] not in self._left:
            return DONE
        keep = {node for home, node in self._owner if home == self._home.cluster}
        if not await sweep_nodes(self._broker, key[1], keep):
            return Result(requeue_after=SOON)
        self._left.discard(key[1])
        return DONE

    async def _leave(self, who: Who) -> None:
        """Know the cluster no more."""
        client = self._members.client(*who)
        await self._members.know(who, None)
        if client is not None:
            await self._disconnect(who, client)
            await self._members.drop(who)
            self._members.tell(who)

    # --- its end ---
    def _stays(self, key: Key, obj: Object, problems: list[str], *, known: bool) -> str:
        """Why the finalizer has to stay; empty when nothing is left and nobody needs the object's cluster to clean up."""
        if self._nodes.get(key):
            return "its nodes are being taken away"
        if not known:
            if is_held(obj):
                hint = f"take off the finalizer {FINALIZER} if the cluster is gone for good"
                return f"what is left in its cluster cannot be reached; {hint}: {'; '.join(problems)}"
            return ""
        if key[0] == "Aggregate":
            return ""
        who = _party(key)
        client = self._members.client(*who)
        if client is None:
            return ""
        if any(client.name in (each.peer.home, each.peer.remote) for each in self._fleet.standings):
            return "other virtual nodes still need its cluster"
        if self._claimed(*who):
            return "contracts still need its cluster"
        if any(self._unfinished(each) for each in self._informers["Aggregate"].cache.by_index(_OF, key[1])):
            return "the nodes of its Aggregates are being taken away"
        return "a network of its cluster is being taken away" if self._networks.busy(who) else ""

    def _unfinished(self, aggregate: Object) -> bool:
        """Whether an aggregate may still have a node at its consumer, which is leaving."""
        key = ("Aggregate", aggregate["metadata"]["name"])
        return is_held(aggregate) and (key in self._nodes or not self._swept.get(key))

    # --- what is written on it ---
    async def _say(self, key: Key, obj: Object, problems: list[str]) -> None:
        waiting, ready = [], []
        for node, peer in self._nodes.get(key, {}).items():
            found = self._fleet.standing(*node)
            if found is not None and found.ready and not peer.detached:
                ready.append(node[1])
            else:
                waiting.append(f"node {node[1]}: {(found.why if found is not None else '') or 'it is being made'}")
        if key[0] == "Aggregate":
            for problem in problems:
                log.warning("Aggregate %s: %s", key[1], problem)
        await self._papers.say(key[0], obj, problems, waiting, ready)
