"""The controller of ResourceSlices of one class: what a reader offers becomes what a Liqo consumer's node has."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from continuo.broker.aggregate.slices import answer, consumer_of, patch_of
from continuo.broker.readers.port import Changes, ResourceReader, Resources
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.errors import ApiError, Conflict, NotFound
from continuo.resources.meta import Key, Object, deleting, key_of
from continuo.runtime.cache import Cache
from continuo.runtime.clusterset import member_of
from continuo.runtime.controller import DONE, Controller, Result
from continuo.runtime.informer import Watch

log = logging.getLogger(__name__)

MANAGER = "continuo-slices"
CLASS = "continuo"
_BY_NAMESPACE, _BY_CONSUMER = "namespace", "consumer"


def _namespace(obj: Object) -> tuple[str, ...]:
    return (key_of(obj)[0],)


class SliceController:
    """Answers the slices that consumers sent to this cluster, and keeps the answers current."""

    def __init__(
        self,
        cluster: Cluster,
        reader: ResourceReader,
        *,
        class_: str = CLASS,
        node_labels: Mapping[str, str] | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        if class_ in ("", "default"):
            raise ValueError("the class default is Liqo's own: choose another name for ours")
        self._cluster, self._reader, self._class = cluster, reader, class_
        self._labels, self._now = dict(node_labels or {}), now or (lambda: datetime.now(UTC))
        self._controller: Controller[Key] = Controller("slices", self._reconcile)
        sent = Watch(
            kinds.RESOURCE_SLICE, labels="liqo.io/replicated=true", indexers={_BY_NAMESPACE: _namespace}, optional=True
        )
        tenants = Watch(
            kinds.TENANT,
            indexers={_BY_NAMESPACE: _namespace, _BY_CONSUMER: lambda obj: (consumer_of(obj),)},
            optional=True,
        )
        self._member = member_of("broker", cluster, (sent, tenants))
        informers = {informer.watch.kind: informer for informer in self._member.informers}
        self._sent, self._tenants = informers[kinds.RESOURCE_SLICE], informers[kinds.TENANT]
        self._sent.on_change(self._slice_changed)
        self._tenants.on_change(self._tenant_changed)
        self._task: asyncio.Task[None] | None = None
        self._changes: Changes | None = None

    async def start(self) -> None:
        """Answer from now on; returns when all slices that are there are being looked at."""
        self._changes = self._reader.subscribe()
        self._member.start()
        await self._member.wait_synced()
        self._controller.start()
        self._task = asyncio.create_task(self._hear(self._changes), name="changes of what slices are offered")

    async def stop(self) -> None:
        """Answer no more; what was answered stays."""
        await self._controller.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._changes is not None:  # also when nobody hears them yet: a start may be cancelled while it waits
            await self._changes.aclose()
        await asyncio.gather(*(informer.stop() for informer in self._member.informers))

    # --- what happens -------------------------------------------------------------------------------------------------
    async def _hear(self, changes: Changes) -> None:
        async for _ in changes:
            for slice_ in self._sent.cache:
                self._controller.add(key_of(slice_))

    def _slice_changed(self, old: Object | None, new: Object | None) -> None:
        self._controller.add(key_of(new or old or {}))

    def _tenant_changed(self, old: Object | None, new: Object | None) -> None:
        namespace, _ = key_of(new or old or {})
        for slice_ in self._slices_in(namespace):
            self._controller.add(key_of(slice_))
        if old is not None and (gone := consumer_of(old)) and (new is None or consumer_of(new) != gone):
            self._controller.add(("", gone))

    # --- one key ------------------------------------------------------------------------------------------------------
    async def _reconcile(self, key: Key) -> Result:
        if not key[0]:
            await self._left(key[1])
            return DONE
        slice_ = self._sent.cache.get(key)
        if slice_ is None or deleting(slice_) or (slice_.get("spec") or {}).get("class") != self._class:
            return DONE
        tenant = next(iter(self._in(self._tenants.cache, key[0])), None)
        offered, why = await self._offered(consumer_of(tenant))
        said = answer(slice_, tenant, offered, why)
        patch = patch_of(slice_, said, self._labels, self._stamp()) if said is not None else None
        if patch is not None:
            await self._write(key, patch)
        return DONE

    async def _offered(self, consumer: str) -> tuple[Resources | None, str]:
        if not consumer:
            return None, ""
        try:
            return await self._reader.read(consumer), ""
        except ApiError as error:
            return None, str(error)

    async def _write(self, key: Key, patch: Object) -> None:
        try:
            written = await self._cluster.patch(
                kinds.RESOURCE_SLICE, key[1], patch, key[0], subresource="status", manager=MANAGER
            )
        except (Conflict, NotFound):
            return  # Liqo wrote, or the slice went: either comes as a change of its own
        self._sent.learn(written)

    async def _left(self, consumer: str) -> None:
        """The consumer has no tenant any more: what was kept for it can go."""
        if not self._tenants.cache.by_index(_BY_CONSUMER, consumer):
            await self._reader.remove(consumer)

    def _slices_in(self, namespace: str) -> list[Object]:
        return self._in(self._sent.cache, namespace)

    @staticmethod
    def _in(cache: Cache, namespace: str) -> list[Object]:
        return cache.by_index(_BY_NAMESPACE, namespace)

    def _stamp(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
