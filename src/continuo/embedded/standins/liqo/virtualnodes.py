"""Virtual nodes: a Node that stands for a peer, the map of namespaces that goes with it, draining at the end."""

from __future__ import annotations

from continuo.embedded.standins.liqo import names
from continuo.embedded.standins.liqo.authentication import has_credentials
from continuo.embedded.standins.liqo.pods import Pods
from continuo.embedded.standins.liqo.replication import is_dead
from continuo.embedded.standins.liqo.site import WRITE, Site, labels
from continuo.embedded.standins.objects import cond, conditions, with_finalizer, without_finalizer
from continuo.resources import kinds
from continuo.resources.meta import Object, deleting, is_true

_TAINT = {"key": names.TAINT, "value": "true", "effect": "NoExecute"}
_UNREACHABLE = ({"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"},)
_KUBELET_VERSION = "v1.34.0"


class VirtualNodes:
    """The virtual-node controller and the node side of the virtual kubelets of one cluster."""

    def __init__(self, site: Site, pods: Pods) -> None:
        self._site, self._pods = site, pods

    def start(self) -> None:
        """Nothing of its own: the site's events suffice."""

    def stop(self) -> None:
        """Nothing to let go of."""

    def peer(self, peer: str) -> None:
        """All virtual nodes of the peer."""
        site, view = self._site, self._site.peers[peer]
        other = site.other(peer)
        before = view.api_up, view.usable
        view.api_up = other is not None and other.up and site.up and has_credentials(site, peer) is not None
        namespace = site.tenants.get(peer)
        found = site.all(kinds.VIRTUAL_NODE, namespace) if namespace else []
        living = [node for node in found if not deleting(node)]
        usable = False
        for virtual in living:
            usable = self._alive(peer, virtual) or usable
        view.nodes = {virtual["metadata"]["name"] for virtual in found}
        view.usable = usable
        if before != (view.api_up, view.usable):
            self._pods.peer_changed(peer)
        for virtual in found:
            if deleting(virtual):
                self._retire(peer, virtual, last=not living and len(found) == 1)
        self._strays(peer, view.nodes)

    def _alive(self, peer: str, virtual: Object) -> bool:
        """Map, Node and conditions of one virtual node; whether pods can be sent through it."""
        site, name = self._site, virtual["metadata"]["name"]
        held = with_finalizer(virtual, names.VIRTUAL_NODE_FINALIZER)
        if held is not virtual:
            virtual = site.api.update(held, WRITE)
        self._map(peer, virtual["metadata"]["namespace"])
        spec = virtual.get("spec") or {}
        ready = self._ready(peer, spec)
        if spec.get("createNode", True):
            node = site.ensure(kinds.NODE, _node(name, peer, spec, ready=ready[0]))
            if (node.get("spec") or {}).get("unschedulable"):
                node = site.api.update({**node, "spec": {**node["spec"], "unschedulable": False}}, WRITE)
            site.api.set_status(node, self._node_status(node, spec, ready), names.KUBELET)
        status = virtual.get("status") or {}
        entries = [cond(kind, "Running", "Running", "") for kind in ("VirtualKubelet", "Node")]
        entries = conditions(status.get("conditions"), entries, site.now())
        site.api.set_status(virtual, {**status, "conditions": entries}, names.MANAGER)
        return ready[0]

    def _map(self, peer: str, namespace: str) -> None:
        if self._site.find(kinds.NAMESPACE_MAP, peer, namespace) is None:
            marks = labels(peer, **{names.REPLICATION: "true", names.REMOTE_ID: peer})
            spec = {"desiredMapping": dict(self._site.peers[peer].wanted)}
            wanted = kinds.NAMESPACE_MAP.new(peer, namespace, metadata={"labels": marks}, spec=spec)
            self._site.ensure(kinds.NAMESPACE_MAP, wanted)

    def _ready(self, peer: str, spec: Object) -> tuple[bool, bool, str]:
        """(Ready, the network is up, why not)."""
        site, view = self._site, self._site.peers[peer]
        namespace = site.tenants.get(peer, "")
        network = True
        if site.all(kinds.CONFIGURATION, namespace) and not spec.get("disableNetworkCheck"):
            network = any(
                (entry.get("status") or {}).get("value") == "Connected"
                for entry in site.all(kinds.CONNECTION, namespace)
            )
        if not view.api_up:
            return False, network, f"the API of {peer} does not answer"
        if not network:
            return False, network, f"the tunnel to {peer} is down"
        hard = (spec.get("resourceQuota") or {}).get("hard") or {}
        if not hard.get("cpu") or not hard.get("memory"):
            return False, network, f"{peer} lends no cpu or no memory"
        return True, network, "kubelet is posting ready status"

    def _node_status(self, node: Object, spec: Object, ready: tuple[bool, bool, str]) -> Object:
        before = node.get("status") or {}
        hard = dict((spec.get("resourceQuota") or {}).get("hard") or {})
        is_ready, network, message = ready
        entries = [
            cond("Ready", is_ready, "KubeletReady" if is_ready else "KubeletNotReady", message),
            cond("MemoryPressure", False, "RemoteClusterHasSufficientMemory", ""),
            cond("DiskPressure", False, "RemoteClusterHasNoDiskPressure", ""),
            cond("PIDPressure", False, "RemoteClusterHasNoPIDPressure", ""),
        ]
        if not spec.get("disableNetworkCheck"):
            reason = "LiqoNetworkingUp" if network else "LiqoNetworkingDown"
            entries.append(cond("NetworkUnavailable", not network, reason, ""))
        return {
            **before,
            "capacity": hard, "allocatable": hard,
            "addresses": [{"type": "InternalIP", "address": self._pods.host_ip(node["metadata"]["name"])}],
            "conditions": conditions(before.get("conditions"), entries, self._site.now()),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": "amd64", "operatingSystem": "Linux", "kubeletVersion": _KUBELET_VERSION,
                "containerRuntimeVersion": "", "kernelVersion": "", "osImage": "", "machineID": "", "bootID": "",
                "systemUUID": "", "kubeProxyVersion": "",
            },
        }  # fmt: skip

    # --- the end ------------------------------------------------------------------------------------------------------
    def _retire(self, peer: str, virtual: Object, *, last: bool) -> None:
        """Cordon, drain, and go once nothing runs there any more."""
        site, name = self._site, virtual["metadata"]["name"]
        node = site.find(kinds.NODE, name)
        if node is not None and not (node.get("spec") or {}).get("unschedulable"):
            site.api.update({**node, "spec": {**(node.get("spec") or {}), "unschedulable": True}}, WRITE)
        if self._pods.drain(name, force=is_dead(site, peer)):
            self._pods.when_empty(name, peer)
            return
        namespace = virtual["metadata"]["namespace"]
        if last:
            found = site.find(kinds.NAMESPACE_MAP, peer, namespace)
            if found is not None:
                if not deleting(found):
                    site.drop(kinds.NAMESPACE_MAP, peer, namespace)
                if site.find(kinds.NAMESPACE_MAP, peer, namespace) is not None:
                    return
        if node is not None:
            site.drop(kinds.NODE, name)
        site.api.update(without_finalizer(virtual, names.VIRTUAL_NODE_FINALIZER), WRITE)

    def _strays(self, peer: str, known: set[str]) -> None:
        """Nodes whose VirtualNode went without us."""
        for name in [name for name, owner in self._site.nodes.items() if owner == peer and name not in known]:
            if not self._pods.drain(name, force=is_dead(self._site, peer)):
                self._site.drop(kinds.NODE, name)
            else:
                self._pods.when_empty(name, peer)


def _node(name: str, peer: str, spec: Object, *, ready: bool) -> Object:
    marks = node_labels(name, peer, spec)
    unreachable = () if ready else _UNREACHABLE
    made: Object = {"taints": [_TAINT, *(spec.get("taints") or ()), *unreachable]}
    metadata: Object = {"labels": marks}
    if spec.get("annotations"):
        metadata["annotations"] = dict(spec["annotations"])
    return kinds.NODE.new(name, metadata=metadata, spec=made)


def node_labels(name: str, peer: str, spec: Object) -> dict[str, str]:
    """The labels of a virtual node, which selectors of offloading are matched against."""
    return {
        "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        "kubernetes.io/role": "agent", names.TYPE: names.VIRTUAL_NODE, names.REMOTE: peer,
        "node.kubernetes.io/exclude-from-external-load-balancers": "true",
        "alpha.service-controller.kubernetes.io/exclude-balancer": "true", "storage.liqo.io/available": "true",
        **(spec.get("labels") or {}),
    }  # fmt: skip


def node_ready(node: Object | None) -> bool:
    """Whether a virtual node takes pods."""
    return node is not None and is_true(node, "Ready")
