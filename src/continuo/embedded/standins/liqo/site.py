"""Liqo in one cluster: what it knows of its peers, its queue, and the events that fill it.

Everything about one peer is brought into order by one handler per pair of clusters (`peers`): a change at either end
queues that key at both. What comes in numbers (pods, reflected objects, namespaces) has queues of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from continuo.embedded.port import Api, Engine, StoredChange, Write
from continuo.embedded.standins.base import Listeners, Work, lookup, stored
from continuo.embedded.standins.liqo import names
from continuo.embedded.standins.liqo.ipam import Ipam, Remap, span, text_of
from continuo.embedded.standins.objects import timestamp
from continuo.resources import kinds
from continuo.resources.errors import AlreadyExists, NotFound
from continuo.resources.meta import Key, Kind, Object, annotations_of, key_of, labels_of
from continuo.resources.reflected import overlay

WRITE = Write(manager=names.MANAGER, trusted=True)
PEER_KINDS: tuple[Kind, ...] = (
    kinds.CONFIGURATION, kinds.GATEWAY_SERVER, kinds.GATEWAY_CLIENT, kinds.PUBLIC_KEY, kinds.CONNECTION, kinds.TENANT,
    kinds.IDENTITY, kinds.RESOURCE_SLICE, kinds.VIRTUAL_NODE, kinds.NAMESPACE_MAP, kinds.NETWORK, kinds.QUOTA,
    kinds.SECRET, kinds.NAMESPACE, kinds.NODE, kinds.SERVICE, kinds.DEPLOYMENT,
)  # fmt: skip
"""A change of one of these that carries the peer's label concerns the pair."""


@dataclass(slots=True)
class Mapped:
    """One offloaded namespace at one peer."""

    peer: str
    remote: str
    """The name of the namespace there."""


@dataclass(slots=True)
class PeerView:
    """What a site remembers of one peer between two looks (all of it can be derived again)."""

    nodes: set[str] = field(default_factory=set)
    """Names of the virtual nodes."""
    pods: Remap | None = None
    """The peer's pod network as seen here."""
    external: Remap | None = None
    api_up: bool = False
    """The peer's API answers, and we have credentials for it."""
    usable: bool = False
    """The virtual node is Ready."""
    round_trip: float | None = None
    """Milliseconds of the tunnel, where faults make it vary around that."""
    wanted: dict[str, str] = field(default_factory=dict)
    """Namespaces to be offloaded there: local name to remote name."""
    mapped: dict[str, str] = field(default_factory=dict)
    """Namespaces that exist there."""


class World(Protocol):
    """What a site needs of the others."""

    engine: Engine
    rng: Random
    sites: dict[str, Site]
    """Active sites by cluster identifier."""

    def scaled(self, seconds: float) -> float:
        """Simulated seconds as the engine's seconds."""
        ...


class Site:
    """Liqo's controllers in one cluster, active while its ConfigMap is there."""

    def __init__(self, world: World, api: Api, cluster_id: str) -> None:
        self.world, self.api, self.id = world, api, cluster_id
        self.engine = world.engine
        self.ipam = Ipam()
        self.peers: dict[str, PeerView] = {}
        self.tenants: dict[str, str] = {}
        """Tenant namespace by peer."""
        self.external_cidr: str | None = None
        self._local_pods: tuple[int, int] = (1, 0)
        self._external: tuple[int, int] = (1, 0)
        self._external_used: set[str] = set()
        self._external_next = 0
        self.namespaces: dict[str, list[Mapped]] = {}
        """Offloaded namespaces by local name."""
        self.twins: dict[str, tuple[str, str]] = {}
        """Namespaces here that are twins: name to (origin, name there)."""
        self.nodes: dict[str, str] = {}
        """Peer by the name of its virtual node."""
        self.look_at_pod: Callable[[Key], None] = _nobody
        """Queues a local pod, for whoever saw its twin change."""
        self.look_at_object: Callable[[tuple[str, str, str]], None] = _nobody
        """Queues a local object (kind, namespace, name), for whoever saw its copy change."""
        self._listeners = Listeners(world.engine, api)
        self._parts: list[SitePart] = []
        self.work: Work[str] = Work(self.engine, self._handle, name=f"liqo {cluster_id}")
        self.addresses: Work[Key] = Work(self.engine, self._give_address, name=f"liqo addresses {cluster_id}")

    # --- life -------------------------------------------------------------------------------------------------------
    def start(self, parts: list[SitePart]) -> None:
        """Take up what is stored and follow changes."""
        self._parts = parts
        self.world.sites[self.id] = self
        for kind in PEER_KINDS:
            self._listeners.follow(kind, self._on_change)
        self._listeners.follow(kinds.FOREIGN_CLUSTER, self._on_foreign)
        self._listeners.follow(kinds.IP, self._on_ip)
        for part in parts:
            part.start()
        for site in list(self.world.sites.values()):
            if self.id in site.peers:
                site.touch(self.id)

    def stop(self) -> None:
        """Let go of everything."""
        if self.world.sites.get(self.id) is self:
            del self.world.sites[self.id]
        self._listeners.stop()
        for part in self._parts:
            part.stop()
        self.work.stop()
        self.addresses.stop()
        for site in list(self.world.sites.values()):
            if self.id in site.peers:
                site.work.add(self.id)

    def touch(self, peer: str) -> None:
        """Have another look at the pair, at both ends."""
        self.peers.setdefault(peer, PeerView())
        self.work.add(peer)
        other = self.world.sites.get(peer)
        if other is not None:
            other.peers.setdefault(self.id, PeerView())
            other.work.add(self.id)

    @property
    def up(self) -> bool:
        """Whether this cluster's API answers others."""
        return not getattr(self.api, "outage", None)

    def other(self, peer: str) -> Site | None:
        """The peer's site; None when Liqo does not run there or the cluster is gone."""
        return self.world.sites.get(peer)

    def _handle(self, peer: str) -> None:
        for part in self._parts:
            part.peer(peer)

    def _on_change(self, change: StoredChange) -> None:
        obj = change.object
        labels = obj["metadata"].get("labels")
        peer = labels.get(names.REMOTE) if labels else None
        if change.kind.kind == "Network":
            self._on_network(change)
        elif change.kind.kind == "Namespace":
            self._on_namespace(change, peer)
            if names.BY_NAMESPACE_MAP in annotations_of(obj):
                return  # a twin: its map's controller looks after it, the pair stays as it is
        elif change.kind.kind == "Node":
            self._on_node(change, peer)
        if peer:
            self.touch(peer)
        if change.previous is not None and peer is None:
            before = labels_of(change.previous).get(names.REMOTE)
            if before:
                self.touch(before)

    def _on_foreign(self, change: StoredChange) -> None:
        """Only what people write counts: the rest is our own summary."""
        before = annotations_of(change.previous) if change.previous else {}
        if change.type == "DELETED" or annotations_of(change.object) != before or change.previous is None:
            self.touch(change.object["metadata"]["name"])

    def _on_ip(self, change: StoredChange) -> None:
        ip = (change.object.get("status") or {}).get("ip")
        if change.type == "DELETED":
            self._external_used.discard(ip)
        elif ip:
            self._external_used.add(ip)
        else:
            self.addresses.add(key_of(change.object))

    def _on_network(self, change: StoredChange) -> None:
        owner = "/".join(key_of(change.object))
        cidr = (change.object.get("status") or {}).get("cidr")
        if change.type == "DELETED":
            self.ipam.release(owner)
        elif cidr:
            self.ipam.hold(owner, cidr)
            kind = labels_of(change.object).get(names.NETWORK_TYPE)
            if change.object["metadata"].get("namespace") == names.NAMESPACE and kind == "pod-cidr":
                self._local_pods = span(cidr)
            elif change.object["metadata"].get("namespace") == names.NAMESPACE and kind == "external-cidr":
                self.external_cidr, self._external = cidr, span(cidr)

    def _on_namespace(self, change: StoredChange, peer: str | None) -> None:
        name = change.object["metadata"]["name"]
        annotations = annotations_of(change.object)
        if peer and labels_of(change.object).get(names.TENANT_NAMESPACE) == "true":
            if change.type == "DELETED":
                self.tenants.pop(peer, None)
            else:
                self.tenants[peer] = name
        elif peer and names.BY_NAMESPACE_MAP in annotations:
            if change.type == "DELETED":
                self.twins.pop(name, None)
            else:
                self.twins[name] = peer, annotations.get(names.ORIGINAL_NAME, name)

    def _on_node(self, change: StoredChange, peer: str | None) -> None:
        name = change.object["metadata"]["name"]
        if change.type == "DELETED" or labels_of(change.object).get(names.TYPE) != names.VIRTUAL_NODE:
            self.nodes.pop(name, None)
        elif peer:
            self.nodes[name] = peer

    # --- helpers for the parts ----------------------------------------------------------------------------------------
    def now(self) -> str:
        """The time as conditions write it."""
        return timestamp(self.engine.now())

    def find(self, kind: Kind, name: str, namespace: str = "") -> Object | None:
        """An object of this cluster, or None."""
        return lookup(self.api, kind, name, namespace)

    def all(self, kind: Kind, namespace: str = "") -> list[Object]:
        """The objects of a kind in this cluster."""
        return stored(self.api, kind, namespace)

    def ensure(self, kind: Kind, wanted: Object) -> Object:
        """Create what is missing, correct what differs in what we want; returns what is stored."""
        namespace, name = key_of(wanted)
        live = lookup(self.api, kind, name, namespace)
        if live is None:
            try:
                return self.api.create(wanted, WRITE)
            except AlreadyExists:
                live = self.api.get(kind, name, namespace)
        merged = overlay(live, wanted)
        return live if merged is live else self.api.update(merged, WRITE)

    def drop(self, kind: Kind, name: str, namespace: str = "", **options: Any) -> None:
        """Delete what may be gone already."""
        try:
            self.api.delete(kind, name, namespace, **options)
        except NotFound:
            return

    # --- addresses ----------------------------------------------------------------------------------------------------
    def is_local_pod(self, number: int) -> bool:
        """Whether the address is one of our own pod network."""
        return self._local_pods[0] <= number <= self._local_pods[1]

    def is_external(self, number: int) -> bool:
        """Whether the address is one of our external network."""
        return self._external[0] <= number <= self._external[1]

    def next_external(self) -> str | None:
        """A free address of our external network, in turn; None when it is full or unknown."""
        first, last = self._external
        begin = first + 4  # the network's own address and those Liqo keeps for itself come first
        count = max(0, last - begin)
        for step in range(count):
            number = begin + (self._external_next + step) % count
            ip = text_of(number)
            if ip not in self._external_used:
                self._external_used.add(ip)
                self._external_next = number - begin + 1
                return ip
        return None

    def _give_address(self, key: Key) -> None:
        """An IP object that somebody made gets an address of our external network."""
        found = self.find(kinds.IP, key[1], key[0])
        if found is None or (found.get("status") or {}).get("ip"):
            return
        address = self.next_external()
        if address is None:
            self.addresses.add_after(key, 5.0)
            return
        self.api.set_status(found, {"ip": address, "cidr": str(self.external_cidr)}, names.MANAGER)


class SitePart(Protocol):
    """One group of Liqo's controllers in one cluster."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def peer(self, peer: str) -> None:
        """Bring everything about the peer into order, as far as this part is concerned."""
        ...


Make = Callable[[Site], SitePart]


def _nobody(_: object) -> None:
    """Before the part that follows these has started."""


def labels(peer: str, **more: str) -> dict[str, str]:
    """The peer's label, and others."""
    return {names.REMOTE: peer, **more}
