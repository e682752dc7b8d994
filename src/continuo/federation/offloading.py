"""Applications that span clusters: the offloaded namespace, each component's place, and how far it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from continuo.federation import names
from continuo.resources import kinds
from continuo.resources.meta import Kind, Object, deleting

OffloadingPhase = Literal["Pending", "Progressing", "Ready", "Failed", "Terminating"]

COPIED_KINDS: tuple[Kind, ...] = (kinds.SHADOW_POD, kinds.SHADOW_ENDPOINT_SLICE)
"""What Liqo has of an application where its home sent it."""


@dataclass(frozen=True, slots=True)
class RemoteNamespace:
    """The twin of an offloaded namespace in one remote cluster."""

    ready: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class OffloadingState:
    """How far an offloaded namespace has come, as a whole and per remote cluster identifier."""

    phase: OffloadingPhase
    reason: str
    message: str
    remotes: Mapping[str, RemoteNamespace] = field(default_factory=dict)


def offload(namespace: str, home: str, remotes: Iterable[str]) -> Object:
    """Extend a namespace of `home` to the remote clusters under the same name (all are Liqo identifiers).

    Pods may run at home or there; which one is said by `pin`.
    """
    wanted = sorted(set(remotes))
    if not wanted:
        raise ValueError(f"namespace {namespace} is to be offloaded to no cluster; Liqo would take that for every one")
    if home in wanted:
        raise ValueError(f"namespace {namespace} of {home} cannot be offloaded to {home} itself")
    expression = {"key": names.REMOTE_CLUSTER_ID, "operator": "In", "values": wanted}
    return kinds.NAMESPACE_OFFLOADING.new(
        "offloading",
        namespace,
        spec={
            "namespaceMappingStrategy": "EnforceSameName",
            "podOffloadingStrategy": "LocalAndRemote",
            "clusterSelector": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]},
        },
    )


def pin(cluster_id: str | None) -> Object:
    """The part of a pod's spec that holds it at home (None) or in one remote cluster."""
    if cluster_id is None:
        expression: Object = {"key": names.TYPE, "operator": "NotIn", "values": [names.VIRTUAL_NODE_TYPE]}
    else:
        expression = {"key": names.REMOTE_CLUSTER_ID, "operator": "In", "values": [cluster_id]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    spec: Object = {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}
    if cluster_id is not None:
        spec["tolerations"] = [{"key": names.TAINT, "operator": "Exists", "effect": "NoExecute"}]
    return spec


_SENTENCES: Mapping[str, tuple[OffloadingPhase, str]] = {
    "Ready": ("Ready", "the namespace exists in every chosen cluster"),
    "NoClusterSelected": ("Failed", "no linked cluster matches; check that the links are connected"),
    "InProgress": ("Progressing", "the namespace is being created in the chosen clusters"),
    "SomeFailed": ("Failed", "the namespace could not be created in some clusters"),
    "AllFailed": ("Failed", "the namespace could not be created in any cluster"),
    "Terminating": ("Terminating", "the namespace is being withdrawn from the remote clusters"),
}


def offloading_state(offloading: Object | None) -> OffloadingState:
    """What a NamespaceOffloading's status says, in words."""
    if offloading is None:
        return OffloadingState("Pending", "NotOffloaded", "the namespace is not offloaded")
    status = offloading.get("status") or {}
    remotes = {
        cluster: _remote(cluster, entries)
        for cluster, entries in (status.get("remoteNamespacesConditions") or {}).items()
        if not _unselected(entries)
    }
    said = "Terminating" if deleting(offloading) else status.get("offloadingPhase")
    if not said:
        return OffloadingState("Pending", "NotSeen", "Liqo has not looked at the namespace yet", remotes)
    phase, sentence = _SENTENCES.get(said, ("Progressing", f"Liqo reports {said}"))
    wrong = sorted(f"{name}: {twin.message}" for name, twin in remotes.items() if not twin.ready)
    message = f"{sentence} ({'; '.join(wrong)})" if wrong and phase == "Failed" else sentence
    return OffloadingState(phase, said, message, remotes)


def _unselected(entries: Iterable[Object]) -> bool:
    return any(e.get("type") == "OffloadingRequired" and e.get("status") == "False" for e in entries)


def _remote(cluster: str, entries: Iterable[Object]) -> RemoteNamespace:
    ready = next((e for e in entries if e.get("type") == "Ready"), None)
    if ready is None:
        return RemoteNamespace(False, "Creating", f"the namespace does not exist in {cluster} yet")
    reason = str(ready.get("reason") or "Unknown")
    if ready.get("status") == "True":
        return RemoteNamespace(True, reason, f"the namespace exists in {cluster}")
    if reason == "CreationLoopBackOff":
        text = f"{cluster} has a namespace of that name which belongs to somebody else; rename one of them"
        return RemoteNamespace(False, reason, text)
    return RemoteNamespace(False, reason, str(ready.get("message") or f"{reason} in {cluster}"))
