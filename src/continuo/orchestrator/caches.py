"""What is known of one cluster, from informers that follow it or from lists made once: the same interface for both."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable, Mapping, Sequence

from continuo.federation import names, offloading
from continuo.federation import names as federation_names
from continuo.federation import watches as federation_watches
from continuo.kube.port import Cluster
from continuo.orchestrator import capacity, naming, states
from continuo.orchestrator.observe import APPLICATION_KINDS, GATEWAY_KINDS, MANAGEMENT_KINDS, POOL_KINDS
from continuo.orchestrator.render import exposure
from continuo.orchestrator.render.exposure import Entrance
from continuo.resources import kinds
from continuo.resources.errors import NotFound
from continuo.resources.loop import ADJUSTMENT, DECISION
from continuo.resources.meta import Key, Kind, Object, deleting, key_of, labels_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.resources.probing import SELECT_PROBERS
from continuo.runtime.cache import Cache, Indexer
from continuo.runtime.informer import Watch, without_managed_fields

CLUSTER_NAME = "cluster.x-k8s.io/cluster-name"


def _by_namespace(obj: Object) -> Iterable[Hashable]:
    return (obj["metadata"].get("namespace") or "",)


def _by_orchestration(obj: Object) -> Iterable[Hashable]:
    owner = naming.owner(obj)
    return (owner,) if owner is not None else ()


def _by_cluster(obj: Object) -> Iterable[Hashable]:
    name = labels_of(obj).get(CLUSTER_NAME)
    return ((obj["metadata"].get("namespace") or "", name),) if name else ()


def _by_provisioning(obj: Object) -> Iterable[Hashable]:
    """Clusters on their way to a first control plane, under one key: how many there are bounds new ones."""
    ours = naming.owner(obj) is not None
    return (True,) if ours and not states.initialized(obj) and not deleting(obj) else ()


def _by_tenant(obj: Object) -> Iterable[Hashable]:
    """The namespaces that stand for links, under one key."""
    return (True,) if labels_of(obj).get(federation_names.TENANT_NAMESPACE) == "true" else ()


INDEXERS = {"namespace": _by_namespace, "orchestration": _by_orchestration, "cluster": _by_cluster}


def _management_indexers(kind: Kind) -> Mapping[str, Indexer]:
    return {**INDEXERS, "provisioning": _by_provisioning} if kind is kinds.CLUSTER else INDEXERS


def _workload_indexers(kind: Kind) -> Mapping[str, Indexer]:
    return {**INDEXERS, "tenant": _by_tenant} if kind is kinds.NAMESPACE else INDEXERS


def _waiting_by_namespace(obj: Object) -> Iterable[Hashable]:
    """Of pods only ours that do not run are looked for: they say why."""
    return _by_namespace(obj) if capacity.waits(obj) else ()


def _by_declared(obj: Object) -> Iterable[Hashable]:
    """Decisions, by the orchestration that they are about."""
    return ((obj["metadata"].get("namespace") or "", (obj.get("spec") or {}).get("orchestration") or ""),)


def _decision_summary(obj: Object) -> Object:
    """A decision without what it was made of, which is large and which only people ask for."""
    spec = {key: value for key, value in (obj.get("spec") or {}).items() if key not in ("explanation", "replay")}
    return {**without_managed_fields(obj), "spec": spec}


def management_watches() -> tuple[Watch, ...]:
    """What the operator follows in the management cluster."""
    # All Clusters: one of the name that we would give, made by somebody else, is not ours to change and delete.
    ours = [
        Watch(
            kind,
            labels=None if kind is kinds.CLUSTER else naming.SELECT_MANAGED,
            indexers=_management_indexers(kind),
            optional=True,
        )
        for kind in MANAGEMENT_KINDS
    ]
    return (
        Watch(LOW_LEVEL_ORCHESTRATION),
        # An older installation may not have the definitions of these two yet: then there are no loops.
        Watch(ADJUSTMENT, optional=True),
        Watch(DECISION, indexers={"about": _by_declared}, trim=_decision_summary, optional=True),
        Watch(kinds.CONTROLLER_REVISION, labels=naming.SELECT_MANAGED, indexers=INDEXERS),
        *ours,
        Watch(kinds.MACHINE, indexers=INDEXERS, optional=True),
        Watch(kinds.MACHINE_SET, indexers=INDEXERS, optional=True),
        Watch(kinds.HELM_RELEASE_PROXY, indexers=INDEXERS, optional=True),
        Watch(kinds.SECRET, indexers=INDEXERS),
    )


def workload_watches() -> tuple[Watch, ...]:
    """What the operator follows in every workload cluster: its own objects, links, entrances, nodes, pods."""
    managed = naming.SELECT_MANAGED
    # All namespaces: an application must not take over, and one day delete, one that somebody else made.
    ours = [
        Watch(kind, labels=None if kind is kinds.NAMESPACE else managed, indexers=_workload_indexers(kind))
        for kind in APPLICATION_KINDS
    ]
    optional = [Watch(kind, labels=managed, indexers=INDEXERS, optional=True) for kind in (*GATEWAY_KINDS, *POOL_KINDS)]
    links = [
        Watch(watch.kind, watch.namespace, watch.labels, watch.fields, _workload_indexers(watch.kind), optional=True)
        for watch in federation_watches.WATCHES
        if watch.kind is not kinds.NAMESPACE
    ]
    # What a home that was lost sent here: none of it may go on beside what its new home runs.
    sent = [Watch(kind, labels=managed, indexers=INDEXERS, optional=True) for kind in offloading.COPIED_KINDS]
    probers = Watch(kinds.CONFIG_MAP, labels=SELECT_PROBERS, indexers=INDEXERS)
    unfinished = "status.phase!=Succeeded,status.phase!=Failed"
    pods = Watch(kinds.POD, None, None, unfinished, {"namespace": _waiting_by_namespace}, capacity.pod_summary)
    real = f"{names.TYPE}!={names.VIRTUAL_NODE_TYPE}"
    nodes = Watch(kinds.NODE, labels=real, indexers=INDEXERS, trim=capacity.node_summary)
    entrances = [Watch(kinds.INGRESS_CLASS), Watch(kinds.GATEWAY_CLASS, optional=True)]
    return (*ours, *optional, *links, *sent, probers, nodes, pods, *entrances)


class CachedCluster:
    """The caches of one cluster, by kind; a kind may have several, with different selectors."""

    def __init__(self, caches: dict[Kind, list[Cache]], missing: frozenset[str] = frozenset()) -> None:
        self._caches = caches
        self.missing = missing
        """Kinds that the cluster did not serve when it was listed."""

    def get(self, kind: Kind, name: str, namespace: str = "") -> Object | None:
        for cache in self._caches.get(kind, ()):
            found = cache.get((namespace, name))
            if found is not None:
                return found
        return None

    def list(self, kind: Kind, namespace: str = "") -> Iterable[Object]:
        if namespace:
            return self._indexed(kind, "namespace", namespace)
        return _distinct(obj for cache in self._caches.get(kind, ()) for obj in cache)

    def owned(self, kind: Kind, orchestration: Key) -> Iterable[Object]:
        return self._indexed(kind, "orchestration", orchestration)

    def of_cluster(self, kind: Kind, namespace: str, cluster: str) -> Iterable[Object]:
        return self._indexed(kind, "cluster", (namespace, cluster))

    def tenants(self) -> Iterable[Object]:
        return self._indexed(kinds.NAMESPACE, "tenant", True)

    def put(self, kind: Kind, obj: Object) -> None:
        """Add an object that is about to be there, to caches that follow nothing."""
        for cache in self._caches.get(kind, ())[:1]:
            cache.put(key_of(obj), obj)

    def about(self, orchestration: Key) -> Iterable[Object]:
        """The Decisions about an orchestration."""
        return self._indexed(DECISION, "about", orchestration)

    def provisioning(self) -> Iterable[Object]:
        """The Cluster API clusters that have no control plane yet."""
        return self._indexed(kinds.CLUSTER, "provisioning", True)

    def _indexed(self, kind: Kind, index: str, value: Hashable) -> Iterable[Object]:
        caches = self._caches.get(kind, ())
        if len(caches) == 1:
            return caches[0].by_index(index, value)
        return _distinct(obj for cache in caches for obj in cache.by_index(index, value))


def _distinct(objects: Iterable[Object]) -> Iterable[Object]:
    return {key_of(obj): obj for obj in objects}.values()


def entrance(caches: CachedCluster) -> Entrance:
    """How traffic from outside comes in."""
    return exposure.entrance(caches.list(kinds.GATEWAY_CLASS), caches.list(kinds.INGRESS_CLASS))


async def list_once(cluster: Cluster, watches: Sequence[Watch]) -> CachedCluster:
    """The same caches from one list each: for `continuo plan`, which looks once."""
    listings = await asyncio.gather(*(_listed(cluster, watch) for watch in watches))
    caches: dict[Kind, list[Cache]] = {}
    for watch, items in zip(watches, listings, strict=True):
        cache = Cache(watch.indexers)
        for item in items or ():
            cache.put(key_of(item), watch.trim(item))
        caches.setdefault(watch.kind, []).append(cache)
    missing = {watch.kind.kind for watch, items in zip(watches, listings, strict=True) if items is None}
    return CachedCluster(caches, frozenset(missing))


async def _listed(cluster: Cluster, watch: Watch) -> list[Object] | None:
    """The objects; None when the kind is not installed."""
    try:
        found = await cluster.list(watch.kind, watch.namespace, labels=watch.labels, fields=watch.fields)
    except NotFound:
        return None
    return found.items
