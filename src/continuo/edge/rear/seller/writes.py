"""The seller's writes: each on its own may be the last one of a process, and each may be done again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from weakref import WeakValueDictionary

from continuo.edge.rear import holds
from continuo.edge.rear.holds import Hold
from continuo.edge.rear.names import MANAGER, WITHDRAWN
from continuo.edge.rear.refusals import Refusal, busy
from continuo.edge.rear.seller.books import Books
from continuo.resources.errors import AlreadyExists, Conflict, Invalid, NotFound
from continuo.resources.kinds import ALLOCATION, FLAVOR, FLUIDOS_CONTRACT, SECRET, TRANSACTION
from continuo.resources.meta import Kind, Object, annotations_of, deleting
from continuo.runtime.backoff import Backoff

TRIES = 24
"""How often a hold is written while others keep writing the same flavor."""
Change = Callable[[Object], Object | None]
"""The flavor as it is -> what is to be patched, None: nothing. Raises Refusal."""


class Writes:
    """Writes to one seller's cluster."""

    def __init__(self, books: Books, rng: random.Random) -> None:
        self._books, self._cluster, self._random = books, books.cluster, rng
        self._backoff = Backoff(base=0.005, cap=0.25, jitter=1.0)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def turn(self, transaction: str) -> asyncio.Lock:
        """Taken by who reserves, gives up or sweeps up: holds exclude each other by themselves, Secrets do not."""
        return self._turns.setdefault(transaction, asyncio.Lock())

    async def change(self, name: str, decide: Change) -> Object:
        """Compare and swap: the flavor with what `decide` says of it as the server has it. Raises Refusal."""
        for attempt in range(1, TRIES + 1):
            flavor = await self._books.live_flavor(name)
            if flavor is None:
                raise Refusal(404, "flavor-unknown", f"there is no flavor {name} here, or it is gone")
            patch = decide(flavor)
            if patch is None:
                return flavor
            patch["metadata"].setdefault("resourceVersion", flavor["metadata"]["resourceVersion"])
            try:
                written = await self._cluster.patch(
                    FLAVOR, name, patch, flavor["metadata"]["namespace"], manager=MANAGER
                )
            except NotFound:
                continue
            except Invalid as error:  # a flavor on its way out takes no new finalizer
                raise Refusal(409, "withdrawn", f"flavor {name} is being withdrawn") from error
            except Conflict:
                await asyncio.sleep(self._backoff.delay(attempt, self._random))
                continue
            self._books.learn(written)
            return written
        raise busy(f"flavor {name} is wanted by many at this moment: ask again")

    async def release(self, name: str, transaction: str, may: Callable[[Hold], bool]) -> None:
        """Take one hold off, if it still is as `may` wants it; the last one takes a withdrawn flavor along."""

        def decide(flavor: Object) -> Object | None:
            found = holds.read(flavor)
            hold = found.get(transaction)
            if hold is None or not may(hold):
                return None
            return holds.patch(flavor, {each: one for each, one in found.items() if each != transaction})

        try:
            left = await self.change(name, decide)
        except Refusal as refusal:
            if refusal.status == 404:
                return
            raise
        if WITHDRAWN in annotations_of(left) and not deleting(left) and not holds.read(left):
            await self.remove(FLAVOR, name, left["metadata"]["namespace"], uid=left["metadata"]["uid"])

    async def make(self, obj: Object) -> Object:
        """Create it, or return what is there under its name."""
        try:
            made = await self._cluster.create(obj, manager=MANAGER)
        except AlreadyExists:
            kind = {kind.kind: kind for kind in _MADE}[obj["kind"]]
            made = await self._cluster.get(kind, obj["metadata"]["name"], obj["metadata"]["namespace"])
        self._books.learn(made)
        return made

    async def keep_secret(self, secret: Object) -> None:
        """Let there be this Secret with this content."""
        try:
            await self._cluster.create(secret, manager=MANAGER)
        except AlreadyExists:
            patch = {"stringData": secret["stringData"], "metadata": {"annotations": secret["metadata"]["annotations"]}}
            await self._cluster.patch(
                SECRET, secret["metadata"]["name"], patch, secret["metadata"]["namespace"], manager=MANAGER
            )

    async def patch(self, kind: Kind, obj: Object, patch: Mapping[str, object], *, status: bool = False) -> Object:
        """Change fields of an object of ours; gone is as good as changed, and another one of its name is left alone."""
        meta = obj["metadata"]
        body = {**patch, "metadata": {"uid": meta["uid"], **patch.get("metadata", {})}}  # type: ignore[dict-item]
        try:
            written = await self._cluster.patch(
                kind, meta["name"], body, meta["namespace"], subresource="status" if status else None, manager=MANAGER
            )
        except (Conflict, NotFound):
            return obj
        self._books.learn(written)
        return written

    async def remove(self, kind: Kind, name: str, namespace: str, *, uid: str | None = None) -> None:
        """Delete it; gone already is as good."""
        with suppress(NotFound, Conflict):
            await self._cluster.delete(kind, name, namespace, uid=uid)


_MADE = (TRANSACTION, FLUIDOS_CONTRACT, FLAVOR, ALLOCATION)
