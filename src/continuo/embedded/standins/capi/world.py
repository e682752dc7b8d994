"""What the Cluster API controllers share: the management cluster's API, indexes over it, names, and small writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import TypeVar

from continuo.embedded.port import Api, Engine, StoredChange, Write
from continuo.embedded.standins.base import Work, lookup
from continuo.embedded.standins.capi import infrastructure
from continuo.embedded.standins.capi.admission import CLUSTER_NAME
from continuo.embedded.standins.capi.flavors import ALL
from continuo.embedded.standins.faults import slowness
from continuo.embedded.standins.objects import (
    cond,
    conditions,
    controller_of,
    timestamp,
    with_finalizer,
    with_meta,
    with_owner,
    without_finalizer,
)
from continuo.embedded.standins.settings import Settings
from continuo.resources.errors import NotFound
from continuo.resources.kinds import (
    CLUSTER,
    MACHINE,
    MACHINE_DEPLOYMENT,
    MACHINE_SET,
)
from continuo.resources.meta import Key, Kind, Object, annotations_of, key_of, labels_of

WRITE = Write(manager="manager")
PAUSED = "cluster.x-k8s.io/paused"
ENGINE_CLUSTER = "embedded.continuo.dev/cluster"
"""On a Cluster: the name under which the engine serves it. The plain name, or `NAMESPACE-NAME` when that is taken."""
Item = tuple[str, str, str]
"""(kind, namespace, name)"""
K = TypeVar("K", str, Key)


class Index:
    """Objects of one kind by controller owner and by cluster."""

    def __init__(self) -> None:
        self._by_owner: dict[str, dict[Key, Object]] = {}
        self._by_cluster: dict[Key, dict[Key, Object]] = {}

    def observe(self, change: StoredChange) -> None:
        """One event."""
        if change.previous is not None:
            self._remove(change.previous)
        if change.type == "DELETED":
            self._remove(change.object)
            return
        key, owner = key_of(change.object), controller_of(change.object)
        if owner is not None:
            self._by_owner.setdefault(owner["uid"], {})[key] = change.object
        self._by_cluster.setdefault(cluster_key(change.object), {})[key] = change.object

    def _remove(self, obj: Object) -> None:
        key, owner = key_of(obj), controller_of(obj)
        if owner is not None:
            _drop(self._by_owner, owner["uid"], key)
        _drop(self._by_cluster, cluster_key(obj), key)

    def owned(self, owner: Object) -> list[Object]:
        """What this object controls, oldest first."""
        found = self._by_owner.get(owner["metadata"]["uid"]) or {}
        return sorted(found.values(), key=born)

    def of_cluster(self, key: Key) -> list[Object]:
        """What belongs to the cluster."""
        return list((self._by_cluster.get(key) or {}).values())


def _drop(index: dict[K, dict[Key, Object]], name: K, key: Key) -> None:
    group = index.get(name)
    if group is not None:
        group.pop(key, None)
        if not group:
            del index[name]


def born(obj: Object) -> tuple[str, str]:
    """Sorts by age."""
    return obj["metadata"].get("creationTimestamp", ""), obj["metadata"]["name"]


def cluster_key(obj: Object) -> Key:
    """The key of the Cluster that the object belongs to."""
    name = labels_of(obj).get(CLUSTER_NAME) or (obj.get("spec") or {}).get("clusterName") or ""
    return obj["metadata"].get("namespace", ""), name


class World:
    """The management cluster as the controllers see it."""

    def __init__(
        self, engine: Engine, api: Api, rng: Random, settings: Settings, handle: Callable[[Item], None]
    ) -> None:
        self.engine, self.api, self.rng, self.settings = engine, api, rng, settings
        self.machines, self.machine_sets, self.machine_deployments = Index(), Index(), Index()
        self.infrastructure = Index()
        self.work: Work[Item] = Work(engine, handle, name="cluster-api")
        self.engine_names: dict[str, Key] = {}
        self.identities: dict[Key, set[Key]] = {}
        """OpenStackClusters by the Secret that they use."""
        self.missing_templates: dict[Key, set[Item]] = {}
        """Who waits for a machine template that does not exist yet."""
        self.addresses: dict[str, Key] = {}
        """Floating IPs in use, and by which OpenStackCluster."""

    # --- reading ---------------------------------------------------------------------------------------------------

    def find(self, kind: Kind, key: Key) -> Object | None:
        """The object, if it is there."""
        return lookup(self.api, kind, key[1], key[0])

    def cluster_of(self, obj: Object) -> Object | None:
        """The Cluster that the object belongs to."""
        key = cluster_key(obj)
        return self.find(CLUSTER, key) if key[1] else None

    def remote(self, cluster: Object | None) -> Api | None:
        """The API of the workload cluster, once it exists."""
        name = annotations_of(cluster).get(ENGINE_CLUSTER) if cluster is not None else None
        if not name:
            return None
        try:
            return self.engine.cluster(name)
        except NotFound:
            return None

    def now(self) -> str:
        return timestamp(self.engine.now())

    # --- writing ---------------------------------------------------------------------------------------------------

    def enqueue(self, obj: Object) -> None:
        """Look at the object soon."""
        self.work.add((obj["kind"], *key_of(obj)))

    def save(self, new: Object, old: Object) -> Object:
        """Write metadata or spec when they differ."""
        return old if new is old else self.api.update(new, WRITE)

    def own(self, obj: Object, cluster: Object) -> Object:
        """Owned by the Cluster, so that it goes with it."""
        return self.save(with_owner(obj, cluster, controller=False), obj)

    def adopt(self, obj: Object, cluster: Object, *, finalizer: str = "") -> Object:
        """Owned by the Cluster, labelled with its name, held by the finalizer."""
        new = with_owner(obj, cluster, controller=False)
        name = cluster["metadata"]["name"]
        if labels_of(new).get(CLUSTER_NAME) != name:
            new = with_meta(new, labels={**labels_of(new), CLUSTER_NAME: name})
        if finalizer and "deletionTimestamp" not in new["metadata"]:
            new = with_finalizer(new, finalizer)
        return self.save(new, obj)

    def hold(self, obj: Object, finalizer: str) -> Object:
        """Held by the finalizer."""
        return self.save(with_finalizer(obj, finalizer), obj)

    def release(self, obj: Object, finalizer: str) -> None:
        """No longer held by the finalizer."""
        self.api.update(without_finalizer(obj, finalizer), WRITE)

    def create(self, obj: Object) -> Object:
        """Create one of the controllers' own objects."""
        return self.api.create(obj, WRITE)

    def delete(self, kind: Kind, objects: Iterable[Object]) -> int:
        """Ask for the deletion of those that are not being deleted yet; how many still exist."""
        count = 0
        for obj in objects:
            count += 1
            if "deletionTimestamp" not in obj["metadata"]:
                self.api.delete(kind, obj["metadata"]["name"], obj["metadata"].get("namespace", ""))
        return count

    def report(self, obj: Object, status: Object, fresh: Iterable[Object]) -> None:
        """Write a status with conditions and observedGeneration; `fresh` replaces the conditions."""
        current = self.find(kind_of(obj), key_of(obj))
        if current is None:
            return
        observed = {} if obj["kind"] in _UNOBSERVED else {"observedGeneration": obj["metadata"].get("generation", 1)}
        old = (current.get("status") or {}).get("conditions")
        made = conditions(old, fresh, self.now())
        self.api.set_status(current, {**status, **observed, "conditions": made}, "manager")

    # --- time ------------------------------------------------------------------------------------------------------

    def seconds(self, base: float, *slow: Object | None) -> float:
        """Simulated seconds with jitter and the `slow` faults of these objects, as the engine's seconds."""
        jitter = 1 + self.settings.jitter * self.rng.random()
        return self.settings.scaled(base * jitter * slowness(*slow))

    def waited(self, obj: Object, stage: str, base: float, *slow: Object | None) -> bool:
        """Whether this stage of the object's life has lasted long enough."""
        item = (obj["kind"], *key_of(obj))
        return self.work.waited(item, stage + obj["metadata"]["uid"], self.seconds(base, *slow))

    def forget(self, obj: Object, *stages: str) -> None:
        """The object is gone; so are its timers."""
        uid = obj["metadata"]["uid"]
        self.work.forget((obj["kind"], *key_of(obj)), *(stage + uid for stage in stages))


def paused(cluster: Object | None, *objects: Object) -> bool:
    """Whether the cluster, or one of the objects, is paused."""
    if cluster is not None and (cluster.get("spec") or {}).get("paused"):
        return True
    return any(PAUSED in annotations_of(obj) for obj in objects)


def paused_condition(is_paused: bool) -> Object:
    """The condition `Paused`."""
    return cond("Paused", is_paused, "Paused" if is_paused else "NotPaused", "")


def initialization(obj: Object | None, field: str) -> bool:
    """`status.initialization.<field>`."""
    return bool((((obj or {}).get("status") or {}).get("initialization") or {}).get(field))


def reference(kind: Kind, name: str) -> Object:
    """A contract-versioned reference."""
    return {"apiGroup": kind.group, "kind": kind.kind, "name": name}


_UNOBSERVED = frozenset({infrastructure.DEV.cluster.kind, infrastructure.DEV.machine.kind})
"""Kinds whose status does not tell which generation it is about."""

_KINDS: Mapping[str, Kind] = {
    kind.kind: kind
    for kind in (
        CLUSTER, MACHINE, MACHINE_SET, MACHINE_DEPLOYMENT,
        *(entry.cluster for entry in infrastructure.ALL), *(entry.machine for entry in infrastructure.ALL),
        *(entry.control_plane for entry in ALL), *(entry.config for entry in ALL),
    )
}  # fmt: skip


def kind_of(obj: Object) -> Kind:
    """The kind of one of the objects that the controllers keep."""
    return _KINDS[obj["kind"]]
