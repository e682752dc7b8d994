"""The addresses that a consumer's API shows are called, on the data path that the control plane has decided."""

from __future__ import annotations

import pytest

from broker.station.broker_world import all_of, broker_world, deployment, space, until
from continuo.federation.reflection.places import ROOT_CID
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of, is_true
from continuo.testbed.datapath.decided import decided
from continuo.testbed.datapath.path import NAMESPACES, DataPath
from continuo.testbed.datapath.plan import moved
from testbed.datapaths import registry, why_not

pytestmark = pytest.mark.anyio
CLUSTERS = ("rome", "broker", "milan", "turin")
TRANSPARENT, OPAQUE = "shop", "batch"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def reason() -> str | None:
    return why_not()


def reachable(pod: Object) -> bool:
    return is_true(pod, "Ready") and bool((pod.get("status") or {}).get("podIP"))


@pytest.mark.parametrize("loopback", [False, True])
async def test_every_address_that_the_consumer_sees_leads_to_that_very_pod(loopback: bool, reason: str | None) -> None:
    if reason is not None and not loopback:
        pytest.skip(reason)
    async with broker_world() as made:
        await made.start()
        rome = made.clusters.client("rome")
        for namespace, node in ((TRANSPARENT, "broker"), (OPAQUE, "pool")):
            await rome.create(space(namespace, node))
            await rome.create(deployment(namespace, node, 3))
            await until(rome, kinds.POD, all_of(3, reachable), namespace)
        plan = await decided([made.clusters.client(name) for name in CLUSTERS])
        really = {  # by namespace and name, which copies keep but for the consumer's suffix
            (pod["metadata"]["namespace"].removesuffix("-rome"), pod["metadata"]["name"]): (
                cluster,
                pod["status"]["podIP"],
            )
            for cluster in ("milan", "turin")
            for namespace in (TRANSPARENT, OPAQUE)
            for pod in made.objects(cluster, kinds.POD, f"{namespace}-rome")
        }
        with registry() as root:
            async with DataPath.build(plan, loopback=loopback, registry=root) as path:
                for cluster, ip in really.values():
                    await path.serve(cluster, ip)
                for namespace, hops in ((TRANSPARENT, 1), (OPAQUE, 2)):
                    for pod in made.objects("rome", kinds.POD, namespace):
                        ip = pod["status"]["podIP"]
                        found = await path.measure("rome", ip, requests=1)
                        assert found.served_by == "/".join(really[namespace, pod["metadata"]["name"]])
                        assert len(path.way("rome", ip).links) == hops
                        provider, _, _ = found.served_by.partition("/")
                        if namespace == TRANSPARENT:
                            assert provider == annotations_of(pod)[ROOT_CID]
                        elif path.kind == NAMESPACES:  # the provider sees the broker, and not who is behind it
                            [side] = [each for each in plan.sides(provider) if each.peer.name == "broker"]
                            assert found.seen_from == moved(side.peer.hidden, side.end.external)
