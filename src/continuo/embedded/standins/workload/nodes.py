"""Nodes: how they are registered, when they are Ready, and what a silent one means for its pods.

A node becomes Ready once a pod network is there: a CNI DaemonSet (flannel, calico, cilium...), or a distribution that
brings its own (K3s, MicroK8s, and nodes labelled `node.continuo.dev/network=builtin`). Leases are renewed once a minute
by one timer per cluster, and only for simulated nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from continuo.embedded.port import Api, Engine, StoredChange, Write
from continuo.embedded.standins.base import Work
from continuo.embedded.standins.faults import NOT_READY, fault
from continuo.embedded.standins.objects import cond, conditions, controller_of, micro_timestamp, timestamp
from continuo.embedded.standins.settings import Flavor, Settings
from continuo.embedded.standins.workload import podstatus
from continuo.embedded.standins.workload.addresses import next_network
from continuo.embedded.standins.workload.filters import tolerated
from continuo.embedded.standins.workload.kubelet import reflected, virtual
from continuo.embedded.standins.workload.owned import pod_ready
from continuo.resources.kinds import LEASE, NODE, POD
from continuo.resources.meta import Object, condition, key_of, labels_of

BUILTIN_NETWORK = "node.continuo.dev/network"
CNI_DAEMON_SETS = frozenset({"kube-flannel-ds", "calico-node", "cilium", "antrea-agent", "kindnet", "weave-net"})
_WRITE = Write(manager="kubelet", trusted=True)
_LEASES = "kube-node-lease"
_NOT_READY_TAINT = "node.kubernetes.io/not-ready"
_UNREACHABLE_TAINT = "node.kubernetes.io/unreachable"
_PRESSURES = (
    ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)
_NO_NETWORK = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
    "message:Network plugin returns error: cni plugin not initialized"
)


@dataclass(frozen=True, slots=True)
class NewNode:
    """What a machine brings when it joins."""

    name: str
    version: str
    internal_ip: str
    flavor: Flavor = field(default_factory=lambda: Flavor(4, 8192))
    pods: int = 110
    cluster_cidr: str = "10.244.0.0/16"
    provider_id: str = ""
    control_plane: bool = False
    control_plane_taint: bool = False
    labels: dict[str, str] = field(default_factory=dict)


def register(api: Api, new: NewNode) -> Object:
    """Register a node, as a kubelet does when it starts; the existing one when it is registered already."""
    found = api.find(NODE, new.name)
    if found is not None:
        return found
    labels = {
        "kubernetes.io/hostname": new.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64", **new.labels,
    }  # fmt: skip
    taints = [{"key": _NOT_READY_TAINT, "effect": "NoSchedule"}]
    if new.control_plane:
        labels["node-role.kubernetes.io/control-plane"] = ""
        if new.control_plane_taint:
            taints.append({"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"})
    taken = [(node.get("spec") or {}).get("podCIDR", "") for node in api.list(NODE)]
    network = next_network(new.cluster_cidr, taken, new.pods)
    spec: Object = {"taints": taints}
    if network:
        spec.update(podCIDR=network, podCIDRs=[network])
    if new.provider_id:
        spec["providerID"] = new.provider_id
    node = api.create(NODE.new(new.name, spec=spec, metadata={"labels": labels}), _WRITE)
    return api.set_status(node, _first_status(new), "kubelet")


def _first_status(new: NewNode) -> Object:
    capacity = {
        "cpu": str(new.flavor.cpu),
        "memory": f"{new.flavor.memory_mib * 1024}Ki",
        "ephemeral-storage": f"{new.flavor.disk_gib * 1024 * 1024}Ki",
        "pods": str(new.pods),
    }
    return {
        "capacity": capacity,
        "allocatable": {**capacity, "memory": f"{(new.flavor.memory_mib - 100) * 1024}Ki"},
        "addresses": [
            {"type": "InternalIP", "address": new.internal_ip}, {"type": "Hostname", "address": new.name},
        ],
        "nodeInfo": {
            "architecture": "amd64", "operatingSystem": "linux", "kernelVersion": "6.8.0-simulated",
            "osImage": "Ubuntu 24.04 LTS", "containerRuntimeVersion": "containerd://2.1.4",
            "kubeletVersion": new.version, "kubeProxyVersion": "", "machineID": "", "systemUUID": "", "bootID": "",
        },
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
    }  # fmt: skip


def brings_network(node: Object) -> bool:
    """Whether the node's distribution has a pod network built in."""
    labels = labels_of(node)
    version = ((node.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion", "")
    return "+k3s" in version or BUILTIN_NETWORK in labels or "microk8s.io/cluster" in labels


def _readiness(node: Object, network: bool) -> Object:
    if fault(node, NOT_READY) is not None:
        return cond("Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
    if not network and not brings_network(node):
        return cond("Ready", False, "KubeletNotReady", _NO_NETWORK)
    return cond("Ready", True, "KubeletReady", "kubelet is posting ready status")


def node_conditions(node: Object, network: bool, now: str) -> list[Object]:
    """The conditions that the kubelet (or, about a silent one, the node lifecycle controller) writes."""
    old = (node.get("status") or {}).get("conditions") or []
    ready = _readiness(node, network)
    if ready["status"] == "Unknown":
        fresh = [cond(name, "Unknown", ready["reason"], ready["message"]) for name, _, _ in _PRESSURES]
    else:
        fresh = [cond(name, False, reason, message) for name, reason, message in _PRESSURES]
    names = {"Ready", *(name for name, _, _ in _PRESSURES)}
    foreign = [entry for entry in old if entry["type"] not in names]
    made = conditions(old, [*fresh, ready], now)
    heartbeat = {entry["type"]: entry.get("lastHeartbeatTime", now) for entry in old}
    return [*foreign, *({**entry, "lastHeartbeatTime": heartbeat.get(entry["type"], now)} for entry in made)]


def wanted_taints(taints: list[Object], ready: str) -> list[Object]:
    """The node's taints with those that follow from its Ready condition."""
    kept = [taint for taint in taints if taint["key"] not in (_NOT_READY_TAINT, _UNREACHABLE_TAINT)]
    if ready == "True":
        return kept
    key = _UNREACHABLE_TAINT if ready == "Unknown" else _NOT_READY_TAINT
    return kept + [{"key": key, "effect": effect} for effect in ("NoSchedule", "NoExecute")]


class Nodes:
    """Keeps the conditions, taints and leases of the simulated nodes of one cluster."""

    def __init__(
        self, engine: Engine, api: Api, settings: Settings, pods_on: Callable[[str], set[tuple[str, str]]]
    ) -> None:
        self._engine, self._api, self._settings, self._pods_on = engine, api, settings, pods_on
        self._simulated: set[str] = set()
        self._networks: set[tuple[str, str]] = set()
        self._work: Work[str] = Work(engine, self._handle, name="nodes")
        self._cancel_renewal: Callable[[], None] | None = None

    def stop(self) -> None:
        self._work.stop()
        if self._cancel_renewal is not None:
            self._cancel_renewal()
            self._cancel_renewal = None

    def on_node(self, change: StoredChange) -> None:
        """A node came, changed or went."""
        node, name = change.object, change.object["metadata"]["name"]
        if virtual(node):
            if reflected(node) and change.type != "DELETED":
                self._work.add(name)
            else:
                self._work.forget(name, "evict")
            return
        if change.type == "DELETED":
            self._simulated.discard(name)
            self._work.forget(name, "ready", "evict")
            return
        if name not in self._simulated:
            self._simulated.add(name)
            if self._cancel_renewal is None:
                self._cancel_renewal = self._engine.call_later(self._settings.lease_renewal, self._renew)
        self._work.add(name)

    def on_daemon_set(self, change: StoredChange) -> None:
        """A pod network was installed or removed."""
        if change.object["metadata"]["name"] not in CNI_DAEMON_SETS:
            return
        before = bool(self._networks)
        if change.type == "DELETED":
            self._networks.discard(key_of(change.object))
        else:
            self._networks.add(key_of(change.object))
        if bool(self._networks) != before:
            for name in self._simulated:
                self._work.add(name)

    def _handle(self, name: str) -> None:
        node = self._api.find(NODE, name)
        if node is not None and reflected(node):
            self._handle_reflected(name, node)
            return
        if node is None or name not in self._simulated:
            return
        self._renew_one(name, only_missing=True)
        network = bool(self._networks) or brings_network(node)
        if network and not self._work.waited(name, "ready", self._settings.scaled(self._settings.node_ready)):
            return
        now = timestamp(self._engine.now())
        fresh = node_conditions(node, bool(self._networks), now)
        status = node.get("status") or {}
        if fresh != status.get("conditions"):
            node = self._api.set_status(node, {**status, "conditions": fresh}, "kubelet")
        ready = next(entry["status"] for entry in fresh if entry["type"] == "Ready")
        self._taint(node, ready)
        self._mind_pods(name, ready)

    def _handle_reflected(self, name: str, node: Object) -> None:
        """What the node lifecycle controller does about a node whose conditions somebody else writes."""
        ready = (condition(node, "Ready") or {"status": "True"})["status"]  # a new one is given its time
        self._taint(node, ready)
        if ready == "True":
            self._work.forget(name, "evict")
            return
        pods = [pod for pod in self._api.list(POD) if pod["spec"].get("nodeName") == name]
        self._mark(pods)
        if self._work.waited(name, "evict", self._settings.scaled(self._settings.eviction)):
            self._evict(pods, _UNREACHABLE_TAINT if ready == "Unknown" else _NOT_READY_TAINT)

    def _taint(self, node: Object, ready: str) -> None:
        spec = node.get("spec") or {}
        taints = wanted_taints(spec.get("taints") or [], ready)
        if taints != (spec.get("taints") or []):
            rest = {field: value for field, value in spec.items() if field != "taints"}
            self._api.update({**node, "spec": {**rest, **({"taints": taints} if taints else {})}}, _WRITE)

    def _mind_pods(self, name: str, ready: str) -> None:
        if ready != "Unknown":
            self._work.forget(name, "evict")
            return
        pods = [pod for key in list(self._pods_on(name)) if (pod := self._api.find(POD, key[1], key[0])) is not None]
        self._mark(pods)
        if self._work.waited(name, "evict", self._settings.scaled(self._settings.eviction)):
            self._evict(pods)

    def _mark(self, pods: list[Object]) -> None:
        """Pods of a node that is not Ready count as not ready: nobody is sent to them."""
        now = timestamp(self._engine.now())
        for pod in pods:
            if pod_ready(pod):
                self._api.set_status(pod, podstatus.unreachable(pod, now), "kube-controller-manager")

    def _evict(self, pods: list[Object], key: str = _UNREACHABLE_TAINT) -> None:
        taint = {"key": key, "effect": "NoExecute"}
        for pod in pods:
            lasting = [
                entry for entry in pod["spec"].get("tolerations") or () if entry.get("tolerationSeconds") is None
            ]
            owner = controller_of(pod)
            stays = tolerated(taint, lasting) or (owner is not None and owner["kind"] == "DaemonSet")
            if not stays and "deletionTimestamp" not in pod["metadata"]:
                self._api.delete(POD, pod["metadata"]["name"], pod["metadata"]["namespace"])

    def _renew(self) -> None:
        self._cancel_renewal = self._engine.call_later(self._settings.lease_renewal, self._renew)
        for name in sorted(self._simulated):
            if fault(self._api.find(NODE, name), NOT_READY) is None:
                self._renew_one(name)

    def _renew_one(self, name: str, *, only_missing: bool = False) -> None:
        lease = self._api.find(LEASE, name, _LEASES)
        now = micro_timestamp(self._engine.now())
        spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now}
        if lease is None:
            self._api.create(LEASE.new(name, _LEASES, spec=spec), _WRITE)
        elif not only_missing:
            self._api.update({**lease, "spec": spec}, _WRITE)
