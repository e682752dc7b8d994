"""A site says that it is ready when each of its parts knows what was there, and not before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from continuo.edge.rear.client import Sellers
from continuo.edge.site import Partners, Settings, Site
from continuo.kube.client import KubeCluster
from continuo.kube.port import Change, Cluster, Listing
from continuo.resources.kinds import DEVICE, FLAVOR, SOLVER
from continuo.resources.meta import Kind
from edge.rear.rear_world import PROVIDER, SPACE, world


class Slow:
    """A cluster that does not answer for one kind until it is let."""

    def __init__(self, cluster: KubeCluster, kind: Kind) -> None:
        self.name, self._cluster, self._kind = cluster.name, cluster, kind
        self.asked, self.let = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    async def list(self, kind: Kind, namespace: str | None = None, **more: Any) -> Listing:
        if kind == self._kind:
            self.asked.set()
            await self.let.wait()
        return await self._cluster.list(kind, namespace, **more)

    async def watch(self, kind: Kind, namespace: str | None = None, **more: Any) -> AsyncIterator[Change]:
        async for change in self._cluster.watch(kind, namespace, **more):
            yield change


@pytest.mark.parametrize("kind", [DEVICE, FLAVOR, SOLVER], ids=lambda kind: kind.kind)
def test_ready_when_every_part_is(kind: Kind) -> None:
    async def main() -> None:
        async with world() as made:
            cluster, sellers = Slow(made.make("provider"), kind), Sellers()
            site = Site(cast(Cluster, cluster), PROVIDER, Settings(SPACE), Partners(sellers=sellers))
            task = asyncio.create_task(site.run())
            await asyncio.wait_for(cluster.asked.wait(), 10.0)
            assert not site.ready.is_set() and site.trouble()
            cluster.let.set()
            await asyncio.wait_for(site.ready.wait(), 10.0)
            assert not site.trouble()
            assert site.finder is not None and all(each.synced.is_set() for each in site.finder.followed.informers[:1])
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await sellers.close()

    asyncio.run(main())
