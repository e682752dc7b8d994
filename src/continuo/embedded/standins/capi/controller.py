"""Wires the Cluster API controllers to the management cluster: which event makes whom look."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from continuo.embedded.port import Api, Engine, StoredChange
from continuo.embedded.standins.base import Listeners, PerCluster
from continuo.embedded.standins.capi import (
    admission,
    clusters,
    control_planes,
    deployments,
    dev,
    infrastructure,
    machines,
    openstack,
)
from continuo.embedded.standins.capi.flavors import ALL, BY_CONTROL_PLANE
from continuo.embedded.standins.capi.world import Item, World, cluster_key, initialization, paused
from continuo.embedded.standins.faults import API_OUTAGE, NEVER_UP, SLOW, fault
from continuo.embedded.standins.objects import controller_of
from continuo.embedded.standins.settings import Settings
from continuo.resources.kinds import (
    CLUSTER,
    MACHINE,
    MACHINE_DEPLOYMENT,
    MACHINE_SET,
    NODE,
    SECRET,
)
from continuo.resources.meta import Key, Object, condition, key_of, labels_of


class NodeWatch:
    """Tells the Cluster API controllers about the nodes of one workload cluster."""

    def __init__(self, engine: Engine, api: Api, world: World) -> None:
        self._api, self._world = api, world
        self._listeners = Listeners(engine, api)

    def start(self) -> None:
        self._listeners.follow(NODE, self._on_node)

    def stop(self) -> None:
        self._listeners.stop()

    def _on_node(self, change: StoredChange) -> None:
        before, now = change.previous, change.object
        if before is None or change.type == "DELETED" or condition(before, "Ready") != condition(now, "Ready"):
            machines.node_changed(self._world, self._api.name, now["metadata"]["name"])


class ClusterApi:
    """Cluster API with the kubeadm, K3s, MicroK8s, OpenStack and development providers."""

    def __init__(self, engine: Engine, *, rng: Random, settings: Settings) -> None:
        self._engine = engine
        api = engine.management
        self.world = World(engine, api, rng, settings, self._handle)
        self._listeners = Listeners(engine, api)
        self._nodes = PerCluster(
            engine, lambda found: None if found is engine.management else NodeWatch(engine, found, self.world)
        )
        self._remove_webhooks: Callable[[], None] | None = None
        world = self.world
        self._handlers: dict[str, Callable[[Key], None]] = {
            "Cluster": lambda key: clusters.reconcile(world, key),
            "Machine": lambda key: machines.reconcile(world, key),
            "MachineDeployment": lambda key: deployments.reconcile(world, key),
            "MachineSet": lambda key: deployments.reconcile_set(world, key),
            "OpenStackCluster": lambda key: openstack.reconcile_cluster(world, key),
            "OpenStackMachine": lambda key: openstack.reconcile_machine(world, key),
            "DevCluster": lambda key: dev.reconcile_cluster(world, key),
            "DevMachine": lambda key: dev.reconcile_machine(world, key),
        }
        for entry in ALL:
            self._handlers[entry.control_plane.kind] = self._plane_handler(entry.control_plane.kind)

    def start(self) -> None:
        """Take up the stored state and follow changes."""
        self._remove_webhooks = admission.install(self._engine.management)
        follow = self._listeners.follow
        for kind, callback in (
            (MACHINE, self._on_machine), (MACHINE_SET, self._on_machine_set), (MACHINE_DEPLOYMENT, self._on_deployment),
            *((entry.machine, self._on_server) for entry in infrastructure.ALL),
            *((entry.cluster, self._on_infrastructure) for entry in infrastructure.ALL),
            *((entry.control_plane, self._on_plane) for entry in ALL), (CLUSTER, self._on_cluster),
            (SECRET, self._on_secret), *((entry.template, self._on_template) for entry in infrastructure.ALL),
        ):  # fmt: skip
            follow(kind, callback)
        self._nodes.start()

    def stop(self) -> None:
        """Let go of every listener and timer."""
        self._listeners.stop()
        self._nodes.stop()
        self.world.work.stop()
        if self._remove_webhooks is not None:
            self._remove_webhooks()

    def _handle(self, item: Item) -> None:
        self._handlers[item[0]]((item[1], item[2]))

    def _plane_handler(self, kind: str) -> Callable[[Key], None]:
        return lambda key: control_planes.reconcile(self.world, BY_CONTROL_PLANE[kind], key)

    # --- who looks when ---------------------------------------------------------------------------------------------

    def _owner(self, obj: Object) -> None:
        owner = controller_of(obj)
        if owner is not None and owner["kind"] in self._handlers:
            self.world.work.add((owner["kind"], obj["metadata"]["namespace"], owner["name"]))

    def _cluster(self, obj: Object) -> None:
        namespace, name = cluster_key(obj)
        if name:
            self.world.work.add(("Cluster", namespace, name))

    def _on_machine(self, change: StoredChange) -> None:
        world, machine = self.world, change.object
        world.machines.observe(change)
        world.enqueue(machine)
        self._owner(machine)
        if change.type == "DELETED":
            self._cluster(machine)
            self._plane_of(machine)
        elif (
            change.previous is None
            or change.previous["spec"] != machine["spec"]
            or _faults(change.previous) != _faults(machine)
        ):
            world.work.add((machines.provider_of(machine).machine.kind, *key_of(machine)))

    def _plane_of(self, machine: Object) -> None:
        """The control plane waits for the last worker when the cluster goes."""
        cluster = self.world.cluster_of(machine)
        reference = ((cluster or {}).get("spec") or {}).get("controlPlaneRef")
        if reference and reference["kind"] in self._handlers:
            self.world.work.add((reference["kind"], machine["metadata"]["namespace"], reference["name"]))

    def _on_machine_set(self, change: StoredChange) -> None:
        self.world.machine_sets.observe(change)
        self.world.enqueue(change.object)
        self._owner(change.object)
        if change.type == "DELETED":
            self._cluster(change.object)

    def _on_deployment(self, change: StoredChange) -> None:
        self.world.machine_deployments.observe(change)
        self.world.enqueue(change.object)
        self._cluster(change.object)
        if change.previous is not None and change.previous["spec"] != change.object["spec"]:
            for machine in self.world.machines.of_cluster(cluster_key(change.object)):
                self.world.enqueue(machine)
        if change.previous is not None and _faults(change.previous) != _faults(change.object):
            self._wake_servers(cluster_key(change.object))

    def _on_server(self, change: StoredChange) -> None:
        server = change.object
        self.world.infrastructure.observe(change)
        self.world.enqueue(server)
        self.world.work.add(("Machine", *key_of(server)))
        if change.type == "DELETED":
            cluster = self.world.cluster_of(server)
            found = clusters.infrastructure_of(self.world, cluster) if cluster is not None else None
            if found is not None:
                self.world.enqueue(found)

    def _on_infrastructure(self, change: StoredChange) -> None:
        self.world.enqueue(change.object)
        self._cluster(change.object)
        if not labels_of(change.object).get(admission.CLUSTER_NAME):
            # Not adopted yet: the Cluster of the same name is the one that most likely refers to it.
            self.world.work.add(("Cluster", *key_of(change.object)))

    def _on_plane(self, change: StoredChange) -> None:
        plane = change.object
        self.world.enqueue(plane)
        if labels_of(plane).get(admission.CLUSTER_NAME):
            self._cluster(plane)
        else:
            for cluster in self.world.api.list(CLUSTER, plane["metadata"]["namespace"]):
                if (cluster["spec"].get("controlPlaneRef") or {}).get("name") == plane["metadata"]["name"]:
                    self.world.enqueue(cluster)
        before = (change.previous or {}).get("status") or {}
        if before.get("version") != (plane.get("status") or {}).get("version"):
            for entry in self.world.machine_sets.of_cluster(cluster_key(plane)):
                self.world.enqueue(entry)

    def _on_cluster(self, change: StoredChange) -> None:
        cluster, world = change.object, self.world
        world.enqueue(cluster)
        if change.type == "DELETED":
            return
        if change.previous is not None and _gates(change.previous) == _gates(cluster):
            return
        key = key_of(cluster)
        infrastructure, plane = (
            clusters.infrastructure_of(world, cluster),
            clusters.control_plane_of(world, cluster),
        )
        for index in (world.machine_deployments, world.machine_sets, world.machines, world.infrastructure):
            for entry in index.of_cluster(key):
                world.enqueue(entry)
        for found in (infrastructure, plane):
            if found is not None:
                world.enqueue(found)

    def _on_secret(self, change: StoredChange) -> None:
        for key in self.world.identities.get(key_of(change.object), ()):
            self.world.work.add(("OpenStackCluster", *key))
        name = change.object["metadata"]["name"]
        if change.type == "DELETED" and name.endswith("-kubeconfig"):
            self._owner(change.object)

    def _on_template(self, change: StoredChange) -> None:
        if change.type != "DELETED":
            for item in self.world.missing_templates.pop(key_of(change.object), ()):
                self.world.work.add(item)

    def _wake_servers(self, key: Key) -> None:
        for server in self.world.infrastructure.of_cluster(key):
            self.world.enqueue(server)


def _faults(obj: Object) -> tuple[str | None, ...]:
    return tuple(fault(obj, name) for name in (NEVER_UP, SLOW, API_OUTAGE))


def _gates(cluster: Object) -> tuple[object, ...]:
    """What of a Cluster its parts wait for."""
    return (
        initialization(cluster, "infrastructureProvisioned"), initialization(cluster, "controlPlaneInitialized"),
        paused(cluster, cluster), "deletionTimestamp" in cluster["metadata"], _faults(cluster),
        (cluster["spec"].get("controlPlaneEndpoint") or {}).get("host"), str(cluster["spec"].get("controlPlaneRef")),
        str(cluster["spec"].get("infrastructureRef")), cluster["metadata"].get("annotations"),
    )  # fmt: skip
