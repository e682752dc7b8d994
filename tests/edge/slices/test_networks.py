"""A slice comes with a network: its pods are reached from home at the address that home writes, and by nobody afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from continuo.federation.addresses import remap
from continuo.resources import kinds
from continuo.resources.kinds import SOLVER
from continuo.resources.meta import Object, labels_of
from edge.rear.rear_world import SPACE, settled
from edge.slices.slice_world import Shop, deployment, shop

BOTH = ("provider", "consumer")


def run(body: Callable[[Shop], Awaitable[None]], *liqo: str) -> None:
    async def main() -> None:
        async with shop(*liqo) as made:
            await body(made)

    asyncio.run(main())


def tunnel(made: Shop, side: str) -> str:
    found = made.made.engine.cluster(side).list(kinds.CONNECTION, "")
    return str((found[0].get("status") or {}).get("value")) if found else ""


def says(made: Shop, *parts: str) -> bool:
    return made.allocation().get("status") == "Active" and all(part in made.allocation()["message"] for part in parts)


def service() -> Object:
    return kinds.SERVICE.new("web", "", spec={"selector": {"app": "web"}, "ports": [{"port": 80}]})


def endpoints(made: Shop, side: str, namespace: str) -> list[str]:
    found = made.made.engine.cluster(side).list(kinds.ENDPOINT_SLICE, namespace)
    return [
        address for each in found if labels_of(each).get("kubernetes.io/service-name") == "web"
        for endpoint in each.get("endpoints") or () for address in endpoint["addresses"]
    ]  # fmt: skip


def test_a_pod_is_reached_from_home_as_long_as_the_contract_is() -> None:
    async def body(made: Shop) -> None:
        async with made.seller() as gateway, made.buyer():
            await made.wish(gateway)
            await settled(lambda: says(made, "2 cpu", "a network leads to provider"))
            node = made.node()
            await made.consumer.create(deployment(node, node, 1, cpu="1"))
            await made.consumer.create({**service(), "metadata": {"name": "web", "namespace": node}})
            await settled(lambda: made.ready("consumer", node, "web") == 1 and endpoints(made, "consumer", node) != [])
            (space,) = made.names("provider", kinds.NAMESPACE, "slice-")
            (pod,) = made.made.engine.cluster("provider").list(kinds.POD, space)
            (shown,) = endpoints(made, "consumer", node)
            (half,) = made.made.engine.cluster("consumer").list(kinds.CONFIGURATION, "")
            (network,) = half["status"]["remote"]["cidr"]["pod"]
            assert pod["status"]["podIP"].startswith("10.0.") and not shown.startswith("10.0."), "both use 10.0.0.0/16"
            assert shown == remap(pod["status"]["podIP"], network)
            assert [tunnel(made, side) for side in BOTH] == ["Connected", "Connected"]
            await made.consumer.delete(SOLVER, "room", SPACE)
            await settled(lambda: not made.remains())

    run(body, *BOTH)
