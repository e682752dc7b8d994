"""Pods on virtual nodes: sent to the provider as ShadowPods, their status brought back.

Each event costs a few dictionary lookups; each pod is looked at once per loop turn, however much changed. Pods are
indexed by their node, so that a link that drops touches its own pods and no others.
"""

from __future__ import annotations

from typing import Any

from continuo.embedded.port import StoredChange, Write
from continuo.embedded.standins.base import Listeners, Work
from continuo.embedded.standins.liqo import names
from continuo.embedded.standins.liqo.ipam import Remap
from continuo.embedded.standins.liqo.site import Mapped, PeerView, Site
from continuo.embedded.standins.objects import cond, conditions
from continuo.resources import kinds
from continuo.resources.errors import AlreadyExists, NotFound
from continuo.resources.meta import Key, Kind, Object, key_of
from continuo.resources.reflected import GONE_PHASES, local_status, not_offloaded, remote_spec, same_meaning

WRITE = Write(manager=names.KUBELET, trusted=True)
BATCH = 256


class Pods:
    """The pod side of all virtual kubelets of one cluster."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._api = site.api
        self._listeners = Listeners(site.engine, site.api)
        self.work: Work[Key] = Work(site.engine, self._handle, name=f"liqo pods {site.id}", batch=BATCH)
        self._on_node: dict[str, dict[Key, None]] = {}
        self._node_of: dict[Key, str] = {}
        self._unmapped: dict[str, dict[Key, None]] = {}
        """Pods that wait for their namespace to exist at the peer, by namespace."""
        self._known: set[str] = set()
        """Virtual nodes whose pods we have looked for."""
        self._drained: dict[str, str] = {}
        """Virtual nodes that wait to be empty, with their peer."""
        self._host_ips: dict[str, str] = {}

    def start(self) -> None:
        """Follow the pods."""
        self._listeners.follow(kinds.POD, self.on_pod)

    def stop(self) -> None:
        """Let go."""
        self._listeners.stop()
        self.work.stop()

    def peer(self, peer: str) -> None:
        """Pods that were bound to a virtual node before it was known."""
        new = self._site.peers[peer].nodes - self._known
        if new:
            self._known |= new
            for pod in self._site.all(kinds.POD):
                if pod["spec"].get("nodeName") in new:
                    self.on_pod(StoredChange(0, "ADDED", kinds.POD, pod, None))

    def admit(self, operation: str, kind: Kind, pod: Object, previous: Object | None) -> Object | None:
        """The label of offloaded pods, set with the binding itself: no write of its own."""
        if operation != "UPDATE" or kind.kind != "Pod" or previous is None:
            return None
        node = pod["spec"].get("nodeName")
        if node is None or node not in self._site.nodes or "nodeName" in previous["spec"]:
            return None
        marks = {**(pod["metadata"].get("labels") or {}), names.SHADOW_POD_LABEL: "true"}
        return {**pod, "metadata": {**pod["metadata"], "labels": marks}}

    # --- events -------------------------------------------------------------------------------------------------------
    def on_pod(self, change: StoredChange) -> None:
        """A local pod came, changed or went."""
        pod = change.object
        node = pod["spec"].get("nodeName")
        if node is None or (node not in self._site.nodes and node not in self._on_node):
            return
        key = key_of(pod)
        if change.type == "DELETED":
            self._forget(key, node)
            self._withdraw(key, node)
            return
        if key not in self._node_of:
            self._node_of[key] = node
            self._on_node.setdefault(node, {})[key] = None
        elif change.previous is not None and same_meaning(change.previous, pod):
            return  # only its status changed, which is our own writing
        self.work.add(key)

    def _forget(self, key: Key, node: str) -> None:
        self._node_of.pop(key, None)
        keys = self._on_node.get(node)
        if keys is not None:
            keys.pop(key, None)
            if not keys:
                del self._on_node[node]
                peer = self._drained.pop(node, None)
                if peer is not None:
                    self._site.work.add(peer)
        waiting = self._unmapped.get(key[0])
        if waiting is not None:
            waiting.pop(key, None)

    def namespace_changed(self, namespace: str) -> None:
        """The namespace now exists at a peer, or no longer."""
        for key in self._unmapped.pop(namespace, {}):
            self.work.add(key)

    def peer_changed(self, peer: str) -> None:
        """The peer went away or came back: every pod there looks different now."""
        for name in self._site.peers[peer].nodes:
            for key in self._on_node.get(name, ()):
                self.work.add(key)

    def drain(self, node: str, *, force: bool) -> bool:
        """Ask every pod on the node to go; whether some are left."""
        for key in list(self._on_node.get(node, ())):
            pod = self._site.find(kinds.POD, key[1], key[0])
            if pod is not None and (force or "deletionTimestamp" not in pod["metadata"]):
                self._site.drop(kinds.POD, key[1], key[0], grace_seconds=0 if force else None)
        return bool(self._on_node.get(node))

    def when_empty(self, node: str, peer: str) -> None:
        """Look at the pair again when the last pod has left the node."""
        self._drained[node] = peer

    def host_ip(self, node: str) -> str:
        """The address that the virtual kubelet of the node would have."""
        found = self._host_ips.get(node)
        if found is None:
            base = sum(ord(letter) * 31**place for place, letter in enumerate(node)) % 65_000
            found = self._host_ips[node] = f"10.80.{base >> 8 & 255}.{base & 255}"
        return found

    # --- one pod ------------------------------------------------------------------------------------------------------
    def _handle(self, key: Key) -> None:
        pod = self._api.find(kinds.POD, key[1], key[0])
        node = self._node_of.get(key)
        if pod is None or node is None:
            return
        peer = self._site.nodes.get(node)
        view = self._site.peers.get(peer) if peer else None
        if peer is None or view is None:
            return
        if not view.usable:
            self._unavailable(pod)
            if not view.api_up:
                return
        if "deletionTimestamp" in pod["metadata"]:
            self._deleting(peer, key)
            return
        mapped = view.mapped.get(key[0])
        if mapped is None:
            self._not_mapped(pod, key)
            return
        other = self._site.other(peer)
        if other is not None:
            self._present(pod, other, node, Mapped(peer, mapped), view)

    def _present(self, pod: Object, other: Site, node: str, mapped: Mapped, view: PeerView) -> None:
        """The pod should run at the peer."""
        name = pod["metadata"]["name"]
        shadow = other.api.find(kinds.SHADOW_POD, name, mapped.remote)
        phase = (pod.get("status") or {}).get("phase")
        if shadow is None:
            if phase in GONE_PHASES:
                return
            self._send(pod, other, node, mapped)
            return
        if not _is_pair(shadow, self._site.id, other.id):
            return
        wanted = _labels(pod, self._site.id, other.id, node)
        if shadow["metadata"].get("labels") != wanted:
            other.api.update({**shadow, "metadata": {**shadow["metadata"], "labels": wanted}}, WRITE)
        remote = other.api.find(kinds.POD, name, mapped.remote)
        if remote is not None and view.usable and phase not in GONE_PHASES:
            self._bring_back(pod, remote, view.pods, node)

    def _send(self, pod: Object, other: Site, node: str, mapped: Mapped) -> None:
        metadata: Object = {"labels": _labels(pod, self._site.id, other.id, node)}
        if pod["metadata"].get("annotations"):
            metadata["annotations"] = pod["metadata"]["annotations"]
        spec = {"pod": remote_spec(pod["spec"], names.TAINT)}
        shadow = kinds.SHADOW_POD.new(pod["metadata"]["name"], mapped.remote, metadata=metadata, spec=spec)
        try:
            other.api.create(shadow, WRITE)
        except (AlreadyExists, NotFound):
            self.work.add_after(key_of(pod), 0.5)

    def _bring_back(self, pod: Object, remote: Object, remap: Remap | None, node: str) -> None:
        """The remote pod's status with local addresses; written when it differs."""
        told = remote.get("status") or {}
        if not told.get("containerStatuses") and not told.get("conditions") and not told.get("reason"):
            return  # nobody there has looked at it yet
        marks = pod["metadata"].get("labels") or {}
        if names.UNAVAILABLE in marks:
            left = {name: value for name, value in marks.items() if name != names.UNAVAILABLE}
            pod = self._api.update({**pod, "metadata": {**pod["metadata"], "labels": left}}, WRITE)
        status = local_status(told, remap, self.host_ip(node))
        scheduled = [c for c in (pod.get("status") or {}).get("conditions") or () if c["type"] == "PodScheduled"]
        if scheduled and not any(c["type"] == "PodScheduled" for c in status.get("conditions") or ()):
            status["conditions"] = [*(status.get("conditions") or ()), *scheduled]
        self._api.set_status(pod, status, names.KUBELET)

    def _not_mapped(self, pod: Object, key: Key) -> None:
        self._unmapped.setdefault(key[0], {})[key] = None
        status = pod.get("status") or {}
        if status.get("phase") in GONE_PHASES:
            return
        self._api.set_status(pod, not_offloaded(status), names.KUBELET)

    def _unavailable(self, pod: Object) -> None:
        """Nobody knows how the pod is: out of the endpoints with it."""
        status = pod.get("status") or {}
        if status.get("phase") in (*GONE_PHASES, None, "Pending") or "deletionTimestamp" in pod["metadata"]:
            return
        marks = pod["metadata"].get("labels") or {}
        if marks.get(names.UNAVAILABLE) != "true":
            changed = {**pod["metadata"], "labels": {**marks, names.UNAVAILABLE: "true"}}
            pod = self._api.update({**pod, "metadata": changed}, WRITE)
        entries = [
            entry if entry["type"] != "Ready" else cond("Ready", False, "RemoteClusterUnavailable", "")
            for entry in status.get("conditions") or ()
        ]
        entries = conditions(status.get("conditions"), entries, self._site.now())
        self._api.set_status(pod, {**status, "conditions": entries}, names.KUBELET)

    # --- the end of a pod ---------------------------------------------------------------------------------------------
    def _deleting(self, peer: str, key: Key) -> None:
        """The remote pod ends first, then ours."""
        other = self._site.other(peer)
        mapped = self._site.peers[peer].mapped.get(key[0])
        if other is not None and mapped is not None and other.up:
            shadow = other.api.find(kinds.SHADOW_POD, key[1], mapped)
            if shadow is not None and _is_pair(shadow, self._site.id, other.id):
                if "deletionTimestamp" not in shadow["metadata"]:
                    other.drop(kinds.SHADOW_POD, key[1], mapped)
                remote = other.api.find(kinds.POD, key[1], mapped)
                if remote is not None and remote["metadata"].get("labels", {}).get(names.MANAGED_BY) == "shadowpod":
                    return
            remote = other.api.find(kinds.POD, key[1], mapped)
            if remote is not None and _is_pair(remote, self._site.id, other.id):
                return
        self._site.drop(kinds.POD, key[1], key[0], grace_seconds=0)

    def _withdraw(self, key: Key, node: str) -> None:
        """The local pod was removed by force: its shadow must not stay."""
        peer = self._site.nodes.get(node)
        other = self._site.other(peer) if peer else None
        mapped = self._site.peers[peer].mapped.get(key[0]) if peer and peer in self._site.peers else None
        if other is None or mapped is None:
            return
        shadow = other.api.find(kinds.SHADOW_POD, key[1], mapped)
        if shadow is not None and _is_pair(shadow, self._site.id, other.id):
            other.drop(kinds.SHADOW_POD, key[1], mapped)


def _labels(pod: Object, origin: str, destination: str, node: str) -> dict[str, str]:
    marks = {
        name: value
        for name, value in (pod["metadata"].get("labels") or {}).items()
        if name not in (names.SHADOW_POD_LABEL, names.UNAVAILABLE)
    }
    marks[names.ORIGIN], marks[names.DESTINATION], marks[names.NODE_NAME] = origin, destination, node
    return marks


def _is_pair(obj: Object, origin: str, destination: str) -> bool:
    marks: dict[str, Any] = obj["metadata"].get("labels") or {}
    return marks.get(names.ORIGIN) == origin and marks.get(names.DESTINATION) == destination
