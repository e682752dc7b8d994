"""What the selector's parts share: caches, the world made of them, and who waits for what."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping

from continuo.broker.selector.act import Actor
from continuo.broker.selector.decide import Want
from continuo.broker.selector.names import MOVE, home_of
from continuo.broker.selector.world import World
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.broker import (
    AGGREGATE,
    BROKER_POLICY,
    CONSUMER,
    PROVIDER,
    ConsumerStatus,
    Moving,
    decode_status,
)
from continuo.resources.errors import Invalid
from continuo.resources.meta import Key, Object, annotations_of
from continuo.runtime.backoff import Backoff
from continuo.runtime.events import EventRecorder
from continuo.runtime.informer import Informer, Watch


def _at(pod: Object) -> Iterable[Hashable]:
    return [(pod["metadata"]["namespace"], pod["spec"].get("nodeName") or "")]


def _of(pod: Object) -> Iterable[Hashable]:
    home = home_of(pod)
    return [(pod["metadata"]["namespace"], home)] if home and pod["spec"].get("nodeName") else ()


def _instead_of(pod: Object) -> Iterable[Hashable]:
    uid = annotations_of(pod).get(MOVE)
    return [uid] if uid and pod["spec"].get("nodeName") else ()


PODS: Mapping[str, Callable[[Object], Iterable[Hashable]]] = {
    "in": lambda pod: [pod["metadata"]["namespace"]],
    "at": _at,
    "home": _of,
    "move": _instead_of,
}
"""By namespace; by namespace and node; by namespace and the provider that they belong to; by what they replace."""


BROKER_FOLLOWS = (BROKER_POLICY, PROVIDER, CONSUMER, AGGREGATE, kinds.NAMESPACE, kinds.NODE, kinds.POD)
"""What the selector lists and watches."""


class Desk:
    """One broker's cluster, as the selector sees it."""

    def __init__(
        self, cluster: Cluster, instance: str, now: Callable[[], float], backoff: Backoff | None = None,
        pods: Informer | None = None, node: str = "broker",
    ) -> None:  # fmt: skip
        self.cluster, self.now = cluster, now
        self.pods = pods or Informer(cluster, Watch(kinds.POD, indexers=PODS), backoff=backoff)
        self.nodes = Informer(cluster, Watch(kinds.NODE), backoff=backoff)
        self.namespaces = Informer(cluster, Watch(kinds.NAMESPACE), backoff=backoff)
        self.providers = Informer(cluster, Watch(PROVIDER), backoff=backoff)
        self.consumers = Informer(cluster, Watch(CONSUMER), backoff=backoff)
        self.policies = Informer(cluster, Watch(BROKER_POLICY), backoff=backoff)
        self.aggregates = Informer(cluster, Watch(AGGREGATE), backoff=backoff)
        self.informers = (
            self.policies, self.providers, self.consumers, self.aggregates, self.namespaces, self.nodes, self.pods,
        )  # fmt: skip
        self.world = World(now, node)
        self.actor = Actor(cluster, now)
        self.events = EventRecorder(cluster, "continuo-broker", instance)
        self.assumed: dict[Key, str] = {}
        """Pods that were bound just now, with their UIDs, until the watch tells so."""
        self.replacing: dict[str, str] = {}
        """Moves whose replacement is being bound, with its UID."""
        self.wants: dict[str, dict[Key, tuple[str, Want]]] = {}
        """By consumer: pods that should leave, with their UIDs."""

    def ledger(self, consumer: str) -> tuple[Moving, ...]:
        """The moves of a consumer that are on."""
        obj = self.consumers.cache.get(("", consumer))
        if obj is None or not (obj.get("status") or {}).get("moving"):
            return ()
        try:
            return decode_status(obj, ConsumerStatus).moving
        except Invalid:
            return ()  # an API server lets nobody write that

    def replacements(self, uid: str) -> list[Object]:
        """The pods that were placed instead of the one with that UID."""
        return self.pods.cache.by_index("move", uid)

    def at(self, namespace: str, node: str) -> list[Object]:
        """The pods of a namespace on a node; on none, when it is empty."""
        return self.pods.cache.by_index("at", (namespace, node))
