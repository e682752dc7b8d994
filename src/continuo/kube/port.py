"""The one port through which every controller, command and test reaches a cluster.

`Cluster` is implemented by `kube.client.KubeCluster` over HTTP. Nothing above this layer knows which engine answers.
Every method raises the errors of `continuo.resources.errors`; every call has a timeout (`Unreachable` when it passes).
Pods that are watched, or come as the answer to a write, may lack their managed fields, which are half of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec

from continuo.resources.meta import Kind, Object

PatchType = Literal["merge", "json", "strategic"]


@dataclass(frozen=True, slots=True)
class Listing:
    """One consistent list: the objects (each with apiVersion and kind) and the version to watch from."""

    items: list[Object]
    resource_version: str


class Change(msgspec.Struct, frozen=True):
    """One watch event. `BOOKMARK` carries only the new resourceVersion in its object."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Object


class Cluster(Protocol):
    """One cluster's API."""

    name: str

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object: ...

    async def list(
        self, kind: Kind, namespace: str | None = None, *, labels: str | None = None, fields: str | None = None
    ) -> Listing:
        """All matching objects, fetched in pages; across namespaces when none is given."""
        ...

    def watch(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        since: str,
        labels: str | None = None,
        fields: str | None = None,
    ) -> AsyncIterator[Change]:
        """Changes after `since`, until the server ends the stream. Raises Expired when `since` is too old."""
        ...

    async def create(self, obj: Object, *, manager: str | None = None, dry_run: bool = False) -> Object: ...

    async def apply(
        self,
        obj: Object,
        *,
        manager: str,
        force: bool = True,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Server-side apply; raises Conflict naming the other managers when not forced."""
        ...

    async def patch(
        self,
        kind: Kind,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        type: PatchType = "merge",
        subresource: str | None = None,
        manager: str | None = None,
        dry_run: bool = False,
    ) -> Object: ...

    async def replace(self, obj: Object, *, subresource: str | None = None, manager: str | None = None) -> Object: ...

    async def post(self, kind: Kind, name: str, subresource: str, body: Object, namespace: str | None = None) -> Object:
        """POST to a subresource: `binding`, `eviction`, `token`. Returns what the server answers, often a Status."""
        ...

    async def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> None: ...

    async def raw(self, path: str) -> bytes:
        """GET of any path of this API server (`/version`, `/readyz`, a pod's log)."""
        ...

    async def close(self) -> None: ...
