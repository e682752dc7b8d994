"""Many clusters that come and go while the process runs, each with a client and the same set of watches.

A cluster's kinds are followed by one task each; nothing polls. Kinds that a cluster may lack (their CRD comes later) are
looked for again when its CustomResourceDefinitions change.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol

from continuo.kube.port import Cluster
from continuo.resources.kinds import CUSTOM_RESOURCE_DEFINITION
from continuo.resources.meta import Kind, Object, is_true
from continuo.runtime.backoff import Backoff
from continuo.runtime.cache import Cache
from continuo.runtime.informer import Informer, Watch

log = logging.getLogger(__name__)

Membership = Literal["added", "removed", "replaced", "recovered"]
ChangeHandler = Callable[[str, Kind, Object | None, Object | None], None]
"""Called with (cluster name, kind, old, new)."""


class Connect(Protocol):
    """Make a client for a cluster from its kubeconfig text; raises ApiError with a sentence when that cannot be."""

    def __call__(self, kubeconfig: str, *, name: str) -> Cluster: ...


def _established(crd: Object) -> Object:
    """A CRD is megabytes of schema; only whether it is served matters here."""
    metadata = {key: crd["metadata"][key] for key in ("name", "resourceVersion")}
    served = str(is_true(crd, "Established"))
    return {"metadata": metadata, "status": {"conditions": [{"type": "Established", "status": served}]}}


class Member:
    """One cluster of the set: its client and its informers, by kind."""

    def __init__(self, name: str, kubeconfig: str, cluster: Cluster, informers: Sequence[Informer]) -> None:
        self.name, self.kubeconfig, self.cluster = name, kubeconfig, cluster
        self.informers = tuple(informers)
        self.on_recovery: Callable[[], None] = lambda: None
        """Called when the cluster answers again; once per kind."""
        for informer in self.informers:
            informer.on_recovery = self._recovered

    def cache(self, kind: Kind) -> Cache:
        """The cache of a kind that is watched once."""
        (found,) = (informer.cache for informer in self.informers if informer.watch.kind == kind)
        return found

    def caches(self) -> dict[Kind, list[Cache]]:
        """All caches by kind: a kind may be watched several times, with different selectors."""
        found: dict[Kind, list[Cache]] = {}
        for informer in self.informers:
            found.setdefault(informer.watch.kind, []).append(informer.cache)
        return found

    def informer_for(self, kind: Kind, labels: str | None) -> Informer | None:
        """The informer of a kind with exactly that label selector, or None."""
        return next((i for i in self.informers if i.watch.kind == kind and i.watch.labels == labels), None)

    @property
    def synced(self) -> bool:
        """Whether every cache was filled once."""
        return all(informer.synced.is_set() for informer in self.informers)

    @property
    def stale_since(self) -> float | None:
        """Loop time since which some kind of this cluster cannot be followed; None while all are."""
        times = [i.stale_since for i in self.informers if i.stale_since is not None]
        return min(times, default=None)

    @property
    def trouble(self) -> str:
        """Why the cluster cannot be followed, as a sentence; empty while it can."""
        errors = (informer.last_error for informer in self.informers)
        return next((str(error) for error in errors if error is not None), "")

    def _recovered(self) -> None:
        """Where one kind is answered the others are tried at once: together they had waited ever longer."""
        for informer in self.informers:
            informer.retry()
        self.on_recovery()

    def start(self) -> None:
        """Follow everything, in tasks of the running loop."""
        for informer in self.informers:
            informer.start()

    async def wait_synced(self) -> None:
        """Return when every cache was filled once."""
        for informer in self.informers:
            await informer.synced.wait()

    async def close(self) -> None:
        """Stop following and close the client."""
        await asyncio.gather(*(informer.stop() for informer in self.informers))
        await self.cluster.close()


def member_of(
    name: str,
    cluster: Cluster,
    watches: Sequence[Watch],
    *,
    kubeconfig: str = "",
    backoff: Backoff | None = None,
    rng: random.Random | None = None,
) -> Member:
    """A cluster to be followed, not started yet. Optional kinds are looked for again when their CRD is established."""
    watched = list(watches)
    if any(watch.optional for watch in watched) and all(w.kind != CUSTOM_RESOURCE_DEFINITION for w in watched):
        watched.append(Watch(CUSTOM_RESOURCE_DEFINITION, trim=_established))
    member = Member(name, kubeconfig, cluster, [Informer(cluster, w, backoff=backoff, rng=rng) for w in watched])
    for informer in member.informers:
        if informer.watch.kind == CUSTOM_RESOURCE_DEFINITION:
            informer.on_change(_waker(member))
    return member


class ClusterSet:
    """Named clusters, all followed in the same way."""

    def __init__(
        self,
        watches: Sequence[Watch],
        connect: Connect,
        *,
        backoff: Backoff | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._watches = tuple(watches)
        self._connect, self._backoff, self._random = connect, backoff, rng or random.Random()
        self._members: dict[str, Member] = {}
        self._lock = asyncio.Lock()
        self._change_handlers: list[ChangeHandler] = []
        self._member_handlers: list[Callable[[str, Membership], None]] = []

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._members.values()))

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def get(self, name: str) -> Member | None:
        """The cluster of that name, or None."""
        return self._members.get(name)

    def on_change(self, handler: ChangeHandler) -> None:
        """Call back for every change on every cluster. Register before clusters are added."""
        self._change_handlers.append(handler)

    def on_membership(self, handler: Callable[[str, Membership], None]) -> None:
        """Call back when a cluster was added or removed, got another client, or answers again."""
        self._member_handlers.append(handler)

    async def put(self, name: str, kubeconfig: str) -> Member:
        """Follow a cluster; with another kubeconfig than before (rotated credentials) its client is replaced."""
        async with self._lock:
            known = self._members.get(name)
            if known is not None and known.kubeconfig == kubeconfig:
                return known
            cluster = self._connect(kubeconfig, name=name)
            if known is None:
                member = self._members[name] = self._start(name, kubeconfig, cluster)
                self._announce(name, "added")
                return member
            await self._reconnect(known, kubeconfig, cluster)
            self._announce(name, "replaced")
            return known

    async def remove(self, name: str) -> None:
        """Stop following a cluster and forget it; the caches' objects are told as deleted to nobody."""
        async with self._lock:
            member = self._members.pop(name, None)
            if member is not None:
                await member.close()
                self._announce(name, "removed")

    async def close(self) -> None:
        """Remove all clusters."""
        await asyncio.gather(*(self.remove(name) for name in list(self._members)))

    def _start(self, name: str, kubeconfig: str, cluster: Cluster) -> Member:
        member = member_of(name, cluster, self._watches, kubeconfig=kubeconfig, backoff=self._backoff, rng=self._random)
        for informer in member.informers:
            informer.on_change(self._forwarder(name, informer.watch.kind))
        member.on_recovery = lambda: self._announce(name, "recovered")
        member.start()
        return member

    async def _reconnect(self, member: Member, kubeconfig: str, cluster: Cluster) -> None:
        old, member.cluster, member.kubeconfig = member.cluster, cluster, kubeconfig
        await asyncio.gather(*(informer.reconnect(cluster) for informer in member.informers))
        await old.close()

    def _forwarder(self, name: str, kind: Kind) -> Callable[[Object | None, Object | None], None]:
        def forward(old: Object | None, new: Object | None) -> None:
            for handler in self._change_handlers:
                handler(name, kind, old, new)

        return forward

    def _announce(self, name: str, what: Membership) -> None:
        for handler in self._member_handlers:
            try:
                handler(name, what)
            except Exception:
                log.exception("a membership handler failed for cluster %s (%s)", name, what)


def _waker(member: Member) -> Callable[[Object | None, Object | None], None]:
    """Look again for optional kinds whose CRD was just established."""
    by_crd: dict[str, list[Informer]] = {}
    for informer in member.informers:
        if informer.watch.optional:
            by_crd.setdefault(informer.watch.kind.resource, []).append(informer)

    def crd_changed(_: Object | None, new: Object | None) -> None:
        if new is not None and is_true(new, "Established"):
            for informer in by_crd.get(new["metadata"]["name"], ()):
                informer.wake()

    return crd_changed
