"""Many deletions at a time, bounded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

from continuo.kube.port import Cluster
from continuo.resources.errors import NotFound
from continuo.resources.meta import Kind, Object, key_of

AT_ONCE = 16


async def delete_all(cluster: Cluster, kind: Kind, doomed: Iterable[Object], grace: int | None = None) -> None:
    """Delete these, and none that has taken the name of one; what is gone already is as well. `grace` in seconds."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(obj: Object) -> None:
        namespace, name = key_of(obj)
        async with slots:
            with contextlib.suppress(NotFound):
                uid = obj["metadata"].get("uid")
                await cluster.delete(kind, name, namespace or None, uid=uid, grace_seconds=grace)

    await asyncio.gather(*(one(obj) for obj in doomed))
