"""Where the replicas of each workload are: counts that are kept with every pod, never found by looking at pods anew."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from continuo.broker.selector.pods import name_of_workload
from continuo.resources.meta import Key, Object


class _At(msgspec.Struct):
    uid: str
    workload: str
    node: str


class Whereabouts:
    """By namespace and workload: how many pods are on which node. Pods that are being placed count already."""

    def __init__(self) -> None:
        self._pods: dict[Key, _At] = {}
        self._counts: dict[str, dict[str, dict[str, int]]] = {}

    def of(self, namespace: str) -> Mapping[str, Mapping[str, int]]:
        """By name of the workload: how many pods it has on each node."""
        return self._counts.get(namespace, {})

    def put(self, key: Key, uid: str, node: str, pod: Object) -> None:
        """The pod is on that node."""
        self.drop(key)
        at = self._pods[key] = _At(uid, name_of_workload(pod), node)
        nodes = self._counts.setdefault(key[0], {}).setdefault(at.workload, {})
        nodes[node] = nodes.get(node, 0) + 1

    def rename(self, key: Key, uid: str, now: str) -> None:
        """The pod has another UID than it was known by."""
        at = self._pods.get(key)
        if at is not None and at.uid == uid:
            at.uid = now

    def drop(self, key: Key, uid: str | None = None) -> None:
        """The pod is gone; with a UID, if it is still the one that is known."""
        at = self._pods.get(key)
        if at is None or (uid is not None and at.uid != uid):
            return
        del self._pods[key]
        workloads = self._counts[key[0]]
        nodes = workloads[at.workload]
        nodes[at.node] -= 1
        if not nodes[at.node]:
            del nodes[at.node]
        if not nodes:
            del workloads[at.workload]
        if not workloads:
            del self._counts[key[0]]
