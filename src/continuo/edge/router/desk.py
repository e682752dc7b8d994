"""What the parts of the Router Manager share: caches of a cluster, the ledger, and what is known of the relay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field

from continuo.edge.relay.model import RouteStatus, Source
from continuo.edge.router.bought import contract_of, is_for_sensors, rate_of
from continuo.edge.router.bought import source_of as source_of_flavor
from continuo.edge.router.egress import Policy, Resolve, resolve
from continuo.edge.router.ledger import Ledger
from continuo.edge.router.ports import RelayPort
from continuo.edge.router.rules import ROUTER, source_of
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.meta import Object, labels_of
from continuo.runtime.informer import Informer, Watch

SIDE, SELLER = "continuo.dev/side", "seller"
FINALIZER = "continuo.dev/paths"
MANAGER = "continuo-router"


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator says."""

    namespace: str = "fluidos"
    """That of the trade's objects."""
    rules: str = ""
    """The namespace of Rules, which is the first level of MQTT topics at the edge; that of the trade where empty."""
    instance: str = "continuo"
    """Whose rules these are, where several Router Managers share a cluster."""
    policy: Policy = field(default_factory=Policy)
    recheck: float = 600.0
    """Seconds after which the names of endpoints are resolved again."""
    report_every: float = 10.0
    """Seconds between two reports of a contract's delivery, if nothing happened that should be told at once."""
    budget: float = 30.0
    """Readings a second that an edge node's connection lets through (`modules.edgeHub.messageQPS`)."""

    @property
    def rule_namespace(self) -> str:
        """The namespace of Rules."""
        return self.rules or self.namespace


class Desk:
    """Everything that is known."""

    def __init__(
        self, cluster: Cluster, relay: RelayPort, settings: Settings, *,
        resolve: Resolve = resolve, now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.cluster, self.relay, self.settings, self.resolve, self.now = cluster, relay, settings, resolve, now
        space, rules = settings.namespace, settings.rule_namespace
        ours = f"{SIDE}={SELLER}"
        self.allocations = Informer(
            cluster, Watch(kinds.ALLOCATION, space, labels=ours, indexers={"contract": _contract})
        )
        self.contracts = Informer(cluster, Watch(kinds.FLUIDOS_CONTRACT, space, labels=ours))
        self.flavors = Informer(cluster, Watch(kinds.FLAVOR, indexers={"sensor": _sensor, "topic": self._topic}))
        self.rules = Informer(
            cluster, Watch(kinds.KUBEEDGE_RULE, rules, indexers={"source": _source, "node": _node}, optional=True)
        )
        self.endpoints = Informer(cluster, Watch(kinds.RULE_ENDPOINT, rules, optional=True))
        self.nodes = Informer(cluster, Watch(kinds.NODE, trim=_essentials))
        self.ledger = Ledger()
        self.rule_trouble: dict[Source, str] = {}
        """Why a source's Rule is not as it should be; missing: it is."""
        self._asked: dict[str, tuple[int, float]] = {}
        """By edge node: at which of the ledger's changes it was summed up, and how much it was."""
        self.flavors.on_change(self._rates_changed)
        self.statuses: dict[str, RouteStatus] = {}
        """By route, what the relay said last."""
        self.relay_instance = ""
        self.told: dict[str, tuple[str, int]] = {}
        """By route: the relay that has it, and what it was told."""

    @property
    def informers(self) -> tuple[Informer, ...]:
        """All of them."""
        return self.allocations, self.contracts, self.flavors, self.rules, self.endpoints, self.nodes

    async def synced(self) -> None:
        """Return when all is known."""
        await asyncio.gather(*(informer.synced.wait() for informer in self.informers))

    def flavor_of(self, uid: str) -> Object | None:
        """The Flavor of a sensor, the oldest where several claim its UID."""
        found = self.flavors.cache.by_index("sensor", uid)
        return min(found, key=lambda flavor: flavor["metadata"].get("creationTimestamp", ""), default=None)

    def rate_at(self, source: Source) -> float:
        """Readings a second that come from a source, as its sensor says."""
        return max((rate_of(flavor) for flavor in self.flavors.cache.by_index("topic", source)), default=0.0)

    def asked_at(self, node: str) -> float:
        """Readings a second that are needed of an edge node; summed up once for each change, however many ask."""
        changes = self.ledger.changes_at(node)
        before = self._asked.get(node)
        if before is None or before[0] != changes:
            before = self._asked[node] = changes, sum(self.rate_at(source) for source in self.ledger.at(node))
        return before[1]

    def _rates_changed(self, old: Object | None, new: Object | None) -> None:
        for flavor in (old, new):
            for source in self._topic(flavor) if flavor is not None else ():
                self._asked.pop(source.node, None)

    def source_of(self, uid: str) -> Source | None:
        """Where a sensor's readings come from, as its Flavor says."""
        flavor = self.flavor_of(uid)
        return source_of_flavor(flavor, self.settings.rule_namespace) if flavor is not None else None

    def last_reading(self, source: Source) -> str | None:
        """When the relay got something of a source (RFC 3339); empty: not since it started; None: it has not said yet."""
        found: list[str] = []
        for key in self.ledger.users(source):
            allocation = self.allocations.cache.get(key)
            status = self.statuses.get(contract_of(allocation)[1]) if allocation is not None else None
            for flow in status.flows if status is not None else ():
                if self.source_of(flow.sensor) == source:
                    found.append(flow.last_received or "")
        return max(found, default=None)

    def node(self, name: str) -> Object | None:
        """An edge node."""
        return self.nodes.cache.get(("", name))

    def _topic(self, flavor: Object) -> tuple[Source, ...]:
        source = source_of_flavor(flavor, self.settings.rule_namespace)
        return () if source is None else (source,)

    def is_ours(self, obj: Object) -> bool:
        """Whether a Rule or an endpoint was made here."""
        return labels_of(obj).get(ROUTER) == self.settings.instance

    def sold(self, contract: Object) -> bool:
        """Whether a contract is a sold one for sensors."""
        return is_for_sensors(contract)


def _contract(allocation: Object) -> Iterable[Hashable]:
    return (contract_of(allocation),)


def _sensor(flavor: Object) -> Iterable[Hashable]:
    kind = flavor["spec"].get("flavorType") or {}
    data = kind.get("typeData") or {}
    sensor = data.get("characteristics") if isinstance(data, Mapping) else None
    uid = sensor.get("uid") if isinstance(sensor, Mapping) else None
    return (uid,) if uid and str(kind.get("typeIdentifier", "")).lower().startswith("sensor") else ()


def _source(rule: Object) -> Iterable[Hashable]:
    source = source_of(rule)
    return () if source is None else (source,)


def _node(rule: Object) -> Iterable[Hashable]:
    source = source_of(rule)
    return () if source is None else (source.node,)


def _essentials(node: Object) -> Object:
    """What of a node is looked at here."""
    metadata, status = node["metadata"], node.get("status") or {}
    ready = [
        {name: entry.get(name) for name in ("type", "status", "lastTransitionTime", "lastHeartbeatTime")}
        for entry in status.get("conditions") or () if entry["type"] == "Ready"
    ]  # fmt: skip
    kept = {name: metadata[name] for name in ("name", "uid", "resourceVersion") if name in metadata}
    cloudcore = (metadata.get("annotations") or {}).get("cloudcore")
    said = {"cloudcore": cloudcore} if cloudcore is not None else {}
    return {"metadata": {**kept, "annotations": said}, "status": {"conditions": ready}}
