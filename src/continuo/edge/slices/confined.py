"""One namespace of a cluster that is not ours, as a cluster of its own: what a virtual node of a slice works with.

The reflection asks for the copies of all namespaces, for the remote cluster's nodes and its identity; credentials of a
slice answer none of that. So the namespace is shown as a whole cluster that has nothing but this namespace, under the name
that it has at home. Nothing outside of it is ever asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from continuo.kube.port import Change, Cluster, Listing
from continuo.resources import kinds
from continuo.resources.errors import Forbidden, NotFound, Unreachable
from continuo.resources.meta import Kind, Object, deleting

SYSTEM = "kube-system"


class Confined:
    """Implements Cluster. `there`: the namespace; `here`: how we call it; `identity`: what no other cluster has."""

    def __init__(self, cluster: Cluster, name: str, there: str, here: str, identity: str) -> None:
        self._cluster, self.name = cluster, name
        self._there, self._here, self._identity = there, here, identity

    # --- reading ------------------------------------------------------------------------------------------------------
    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object:
        if kind == kinds.NAMESPACE:
            return await self._space(name)
        return self._in(await self._cluster.get(kind, name, self._inside(kind, namespace)))

    async def list(
        self, kind: Kind, namespace: str | None = None, *, labels: str | None = None, fields: str | None = None
    ) -> Listing:
        if not kind.namespaced:
            return Listing([], "0")
        found = await self._cluster.list(kind, self._inside(kind, namespace), labels=labels, fields=fields)
        return Listing([self._in(obj) for obj in found.items], found.resource_version)

    async def watch(
        self, kind: Kind, namespace: str | None = None, *, since: str, labels: str | None = None,
        fields: str | None = None,
    ) -> AsyncIterator[Change]:  # fmt: skip
        if not kind.namespaced:
            await asyncio.Event().wait()  # there are none, and none will come
        stream = self._cluster.watch(kind, self._inside(kind, namespace), since=since, labels=labels, fields=fields)
        async for change in stream:
            yield change if change.type == "BOOKMARK" else Change(change.type, self._in(change.object))

    async def raw(self, path: str) -> bytes:
        """`/readyz`: whether we are let in and the namespace is there. Nothing else belongs to us."""
        if path != "/readyz":
            raise Forbidden(f"{path} is not a part of the slice")
        space = await self._cluster.get(kinds.NAMESPACE, self._there)
        if deleting(space):
            raise Unreachable("the seller is taking the slice back")
        return b"ok"

    # --- writing ------------------------------------------------------------------------------------------------------
    async def create(self, obj: Object, *, manager: str | None = None, dry_run: bool = False) -> Object:
        return self._in(await self._cluster.create(self._out(obj), manager=manager, dry_run=dry_run))

    async def apply(self, obj: Object, **more: Any) -> Object:
        return self._in(await self._cluster.apply(self._out(obj), **more))

    async def replace(self, obj: Object, **more: Any) -> Object:
        return self._in(await self._cluster.replace(self._out(obj), **more))

    async def patch(self, kind: Kind, name: str, patch: Any, namespace: str | None = None, **more: Any) -> Object:
        return self._in(await self._cluster.patch(kind, name, patch, self._inside(kind, namespace), **more))

    async def post(self, kind: Kind, name: str, subresource: str, body: Object, namespace: str | None = None) -> Object:
        said = self._out(body) if "metadata" in body else body
        return await self._cluster.post(kind, name, subresource, said, self._inside(kind, namespace))

    async def delete(self, kind: Kind, name: str, namespace: str | None = None, **more: Any) -> None:
        await self._cluster.delete(kind, name, self._inside(kind, namespace), **more)

    async def close(self) -> None:
        """The client is its owner's."""

    # --- names --------------------------------------------------------------------------------------------------------
    async def _space(self, name: str) -> Object:
        if name == SYSTEM:
            return kinds.NAMESPACE.new(SYSTEM, metadata={"uid": self._identity})
        if name != self._here:
            raise NotFound(f"the slice has no namespace {name}")
        found = await self._cluster.get(kinds.NAMESPACE, self._there)
        return {**found, "metadata": {**found["metadata"], "name": self._here}}

    def _inside(self, kind: Kind, namespace: str | None) -> str:
        if not kind.namespaced:
            raise Forbidden(f"{kind.plural} of the seller's cluster are not a part of the slice")
        if namespace not in (None, self._here):
            raise NotFound(f"the slice has no namespace {namespace}")
        return self._there

    def _in(self, obj: Object) -> Object:
        meta = obj.get("metadata") or {}
        return {**obj, "metadata": {**meta, "namespace": self._here}} if meta.get("namespace") == self._there else obj

    def _out(self, obj: Object) -> Object:
        meta = obj["metadata"]
        if meta.get("namespace") != self._here:
            raise Forbidden(f"{obj['kind']} {meta.get('namespace')}/{meta.get('name')} is not a part of the slice")
        return {**obj, "metadata": {**meta, "namespace": self._there}}
