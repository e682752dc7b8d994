"""Consumer, broker and two providers in one process, with reflection between them: from the Deployment to the container."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from continuo.broker.selector.names import BROKERED, DECISION, MANAGER, PROVIDER
from continuo.embedded.port import Api
from continuo.embedded.standins.workload.nodes import BUILTIN_NETWORK
from continuo.federation.reflection.engine import Reflection, Settings
from continuo.federation.reflection.pair import Placement, later
from continuo.federation.reflection.twin import VIRTUAL_NODE
from continuo.kube.config import connect
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of, is_true

from .bench import SPACE, Bench, broker
from .test_selector import FAST

pytestmark = pytest.mark.anyio
TAINT = {"key": BROKERED, "value": "true", "effect": "NoSchedule"}


def new_cluster(bench: Bench, name: str, network: str) -> Api:
    """A cluster with one node that runs pods."""
    api = bench.host.engine.create_cluster(name)
    node = kinds.NODE.new(f"{name}-node", metadata={"labels": {BUILTIN_NETWORK: ""}}, spec={"podCIDR": network})
    api.create({**node, "status": {"allocatable": {"cpu": "50", "memory": "100Gi", "pods": "100"}}})
    return api


@asynccontextmanager
async def reflected(
    bench: Bench, home: str, remote: str, settings: Settings, place: Placement = later
) -> AsyncIterator[None]:
    ends = [connect(bench.host.engine.kubeconfig(name), name=name) for name in (home, remote)]
    reflection = Reflection(ends[0], ends[1], settings, beat=0.2, while_away=0.2, place=place)
    task = asyncio.create_task(reflection.run())
    ready = asyncio.create_task(reflection.ready.wait())
    try:
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield
    finally:
        ready.cancel()
        task.cancel()
        await asyncio.gather(task, ready, return_exceptions=True)
        await asyncio.gather(*(end.close() for end in ends))


def deployment(replicas: int) -> Object:
    labels = {"app": "web"}
    pod = {
        "containers": [{"name": "m", "image": "i", "resources": {"requests": {"cpu": "1"}}}],
        "nodeSelector": {"kubernetes.io/hostname": "broker"},
        "tolerations": [{"key": VIRTUAL_NODE, "operator": "Exists"}],
        "terminationGracePeriodSeconds": 1,
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return kinds.DEPLOYMENT.new("web", SPACE, spec=spec)


@pytest.mark.parametrize("at_creation", [True, False], ids=["at creation", "by the loop"])
async def test_a_deployment_runs_where_the_policy_says_and_follows_it_never_twice(*, at_creation: bool) -> None:
    async with broker() as bench, AsyncExitStack() as stack:
        consumer = new_cluster(bench, "acme", "10.50.0.0/16")
        providers = {name: new_cluster(bench, name, f"10.6{number}.0.0/16") for number, name in enumerate(("p1", "p2"))}
        for name in providers:
            await bench.provider(name, node=False)
            await bench.measure(name, latency=1.0)
        rank = "provider.name == 'p1' ? 1.0 : 0.0"
        await bench.policy(performance=FAST, rank=rank, moves={"perWorkload": 2, "returnAfter": 300})
        await bench.consumer()
        consumer.create(kinds.NAMESPACE.new(SPACE))
        onwards = Settings(
            "broker",
            frozenset({SPACE}),
            {"cpu": "99", "memory": "99Gi", "pods": "99"},
            scheduler=MANAGER,
            home_id="acme",
        )
        if at_creation:
            await bench.start()

        def place(copy: Object) -> Object:
            return bench.selector.placement(copy) if at_creation and bench.selector is not None else copy

        await stack.enter_async_context(reflected(bench, "acme", "broker", onwards, place))
        for name in providers:
            node = Settings(f"node-{name}", frozenset(), consumers=True, labels={PROVIDER: name}, taints=(TAINT,))
            await stack.enter_async_context(reflected(bench, "broker", name, node))
        most = 0

        def count(_: object) -> None:
            nonlocal most
            most = max(most, sum(len(api.list(kinds.POD, SPACE)) for api in providers.values()))
            bench._changed.set()

        for api in (consumer, *providers.values()):
            stack.callback(api.listen(kinds.POD, count))
        if not at_creation:
            await bench.start()
        consumer.create(deployment(4))

        def ready() -> bool:
            pods = consumer.list(kinds.POD, SPACE)
            return len(pods) == 4 and all(is_true(pod, "Ready") for pod in pods)

        await bench.until(lambda: bench.where() == {"p1": 4} and ready())
        assert bench.selector is not None
        bindings = bench.selector.desk.cluster.requests["post"]  # type: ignore[attr-defined]
        assert bindings == (0 if at_creation else 4)
        copies = providers["p1"].list(kinds.POD, SPACE)
        assert all(DECISION not in annotations_of(pod) for pod in copies), "a provider was told of its competitors"
        first = {pod["metadata"]["uid"] for pod in consumer.list(kinds.POD, SPACE)}
        await bench.measure("p1", latency=99.0)
        await bench.until(lambda: bench.where() == {"p2": 4} and ready() and not providers["p1"].list(kinds.POD, SPACE))
        assert most == 4, "a pod ran twice"
        assert {pod["metadata"]["uid"] for pod in consumer.list(kinds.POD, SPACE)} == first, "the consumer lost none"
