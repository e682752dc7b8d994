"""Which namespaces a reflection reaches, while they come and go.

Those that the user names are reflected whole, and so are those whose label names the node. Those of consumers are found by
their label; their pods may go as soon as one is bound to the node, and only while one is do their Services, ConfigMaps and
Secrets go there, too: a provider gets the secrets of those who run on it, and of nobody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from continuo.federation.reflection.event_reflector import EventReflector
from continuo.federation.reflection.hub import Share, synced
from continuo.federation.reflection.object_reflector import ObjectReflector
from continuo.federation.reflection.pair import Pair
from continuo.federation.reflection.pod_reflector import PodReflector
from continuo.federation.reflection.spaces import OFFLOAD, consumer_of, root_consumer_of
from continuo.federation.reflection.vacated import State, Vacated
from continuo.resources import kinds
from continuo.resources.errors import ApiError
from continuo.resources.meta import Object, deleting, key_of, labels_of
from continuo.runtime.controller import DONE, Controller, Result

log = logging.getLogger(__name__)

LOOK_AGAIN, LOOKS = 0.1, 8
"""Seconds until a namespace there that is not empty is looked at again, which doubles, and how often."""


class Scope:
    """Keeps the pair's namespaces as they should be, and opens and shuts them for the parts."""

    def __init__(
        self, pair: Pair, named: frozenset[str], pods: PodReflector, objects: ObjectReflector, events: EventReflector
    ) -> None:
        self._pair, self._named = pair, named
        self._pods, self._objects, self._events = pods, objects, events
        self._find = (False, False)
        self._consumers: set[str] = set()
        self._given: set[str] = set()
        self._busy: Counter[str] = Counter()
        self._open: set[str] = set()
        self._spaces: Share | None = None
        self._running = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._vacated = Vacated(pair.remote.cluster, pair.twin.origin)
        self._left: dict[str, int] = {}
        """Namespaces there whose counterpart is gone, or sends no pods any more; and how often each was looked at."""
        self._leaving: Controller[str] = Controller(f"namespaces of {pair.twin.node}", self._leave, workers=2)

    async def begin(self, *, consumers: bool, offload: bool = False) -> None:
        """Find what is there and open it; when this returns all of it is known."""
        self._find = consumers, offload
        if consumers or offload or self._pair.home.wide:
            self._spaces = self._pair.home.all_of(kinds.NAMESPACE)
            await synced((self._spaces,))
            self._pair.root_consumer = self._root_consumer
        if (consumers or offload) and self._spaces is not None:
            self._spaces.follow(self._space_changed)
        if consumers:
            self._pods.pods.follow(self._pod_changed)
        self._settle()
        for name in sorted(self._open):
            await synced(self._objects.open(name))
        for name in sorted(self._open):
            self._objects.follow(name)
            self._events.open(name)
        self._running = True
        self._pods.copies.follow(self._copy_gone)
        self._leaving.start()
        self._spawn(self._find_left())

    def look_at_all(self) -> None:
        """The remote cluster was away: what was left there can go now."""
        for name in self._left:
            self._left[name] = 0
            self._leaving.add(name)

    async def close(self) -> None:
        """Follow no more."""
        self._running = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(self._leaving.stop(), *self._tasks, return_exceptions=True)
        if self._spaces is not None:
            await self._spaces.close()

    def _root_consumer(self, namespace: str) -> str | None:
        return root_consumer_of(self._spaces.get(("", namespace))) if self._spaces is not None else None

    def _space_changed(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        if obj is None:
            return
        consumers, offload = self._find
        live = new is not None and not deleting(new)
        name, labels = obj["metadata"]["name"], labels_of(obj)
        _keep(self._consumers, name, live and consumers and consumer_of(obj) is not None)
        _keep(self._given, name, live and offload and labels.get(OFFLOAD) == self._pair.twin.node)
        self._settle()

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if (old is None) == (new is None):
            return
        obj = new if new is not None else old
        if obj is None:
            return
        namespace = key_of(obj)[0]
        self._busy[namespace] += 1 if old is None else -1
        if self._busy[namespace] <= 0:
            del self._busy[namespace]
        if (namespace in self._busy) != (namespace in self._open):
            self._settle()

    def _settle(self) -> None:
        """Bring the decisions' namespaces up to date."""
        whole = self._named | self._given
        allowed = whole | self._consumers
        opened = whole | {name for name in self._busy if name in allowed}
        before, self._pair.twin = (
            self._pair.twin, replace(self._pair.twin, namespaces=frozenset(allowed), opened=frozenset(opened)),
        )  # fmt: skip
        fresh, stale = opened - self._open, self._open - opened
        self._open = set(opened)
        if not self._running:
            return
        changed = before.namespaces ^ self._pair.twin.namespaces
        if changed:
            for pod in self._pods.pods.all():
                if key_of(pod)[0] in changed:
                    self._pods.controller.add(key_of(pod))
        for name in before.namespaces - allowed:
            self._vacate(self._pair.twin.space_there(name))
        for name in stale:
            self._objects.shut(name)
            self._spawn(self._events.shut(name))
        for name in fresh:
            self._spawn(self._opened(name))

    async def _opened(self, name: str) -> None:
        """A namespace has come into use: read it, then follow it."""
        await synced(self._objects.open(name))
        if name in self._open:
            self._objects.follow(name)
            self._events.open(name)

    # --- what is left there -------------------------------------------------------------------------------------------
    async def _find_left(self) -> None:
        """Namespaces there whose counterpart went while nobody was looking."""
        if self._spaces is None:
            return
        try:
            found = await self._vacated.ours()
        except ApiError as error:
            log.info("namespaces of cluster %s cannot be looked at: %s", self._pair.remote.name, error)
            return
        for there, name in found.items():
            if self._spaces.get(("", name)) is None or self._pair.twin.space_there(name) != there:
                self._vacate(there)

    def _vacate(self, there: str) -> None:
        self._left[there] = 0
        self._leaving.add(there)

    def _copy_gone(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None and (there := key_of(old)[0]) in self._left:
            self._leaving.add(there)

    async def _leave(self, there: str) -> Result:
        """Let go of a namespace there when it is empty; what Kubernetes removes by itself takes a moment."""
        twin = self._pair.twin
        if there not in self._left or any(twin.space_there(name) == there for name in twin.namespaces):
            self._left.pop(there, None)
            return DONE
        if not self._pair.answers:
            return DONE
        if await self._vacated.clear(there) is State.GONE:
            self._left.pop(there, None)
            self._pair.ours.discard(there)
            return DONE
        self._left[there] = looks = self._left.get(there, 0) + 1
        return Result(LOOK_AGAIN * 2.0**looks) if looks <= LOOKS else DONE

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _keep(names: set[str], name: str, wanted: bool) -> None:
    if wanted:
        names.add(name)
    else:
        names.discard(name)
