"""Services, endpoints, ConfigMaps and Secrets of the reflected namespaces, carried out."""

from __future__ import annotations

import asyncio
import logging
from typing import TypeAlias

from continuo.federation.reflection import objects
from continuo.federation.reflection.hub import Share
from continuo.federation.reflection.pair import Pair
from continuo.federation.reflection.pod_reflector import LOOK_AGAIN, note_stray
from continuo.federation.reflection.twin import MANAGER
from continuo.resources.errors import AlreadyExists, Conflict, NotFound
from continuo.resources.meta import Key, Kind, Object, key_of
from continuo.runtime.controller import DONE, Controller, Result
from continuo.runtime.informer import Handler

log = logging.getLogger(__name__)

WORKERS = 4
_Key: TypeAlias = tuple[Kind, Key]


class ObjectReflector:
    """Keeps the copies of what pods need equal to their originals. Keys are those at home."""

    def __init__(self, pair: Pair, where: objects.Where = objects.at_home) -> None:
        self._pair, self._remote, self._where = pair, pair.remote.cluster, where
        self._originals: dict[tuple[Kind, str], Share] = {}
        self._copies = {kind: pair.remote.copies(kind, pair.twin) for kind in objects.KINDS}
        self._strays: dict[_Key, set[Key]] = {}
        """Copies that are not where they belong, since what their cluster is called has changed."""
        self._closing: set[asyncio.Task[None]] = set()
        self.controller: Controller[_Key] = Controller(f"objects of {pair.twin.node}", self.reconcile, workers=WORKERS)

    @property
    def shares(self) -> list[Share]:
        """All of them, of both ends."""
        return [*self._originals.values(), *self._copies.values()]

    def open(self, namespace: str) -> list[Share]:
        """Take a namespace up; to be followed when its shares are filled."""
        opened = {(kind, namespace): self._pair.home.originals(kind, namespace) for kind in objects.KINDS}
        self._originals |= opened
        return list(opened.values())

    def follow(self, namespace: str) -> None:
        """Look at everything that is known of an opened namespace, and at what changes."""
        for kind in objects.KINDS:
            if (share := self._originals.get((kind, namespace))) is not None:
                share.follow(self._handler(kind))
            for copy in self._copies[kind].all():
                if (key := self._pair.twin.key_here(copy))[0] == namespace:
                    self.controller.add((kind, key))

    def shut(self, namespace: str) -> None:
        """Let a namespace go: what was copied of it goes, too."""
        for kind in objects.KINDS:
            share = self._originals.pop((kind, namespace), None)
            if share is not None:
                for obj in share.all():
                    self.controller.add((kind, key_of(obj)))
                self._spawn(share)

    def follow_copies(self) -> None:
        """Look at every copy that is known, and at what changes."""
        for kind, share in self._copies.items():
            share.follow(self._copy_handler(kind))

    def look_at_all(self) -> None:
        """Anything may have happened: the remote cluster was away, or what is decided by has changed."""
        for (kind, _), share in self._originals.items():
            for obj in share.all():
                self.controller.add((kind, key_of(obj)))
        for kind, share in self._copies.items():
            for copy in share.all():
                self.controller.add((kind, self._pair.twin.key_here(copy)))

    async def close(self) -> None:
        """Follow no more."""
        await self.controller.stop()
        await asyncio.gather(*(share.close() for share in self.shares), *self._closing)

    def _spawn(self, share: Share) -> None:
        task = asyncio.create_task(share.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _handler(self, kind: Kind) -> Handler:
        def changed(old: Object | None, new: Object | None) -> None:
            obj = new if new is not None else old
            if obj is not None:
                self.controller.add((kind, key_of(obj)))

        return changed

    def _copy_handler(self, kind: Kind) -> Handler:
        def changed(old: Object | None, new: Object | None) -> None:
            obj = new if new is not None else old
            if obj is not None:
                key = (kind, self._pair.twin.key_here(obj))
                if self._pair.twin.key_there(key[1]) != key_of(obj):
                    note_stray(self._strays, key, obj, there=new is not None)
                self.controller.add(key)

        return changed

    async def reconcile(self, key: _Key) -> Result:
        """One step for one object."""
        if not self._pair.answers:
            return DONE
        kind, here = key
        for stray in [self._copies[kind].get(there) for there in self._strays.get(key, ())]:
            if stray is not None:
                await self._remove(kind, stray)
        twin, originals, copies = self._pair.twin, self._originals.get((kind, here[0])), self._copies[kind]
        if originals is not None and not originals.synced.is_set():
            return DONE  # what is not known yet is not gone; `follow` comes back to it
        original = originals.get(here) if originals is not None else None
        match objects.decide(twin, kind, original, copies.get(twin.key_there(here)), self._where):
            case objects.Create(copy):
                return await self._create(kind, here, copy)
            case objects.Replace(copy):
                copies.learn(await self._remote.replace(copy, manager=MANAGER))
            case objects.Remove(copy):
                await self._remove(kind, copy)
        return DONE

    async def _create(self, kind: Kind, here: Key, copy: Object) -> Result:
        namespace, name = key_of(copy)
        try:
            await self._pair.ensure_namespace(here[0])
            self._copies[kind].learn(await self._remote.create(copy, manager=MANAGER))
        except NotFound:
            self._pair.ours.discard(namespace)
            return Result(requeue_after=0.0)
        except AlreadyExists:
            found = await self._remote.get(kind, name, namespace)
            if self._pair.twin.owns(found):
                self._copies[kind].learn(found)
                return DONE
            log.warning(
                "%s %s/%s stays as it is: cluster %s has one of that name that is not ours",
                kind.kind, namespace, name, self._remote.name,
            )  # fmt: skip
            return Result(requeue_after=LOOK_AGAIN)
        except Conflict as error:
            log.warning("%s %s/%s cannot be sent: %s", kind.kind, *here, error)
            return Result(requeue_after=LOOK_AGAIN)
        return DONE

    async def _remove(self, kind: Kind, copy: Object) -> None:
        namespace, name = key_of(copy)
        try:
            await self._remote.delete(kind, name, namespace, uid=copy["metadata"]["uid"])
        except NotFound:
            return
