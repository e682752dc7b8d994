"""The clusters that a path is being made between, followed only as long as one is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from continuo.federation import names
from continuo.federation.paths import PATH, Ends
from continuo.federation.state import EndState, end_state
from continuo.federation.watches import WATCHES
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.errors import Forbidden, NotFound
from continuo.resources.meta import Kind, Object, key_of, labels_of
from continuo.runtime.clusterset import Member, member_of
from continuo.runtime.informer import Watch

_NAMESPACE = "namespace"


def _watches() -> list[Watch]:
    index = {_NAMESPACE: lambda obj: [key_of(obj)[0]]}
    return [
        Watch(watch.kind, watch.namespace, watch.labels, watch.fields, index, optional=True)
        for watch in WATCHES
        if watch.kind is not kinds.NAMESPACE_OFFLOADING
    ]


class Followed:
    """One cluster with its caches. Implements `federation.state.Cache`."""

    def __init__(self, name: str, cluster: Cluster, changed: Callable[[str], None]) -> None:
        self.name, self.cluster = name, cluster
        self.users: set[Ends] = set()
        self._member: Member = member_of(name, cluster, _watches())
        self._caches = self._member.caches()
        self._member.on_recovery = lambda: changed(name)
        for informer in self._member.informers:
            informer.on_change(lambda _old, _new: changed(name))
            informer.on_recovery = self._member.on_recovery

    def start(self) -> None:
        """Follow, in tasks of the running loop."""
        self._member.start()

    async def wait_synced(self) -> None:
        """Return when everything that is there is known."""
        await self._member.wait_synced()

    async def close(self) -> None:
        """Follow no more; the client is its owner's."""
        for informer in self._member.informers:
            await informer.stop()

    @property
    def synced(self) -> bool:
        """Whether what is known is all that is there."""
        return self._member.synced

    @property
    def reachable(self) -> bool:
        """Whether the cluster answers."""
        return self._member.stale_since is None

    def end(self, peer: str) -> EndState:
        """Our end of the path to a peer."""
        return end_state(self.name, self, peer, reachable=self.reachable)

    def get(self, kind: Kind, name: str, namespace: str = "") -> Object | None:
        """The cached object, or None."""
        found = (cache.get((namespace, name)) for cache in self._caches.get(kind, ()))
        return next((obj for obj in found if obj is not None), None)

    def list(self, kind: Kind, namespace: str = "") -> Iterable[Object]:
        """The cached objects of a kind, of one namespace when given."""
        found = []
        for cache in self._caches.get(kind, ()):
            found += cache.by_index(_NAMESPACE, namespace) if namespace else list(cache)
        return found

    def learn(self, obj: Object, kind: Kind) -> None:
        """Take the server's answer to a write."""
        for informer in self._member.informers:
            if informer.watch.kind == kind and informer.watch.labels in labels_texts(obj):
                informer.learn(obj)


def labels_texts(obj: Object) -> set[str | None]:
    """The label selectors of `WATCHES` that surely choose an object: its labels' names, alone and with their value."""
    labels = labels_of(obj)
    return {None, *labels, *(f"{name}={value}" for name, value in labels.items())}


async def left_behind(cluster: Cluster, broker: str) -> tuple[set[str], set[str]]:
    """The peers of all paths that this broker ever made to a cluster, and that are still there; those that may have been.

    The tenant namespace, which tells whose a path is, goes before the summary that Liqo made of it. A summary without one is
    what remains of a link, whoever's it was.
    """
    found = (await cluster.list(kinds.NAMESPACE, labels=names.TENANT_NAMESPACE)).items
    peers = {labels_of(space).get(names.REMOTE_CLUSTER_ID, ""): labels_of(space).get(PATH) == broker for space in found}
    try:
        summaries = (await cluster.list(kinds.FOREIGN_CLUSTER)).items
    except (NotFound, Forbidden):
        summaries = []  # no Liqo is there (any more), or we may not see it
    bare = {str((each.get("spec") or {}).get("clusterID") or "") for each in summaries} - peers.keys()
    return {peer for peer, ours in peers.items() if ours and peer}, bare - {""}
