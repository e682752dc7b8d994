"""A kubeconfig is taken away from a Provider or Consumer, perhaps while nobody looks: nothing of its nodes stays behind."""

from __future__ import annotations

import pytest

from broker.station.broker_world import BrokerWorld, all_of, broker_world, deployment, space, until
from broker.station.chaos import well
from broker.station.test_keeper import only, only_named, says
from continuo.resources import kinds
from continuo.resources.broker import AGGREGATE, CONSUMER, PROVIDER
from continuo.resources.meta import Kind, condition

pytestmark = pytest.mark.anyio
ALIVE = (True, pytest.param(False, marks=pytest.mark.long))
"""Whether it is seen by a process that lives, or found by one that begins later."""


async def with_pods(made: BrokerWorld) -> None:
    rome = made.clusters.client("rome")
    await made.start()
    for name, node in (("shop", "broker"), ("batch", "pool")):
        await rome.create(space(name, node))
        await rome.create(deployment(name, node, 2))
        await until(rome, kinds.POD, all_of(2, well), name)


async def shut(made: BrokerWorld, kind: Kind, name: str) -> None:
    await made.broker.patch(kind, name, {"spec": {"kubeconfig": None}})


def is_let_go(made: BrokerWorld, kind: Kind, name: str) -> bool:
    obj = made.clusters.engine.cluster(made.name).get(kind, name)
    return not obj["metadata"].get("finalizers") and not obj["metadata"].get("annotations")


@pytest.mark.parametrize("alive", ALIVE)
async def test_of_a_provider_that_may_not_be_entered_any_more_nothing_stays(alive: bool) -> None:
    async with broker_world(providers=("milan",)) as made:
        await with_pods(made)
        if not alive:
            await made.kill()
        await shut(made, PROVIDER, "milan")
        if not alive:
            await made.start()
        await until(made.broker, kinds.NODE, only("broker-0"))
        for name in ("shop-rome", "batch-rome"):
            await until(made.clusters.client("milan"), kinds.POD, lambda found: not found, name)
            await until(made.clusters.client("milan"), kinds.NAMESPACE, lambda found, n=name: not only_named(found, n))  # type: ignore[misc]
        await until(made.broker, PROVIDER, lambda _: is_let_go(made, PROVIDER, "milan"))
        await until(made.broker, PROVIDER, lambda found: condition(found[0], "Ready") is None)
        await made.broker.patch(PROVIDER, "milan", {"spec": {"kubeconfig": {"name": "milan"}}})
        await until(made.broker, PROVIDER, says("milan", "Connected: node milan stands"))
        await until(made.clusters.client("rome"), kinds.POD, all_of(2, well), "shop")


@pytest.mark.parametrize("alive", ALIVE)
async def test_of_a_consumer_that_may_not_be_entered_any_more_nothing_stays(alive: bool) -> None:
    async with broker_world(providers=("milan",)) as made:
        await with_pods(made)
        if not alive:
            await made.kill()
        await shut(made, CONSUMER, "rome")
        if not alive:
            await made.start()
        await until(made.clusters.client("rome"), kinds.NODE, only("rome-0"))
        for name in ("shop-rome", "batch-rome"):
            await until(made.broker, kinds.NAMESPACE, lambda found, n=name: not only_named(found, n))  # type: ignore[misc]
        for kind, name in ((CONSUMER, "rome"), (AGGREGATE, "pool")):
            await until(made.broker, kind, lambda _, k=kind, n=name: is_let_go(made, k, n))  # type: ignore[misc]
        await made.broker.patch(CONSUMER, "rome", {"spec": {"kubeconfig": {"name": "rome"}}})
        await until(made.clusters.client("rome"), kinds.NODE, only("rome-0", "broker", "pool"))


async def test_whoever_has_lost_the_way_in_says_so_and_the_near_end_goes() -> None:
    async with broker_world(providers=("milan",)) as made:
        await with_pods(made)
        await made.kill()
        await shut(made, PROVIDER, "milan")
        await made.broker.delete(kinds.SECRET, "milan", "continuo-system")
        await made.start()
        await until(
            made.broker, PROVIDER, says("milan", "take off the finalizer continuo.dev/virtual-nodes if the cluster is")
        )
        await made.broker.patch(PROVIDER, "milan", {"metadata": {"finalizers": None}})
        await until(made.broker, kinds.NODE, only("broker-0"))
        await until(
            made.broker, kinds.POD, lambda found: not any(pod["spec"].get("nodeName") == "milan" for pod in found)
        )


@pytest.mark.parametrize("alive", ALIVE)
async def test_a_node_whose_provider_went_by_force_goes_and_one_that_was_made_by_hand_stays(alive: bool) -> None:
    async with broker_world(providers=("milan",)) as made:
        await with_pods(made)
        if not alive:
            await made.kill()
        foreign = {"continuo.dev/provider": "milan", "continuo.dev/virtual-node": "somebody-elses"}
        await made.broker.create(kinds.NODE.new("by-hand", metadata={"labels": foreign}))
        made.clusters.engine.cluster("milan").outage = "drop"
        await made.broker.delete(PROVIDER, "milan")
        await made.broker.patch(PROVIDER, "milan", {"metadata": {"finalizers": None}})
        if not alive:
            await made.start()
        await until(made.broker, kinds.NODE, only("broker-0", "by-hand"))
