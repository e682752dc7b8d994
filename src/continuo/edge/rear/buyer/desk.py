"""What a buyer sees of its own cluster, and how it writes there."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping

from continuo.edge.node import BUYER, SIDE, NodeIdentity
from continuo.edge.rear.names import MANAGER
from continuo.edge.rear.times import stamp
from continuo.kube.port import Cluster
from continuo.resources.errors import AlreadyExists, Conflict, NotFound
from continuo.resources.kinds import (
    ALLOCATION,
    DISCOVERY,
    FLUIDOS_CONTRACT,
    KNOWN_CLUSTER,
    PEERING_CANDIDATE,
    RESERVATION,
    SECRET,
    SOLVER,
    TRANSACTION,
)
from continuo.resources.meta import Kind, Object
from continuo.runtime.cache import Cache, Indexer
from continuo.runtime.informer import Handler, Informer, Watch

ADDRESS = "rear.continuo.dev/address"
"""Annotation of PeeringCandidates, Reservations and Contracts: where the seller answers."""
FLAVOR = "rear.continuo.dev/flavor"
"""Annotation of Reservations: what is reserved, for their candidates may go before them."""
CANDIDATE = "candidate"
"""Index of Reservations by the name of what they reserve."""
_MINE = f"{SIDE}={BUYER}"
_FOLLOWED: Mapping[Kind, str | None] = {
    SOLVER: None, DISCOVERY: None, PEERING_CANDIDATE: None, RESERVATION: None, KNOWN_CLUSTER: None,
    FLUIDOS_CONTRACT: _MINE, ALLOCATION: _MINE,
}  # fmt: skip


def candidate_of(reservation: Object) -> str:
    """The name of the PeeringCandidate that is reserved."""
    return str((reservation["spec"].get("peeringCandidate") or {}).get("name") or "")


_INDEXERS: Mapping[Kind, Mapping[str, Indexer]] = {RESERVATION: {CANDIDATE: lambda found: (candidate_of(found),)}}


class Desk:
    """Informers of one buyer, and writes that may be repeated."""

    def __init__(self, cluster: Cluster, namespace: str, node: NodeIdentity, clock: Callable[[], float]) -> None:
        self.cluster, self.namespace, self.node, self.clock = cluster, namespace, node, clock
        self._informers = {
            kind: Informer(cluster, Watch(kind, namespace, labels=labels, indexers=_INDEXERS.get(kind, {})))
            for kind, labels in _FOLLOWED.items()
        }

    def on_change(self, kind: Kind, handler: Handler) -> None:
        """Call back with (old, new)."""
        self._informers[kind].on_change(handler)

    def cache(self, kind: Kind) -> Cache:
        """All objects of a kind; never changed."""
        return self._informers[kind].cache

    def get(self, kind: Kind, name: str) -> Object | None:
        """One of them."""
        return self._informers[kind].cache.get((self.namespace, name))

    def now(self) -> str:
        """The time, as objects have it."""
        return stamp(self.clock())

    # --- writing ------------------------------------------------------------------------------------------------------
    async def make(self, kind: Kind, obj: Object) -> Object:
        """Create it, or return what is there under its name."""
        try:
            made = await self.cluster.create(obj, manager=MANAGER)
        except AlreadyExists:
            made = await self.cluster.get(kind, obj["metadata"]["name"], self.namespace)
        self._learn(kind, made)
        return made

    async def patch(self, kind: Kind, obj: Object, patch: Object) -> Object | None:
        """Change fields; None: it is gone, or another one has its name."""
        return await self._patch(kind, obj, patch, None)

    async def say(self, kind: Kind, obj: Object, status: Object) -> Object | None:
        """Change fields of its status, where they are others."""
        before = obj.get("status") or {}
        if all(before.get(key) == value for key, value in status.items()):
            return obj
        return await self._patch(kind, obj, {"status": status}, "status")

    async def _patch(self, kind: Kind, obj: Object, patch: Object, subresource: str | None) -> Object | None:
        meta = obj["metadata"]
        body = {**patch, "metadata": {"uid": meta["uid"], **patch.get("metadata", {})}}
        try:
            written = await self.cluster.patch(
                kind, meta["name"], body, self.namespace, subresource=subresource, manager=MANAGER
            )
        except NotFound:
            return None
        except Conflict:
            if "resourceVersion" in body["metadata"]:
                raise
            return None
        self._learn(kind, written)
        return written

    async def remove(self, kind: Kind, obj: Object) -> None:
        """Delete it; gone already is as good."""
        try:
            await self.cluster.delete(kind, obj["metadata"]["name"], self.namespace, uid=obj["metadata"]["uid"])
        except (NotFound, Conflict):
            return

    async def finalizer(self, kind: Kind, obj: Object, name: str, *, there: bool) -> Object | None:
        """Put a finalizer on, or take it off."""
        before = obj["metadata"].get("finalizers") or []
        if (name in before) == there:
            return obj
        after = [*before, name] if there else [each for each in before if each != name]
        version = obj["metadata"]["resourceVersion"]
        return await self.patch(kind, obj, {"metadata": {"finalizers": after, "resourceVersion": version}})

    def _learn(self, kind: Kind, obj: Object) -> None:
        informer = self._informers.get(kind)
        if informer is not None:
            informer.learn(obj)

    # --- secrets ------------------------------------------------------------------------------------------------------
    async def secret(self, name: str, key: str) -> str:
        """What a Secret has under a key; raises LookupError with a sentence."""
        try:
            found = await self.cluster.get(SECRET, name, self.namespace)
        except NotFound:
            raise LookupError(f"there is no Secret {name} in namespace {self.namespace}") from None
        try:
            return base64.b64decode((found.get("data") or {})[key], validate=True).decode()
        except (KeyError, binascii.Error, UnicodeDecodeError):
            raise LookupError(f"Secret {name} has no text under {key}") from None

    # --- running ------------------------------------------------------------------------------------------------------
    @property
    def trouble(self) -> str:
        """Why it cannot be worked from these; empty when it can."""
        waiting = [each.watch.kind.resource for each in self._informers.values() if not each.synced.is_set()]
        return f"not known yet: {', '.join(waiting)}" if waiting else ""

    async def start(self) -> None:
        """Follow, and return when everything is known."""
        for informer in self._informers.values():
            informer.start()
        await asyncio.gather(*(informer.synced.wait() for informer in self._informers.values()))

    async def stop(self) -> None:
        """Follow no more."""
        await asyncio.gather(*(informer.stop() for informer in self._informers.values()))


def owner(obj: Object, *, controller: bool = False) -> Object:
    """A reference to an object that others go with."""
    meta = obj["metadata"]
    told = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": meta["name"], "uid": meta["uid"]}
    return {**told, "controller": True} if controller else told


def reference(obj: Object) -> Object:
    """FLUIDOS' way to name an object."""
    meta = obj["metadata"]
    return {"name": meta["name"], "namespace": meta["namespace"], "apiVersion": obj["apiVersion"], "kind": obj["kind"]}


__all__ = ["ADDRESS", "FLAVOR", "TRANSACTION", "Desk", "owner", "reference"]
