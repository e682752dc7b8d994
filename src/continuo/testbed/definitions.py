"""CustomResourceDefinitions on a real API server: applied, and waited for until they are served."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from continuo.resources.kinds import CUSTOM_RESOURCE_DEFINITION
from continuo.resources.meta import Object
from continuo.testbed.errors import NotReady
from continuo.testbed.waiting import all_or_none

if TYPE_CHECKING:
    from continuo.kube.client import KubeCluster

MANAGER = "continuo-testbed"
READY_SECONDS = 60.0
_AT_ONCE = 4
"""Each makes the API server describe itself anew: many at once only wait for one another."""


async def install_definitions(client: KubeCluster, definitions: Sequence[Object]) -> None:
    """Apply definitions and return when all of them are established."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def install(definition: Object) -> None:
        async with slots:
            await client.apply(definition, manager=MANAGER)

    await all_or_none([install(definition) for definition in definitions])
    waiting = {definition["metadata"]["name"] for definition in definitions}
    try:
        async with asyncio.timeout(READY_SECONDS):
            listing = await client.list(CUSTOM_RESOURCE_DEFINITION)
            waiting -= {item["metadata"]["name"] for item in listing.items if _established(item)}
            since = listing.resource_version
            while waiting:
                async for change in client.watch(CUSTOM_RESOURCE_DEFINITION, since=since):
                    since = change.object["metadata"].get("resourceVersion", since)
                    if change.type != "BOOKMARK" and _established(change.object):
                        waiting.discard(change.object["metadata"]["name"])
                    if not waiting:
                        break
    except TimeoutError as error:
        raise NotReady(
            f"cluster {client.name} does not serve {', '.join(sorted(waiting))} after {READY_SECONDS:g} s"
        ) from error


def _established(definition: Object) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or ()
    return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)
