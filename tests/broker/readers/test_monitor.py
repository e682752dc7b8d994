"""A cluster measured through its API: followed, found silent, found again."""

from __future__ import annotations

import asyncio

import pytest

from broker.readers.doubles import namespace, next_change, node, pod
from continuo.broker.readers.amounts import spell
from continuo.broker.readers.monitor import ClusterMonitor
from continuo.broker.readers.port import Changes
from continuo.resources import kinds
from continuo.resources.errors import Unreachable
from continuo.resources.meta import Object
from runtime.runtime_double import Double, run


class Followed:
    def __init__(self, *objects: Object) -> None:
        self.cluster = Double("milan")
        for obj in objects:
            self.cluster.put(obj)
        self.monitor = ClusterMonitor(self.cluster, own_id="milan", bound=60.0)

    async def said(self, originator: str = "rome") -> dict[str, str]:
        return spell(await self.monitor.read(originator))


def test_each_change_is_told_and_counted() -> None:
    async def main() -> None:
        at = Followed(node("n", cpu="4", pods="10"), namespace("of-rome", "rome"))
        await at.monitor.start()
        changes = at.monitor.subscribe()
        assert await at.said() == {"cpu": "4", "pods": "10"}
        at.cluster.put(pod("p", "of-rome", "n", cpu="1"))
        await next_change(changes)
        assert await at.said("rome") == {"cpu": "4", "pods": "10"}
        assert await at.said("oslo") == {"cpu": "3", "pods": "9"}
        at.cluster.put(namespace("of-rome", "oslo"))
        await next_change(changes)
        assert await at.said("rome") == {"cpu": "3", "pods": "9"}
        at.cluster.remove(kinds.POD, "p", "of-rome")
        await next_change(changes)
        assert await at.said("rome") == {"cpu": "4", "pods": "10"}
        assert await at.said("milan") == {}, "a cluster is not offered what is its own"
        await at.monitor.stop()

    run(main())


def test_it_lists_once_and_never_asks_again() -> None:
    async def main() -> None:
        at = Followed(node("n", cpu="4"))
        await at.monitor.start()
        at.cluster.requests.clear()
        for _ in range(100):
            await at.said()
        assert not at.cluster.requests
        await at.monitor.stop()

    run(main())


def test_a_silent_cluster_is_believed_for_a_while() -> None:
    async def main() -> None:
        at = Followed(node("n", cpu="4"))
        with pytest.raises(Unreachable, match=r"cluster milan: its \w+ are not known yet"):
            await at.said()
        await at.monitor.start()
        changes = at.monitor.subscribe()
        at.cluster.down = True
        at.cluster.break_watches()
        at.cluster.put(node("n", cpu="8"))
        await asyncio.sleep(30)
        assert await at.said() == {"cpu": "4"}
        await asyncio.wait_for(changes.__anext__(), 120)  # by itself: nobody else tells those who rely on it
        with pytest.raises(Unreachable, match="longer than the 60 s"):
            await at.said()
        at.cluster.down = False
        assert await told_again(at, changes) == {"cpu": "8"}
        await at.monitor.stop()

    run(main())


async def told_again(at: Followed, changes: Changes) -> dict[str, str]:
    """What is said after as many changes as it takes: the kinds are followed again one after the other."""
    async with asyncio.timeout(300):
        while True:
            await changes.__anext__()
            try:
                return await at.said()
            except Unreachable:
                continue
