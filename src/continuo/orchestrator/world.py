"""The world as the running operator sees it: the management cluster's informers and a set of followed workload clusters."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Set
from dataclasses import replace
from typing import TypeVar

from continuo.orchestrator import naming
from continuo.orchestrator.caches import CachedCluster, entrance
from continuo.orchestrator.capacity import Tally
from continuo.orchestrator.observe import Caches, Reach, Workload, adopted_secrets, simulated
from continuo.orchestrator.orient import place
from continuo.resources import kinds
from continuo.resources.meta import Key, Object, deleting, key_of, labels_of
from continuo.resources.orchestration import LowLevelOrchestration
from continuo.runtime.clusterset import ClusterSet, Member


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
        declared: Register,
        clock: Callable[[], float],
        lost_after: float,
        tally: Callable[[str], Tally] = lambda _: Tally(),
    ) -> None:
        self._hub = hub
        self._management = CachedCluster(hub.caches())
        self._fleet, self._declared, self._clock, self._grace = fleet, declared, clock, lost_after
        self._tally = tally
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
        tally = self._tally(name)
        seen = Workload(Reach.OK, "", view, entrance(view), tally.capacity(), tally.of)
        if self._lost(member):
            return replace(seen, reach=Reach.LOST, message=f"its API does not answer: {member.trouble}")
        return seen

    def _view(self, name: str, member: Member) -> CachedCluster:
        known = self._views.get(name)
        if known is None or known[0] is not member:
            known = (member, CachedCluster(member.caches()))
            self._views[name] = known
        return known[1]

    def _lost(self, member: Member) -> bool:
        since = member.stale_since
        return since is not None and self._clock() - since > self._grace

    def provisioning(self) -> frozenset[Key]:
        self.started -= {key for key in self.started if self._management.get(kinds.CLUSTER, key[1], key[0])}
        return frozenset(self.started | {key_of(cluster) for cluster in self._management.provisioning()})

    def missing(self) -> frozenset[str]:
        return frozenset(informer.watch.kind.kind for informer in self._hub.informers if not informer.served)

    def users(self, secret: Key, besides: Key) -> tuple[Key, ...]:
        return self._declared.users(secret, besides)

    def partners(self, secret: Key) -> Set[Key]:
        return self._declared.partners(secret)

    def link_holders(self, a: Key, b: Key, besides: Key) -> tuple[Key, ...]:
        return self._declared.holders(a, b, besides)


class Register:
    """Which orchestrations use which cluster (named by its kubeconfig Secret), and which links between them they need."""

    def __init__(self, on_left: Callable[[set[Key]], None] = lambda _: None) -> None:
        self._on_left = on_left
        """Told the orchestrations that use a cluster or a link which another one has left."""
        self._holders: dict[tuple[Key, Key], set[Key]] = {}
        self._held: dict[Key, set[tuple[Key, Key]]] = {}
        self._partners: dict[Key, set[Key]] = {}
        self._users: dict[Key, set[Key]] = {}
        self._used: dict[Key, set[Key]] = {}

    def put(self, orchestration: Key, secrets: Iterable[Key] = (), links: Iterable[tuple[Key, Key]] = ()) -> None:
        """Replace what an orchestration declares; without arguments it is forgotten."""
        pairs = {(min(pair), max(pair)) for pair in links}
        dropped = replace_items(self._holders, self._held, orchestration, pairs)
        for pair in dropped - self._holders.keys():
            self._part(*pair)
        for a, b in pairs:
            self._partners.setdefault(a, set()).add(b)
            self._partners.setdefault(b, set()).add(a)
        left = {secret for pair in dropped for secret in pair}
        left |= replace_items(self._users, self._used, orchestration, set(secrets))
        if others := {user for secret in left for user in self._users.get(secret, ())} - {orchestration}:
            self._on_left(others)

    def _part(self, a: Key, b: Key) -> None:
        for one, other in ((a, b), (b, a)):
            partners = self._partners.get(one, set())
            partners.discard(other)
            if not partners:
                self._partners.pop(one, None)

    def partners(self, secret: Key) -> Set[Key]:
        """The clusters at the other ends of all links of one."""
        return self._partners.get(secret, frozenset())

    def holders(self, a: Key, b: Key, besides: Key) -> tuple[Key, ...]:
        """Other orchestrations that need the link."""
        return tuple(sorted(self._holders.get((min(a, b), max(a, b)), set()) - {besides}))

    def users(self, secret: Key, besides: Key) -> tuple[Key, ...]:
        """Other orchestrations that use the cluster."""
        return tuple(sorted(self._users.get(secret, set()) - {besides}))


_T = TypeVar("_T")


def replace_items(by_item: dict[_T, set[Key]], by_key: dict[Key, set[_T]], key: Key, new: set[_T]) -> set[_T]:
    """Replace the items of one key in both directions; returns what it no longer has."""
    old = by_key.pop(key, set())
    for item in old - new:
        by_item[item].discard(key)
        if not by_item[item]:
            del by_item[item]
    for item in new:
        by_item.setdefault(item, set()).add(key)
    if new:
        by_key[key] = new
    return old - new


def declare(
    register: Register, obj: Object, orchestration: LowLevelOrchestration, management: Caches
) -> dict[str, str]:
    """Enter an orchestration: the clusters that it uses and the links that it declares or that its components need.

    Returns its clusters' kubeconfig Secrets by name.
    """
    key = (orchestration.namespace, orchestration.name)
    secrets = cluster_secrets(obj, orchestration, management)
    pairs: list[tuple[str, str]] = []
    if not deleting(obj):
        declared = {spec.name: spec for spec in orchestration.spec.clusters}
        pairs += [(a, b) for a, b in orchestration.spec.links]
        places = [(app.cluster, place(app, c, declared)) for app in orchestration.spec.apps for c in app.components]
        pairs += [(home, found) for home, found in places if found is not None]
    links = [((key[0], secrets[a]), (key[0], secrets[b])) for a, b in pairs if a != b and a in secrets and b in secrets]
    register.put(key, ((key[0], secret) for secret in secrets.values()), links)
    return secrets


def followed(secrets: dict[str, str], orchestration: LowLevelOrchestration, management: Caches) -> dict[str, str]:
    """Those of the Secrets that lead to an API server: simulated clusters have none."""
    declared = {spec.name for spec in orchestration.spec.clusters if spec.simulated}
    found = {
        name: management.get(kinds.CLUSTER, naming.cluster_name(orchestration.name, name), orchestration.namespace)
        for name in secrets
    }
    return {name: secret for name, secret in secrets.items() if name not in declared and not simulated(found[name])}


def cluster_secrets(obj: Object, orchestration: LowLevelOrchestration, management: Caches) -> dict[str, str]:
    """The kubeconfig Secret of each cluster of an orchestration: declared, or still there."""
    key = (orchestration.namespace, orchestration.name)
    secrets = {s.name: f"{naming.cluster_name(key[1], s.name)}-kubeconfig" for s in orchestration.spec.clusters}
    secrets.update(adopted_secrets(obj, orchestration))
    for cluster in management.owned(kinds.CLUSTER, key):
        declared = labels_of(cluster).get(naming.CLUSTER)
        if declared:
            secrets.setdefault(declared, f"{cluster['metadata']['name']}-kubeconfig")
    return secrets
