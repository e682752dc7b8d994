"""The reader at the beginning of a chain: what a Kubernetes cluster has left, followed through its API.

Nodes, pods and namespaces are watched, and each change is booked by itself; reading costs a sum over the nodes that the
asking cluster's pods are on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from fractions import Fraction

from continuo.broker.readers.freshness import Freshness
from continuo.broker.readers.ledger import Ledger
from continuo.broker.readers.port import Bell, Changes
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.meta import Object, condition, labels_of
from continuo.runtime.informer import Informer, Watch

_VIRTUAL = ("continuo.dev/virtual-node", "continuo.dev/provider")
_KEEPS_OUT = ("NoSchedule", "NoExecute")


def real_and_usable(tolerated: Collection[str] = ()) -> Callable[[Object], bool]:
    """Whether a node counts: a real one, Ready, not cordoned, without a taint that keeps pods out (but `tolerated`)."""

    def counts(node: Object) -> bool:
        labels, spec = labels_of(node), node.get("spec") or {}
        if labels.get("liqo.io/type") == "virtual-node" or any(mark in labels for mark in _VIRTUAL):
            return False
        keeps_out = any(
            taint.get("effect") in _KEEPS_OUT and taint.get("key") not in tolerated
            for taint in spec.get("taints") or ()
        )
        return is_ready(node) and not spec.get("unschedulable") and not keeps_out

    return counts


def is_ready(node: Object) -> bool:
    """Whether the node's condition says so."""
    return (condition(node, "Ready") or {}).get("status") == "True"


class ClusterMonitor:
    """What a cluster may use of the nodes of another one."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        own_id: str = "",
        counts: Callable[[Object], bool] | None = None,
        bound: float = 300.0,
    ) -> None:
        self.ledger = Ledger(counts or real_and_usable())
        self._own_id, self._bell = own_id, Bell()
        self._informers = {
            kinds.NAMESPACE: Informer(cluster, Watch(kinds.NAMESPACE)),
            kinds.NODE: Informer(cluster, Watch(kinds.NODE)),
            kinds.POD: Informer(cluster, Watch(kinds.POD, trim=what_counts)),
        }
        self._fresh = Freshness(cluster.name, tuple(self._informers.values()), bound, self._bell)
        book = {kinds.NAMESPACE: self.ledger.namespace, kinds.NODE: self.ledger.node, kinds.POD: self.ledger.pod}
        for kind, informer in self._informers.items():
            informer.on_change(self._booking(book[kind]))

    def _booking(self, book: Callable[[Object | None, Object | None], bool]) -> Callable[..., None]:
        def change(old: Object | None, new: Object | None) -> None:
            if book(old, new):
                self._bell.ring()

        return change

    async def start(self) -> None:
        """Follow the cluster; returns when all of it is known."""
        for informer in self._informers.values():
            informer.start()
        await asyncio.gather(*(informer.synced.wait() for informer in self._informers.values()))
        self._fresh.start()

    async def stop(self) -> None:
        """Follow it no more."""
        await self._fresh.stop()
        await asyncio.gather(*(informer.stop() for informer in self._informers.values()))

    async def read(self, originator: str) -> dict[str, Fraction]:
        """What that cluster may use; nothing if it is the cluster itself; Unreachable if this is not known (any more)."""
        self._fresh.check()
        if originator and originator == self._own_id:
            return {}
        return self.ledger.available(originator)

    async def remove(self, cluster: str) -> None:
        """Nothing is kept for single clusters: what they use is what their pods use."""

    def subscribe(self) -> Changes:
        """Tell of every change of what nodes have or pods take."""
        return self._bell.subscribe()


def what_counts(pod: Object) -> Object:
    """A pod is cached without what says nothing about its demand."""
    metadata, spec = pod["metadata"], pod["spec"]
    kept = {key: metadata[key] for key in ("namespace", "name", "uid", "resourceVersion") if key in metadata}
    asks = {key: spec[key] for key in ("nodeName", "overhead", "resources") if spec.get(key)}
    for part in ("containers", "initContainers"):
        asks[part] = [
            {key: container[key] for key in ("resources", "restartPolicy") if container.get(key)}
            for container in spec.get(part) or ()
        ]
    return {"metadata": kept, "spec": asks, "status": {"phase": (pod.get("status") or {}).get("phase")}}
