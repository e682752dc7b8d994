"""Services, endpoints, ConfigMaps and Secrets of the reflected namespaces, carried out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TypeAlias

from continuo.federation.reflection import objects
from continuo.federation.reflection.pod_reflector import LOOK_AGAIN, ensure_namespace
from continuo.federation.reflection.twin import MANAGER, Twin
from continuo.kube.port import Cluster
from continuo.resources.errors import AlreadyExists, NotFound
from continuo.resources.meta import Key, Kind, Object, key_of
from continuo.runtime.controller import DONE, Controller, Result
from continuo.runtime.informer import Handler, Informer, Watch

log = logging.getLogger(__name__)

WORKERS = 4
_Key: TypeAlias = tuple[Kind, Key]


class ObjectReflector:
    """Keeps the copies of what pods need equal to their originals."""

    def __init__(self, home: Cluster, remote: Cluster, twin: Twin, *, reachable: Callable[[], bool]) -> None:
        self._remote, self._twin, self._reachable = remote, twin, reachable
        self._originals = {
            (kind, namespace): Informer(home, Watch(kind, namespace))
            for kind in objects.KINDS
            for namespace in sorted(twin.namespaces)
        }
        self._copies = {
            kind: Informer(remote, Watch(kind, labels=objects.selector(twin, kind))) for kind in objects.KINDS
        }
        self.controller: Controller[_Key] = Controller(f"objects of {twin.node}", self.reconcile, workers=WORKERS)

    @property
    def informers(self) -> Iterator[Informer]:
        """All of them, of both ends."""
        yield from self._originals.values()
        yield from self._copies.values()

    def follow(self) -> None:
        """Look at everything that is known, and at what changes."""
        for informer in self.informers:
            informer.on_change(self._handler(informer.watch.kind))

    def look_at_all(self) -> None:
        """The remote cluster was away: anything may have happened."""
        for informer in self.informers:
            for key in list(informer.cache.keys()):
                self.controller.add((informer.watch.kind, key))

    def _handler(self, kind: Kind) -> Handler:
        def changed(old: Object | None, new: Object | None) -> None:
            obj = new if new is not None else old
            if obj is not None:
                self.controller.add((kind, key_of(obj)))

        return changed

    async def reconcile(self, key: _Key) -> Result:
        """One step for one object."""
        if not self._reachable():
            return DONE
        kind, (namespace, name) = key
        originals, copies = self._originals.get((kind, namespace)), self._copies[kind]
        original = originals.cache.get((namespace, name)) if originals is not None else None
        match objects.decide(self._twin, kind, original, copies.cache.get((namespace, name))):
            case objects.Create(copy):
                return await self._create(kind, copy)
            case objects.Replace(copy):
                copies.learn(await self._remote.replace(copy, manager=MANAGER))
            case objects.Remove(copy):
                await self._remove(kind, copy)
        return DONE

    async def _create(self, kind: Kind, copy: Object) -> Result:
        namespace, name = key_of(copy)
        try:
            self._copies[kind].learn(await self._remote.create(copy, manager=MANAGER))
        except NotFound:
            await ensure_namespace(self._remote, namespace)
            return Result(requeue_after=0.0)
        except AlreadyExists:
            found = await self._remote.get(kind, name, namespace)
            if self._twin.owns(found):
                self._copies[kind].learn(found)
                return DONE
            log.warning(
                "%s %s/%s stays as it is: cluster %s has one of that name that is not ours",
                kind.kind, namespace, name, self._remote.name,
            )  # fmt: skip
            return Result(requeue_after=LOOK_AGAIN)
        return DONE

    async def _remove(self, kind: Kind, copy: Object) -> None:
        namespace, name = key_of(copy)
        try:
            await self._remote.delete(kind, name, namespace, uid=copy["metadata"]["uid"])
        except NotFound:
            return
