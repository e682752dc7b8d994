"""Everything that runs pods in one cluster, wired to its events."""

from __future__ import annotations

from random import Random

from continuo.embedded.port import Api, Engine, StoredChange
from continuo.embedded.standins.base import Listeners, PerCluster
from continuo.embedded.standins.kinds import (
    DAEMON_SET,
    IP_ADDRESS_POOL,
    JOB,
    PERSISTENT_VOLUME,
    STATEFUL_SET,
    STORAGE_CLASS,
)
from continuo.embedded.standins.settings import Settings
from continuo.embedded.standins.workload.deployments import Deployments
from continuo.embedded.standins.workload.endpoints import Endpoints
from continuo.embedded.standins.workload.events import EventSink
from continuo.embedded.standins.workload.ingress import Ingresses
from continuo.embedded.standins.workload.kubelet import Kubelets
from continuo.embedded.standins.workload.loadbalancers import LoadBalancers
from continuo.embedded.standins.workload.nodes import Nodes
from continuo.embedded.standins.workload.owned import OwnerIndex
from continuo.embedded.standins.workload.probers import Probers
from continuo.embedded.standins.workload.replicasets import ReplicaSets
from continuo.embedded.standins.workload.scheduler import Scheduler
from continuo.embedded.standins.workload.sets import DaemonSets, Jobs, StatefulSets
from continuo.embedded.standins.workload.volumes import Volumes
from continuo.resources.kinds import (
    CONFIG_MAP,
    CONNECTION,
    DEPLOYMENT,
    FOREIGN_CLUSTER,
    GATEWAY,
    GATEWAY_CLASS,
    HTTP_ROUTE,
    INGRESS,
    INGRESS_CLASS,
    NAMESPACE,
    NODE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    REPLICA_SET,
    SECRET,
    SERVICE,
)


class WorkloadCluster:
    """Scheduler, kubelets and workload controllers of one cluster."""

    def __init__(self, engine: Engine, api: Api, rng: Random, settings: Settings) -> None:
        self.listeners = Listeners(engine, api)
        self.events = EventSink(engine, api, settings)
        self.owners = OwnerIndex()
        self.volumes = Volumes(engine, api, settings, self.events)
        self.scheduler = Scheduler(engine, api, self.events, self.volumes)
        self.volumes.on_claim_changed = self.scheduler.on_claim
        self.kubelets = Kubelets(engine, api, settings, self.events)
        self.nodes = Nodes(engine, api, settings, self.kubelets.pods_on)
        self.replica_sets = ReplicaSets(engine, api, rng, self.owners, self.events)
        self.deployments = Deployments(engine, api, self.owners, self.events)
        self.replica_sets.on_empty = self.deployments.look
        self.daemon_sets = DaemonSets(engine, api, rng, self.owners)
        self.stateful_sets = StatefulSets(engine, api, self.owners)
        self.jobs = Jobs(engine, api, rng, self.owners)
        self.endpoints = Endpoints(engine, api, settings)
        self.load_balancers = LoadBalancers(engine, api, self.events)
        self.ingresses = Ingresses(engine, api)
        self.probers = Probers(engine, api, settings)

    def start(self) -> None:
        """Nodes first, then pods, then what owns pods: each finds what it counts already there."""
        follow = self.listeners.follow
        self.events.start()
        self.volumes.start()
        for kind, callback in (
            (STORAGE_CLASS, self.volumes.on_class), (PERSISTENT_VOLUME, self.volumes.on_volume),
            (PERSISTENT_VOLUME_CLAIM, self.volumes.on_claim), (DAEMON_SET, self.nodes.on_daemon_set),
            (NODE, self._on_node), (NAMESPACE, self.kubelets.on_namespace),
            (SERVICE, self._on_service), (POD, self._on_pod), (SECRET, self.kubelets.on_config),
            (CONFIG_MAP, self._on_config_map), (REPLICA_SET, self._on_replica_set),
            (DEPLOYMENT, self._on_deployment), (DAEMON_SET, self.daemon_sets.on_daemon_set),
            (STATEFUL_SET, self.stateful_sets.on_stateful_set), (JOB, self.jobs.on_job),
            (IP_ADDRESS_POOL, self.load_balancers.on_pool), (INGRESS_CLASS, self.ingresses.on_class),
            (INGRESS, self.ingresses.on_item), (GATEWAY_CLASS, self.ingresses.on_class),
            (GATEWAY, self.ingresses.on_item), (HTTP_ROUTE, self.ingresses.on_item),
            (FOREIGN_CLUSTER, self.probers.on_link), (CONNECTION, self.probers.on_link),
        ):  # fmt: skip
            follow(kind, callback)

    def stop(self) -> None:
        self.listeners.stop()
        for part in (
            self.scheduler, self.kubelets, self.nodes, self.replica_sets, self.deployments, self.daemon_sets,
            self.stateful_sets, self.jobs, self.endpoints, self.load_balancers, self.ingresses, self.volumes,
            self.probers,
        ):  # fmt: skip
            part.stop()

    def _on_pod(self, change: StoredChange) -> None:
        self.owners.observe(change)
        self.scheduler.on_pod(change)
        self.kubelets.on_pod(change)
        self.endpoints.on_pod(change)
        self.probers.on_pod(change)

    def _on_config_map(self, change: StoredChange) -> None:
        self.kubelets.on_config(change)
        self.probers.on_config_map(change)

    def _on_node(self, change: StoredChange) -> None:
        self.scheduler.on_node(change)
        self.kubelets.on_node(change)
        self.nodes.on_node(change)
        self.daemon_sets.on_node(change)

    def _on_service(self, change: StoredChange) -> None:
        self.endpoints.on_service(change)
        self.load_balancers.on_service(change)
        self.ingresses.on_service(change)

    def _on_replica_set(self, change: StoredChange) -> None:
        self.replica_sets.on_replica_set(change)
        self.deployments.on_replica_set(change)

    def _on_deployment(self, change: StoredChange) -> None:
        self.deployments.on_deployment(change)
        self.load_balancers.on_deployment(change)


def workload_standin(engine: Engine, *, rng: Random, settings: Settings) -> PerCluster:
    """The stand-in that runs pods in every cluster."""
    return PerCluster(engine, lambda api: WorkloadCluster(engine, api, Random(rng.random()), settings))
