"""One cluster as all reflections of a process share it: one watch of each kind, told apart by an index.

A thousand nodes do not mean a thousand watches of pods: what comes in is looked up once and told to the one reflection whose
it is. A hub that is not `wide` asks the API server for exactly what its only reflection needs instead, which costs less and
needs fewer rights where there is only one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeAlias

from continuo.federation.reflection.objects import MANAGED_BY, OURS, selector
from continuo.federation.reflection.twin import ORIGIN, THROUGH, Twin
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.errors import ApiError
from continuo.resources.meta import Key, Kind, Object, key_of, labels_of
from continuo.runtime.informer import Handler, Informer, Watch

Slot: TypeAlias = tuple[str, ...]
"""Whose an object is: `("node", name)`, `("copy", origin, node)`, `("in", namespace)`, or `("all",)`."""
Route: TypeAlias = Callable[[Object], tuple[Slot, ...]]
ALL: Slot = ("all",)
_INDEX = "slot"
PING = 10.0
"""Seconds after which a cluster that has not said that it is well counts as away."""


class Channel:
    """One informer, and those who follow a part of what it knows."""

    def __init__(self, cluster: Cluster, watch: Watch, route: Route, informer: Informer | None = None) -> None:
        self.route = route
        indexed = Watch(
            watch.kind, watch.namespace, watch.labels, watch.fields, {_INDEX: route}, watch.trim, watch.optional
        )
        self.informer = informer or Informer(cluster, indexed)
        self.users = 0
        self._followers: dict[Slot, list[Handler]] = {}
        self.informer.on_change(self._dispatch)

    def follow(self, slot: Slot, handler: Handler) -> Callable[[], None]:
        """Call back for what comes into the slot, changes in it, or leaves it; what is in it already is told at once."""
        followers = self._followers.setdefault(slot, [])
        followers.append(handler)
        for obj in self.informer.cache.by_index(_INDEX, slot):
            handler(None, obj)

        def stop() -> None:
            if handler in followers:
                followers.remove(handler)
            if not followers:
                self._followers.pop(slot, None)

        return stop

    def _dispatch(self, old: Object | None, new: Object | None) -> None:
        before = self.route(old) if old is not None else ()
        after = self.route(new) if new is not None else ()
        if before == after:
            for slot in after:
                for handler in self._followers.get(slot, ()):
                    handler(old, new)
            return
        for slot in (*before, *(slot for slot in after if slot not in before)):
            for handler in self._followers.get(slot, ()):
                handler(old if slot in before else None, new if slot in after else None)


class Share:
    """One reflection's part of a channel."""

    def __init__(self, hub: Hub, channel: Channel, slot: Slot) -> None:
        self._hub, self._channel, self._slot = hub, channel, slot
        self._stops: list[Callable[[], None]] = []

    @property
    def synced(self) -> asyncio.Event:
        """Set when everything that is there is known."""
        return self._channel.informer.synced

    def get(self, key: Key) -> Object | None:
        """The object, if it is ours."""
        return self._channel.informer.cache.get_in(_INDEX, self._slot, key)

    def all(self) -> list[Object]:
        """Everything that is ours."""
        return self._channel.informer.cache.by_index(_INDEX, self._slot)

    def learn(self, obj: Object) -> None:
        """Take the server's answer to a write of ours."""
        self._channel.informer.learn(obj)

    def follow(self, handler: Handler) -> None:
        """Call back for what is there, and for every change, until the share is closed."""
        self._stops.append(self._channel.follow(self._slot, handler))

    async def close(self) -> None:
        """Follow no more; the last one ends the watch."""
        for stop in self._stops:
            stop()
        self._stops = []
        await self._hub.release(self._channel)


class Closing(Protocol):
    """What is to be closed with a hub."""

    async def close(self) -> None: ...


class Hub:
    """One cluster: its client, and the watches that reflections share."""

    def __init__(self, cluster: Cluster, *, wide: bool = True, pods: Informer | None = None) -> None:
        self.cluster, self.wide, self._pods = cluster, wide, pods
        self._channels: dict[tuple[object, ...], Channel] = {}
        self._ping: asyncio.Task[str | None] | None = None
        self.home = False
        """Whether it has virtual nodes itself, so that all its pods are followed anyhow; to be said before copies are."""
        self.lock = asyncio.Lock()
        self.maps: Closing | None = None
        """What is known of addresses, once somebody has asked (`atlas.atlas_of`)."""

    async def close(self) -> None:
        """Let go of what outlives single reflections. The client is its owner's."""
        if self.maps is not None:
            await self.maps.close()
            self.maps = None

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.cluster.name

    @property
    def watches(self) -> int:
        """How many are open."""
        return len(self._channels)

    # --- as a home ----------------------------------------------------------------------------------------------------
    def pods_on(self, node: str) -> Share:
        """The pods that are bound to a node."""
        if self.wide:
            return self._share(Watch(kinds.POD), _routes(kinds.POD), ("node", node))
        return self._share(Watch(kinds.POD, fields=f"spec.nodeName={node}"), _everything, ALL)

    def pod(self, key: Key) -> Object | None:
        """Any pod of the cluster, while a wide hub follows them."""
        channel = self._channels.get(self._key(Watch(kinds.POD), _routes(kinds.POD)))
        return channel.informer.cache.get(key) if channel is not None else None

    def originals(self, kind: Kind, namespace: str) -> Share:
        """All objects of a kind in a namespace."""
        if self.wide:
            return self._share(Watch(kind), _routes(kind), ("in", namespace))
        return self._share(Watch(kind, namespace), _everything, ALL)

    def all_of(self, kind: Kind, *, optional: bool = False, labels: str | None = None) -> Share:
        """All objects of a kind."""
        return self._share(Watch(kind, labels=labels, optional=optional), _everything, ALL)

    # --- as a remote --------------------------------------------------------------------------------------------------
    def copies(self, kind: Kind, twin: Twin) -> Share:
        """The copies that one reflection made."""
        if not self.wide:
            return self._share(Watch(kind, labels=selector(twin, kind)), _everything, ALL)
        return self._share(
            Watch(kind, labels=None if self.home else ORIGIN), _routes(kind), ("copy", twin.origin, twin.node)
        )

    def events(self, namespace: str) -> Share:
        """What is said about the pods of a namespace."""
        fields = "involvedObject.kind=Pod"
        if self.wide:
            return self._share(Watch(kinds.CORE_EVENT, fields=fields), _routes(kinds.CORE_EVENT), ("in", namespace))
        return self._share(Watch(kinds.CORE_EVENT, namespace, fields=fields), _everything, ALL)

    # --- its health ---------------------------------------------------------------------------------------------------
    async def away(self) -> str | None:
        """Why the cluster cannot be worked with; None when it can. All who ask at the same time share one look."""
        if self._ping is None or self._ping.done():
            self._ping = asyncio.create_task(self._look())
        return await asyncio.shield(self._ping)

    def retry(self) -> None:
        """The cluster answers again: its watches need not wait any longer."""
        for channel in self._channels.values():
            channel.informer.retry()

    async def _look(self) -> str | None:
        try:
            async with asyncio.timeout(PING):
                await self.cluster.raw("/readyz")
        except TimeoutError:
            return f"cluster {self.name} does not answer within {PING:.0f} s"
        except ApiError as error:
            return str(error)
        return None

    # --- channels -----------------------------------------------------------------------------------------------------
    def _share(self, watch: Watch, route: Route, slot: Slot) -> Share:
        key = self._key(watch, route)
        channel = self._channels.get(key)
        if channel is None:
            given = self._pods if watch == Watch(kinds.POD) else None
            channel = self._channels[key] = Channel(self.cluster, watch, route, given)
            channel.informer.start()
        channel.users += 1
        return Share(self, channel, slot)

    @staticmethod
    def _key(watch: Watch, route: Route) -> tuple[object, ...]:
        return watch.kind, watch.namespace, watch.labels, watch.fields, route

    async def release(self, channel: Channel) -> None:
        """One user less."""
        channel.users -= 1
        if channel.users == 0:
            self._channels = {key: kept for key, kept in self._channels.items() if kept is not channel}
            await channel.informer.stop()


def _everything(_: Object) -> tuple[Slot, ...]:
    return (ALL,)


def _mark(obj: Object) -> tuple[Slot, ...]:
    labels = obj["metadata"].get("labels")
    if not labels:
        return ()
    origin, through = labels.get(ORIGIN), labels.get(THROUGH)
    return (("copy", origin, through),) if origin and through else ()


def _pod(obj: Object) -> tuple[Slot, ...]:
    node = obj["spec"].get("nodeName")
    return (("node", node), *_mark(obj)) if node else _mark(obj)


def _endpoint_slice(obj: Object) -> tuple[Slot, ...]:
    here: Slot = ("in", key_of(obj)[0])
    return (here, *_mark(obj)) if labels_of(obj).get(MANAGED_BY) == OURS else (here,)


def _other(obj: Object) -> tuple[Slot, ...]:
    return (("in", key_of(obj)[0]), *_mark(obj))


POD_INDEXERS: Mapping[str, Route] = {_INDEX: _pod}
"""What an informer of all pods needs that a wide hub is to share with others."""


def _routes(kind: Kind) -> Route:
    return {kinds.POD: _pod, kinds.ENDPOINT_SLICE: _endpoint_slice}.get(kind, _other)


async def synced(shares: Iterable[Share]) -> None:
    """Return when everything is known that they ask for."""
    await asyncio.gather(*(share.synced.wait() for share in shares))
