"""The addresses that a consumer's API shows are called, on the data path that the control plane has decided."""

from __future__ import annotations

import pytest

from broker.station.broker_world import BrokerWorld, all_of, broker_world, deployment, space, until
from continuo.federation.reflection.places import ROOT_CID
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of, is_true
from continuo.testbed.datapath.decided import decided
from continuo.testbed.datapath.path import NAMESPACES, DataPath
from continuo.testbed.datapath.plan import Plan, moved
from testbed.datapaths import registry

pytestmark = pytest.mark.anyio
CLUSTERS = ("rome", "broker", "milan", "turin")
TRANSPARENT, OPAQUE = "shop", "batch"
LINKS = {TRANSPARENT: 1, OPAQUE: 2}
PODS = 2


def reachable(pod: Object) -> bool:
    return is_true(pod, "Ready") and bool((pod.get("status") or {}).get("podIP"))


async def test_every_address_that_the_consumer_sees_leads_to_that_very_pod() -> None:
    async with broker_world() as made:
        await made.start()
        rome = made.clusters.client("rome")
        for namespace, node in ((TRANSPARENT, "broker"), (OPAQUE, "pool")):
            await rome.create(space(namespace, node))
            await rome.create(deployment(namespace, node, PODS))
        for namespace in LINKS:
            await until(rome, kinds.POD, all_of(PODS, reachable), namespace)
        plan = await decided([made.clusters.client(name) for name in CLUSTERS])
        for loopback in (False, True):  # the first is on loopback too where the kernel does not let us
            with registry() as root:
                async with DataPath.build(plan, loopback=loopback, registry=root) as path:
                    for (cluster, _), ip in running(made).items():
                        await path.serve(cluster, ip)
                    for namespace in LINKS:
                        for pod in made.objects("rome", kinds.POD, namespace):
                            await check(path, plan, pod, running(made))


def running(made: BrokerWorld) -> dict[tuple[str, str], str]:
    """Addresses by cluster and `NAMESPACE/NAME`, as the consumer has named them."""
    return {
        (cluster, f"{namespace}/{pod['metadata']['name']}"): pod["status"]["podIP"]
        for cluster in ("milan", "turin")
        for namespace in LINKS
        for pod in made.objects(cluster, kinds.POD, f"{namespace}-rome")
    }


async def check(path: DataPath, plan: Plan, pod: Object, really: dict[tuple[str, str], str]) -> None:
    """Call a pod from the consumer, under the address that its status has."""
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    found = await path.measure("rome", pod["status"]["podIP"], requests=1)
    cluster, _, ip = found.served_by.partition("/")
    assert really[cluster, f"{namespace}/{name}"] == ip
    assert len(path.way("rome", pod["status"]["podIP"]).links) == LINKS[namespace]
    if namespace == TRANSPARENT:
        assert cluster == annotations_of(pod)[ROOT_CID]
    elif path.kind == NAMESPACES:  # the provider sees the broker, and not who is behind it
        [side] = [each for each in plan.sides(cluster) if each.peer.name == "broker"]
        assert found.seen_from == moved(side.peer.hidden, side.end.external)
