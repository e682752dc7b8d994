"""One cluster as the networks between clusters need it: followed while one is made, read as an end, and written to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from continuo.federation.model import Apply, Delete
from continuo.federation.paths import Ends
from continuo.federation.state import EndState, end_state
from continuo.federation.watches import WATCHES
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.errors import NotFound
from continuo.resources.meta import Kind, Object, key_of, labels_of
from continuo.runtime.clusterset import Member, member_of
from continuo.runtime.informer import Watch

log = logging.getLogger(__name__)

_NAMESPACE = "namespace"
_KINDS: dict[tuple[str, str], Kind] = {
    (kind.api_version, kind.kind): kind for kind in vars(kinds).values() if isinstance(kind, Kind)
}


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
        """For whom it is followed; whoever makes it keeps the count."""
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

    @property
    def trouble(self) -> str:
        """Why it cannot be followed, as a sentence; empty while it can."""
        return self._member.trouble

    def end(self, peer: str | None) -> EndState:
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

    async def write(self, op: Apply | Delete, manager: str) -> None:
        """Do one write, and know of it at once; what is gone already counts as deleted."""
        match op:
            case Apply(obj):
                kind = _KINDS[obj["apiVersion"], obj["kind"]]
                self.learn(await self.cluster.apply(obj, manager=manager), kind)
            case Delete(kind, namespace, name):
                try:
                    await self.cluster.delete(kind, name, namespace or None)
                except NotFound:
                    log.debug("%s of %s is gone already", op.summary, self.name)

    def learn(self, obj: Object, kind: Kind) -> None:
        """Take the server's answer to a write."""
        for informer in self._member.informers:
            if informer.watch.kind == kind and informer.watch.labels in labels_texts(obj):
                informer.learn(obj)


def labels_texts(obj: Object) -> set[str | None]:
    """The label selectors of `WATCHES` that surely choose an object: its labels' names, alone and with their value."""
    labels = labels_of(obj)
    return {None, *labels, *(f"{name}={value}" for name, value in labels.items())}
