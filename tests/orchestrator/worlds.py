"""A world made of objects at hand: what a server would hold after some plan was carried out, without any server."""

from __future__ import annotations

import copy
import itertools
from typing import Any

from continuo.federation.model import LinkSettings
from continuo.orchestrator.assess import assess
from continuo.orchestrator.caches import CachedCluster, management_watches, workload_watches
from continuo.orchestrator.decide import decide
from continuo.orchestrator.observe import Reach, Snapshot, Workload, observe
from continuo.orchestrator.orient import Wanted, orient
from continuo.orchestrator.plan import Plan, Step, Write
from continuo.orchestrator.preview import ListedWorld
from continuo.orchestrator.settings import Settings
from continuo.orchestrator.status import derive_status
from continuo.resources import kinds
from continuo.resources.meta import Key, Kind, Object, key_of, labels_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.runtime.cache import Cache
from continuo.runtime.informer import Watch

NOW = "2026-01-01T00:00:00Z"


class Store:
    """One cluster's objects, seen through caches like the operator's (selectors aside)."""

    def __init__(self, watches: tuple[Watch, ...]) -> None:
        self.caches: dict[Kind, list[Cache]] = {}
        for watch in watches:
            if watch.kind not in self.caches:
                self.caches[watch.kind] = [Cache(watch.indexers)]
        self._versions = itertools.count(1)

    def put(self, kind: Kind, obj: Object) -> Object:
        obj = copy.deepcopy(obj)
        obj["metadata"]["resourceVersion"] = str(next(self._versions))
        self.caches[kind][0].put(key_of(obj), obj)
        return obj

    def edit(self, kind: Kind, name: str, namespace: str, change: Any) -> None:
        obj = copy.deepcopy(self.get(kind, name, namespace))
        change(obj)
        self.put(kind, obj)

    def get(self, kind: Kind, name: str, namespace: str = "") -> Object:
        found = self.caches[kind][0].get((namespace, name))
        assert found is not None, f"no {kind.kind} {namespace}/{name}"
        return found

    def drop(self, kind: Kind, name: str, namespace: str = "") -> None:
        self.caches[kind][0].drop((namespace, name))

    def all(self, kind: Kind) -> list[Object]:
        return list(self.caches[kind][0])


class Bench:
    """One orchestration in a world where writes take effect and machines come up when told to."""

    def __init__(self, spec: Object, name: str = "o", settings: Settings | None = None) -> None:
        self.management = Store(management_watches())
        self.workloads: dict[str, Store] = {}
        self.reach: dict[str, Reach] = {}
        self.missing: frozenset[str] = frozenset()
        self.settings = settings or Settings()
        self.object = LOW_LEVEL_ORCHESTRATION.new(name, "default", spec=spec)
        self.object["metadata"].update(uid="u1", generation=1)

    def declare(self, spec: Object) -> None:
        """The user changes the spec."""
        metadata = {**self.object["metadata"], "generation": self.object["metadata"]["generation"] + 1}
        self.object = {**self.object, "metadata": metadata, "spec": spec}

    def delete(self) -> None:
        metadata = {**self.object["metadata"], "deletionTimestamp": NOW}
        self.object = {**self.object, "metadata": metadata}

    def look(self) -> tuple[Snapshot, Wanted, Plan]:
        workloads: dict[Key, Workload] = {}
        for name, store in self.workloads.items():
            view = CachedCluster(store.caches)
            workloads[("default", f"{name}-kubeconfig")] = Workload(self.reach.get(name, Reach.OK), "", view)
        world = ListedWorld(CachedCluster(self.management.caches, self.missing), workloads)
        snapshot = observe(self.object, world)
        wanted = orient(snapshot, self.settings)
        assessment = assess(snapshot, wanted, LinkSettings())
        plan = decide(snapshot, wanted, assessment, self.settings)
        status = derive_status(snapshot, wanted, assessment, plan, {}, self.settings, NOW)
        self.object = {**self.object, "status": status}
        return snapshot, wanted, plan

    @property
    def plan(self) -> Plan:
        return self.look()[2]

    def steps(self) -> dict[str, Step]:
        return {step.id: step for step in self.plan.steps}

    def run(self) -> list[str]:
        """Carry out what can be done now; returns the steps' ids."""
        done = []
        for step in self.plan.runnable():
            for write in step.writes:
                self._write(write)
            done.append(step.id)
        return done

    def _write(self, write: Write) -> None:
        store = (
            self.management
            if write.cluster == ""
            else self.workloads[f"{self.object['metadata']['name']}-{write.cluster}"]
        )
        namespace, name = key_of(write.object)
        if write.op == "delete":
            store.drop(write.kind, name, namespace)
            if write.kind is kinds.NAMESPACE:
                for kind, (cache, *_) in store.caches.items():
                    for key in [key for key in cache.keys() if key[0] == name]:  # noqa: SIM118 - a cache iterates over its objects
                        store.drop(kind, key[1], key[0])
            return
        known = store.caches[write.kind][0].get((namespace, name))
        merged = {**(known or {}), **write.object}
        if known is not None and "status" in known:
            merged["status"] = known["status"]
        store.put(write.kind, merged)

    def bring_up(self) -> None:
        """Cluster API and the Helm provider finish everything that was asked of them."""
        for cluster in self.management.all(kinds.CLUSTER):
            self._up(cluster)
        for proxy in self.management.all(kinds.HELM_CHART_PROXY):
            self._release(proxy)

    def _up(self, cluster: Object) -> None:
        name = cluster["metadata"]["name"]
        self.management.put(kinds.CLUSTER, {**cluster, "status": {"initialization": {"controlPlaneInitialized": True}}})
        for kind in (kinds.KUBEADM_CONTROL_PLANE, kinds.KTHREES_CONTROL_PLANE, kinds.MACHINE_DEPLOYMENT):
            for part in self.management.all(kind):
                if part["metadata"]["name"].startswith(f"{name}-"):
                    self.management.put(kind, {**part, "status": rolled_out(part)})
        secret = kinds.SECRET.new(f"{name}-kubeconfig", "default", data={"value": "eA=="})
        self.management.put(kinds.SECRET, secret)
        self.workloads.setdefault(name, Store(workload_watches()))

    def _release(self, proxy: Object) -> None:
        labels = {
            "helmreleaseproxy.addons.cluster.x-k8s.io/helmchartproxy-name": proxy["metadata"]["name"],
            "cluster.x-k8s.io/cluster-name": f"{self.object['metadata']['name']}-{labels_of(proxy)['continuo.dev/cluster']}",
        }
        release = kinds.HELM_RELEASE_PROXY.new(proxy["metadata"]["name"] + "-x", "default", metadata={"labels": labels})
        release["status"] = {"conditions": [{"type": "HelmReleaseReady", "status": "True"}]}
        self.management.put(kinds.HELM_RELEASE_PROXY, release)

    def pods_run(self) -> None:
        """Every Deployment becomes what it says."""
        for store in self.workloads.values():
            for deployment in store.all(kinds.DEPLOYMENT):
                count = deployment["spec"]["replicas"]
                status = {"replicas": count, "updatedReplicas": count, "readyReplicas": count, "observedGeneration": 0}
                store.put(kinds.DEPLOYMENT, {**deployment, "status": status})

    def settle(self, rounds: int = 20) -> None:
        """Run until nothing is left to do."""
        for _ in range(rounds):
            ran = self.run()
            self.bring_up()
            self.pods_run()
            if not ran and not self.plan.steps:
                return
        raise AssertionError(f"still to do: {[str(step.id) for step in self.plan.steps]}")


def rolled_out(part: Object) -> Object:
    count = part["spec"].get("replicas", 0)
    status = {"replicas": count, "readyReplicas": count, "upToDateReplicas": count, "observedGeneration": 0}
    version = part["spec"].get("version")
    return {**status, "version": version} if version else status


def cluster(name: str, **more: Any) -> Object:
    fields = {key.replace("_", "-"): value for key, value in more.items()}
    return {"name": name, "kubernetes-version": "v1.34.2", "packages": [], **fields}


def app(name: str, home: str, *components: Object, owner: str = "ann") -> Object:
    return {"name": name, "owner": owner, "cluster": home, "components": list(components)}


def component(name: str, selector: str | None = None, **more: Any) -> Object:
    fields = {key.replace("_", "-"): value for key, value in more.items()}
    placed = {"cluster-selector": selector} if selector else {}
    return {"name": name, "image": f"registry.example.org/{name}:1", **placed, **fields}
