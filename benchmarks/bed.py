"""What the benchmarks do with a running engine: clusters in linked pairs, applications on them, waiting without polling."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.kube.transport import Transports
from continuo.resources import kinds
from continuo.resources.meta import Object, is_true
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.runtime.informer import Informer, Watch

NAMESPACE = "default"
PATIENCE = 1800.0
"""Seconds after which a benchmark gives up."""


class Bed:
    """A client of one engine."""

    def __init__(self, kubeconfig: str) -> None:
        self._transports = Transports()
        self.api = connect(kubeconfig, name="management", transports=self._transports)
        self._clients: list[KubeCluster] = [self.api]

    async def __aenter__(self) -> Bed:
        secret = kinds.SECRET.new("openstack-cloud-config", NAMESPACE, stringData={"clouds.yaml": "clouds: {}"})
        await self.api.apply(secret, manager="benchmark")
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.close()

    async def declare(self, name: str, spec: Object, manager: str = "benchmark") -> None:
        """Apply one LowLevelOrchestration, or one manager's share of it."""
        await self.api.apply(LOW_LEVEL_ORCHESTRATION.new(name, NAMESPACE, spec=spec), manager=manager)

    async def workload(self, orchestration: str, cluster: str) -> KubeCluster:
        """A client for a workload cluster, from its kubeconfig Secret."""
        secret = await self.api.get(kinds.SECRET, f"{orchestration}-{cluster}-kubeconfig", NAMESPACE)
        text = base64.b64decode(secret["data"]["value"]).decode()
        client = connect(text, name=cluster, transports=self._transports)
        self._clients.append(client)
        return client

    async def ready(self, applications: int, orchestrations: int) -> None:
        """Return when so many orchestrations are ready, with so many applications in all."""
        done: dict[str, int] = {}

        def look(old: Object | None, new: Object | None) -> bool:
            obj: Any = new if new is not None else old
            done[obj["metadata"]["name"]] = _running(new) if new is not None and is_ready(new) else -1
            counts = [count for count in done.values() if count >= 0]
            return len(counts) == orchestrations and sum(counts) == applications

        await self.until(self.api, Watch(LOW_LEVEL_ORCHESTRATION), look)

    async def until(
        self,
        api: KubeCluster,
        watch: Watch,
        test: Callable[[Object | None, Object | None], bool],
        begin: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Follow a kind until `test(old, new)` holds; `begin` runs when what is there already is known."""
        await until(api, watch, test, begin)


async def until(
    api: KubeCluster,
    watch: Watch,
    test: Callable[[Object | None, Object | None], bool],
    begin: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """The same, for who has no bed."""
    informer, reached = Informer(api, watch), asyncio.Event()

    def changed(old: Object | None, new: Object | None) -> None:
        if test(old, new):
            reached.set()

    informer.on_change(changed)
    informer.start()
    try:
        async with asyncio.timeout(PATIENCE):
            await informer.synced.wait()
            if begin is not None:
                await begin()
            await reached.wait()
    finally:
        await informer.stop()


def is_ready(obj: Object) -> bool:
    """Ready, and about the newest declaration."""
    current = (obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"]
    return current and is_true(obj, "Ready")


def _running(obj: Object) -> int:
    return len(obj["status"].get("apps") or ())


async def bounded(jobs: Iterable[Awaitable[Any]], limit: int) -> None:
    """Run the jobs, so many at a time."""
    queue = iter(jobs)

    async def work() -> None:
        for job in queue:
            await job

    await asyncio.gather(*(work() for _ in range(limit)))


def pair_spec(*, workers: int = 1) -> Object:
    """Two linked clusters."""
    clusters = [
        {"name": name, "kubernetes-version": "v1.34.2", "packages": ["liqo"], "worker-machine-count": workers}
        for name in ("green", "rose")
    ]
    return {"clusters": clusters, "links": [["green", "rose"]]}


def application(name: str) -> Object:
    """Three components; the last one on the other cluster."""
    expose = [{"containerPort": 8080, "clusterPort": 80}]

    def component(part: str, **more: Any) -> Object:
        return {"name": part, "image": f"registry.example.org/{part}:1", "expose": expose, **more}

    parts = [component("web"), component("worker"), component("store", **{"cluster-selector": "rose"})]
    return {"name": name, "owner": "benchmark", "cluster": "green", "components": parts}


async def make_pairs(bed: Bed, count: int, *, workers: int = 1) -> list[str]:
    """So many orchestrations of two linked clusters each, ready."""
    names = [f"pair-{number:03d}" for number in range(count)]
    await bounded((bed.declare(name, pair_spec(workers=workers)) for name in names), 8)
    await bed.ready(0, count)
    return names


async def remove_applications(bed: Bed, pairs: list[str], count: int) -> None:
    """Withdraw them again, and wait until they are gone."""
    jobs = (bed.declare(pairs[number % len(pairs)], {"apps": []}, f"caller-{number:04d}") for number in range(count))
    await bounded(jobs, 16)
    await bed.ready(0, len(pairs))


async def add_applications(bed: Bed, pairs: list[str], count: int) -> None:
    """Declare so many applications, spread over the pairs, each by a caller of its own."""
    jobs = (
        bed.declare(pairs[number % len(pairs)], {"apps": [application(f"app-{number:04d}")]}, f"caller-{number:04d}")
        for number in range(count)
    )
    await bounded(jobs, 16)
