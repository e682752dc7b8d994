"""Offloaded namespaces: which peers are chosen, the map that tells them, the twins that they keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from continuo.embedded.port import Api, StoredChange
from continuo.embedded.standins.base import Listeners, Work
from continuo.embedded.standins.liqo import names
from continuo.embedded.standins.liqo.pods import Pods
from continuo.embedded.standins.liqo.reflection import Reflection
from continuo.embedded.standins.liqo.site import WRITE, Mapped, PeerView, Site
from continuo.embedded.standins.liqo.virtualnodes import node_labels
from continuo.embedded.standins.objects import (
    cond,
    conditions,
    requirement_met,
    with_finalizer,
    with_meta,
    without_finalizer,
)
from continuo.resources import kinds
from continuo.resources.meta import Kind, Object, deleting, labels_of


@dataclass(frozen=True, slots=True)
class Policy:
    """What the pod webhook does in one namespace."""

    strategy: str
    terms: tuple[Object, ...]


class Offloading:
    """The namespace-offloading controller and the pod webhook of one cluster."""

    def __init__(self, site: Site, pods: Pods, reflection: Reflection) -> None:
        self._site, self._pods, self._reflection = site, pods, reflection
        self._listeners = Listeners(site.engine, site.api)
        self._work: Work[str] = Work(site.engine, self._namespace, name=f"liqo offloading {site.id}")
        self._maps: Work[str] = Work(site.engine, self._write_map, name=f"liqo namespace maps {site.id}")
        self._policies: dict[str, Policy] = {}
        self._offered: dict[str, dict[str, Object]] = {}
        """Labels of each peer's virtual nodes."""

    def start(self) -> None:
        """Follow maps before offloadings, so that nothing stored is withdrawn by a half-filled map."""
        self._listeners.follow(kinds.NAMESPACE_MAP, self._on_map)
        self._listeners.follow(kinds.NAMESPACE_OFFLOADING, self._on_offloading)
        for view in self._site.peers.values():
            for namespace in view.wanted:
                self._work.add(namespace)
        hooks: list[Any] = admission_of(self._site.api)
        hooks += [self.admit, self._pods.admit]

    def stop(self) -> None:
        """Let go."""
        hooks = admission_of(self._site.api)
        for hook in (self.admit, self._pods.admit):
            if hook in hooks:
                hooks.remove(hook)
        self._listeners.stop()
        self._work.stop()
        self._maps.stop()

    def peer(self, peer: str) -> None:
        """The peer's virtual nodes came, changed or went: every selector may choose differently."""
        namespace = self._site.tenants.get(peer)
        found = self._site.all(kinds.VIRTUAL_NODE, namespace) if namespace else []
        offered = {
            node["metadata"]["name"]: node_labels(node["metadata"]["name"], peer, node.get("spec") or {})
            for node in found
            if not deleting(node)
        }
        if self._offered.get(peer, {}) != offered:
            self._offered[peer] = offered
            for entry in self._site.all(kinds.NAMESPACE_OFFLOADING):
                self._work.add(entry["metadata"]["namespace"])

    # --- events -------------------------------------------------------------------------------------------------------
    def _on_offloading(self, change: StoredChange) -> None:
        if change.object["metadata"]["name"] == "offloading":
            self._work.add(change.object["metadata"]["namespace"])

    def _on_map(self, change: StoredChange) -> None:
        marks = labels_of(change.object)
        if marks.get(names.REPLICATION) != "true":
            return
        peer = change.object["metadata"]["name"]
        view = self._site.peers.setdefault(peer, PeerView())
        if change.previous is None and not view.wanted:
            view.wanted = dict((change.object.get("spec") or {}).get("desiredMapping") or {})
        current = (change.object.get("status") or {}).get("currentMapping") or {}
        if change.type == "DELETED":
            current = {}
        mapped = {
            local: entry["remoteNamespace"] for local, entry in current.items() if entry.get("phase") == "Accepted"
        }
        before = ((change.previous or {}).get("status") or {}).get("currentMapping") or {}
        for local in current.keys() | before.keys():
            if current.get(local) != before.get(local):
                self._work.add(local)
        self._remap(peer, view, mapped)

    def _remap(self, peer: str, view: PeerView, mapped: dict[str, str]) -> None:
        """Take over which namespaces exist at the peer, and start or end reflection there."""
        changed = [name for name in mapped.keys() | view.mapped.keys() if mapped.get(name) != view.mapped.get(name)]
        view.mapped = mapped
        for local in changed:
            others = [entry for entry in self._site.namespaces.get(local, []) if entry.peer != peer]
            if local in mapped:
                others.append(Mapped(peer, mapped[local]))
            if others:
                self._site.namespaces[local] = others
            else:
                self._site.namespaces.pop(local, None)
            self._pods.namespace_changed(local)
            self._reflection.namespace_changed(local)

    # --- one namespace ------------------------------------------------------------------------------------------------
    def _namespace(self, namespace: str) -> None:
        found = self._site.find(kinds.NAMESPACE_OFFLOADING, "offloading", namespace)
        if found is None or deleting(found):
            self._withdraw(namespace, found)
            return
        held = with_finalizer(found, names.OFFLOADING_FINALIZER)
        if held is not found:
            found = self._site.api.update(held, WRITE)
        spec = found.get("spec") or {}
        strategy = spec.get("podOffloadingStrategy") or "LocalAndRemote"
        terms = (spec.get("clusterSelector") or {}).get("nodeSelectorTerms") or ()
        self._policies[namespace] = Policy(strategy, tuple(terms))
        self._label(namespace, on=strategy != "Local")
        remote = self._remote_name(namespace, spec)
        chosen = {peer for peer, nodes in self._offered.items() if any(selected(terms, m) for m in nodes.values())}
        for peer, view in self._site.peers.items():
            wanted = remote if peer in chosen else None
            if view.wanted.get(namespace) != wanted:
                if wanted is None:
                    del view.wanted[namespace]
                else:
                    view.wanted[namespace] = wanted
                self._maps.add(peer)
        self._report(found, remote, chosen)

    def _remote_name(self, namespace: str, spec: Object) -> str:
        strategy = spec.get("namespaceMappingStrategy") or "DefaultName"
        if strategy == "EnforceSameName":
            return namespace
        if strategy == "SelectedName" and spec.get("remoteNamespaceName"):
            return str(spec["remoteNamespaceName"])
        return f"{namespace}-{self._site.id}"

    def _withdraw(self, namespace: str, found: Object | None) -> None:
        self._policies.pop(namespace, None)
        for peer, view in self._site.peers.items():
            if view.wanted.pop(namespace, None) is not None:
                self._maps.add(peer)
        self._label(namespace, on=False)
        if found is None or names.OFFLOADING_FINALIZER not in (found["metadata"].get("finalizers") or ()):
            return
        if any(self._still_there(peer, namespace) for peer in self._site.peers):
            status = {**(found.get("status") or {}), "offloadingPhase": "Terminating"}
            self._site.api.set_status(found, status, names.MANAGER)
            return
        self._site.api.update(without_finalizer(found, names.OFFLOADING_FINALIZER), WRITE)

    def _still_there(self, peer: str, namespace: str) -> bool:
        found = self._map_of(peer)
        if found is None:
            return False
        return namespace in ((found.get("status") or {}).get("currentMapping") or {})

    def _map_of(self, peer: str) -> Object | None:
        tenant = self._site.tenants.get(peer)
        return self._site.find(kinds.NAMESPACE_MAP, peer, tenant) if tenant else None

    def _label(self, namespace: str, *, on: bool) -> None:
        space = self._site.find(kinds.NAMESPACE, namespace)
        if space is None or deleting(space):
            return
        marks = labels_of(space)
        if on != (marks.get(names.SCHEDULING) == "true"):
            changed = {name: value for name, value in marks.items() if name != names.SCHEDULING}
            if on:
                changed[names.SCHEDULING] = "true"
            self._site.api.update(with_meta(space, labels=changed), WRITE)

    def _write_map(self, peer: str) -> None:
        found = self._map_of(peer)
        wanted = self._site.peers[peer].wanted
        if found is None or deleting(found):
            return
        if ((found.get("spec") or {}).get("desiredMapping") or {}) != wanted:
            self._site.api.update({**found, "spec": {"desiredMapping": dict(wanted)}}, WRITE)

    # --- status -------------------------------------------------------------------------------------------------------
    def _report(self, found: Object, remote: str, chosen: set[str]) -> None:
        status, namespace = found.get("status") or {}, found["metadata"]["namespace"]
        before = status.get("remoteNamespacesConditions") or {}
        remotes, states = {}, []
        for peer in sorted(self._offered):
            if not self._offered[peer]:
                continue
            entries = [_required(peer in chosen)]
            if peer in chosen:
                current = ((self._map_of(peer) or {}).get("status") or {}).get("currentMapping") or {}
                state = (current.get(namespace) or {}).get("phase")
                states.append(state)
                entries.append(_readiness(state))
            remotes[peer] = conditions(before.get(peer), entries, self._site.now())
        wanted = {
            "offloadingPhase": phase_of(states), "remoteNamespaceName": remote, "remoteNamespacesConditions": remotes,
            "observedGeneration": found["metadata"].get("generation", 1),
        }  # fmt: skip
        self._site.api.set_status(found, wanted, names.MANAGER)

    # --- the webhook --------------------------------------------------------------------------------------------------
    def admit(self, operation: str, kind: Kind, obj: Object, previous: Object | None) -> Object | None:
        """Tolerations and affinity of new pods in offloaded namespaces; None leaves the object alone."""
        if operation != "CREATE" or kind.kind != "Pod" or kind.group or previous is not None:
            return None
        policy = self._policies.get(obj["metadata"].get("namespace", ""))
        if policy is None or policy.strategy == "Local" or obj["spec"].get("runtimeClassName") == "liqo":
            return None
        spec = dict(obj["spec"])
        tolerations = list(spec.get("tolerations") or ())
        if not any(entry.get("key") == names.TAINT for entry in tolerations):
            tolerations.append({"key": names.TAINT, "operator": "Exists", "effect": "NoExecute"})
            spec["tolerations"] = tolerations
        added = webhook_terms(policy)
        if added:
            spec["affinity"] = with_terms(spec.get("affinity") or {}, added)
        return {**obj, "spec": spec}


def admission_of(api: Api) -> list[Any]:
    """The hooks of a cluster's API: not part of the port, but every API of the engine has them."""
    hooks: list[Any] = getattr(api, "admission")  # noqa: B009
    return hooks


def webhook_terms(policy: Policy) -> list[Object]:
    """The node selector terms that the strategy asks for; none when any node will do."""
    virtual = {"key": names.TYPE, "operator": "In", "values": [names.VIRTUAL_NODE]}
    local = {"key": names.TYPE, "operator": "NotIn", "values": [names.VIRTUAL_NODE]}
    if policy.strategy == "Remote":
        chosen = policy.terms or ({},)
        return [_joined(term, {"matchExpressions": [virtual]}) for term in chosen]
    if not policy.terms:
        return []
    return [*policy.terms, {"matchExpressions": [local]}]


def with_terms(affinity: Object, added: list[Object]) -> Object:
    """The affinity with the terms as a further requirement: every pair of an old and a new term."""
    node = affinity.get("nodeAffinity") or {}
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    own = (node.get(required) or {}).get("nodeSelectorTerms") or [{}]
    terms = [_joined(mine, more) for mine in own for more in added]
    return {**affinity, "nodeAffinity": {**node, required: {"nodeSelectorTerms": terms}}}


def _joined(left: Object, right: Object) -> Object:
    joined: Object = {}
    for name in ("matchExpressions", "matchFields"):
        entries = [*(left.get(name) or ())]
        entries += [entry for entry in right.get(name) or () if entry not in entries]
        if entries:
            joined[name] = entries
    return joined


def selected(terms: Any, marks: Object) -> bool:
    """Whether a node with these labels is chosen by a node selector; an empty one chooses all."""
    if not terms:
        return True
    return any(all(requirement_met(entry, marks) for entry in term.get("matchExpressions") or ()) for term in terms)


def phase_of(states: list[str | None]) -> str:
    """The phase of an offloading from the phases of its twins."""
    if not states:
        return "NoClusterSelected"
    failed = states.count("CreationLoopBackOff")
    if failed == len(states):
        return "AllFailed"
    if failed:
        return "SomeFailed"
    return "Ready" if all(state == "Accepted" for state in states) else "InProgress"


def _required(chosen: bool) -> Object:
    if chosen:
        return cond("OffloadingRequired", True, "ClusterSelected", "the cluster is selected")
    return cond("OffloadingRequired", False, "ClusterNotSelected", "the cluster is not selected")


def _readiness(state: str | None) -> Object:
    if state == "Accepted":
        return cond("Ready", True, "NamespaceCreated", "the namespace exists in the remote cluster")
    if state == "CreationLoopBackOff":
        return cond("Ready", False, "CreationLoopBackOff", "the remote cluster has another namespace of that name")
    if state == "Terminating":
        return cond("Ready", False, "Terminating", "the remote namespace is going")
    return cond("Ready", False, "Creating", "the remote namespace is being created")
