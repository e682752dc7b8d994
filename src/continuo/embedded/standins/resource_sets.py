"""ClusterResourceSet: puts the objects of ConfigMaps and Secrets into every matching cluster, and notes it."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import yaml

from continuo.embedded.port import Api, Engine, StoredChange, Write
from continuo.embedded.standins.base import Listeners, Work
from continuo.embedded.standins.capi.world import World, initialization
from continuo.embedded.standins.kinds import CLUSTER_RESOURCE_SET_BINDING
from continuo.embedded.standins.objects import (
    cond,
    conditions,
    matches,
    owner_reference,
    short_hash,
    timestamp,
)
from continuo.resources.errors import ApiError
from continuo.resources.kinds import CLUSTER, CLUSTER_RESOURCE_SET, CONFIG_MAP, SECRET
from continuo.resources.meta import Key, Object, key_of, labels_of

_WRITE = Write(manager="cluster-api-clusterresourceset", force=True)
_SECRET_TYPE = "addons.cluster.x-k8s.io/resource-set"


class ResourceSets:
    """The ClusterResourceSet controller of the management cluster."""

    def __init__(self, engine: Engine, world: World) -> None:
        self._engine, self._api, self._world = engine, engine.management, world
        self._listeners = Listeners(engine, self._api)
        self._sets: dict[str, set[Key]] = {}
        self._work: Work[Key] = Work(engine, self._handle, name="clusterresourceset")

    def start(self) -> None:
        """Take up the stored state and follow changes."""
        self._listeners.follow(CLUSTER_RESOURCE_SET, self._on_set)
        self._listeners.follow(CLUSTER, self._on_cluster)
        self._listeners.follow(CONFIG_MAP, self._on_resource)
        self._listeners.follow(SECRET, self._on_resource)

    def stop(self) -> None:
        """Let go of every listener and timer."""
        self._listeners.stop()
        self._work.stop()

    def _on_set(self, change: StoredChange) -> None:
        key = key_of(change.object)
        if change.type == "DELETED":
            self._sets.get(key[0], set()).discard(key)
        else:
            self._sets.setdefault(key[0], set()).add(key)
            self._work.add(key)

    def _on_cluster(self, change: StoredChange) -> None:
        before, now = change.previous, change.object
        if before is None or labels_of(before) != labels_of(now) or _initialized(before) != _initialized(now):
            self._all(now["metadata"]["namespace"])

    def _on_resource(self, change: StoredChange) -> None:
        namespace = change.object["metadata"]["namespace"]
        if self._sets.get(namespace):
            self._all(namespace)

    def _all(self, namespace: str) -> None:
        for key in self._sets.get(namespace, ()):
            self._work.add(key)

    def _handle(self, key: Key) -> None:
        found = self._api.find(CLUSTER_RESOURCE_SET, key[1], key[0])
        if found is None or "deletionTimestamp" in found["metadata"]:
            return
        problem = ""
        for cluster in self._api.list(CLUSTER, key[0]):
            if matches(found["spec"]["clusterSelector"], labels_of(cluster)):
                remote = self._world.remote(cluster)
                if remote is None or not _initialized(cluster):
                    problem = problem or f"cluster {cluster['metadata']['name']} is not up yet"
                else:
                    problem = self._apply(found, cluster, remote) or problem
        fresh = [cond("ResourcesApplied", not problem, "Applied" if not problem else "NotApplied", problem)]
        made = conditions((found.get("status") or {}).get("conditions"), fresh, timestamp(self._engine.now()))
        generation = found["metadata"].get("generation", 1)
        self._api.set_status(found, {"observedGeneration": generation, "conditions": made}, "manager")

    def _apply(self, found: Object, cluster: Object, remote: Api) -> str:
        """Apply every resource to one cluster; returns what went wrong."""
        done, problem = [], ""
        before = {entry["name"]: entry for entry in self._bound(found, cluster)}
        for reference in found["spec"]["resources"]:
            try:
                objects = list(self._objects(reference, found["metadata"]["namespace"]))
                digest = short_hash(objects)
                old = before.get(reference["name"])
                again = found["spec"].get("strategy", "ApplyOnce") == "Reconcile" and (old or {}).get("hash") != digest
                if old is None or not old["applied"] or again:
                    for obj in objects:
                        _put(remote, obj)
                done.append({**reference, "applied": True, "hash": digest})
            except (ApiError, yaml.YAMLError, LookupError) as error:
                problem = f"{reference['kind']} {reference['name']}: {error}"
                done.append({**reference, "applied": False, "hash": ""})
        self._bind(found, cluster, done)
        return problem

    def _objects(self, reference: Object, namespace: str) -> Iterator[Object]:
        kind = SECRET if reference["kind"] == "Secret" else CONFIG_MAP
        source = self._api.get(kind, reference["name"], namespace)
        if kind is SECRET and source.get("type") != _SECRET_TYPE:
            raise LookupError(f"the type of the Secret must be {_SECRET_TYPE}")
        for text in (source.get("data") or {}).values():
            plain = base64.b64decode(text).decode() if kind is SECRET else text
            for obj in yaml.load_all(plain, yaml.CSafeLoader):
                if obj:
                    yield obj

    def _bound(self, found: Object, cluster: Object) -> list[Object]:
        metadata = cluster["metadata"]
        binding = self._world.find(CLUSTER_RESOURCE_SET_BINDING, (metadata["namespace"], metadata["name"]))
        for entry in ((binding or {}).get("spec") or {}).get("bindings") or ():
            if entry["clusterResourceSetName"] == found["metadata"]["name"]:
                resources: list[Object] = entry.get("resources") or []
                return resources
        return []

    def _bind(self, found: Object, cluster: Object, done: list[Object]) -> None:
        name, namespace = cluster["metadata"]["name"], cluster["metadata"]["namespace"]
        old = self._world.find(CLUSTER_RESOURCE_SET_BINDING, (namespace, name))
        others = [
            entry for entry in ((old or {}).get("spec") or {}).get("bindings") or ()
            if entry["clusterResourceSetName"] != found["metadata"]["name"]
        ]  # fmt: skip
        bindings = [*others, {"clusterResourceSetName": found["metadata"]["name"], "resources": done}]
        new = CLUSTER_RESOURCE_SET_BINDING.new(
            name, namespace, metadata={"ownerReferences": [owner_reference(cluster, controller=False, block=False)]},
            spec={"clusterName": name, "bindings": bindings},
        )  # fmt: skip
        if old is None:
            self._world.create(new)
        else:
            self._api.update({**old, "spec": new["spec"]}, _WRITE)


def _initialized(cluster: Object) -> bool:
    return initialization(cluster, "controlPlaneInitialized")


def _put(remote: Api, obj: Object) -> None:
    group, _, version = obj["apiVersion"].rpartition("/")
    for entry in remote.resources():
        kind = entry.kind
        if (kind.group, kind.version, kind.kind) == (group, version, obj["kind"]):
            metadata = obj["metadata"]
            namespace = metadata.get("namespace", "default") if kind.namespaced else ""
            full = {**obj, "metadata": {**metadata, **({"namespace": namespace} if namespace else {})}}
            remote.patch(kind, metadata["name"], namespace, "apply", full, _WRITE)
            return
    raise LookupError(f"the cluster does not serve {obj['kind']} of {obj['apiVersion']}")
