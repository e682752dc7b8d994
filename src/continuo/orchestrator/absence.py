"""A world in which one cluster does not answer, and another Adjustment is laid over a declaration. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import replace

from msgspec import to_builtins

from continuo.orchestrator.observe import Caches, Reach, Workload, World
from continuo.resources.loop import ADJUSTMENT, AdjustmentSpec
from continuo.resources.meta import Key, Kind, Object


class LostWorld:
    """A world in which one cluster does not answer, and another Adjustment is laid over the declaration."""

    def __init__(self, world: World, key: Key, secret: str, adjustment: AdjustmentSpec) -> None:
        self._world, self._lost = world, (key[0], secret)
        self._management = _Laid(world.management(), key, adjustment)

    def management(self) -> Caches:
        return self._management

    def workload(self, namespace: str, secret: str) -> Workload:
        seen = self._world.workload(namespace, secret)
        if (namespace, secret) == self._lost:  # what was seen of it before stays known, as to the running operator
            return replace(seen, reach=Reach.LOST, message="it is taken as lost", capacity=None)
        return seen

    def provisioning(self) -> frozenset[Key]:
        return self._world.provisioning()

    def missing(self) -> frozenset[str]:
        return self._world.missing()

    def users(self, secret: Key, besides: Key) -> tuple[Key, ...]:
        return self._world.users(secret, besides)

    def partners(self, secret: Key) -> Set[Key]:
        return self._world.partners(secret)

    def link_holders(self, a: Key, b: Key, besides: Key) -> tuple[Key, ...]:
        return self._world.link_holders(a, b, besides)


class _Laid:
    """Caches with another Adjustment."""

    def __init__(self, caches: Caches, key: Key, adjustment: AdjustmentSpec) -> None:
        self._caches, self._key = caches, key
        self._object = ADJUSTMENT.new(key[1], key[0], spec=to_builtins(adjustment))

    def get(self, kind: Kind, name: str, namespace: str = "") -> Object | None:
        if kind == ADJUSTMENT and (namespace, name) == self._key:
            return self._object
        return self._caches.get(kind, name, namespace)

    def list(self, kind: Kind, namespace: str = "") -> Iterable[Object]:
        return self._caches.list(kind, namespace)

    def owned(self, kind: Kind, orchestration: Key) -> Iterable[Object]:
        return self._caches.owned(kind, orchestration)

    def tenants(self) -> Iterable[Object]:
        return self._caches.tenants()

    def of_cluster(self, kind: Kind, namespace: str, cluster: str) -> Iterable[Object]:
        return self._caches.of_cluster(kind, namespace, cluster)
