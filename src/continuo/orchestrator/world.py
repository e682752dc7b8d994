"""The world as the running operator sees it: the management cluster's informers and a set of followed workload clusters."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable

from continuo.orchestrator.caches import CachedCluster, entrance
from continuo.orchestrator.observe import Caches, Reach, Workload
from continuo.resources import kinds
from continuo.resources.meta import Key, Object, key_of
from continuo.runtime.clusterset import ClusterSet, Member

GRACE = 5.0
"""Seconds for which a workload cluster may not answer before it counts as lost."""


def member_name(namespace: str, secret: str) -> str:
    """The name under which a workload cluster is followed: its kubeconfig Secret."""
    return f"{namespace}/{secret}"


def kubeconfig_text(secret: Object) -> str | None:
    """The kubeconfig in a Secret (key `value`, as Cluster API writes it), or None when it is not readable."""
    value = (secret.get("data") or {}).get("value")
    try:
        return base64.b64decode(value, validate=True).decode() if value else None
    except (binascii.Error, UnicodeDecodeError):
        return None


class LiveWorld:
    """Answers from caches only; every question is a lookup."""

    def __init__(
        self,
        hub: Member,
        fleet: ClusterSet,
        declared: LinkRegister,
        clock: Callable[[], float],
    ) -> None:
        self._hub = hub
        self._management = CachedCluster(hub.caches())
        self._fleet, self._declared, self._clock = fleet, declared, clock
        self._views: dict[str, tuple[Member, CachedCluster]] = {}
        self.started: set[Key] = set()
        """Clusters whose creation was written but not seen yet: they count as being provisioned."""

    def management(self) -> Caches:
        return self._management

    def workload(self, namespace: str, secret: str) -> Workload:
        name = member_name(namespace, secret)
        member = self._fleet.get(name)
        if member is None:
            self._views.pop(name, None)
            return Workload(Reach.NONE)
        view = self._view(name, member)
        if not member.synced:
            return Workload(Reach.LOST if self._lost(member) else Reach.CONNECTING, member.trouble, None)
        if self._lost(member):
            return Workload(Reach.LOST, f"its API does not answer: {member.trouble}", view, entrance(view))
        return Workload(Reach.OK, "", view, entrance(view))

    def _view(self, name: str, member: Member) -> CachedCluster:
        known = self._views.get(name)
        if known is None or known[0] is not member:
            known = (member, CachedCluster(member.caches()))
            self._views[name] = known
        return known[1]

    def _lost(self, member: Member) -> bool:
        since = member.stale_since
        return since is not None and self._clock() - since > GRACE

    def provisioning(self) -> frozenset[Key]:
        self.started -= {key for key in self.started if self._management.get(kinds.CLUSTER, key[1], key[0])}
        return frozenset(self.started | {key_of(cluster) for cluster in self._management.provisioning()})

    def missing(self) -> frozenset[str]:
        return frozenset(informer.watch.kind.kind for informer in self._hub.informers if not informer.served)

    def link_holders(self, a: Key, b: Key, besides: Key) -> tuple[Key, ...]:
        return self._declared.holders(a, b, besides)


class LinkRegister:
    """Which orchestrations declare a link between which two clusters (named by their kubeconfig Secrets)."""

    def __init__(self) -> None:
        self._holders: dict[tuple[Key, Key], set[Key]] = {}
        self._held: dict[Key, set[tuple[Key, Key]]] = {}

    def put(self, orchestration: Key, pairs: Iterable[tuple[Key, Key]]) -> None:
        """Replace what an orchestration declares; an empty list forgets it."""
        new = {(min(pair), max(pair)) for pair in pairs}
        old = self._held.pop(orchestration, set())
        for pair in old - new:
            self._holders[pair].discard(orchestration)
            if not self._holders[pair]:
                del self._holders[pair]
        for pair in new:
            self._holders.setdefault(pair, set()).add(orchestration)
        if new:
            self._held[orchestration] = new

    def holders(self, a: Key, b: Key, besides: Key) -> tuple[Key, ...]:
        found = self._holders.get((min(a, b), max(a, b)), set())
        return tuple(sorted(found - {besides}))
