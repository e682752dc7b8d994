"""How long many pods take: at the provider itself, through one link, and through the orchestrator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from statistics import median

from continuo.cli.brokers_demo import scene
from continuo.cli.brokers_demo.stage import Stage
from continuo.cli.failures import Failed
from continuo.kube.client import KubeCluster
from continuo.resources import kinds
from continuo.resources.errors import NotFound
from continuo.resources.meta import Object, is_true
from continuo.runtime.informer import Informer, Watch

DIRECT, LINK, ORCHESTRATOR = WAYS = ("at the provider", "one link", "orchestrator")
SIZES = (25, 50, 100, 200, 400)
WAVES = 3
"""Of each size, each way: other work on the machine shows in one of them, and the median leaves it out."""
SHARED = "all clusters and the broker share this machine's cores; a pod is three requests by the broker, two by a link"
SPACE = "measured"


class Wave:
    """Pods of one Deployment, counted as they come and go."""

    def __init__(self, cluster: KubeCluster, namespace: str, name: str) -> None:
        self._informer = Informer(cluster, Watch(kinds.POD, namespace, labels=f"app={name}"))
        self._changed = asyncio.Event()
        self.ready = self.there = 0
        self._informer.on_change(self._count)

    async def __aenter__(self) -> Wave:
        self._informer.start()
        await self._informer.synced.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._informer.stop()

    def _count(self, old: Object | None, new: Object | None) -> None:
        self.there += (new is not None) - (old is not None)
        self.ready += int(new is not None and is_true(new, "Ready")) - int(old is not None and is_true(old, "Ready"))
        self._changed.set()

    async def until(self, ready: int | None, there: int, timeout: float) -> None:
        """Return when so many pods are there and Ready."""
        try:
            async with asyncio.timeout(timeout):
                while (ready is not None and self.ready != ready) or self.there != there:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise Failed(f"after {timeout:g} s {self.ready} of {there} pods were Ready") from None


async def one(cluster: KubeCluster, namespace: str, node: str | None, size: int, timeout: float) -> float:
    """Seconds from the request for a Deployment until the last of its pods is seen Ready; it is removed again."""
    name = f"wave-{size}"
    async with Wave(cluster, namespace, name) as wave:
        began = time.perf_counter()
        await cluster.create(scene.deployment(namespace, name, size, node))
        await wave.until(size, size, timeout)
        took = time.perf_counter() - began
        await cluster.delete(kinds.DEPLOYMENT, name, namespace)
        await wave.until(None, 0, timeout)
    return took


async def measure(stage: Stage, bought: str, timeout: float, sizes: Sequence[int] = SIZES) -> dict[str, list[float]]:
    """All ways in turn, for each size, another one first each time; median seconds by way.

    The smallest size goes first, once, and is not counted.
    """
    rome, provider = stage[scene.BUYER], stage[scene.BOUGHT]
    where: dict[str, tuple[KubeCluster, str, str | None]] = {
        DIRECT: (provider, SPACE, None), LINK: (rome, f"{SPACE}-link", bought),
        ORCHESTRATOR: (rome, f"{SPACE}-broker", scene.TRANSPARENT),
    }  # fmt: skip
    await provider.create(kinds.NAMESPACE.new(SPACE))
    for cluster, namespace, node in where.values():
        if node is not None:
            await cluster.create(scene.space(namespace, node))
    for place in where.values():
        await one(*place, sizes[0], timeout)
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for size in sizes:
        took: dict[str, list[float]] = {way: [] for way in WAYS}
        for turn in range(WAVES):
            for way in (*WAYS[turn % len(WAYS) :], *WAYS[: turn % len(WAYS)]):
                took[way].append(await one(*where[way], size, timeout))
        for way in WAYS:
            found[way].append(median(took[way]))
    for cluster, namespace, _ in where.values():
        try:
            await cluster.delete(kinds.NAMESPACE, namespace)
        except NotFound:
            continue
    return found


def rows(found: dict[str, list[float]], sizes: Sequence[int] = SIZES) -> list[tuple[str, ...]]:
    """The table: seconds for each way, and the orchestrator against one link."""
    made = []
    for number, size in enumerate(sizes):
        times = [found[way][number] for way in WAYS]
        made.append((f"{size}", *(f"{value:.2f}" for value in times), f"{times[2] / times[1]:.2f}x"))
    return made


def plot(found: dict[str, list[float]], width: int, sizes: Sequence[int] = SIZES) -> str:
    """The same as a picture for a terminal."""
    import plotext

    plotext.clear_figure()
    plotext.plotsize(min(width, 100), 22)
    for way, marker in zip(WAYS, ("dot", "x", "o"), strict=True):
        plotext.plot(list(sizes), found[way], label=way, marker=marker)
    plotext.title("seconds until the last pod is Ready")
    plotext.xlabel("pods")
    picture: str = plotext.uncolorize(plotext.build())
    return picture
