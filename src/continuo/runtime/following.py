"""Waiting for something to become true of a cluster, by following it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from continuo.kube.port import Cluster
from continuo.resources.errors import Timeout
from continuo.resources.meta import Kind, Object
from continuo.runtime.informer import Informer, Watch


async def until(
    cluster: Cluster,
    kind: Kind,
    test: Callable[[list[Object]], bool],
    namespace: str | None = None,
    *,
    labels: str | None = None,
    timeout: float = 60.0,
    what: str = "",
) -> list[Object]:
    """Return the objects of a kind as soon as the test holds of all of them. Raises Timeout after so many seconds."""
    informer, changed = Informer(cluster, Watch(kind, namespace, labels=labels)), asyncio.Event()
    informer.on_change(lambda _old, _new: changed.set())
    informer.start()
    try:
        async with asyncio.timeout(timeout):
            await informer.synced.wait()
            while not test(found := list(informer.cache)):
                changed.clear()
                await changed.wait()
            return found
    except TimeoutError:
        wanted = what or f"{kind.plural} to be as wanted"
        why = f": {informer.last_error}" if informer.last_error is not None else ""
        raise Timeout(f"cluster {cluster.name}: waited {timeout:g} s for {wanted}{why}") from None
    finally:
        await informer.stop()
