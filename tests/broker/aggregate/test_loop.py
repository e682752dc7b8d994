"""The aggregator on an API server: nodes, pods and declarations change, and what consumers are shown follows."""

from __future__ import annotations

import pytest

from broker.aggregate.places import aggregating, broker, shows
from broker.paths.clusters import until, world
from broker.readers.doubles import Said
from continuo.cli.broker_aggregate import served
from continuo.cli.failures import BadInput
from continuo.resources import kinds
from continuo.resources.broker import AGGREGATE
from continuo.resources.errors import NotFound, Unreachable
from continuo.resources.meta import Object, condition

pytestmark = pytest.mark.anyio


def verdict(aggregate: Object) -> tuple[str, str, str]:
    found = condition(aggregate, "Ready") or {}
    return found.get("status", ""), found.get("reason", ""), found.get("message", "")


async def test_the_node_follows_the_providers() -> None:
    async with broker() as at:
        await at.provider("milan", cpu="4", memory="8Gi", pods="100")
        await at.consumer("rome", "rome-id")
        await at.aggregate("big", "rome")
        async with aggregating(at) as aggregator:
            await shows(aggregator, "rome-id", {"cpu": "4", "memory": "8Gi", "pods": "100"})
            await at.provider("turin", cpu="2500m", memory="1Gi", pods="10")
            await shows(aggregator, "rome-id", {"cpu": "6500m", "memory": "9Gi", "pods": "110"})
            await at.has("milan", cpu="1", memory="8Gi", pods="100")
            await shows(aggregator, "rome-id", {"cpu": "3500m", "memory": "9Gi", "pods": "110"})
            await at.has("milan", ready=False, cpu="1", memory="8Gi", pods="100")
            await shows(aggregator, "rome-id", {"cpu": "2500m", "memory": "1Gi", "pods": "10"})
            assert await aggregator.read("oslo") == {}

            def told(found: list[Object]) -> bool:
                status = found[0].get("status") or {}
                return status.get("capacity") == {"cpu": "2500m", "memory": "1Gi", "pods": "10"}

            await until(at.cluster, AGGREGATE, told)
            seen = await at.cluster.get(AGGREGATE, "big")
            assert seen["status"]["providers"] == 1
            assert verdict(seen) == (
                "True", "SomeProvidersAnswer", "1 of 2 providers answer; provider milan: its node milan is not Ready"
            )  # fmt: skip


async def test_pods_of_one_consumer_are_missing_to_the_others_only() -> None:
    async with broker() as at:
        await at.provider("milan", cpu="4")
        for name in ("rome", "oslo"):
            await at.consumer(name)
            await at.aggregate(name, name)
        async with aggregating(at) as aggregator:
            await shows(aggregator, "oslo", {"cpu": "4"})
            await at.pod("p", "rome", "milan", cpu="1500m")
            await shows(aggregator, "oslo", {"cpu": "2500m"})
            await shows(aggregator, "rome", {"cpu": "4"})
            await at.cluster.delete(kinds.POD, "p", "of-rome", grace_seconds=0)
            await shows(aggregator, "oslo", {"cpu": "4"})


async def test_quotas_change_and_aggregates_go() -> None:
    async with broker() as at:
        await at.provider("milan", labels={"tier": "gold"}, cpu="8")
        await at.provider("turin", cpu="8")
        for name in ("rome", "oslo"):
            await at.consumer(name)
        await at.aggregate("a", "rome", quota={"cpu": "6"}, providers={"matchLabels": {"tier": "gold"}})
        await at.aggregate("b", "oslo", oversubscription=1.5)
        async with aggregating(at) as aggregator:
            await shows(aggregator, "rome", {"cpu": "6"})
            await shows(aggregator, "oslo", {"cpu": "15"})
            await at.cluster.patch(AGGREGATE, "a", {"spec": {"quota": {"cpu": "9"}}})
            await shows(aggregator, "rome", {"cpu": "8"})
            await until(
                at.cluster, AGGREGATE,
                lambda found: verdict(found[0])[1:] == (
                    "QuotaNotMet", "the providers cannot give 1 of cpu of what its quota promises"
                ),
            )  # fmt: skip
            await at.cluster.delete(AGGREGATE, "a")
            await shows(aggregator, "oslo", {"cpu": "24"})
            assert await aggregator.read("rome") == {}
            with pytest.raises(NotFound, match="Aggregate a does not exist"):
                aggregator.capacity("a")


async def test_a_consumer_that_is_not_there_is_told() -> None:
    async with broker() as at:
        await at.provider("milan", cpu="8")
        await at.aggregate("a", "rome")
        async with aggregating(at) as aggregator:
            await until(at.cluster, AGGREGATE, lambda found: verdict(found[0])[1] == "ConsumerUnknown")
            await at.consumer("rome")
            await shows(aggregator, "rome", {"cpu": "8"})
            await until(at.cluster, AGGREGATE, lambda found: verdict(found[0]) == (
                "True", "ProvidersAnswer", "its provider answers"
            ))  # fmt: skip


async def test_nothing_is_written_when_nothing_changes() -> None:
    async with broker() as at:
        await at.provider("milan", cpu="8")
        await at.consumer("rome")
        await at.aggregate("a", "rome")
        async with aggregating(at):
            await until(at.cluster, AGGREGATE, lambda found: verdict(found[0])[0] == "True")
        assert at.cluster.requests["apply"] == 1
        before = await at.cluster.get(AGGREGATE, "a")
        async with aggregating(at):
            pass
        assert at.cluster.requests["apply"] == 1
        assert await at.cluster.get(AGGREGATE, "a") == before


async def test_a_reader_may_tell_instead_of_the_node() -> None:
    said = Said(cpu="2")
    async with broker() as at:
        await at.provider("milan", cpu="8")
        await at.consumer("rome")
        await at.aggregate("a", "rome")
        async with aggregating(at, readers={"milan": said}, broker_id="me") as aggregator:
            await shows(aggregator, "rome", {"cpu": "2"})
            assert set(said.asked) == {"me"}
            said.say(cpu="3")
            await shows(aggregator, "rome", {"cpu": "3"})
            said.error = Unreachable("away")
            said.bell.ring()
            await shows(aggregator, "rome", {})
            await aggregator.remove("rome")


async def test_a_cluster_without_our_kinds_is_told_so() -> None:
    async with world() as clusters:
        plain = clusters.make("plain", liqo=False, nodes=0)
        with pytest.raises(BadInput, match=r"cluster plain serves no aggregates\.continuo\.dev: continuo install"):
            await served(plain)
