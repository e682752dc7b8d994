"""Slices of our class: the answers, and a Liqo consumer that peers with a broker as it would with any provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from broker.aggregate.places import Broker, aggregating, broker, shows
from broker.paths.clusters import until
from broker.readers.doubles import Said
from continuo.broker.aggregate.loop import Aggregator
from continuo.broker.aggregate.slice_loop import SliceController
from continuo.broker.aggregate.slices import answer, patch_of
from continuo.broker.readers.amounts import parse
from continuo.embedded.api import ClusterApi
from continuo.embedded.port import Write
from continuo.federation.links import advance
from continuo.federation.model import Apply, LinkPhase, LinkSettings
from continuo.federation.state import end_state
from continuo.resources import kinds
from continuo.resources.broker import AGGREGATE
from continuo.resources.errors import NotFound
from continuo.resources.meta import Kind, Object, condition

pytestmark = pytest.mark.anyio
NOW = "2026-01-02T03:04:05Z"
PLENTY = parse({"cpu": "8", "memory": "16Gi", "pods": "110"})


def tenant(mood: str = "Active", cluster: str = "rome") -> Object:
    return kinds.TENANT.new("rome", "liqo-tenant-rome", spec={"clusterID": cluster, "tenantCondition": mood})


def slice_(was: str = "", resources: dict[str, str] | None = None, consumer: str = "rome", **granted: str) -> Object:
    conditions = [{"type": "Authentication", "status": "Accepted"}]
    if was:
        conditions.append(
            {"type": "Resources", "status": was, "reason": "R", "message": "m", "lastTransitionTime": "t"}
        )
    spec = {"consumerClusterID": consumer, "class": "continuo", "resources": resources or {}}
    status = {"conditions": conditions, "resources": granted}
    made = kinds.RESOURCE_SLICE.new("s", "liqo-tenant-rome", spec=spec, status=status)
    made["metadata"]["resourceVersion"] = "7"
    return made


@pytest.mark.parametrize(
    ("asked", "granted", "message"),
    [
        ({}, {"cpu": "8", "memory": "16Gi", "pods": "110"}, "as asked for"),
        ({"cpu": "2"}, {"cpu": "2", "pods": "110"}, "as asked for"),
        ({"cpu": "20", "pods": "5"}, {"cpu": "8", "pods": "5"}, "less than asked for of cpu"),
        ({"nvidia.com/gpu": "1", "cpu": "1"}, {"cpu": "1", "nvidia.com/gpu": "0", "pods": "110"},
         "less than asked for of nvidia.com/gpu"),
    ],
)  # fmt: skip
def test_as_much_as_asked_for_and_offered(asked: dict[str, str], granted: dict[str, str], message: str) -> None:
    said = answer(slice_(resources=asked), tenant(), PLENTY)
    assert said is not None and said.accepted
    assert (dict(said.resources), said.message) == (granted, message)


@pytest.mark.parametrize(
    ("seen", "of", "offered", "reason"),
    [
        (slice_(consumer="oslo"), tenant(), PLENTY, "WrongConsumer"),
        (slice_(), tenant(), {}, "NothingOffered"),
        (slice_(), tenant(), parse({"cpu": "0"}), "NothingOffered"),
        (slice_(resources={"cpu": "-1"}), tenant(), PLENTY, "InvalidRequest"),
    ],
)
def test_what_is_denied(seen: Object, of: Object, offered: Any, reason: str) -> None:
    said = answer(seen, of, offered)
    assert said is not None and not said.accepted and said.reason == reason and not said.resources


@pytest.mark.parametrize(
    ("offered", "why", "consumer", "reason"),
    [({}, "", "rome", "ResourcesAccepted"), (None, "away", "rome", "NotKnown"), (PLENTY, "", "oslo", "WrongConsumer")],
)
def test_what_was_accepted_becomes_zero_and_is_never_denied(offered: Any, why: str, consumer: str, reason: str) -> None:
    said = answer(slice_("Accepted", consumer=consumer, cpu="4", pods="9"), tenant(), offered, why)
    assert said is not None and said.accepted
    assert (dict(said.resources), said.reason) == ({"cpu": "0", "pods": "0"}, reason)


@pytest.mark.parametrize(
    ("seen", "of", "offered"),
    [
        (slice_(), None, PLENTY),
        (slice_(), tenant(cluster=""), PLENTY),
        (slice_(), tenant("Cordoned"), PLENTY),
        (slice_("Denied"), tenant("Cordoned"), PLENTY),
        (slice_("Accepted"), tenant("Drained"), PLENTY),
        (slice_(), tenant(), None),
    ],
)
def test_what_is_not_ours_to_say(seen: Object, of: Object | None, offered: Any) -> None:
    assert answer(seen, of, offered) is None


def test_a_cordoned_tenants_granted_slice_is_kept_current() -> None:
    said = answer(slice_("Accepted", cpu="4"), tenant("Cordoned"), PLENTY)
    assert said is not None and said.resources["cpu"] == "8"


def test_the_patch_leaves_liqos_conditions_and_nothing_else() -> None:
    seen = slice_("Accepted", cpu="4", memory="1Gi")
    seen["status"]["nodeLabels"] = {"old": "x"}
    said = answer(seen, tenant(), parse({"cpu": "2"}))
    assert said is not None
    patch = patch_of(seen, said, {"new": "y"}, NOW)
    assert patch is not None
    assert patch["metadata"] == {"resourceVersion": "7"}
    assert patch["status"]["resources"] == {"cpu": "2", "memory": "0"}
    assert patch["status"]["nodeLabels"] == {"old": None, "new": "y"}
    first, second = patch["status"]["conditions"]
    assert first == {"type": "Authentication", "status": "Accepted"}
    assert second["lastTransitionTime"] == "t", "the verdict did not change"
    told = {**seen, "status": {**seen["status"], "conditions": [first, second], "nodeLabels": {"new": "y"},
                               "resources": patch["status"]["resources"]}}  # fmt: skip
    assert patch_of(told, said, {"new": "y"}, NOW) is None


def test_liqos_own_class_is_liqos() -> None:
    with pytest.raises(ValueError, match="Liqo's own"):
        SliceController(None, None, class_="default")  # type: ignore[arg-type]


class Silent:
    """A cluster that never answers."""

    name = "silent"

    async def list(self, *_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()


async def test_who_is_stopped_while_it_waits_for_its_cluster_listens_no_more() -> None:
    reader = Said()
    controller = SliceController(Silent(), reader)  # type: ignore[arg-type]
    starting = asyncio.ensure_future(controller.start())
    await asyncio.sleep(0)
    assert len(reader.bell) == 1
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await controller.stop()
    assert len(reader.bell) == 0


# --- with Liqo --------------------------------------------------------------------------------------------------------
BY_KIND = {(k.api_version, k.kind): k for k in vars(kinds).values() if isinstance(k, Kind)}


class Cache:
    def __init__(self, api: ClusterApi) -> None:
        self._api = api

    def get(self, kind: Kind, name: str, namespace: str = "") -> Object | None:
        return self._api.find(kind, name, namespace)

    def list(self, kind: Kind, namespace: str = "") -> list[Object]:
        try:
            return self._api.list(kind, namespace)
        except NotFound:
            return []


async def link(at: Broker, first: str, second: str) -> None:
    """What `federation` says, done at both ends until they are linked."""
    engine, settings = (
        at.clusters.engine,
        LinkSettings(service_type="NodePort", resources={"cpu": "1", "memory": "1Gi"}),
    )
    one, two = engine.cluster(first), engine.cluster(second)
    happened = asyncio.Event()
    stops = [api.listen(None, lambda _: happened.set()) for api in (one, two)]
    async with asyncio.timeout(20):
        while True:
            happened.clear()
            progress = advance(end_state(first, Cache(one), second), end_state(second, Cache(two), first), settings)
            if progress.phase is LinkPhase.CONNECTED:
                break
            for write in progress.writes:
                assert isinstance(write.op, Apply)
                obj, meta = write.op.object, write.op.object["metadata"]
                kind = BY_KIND[obj["apiVersion"], obj["kind"]]
                engine.cluster(write.cluster).patch(
                    kind, meta["name"], meta.get("namespace", ""), "apply", obj, Write(manager="test", force=True)
                )  # fmt: skip
            if not progress.writes:
                await happened.wait()
            await asyncio.sleep(0)
    for stop in stops:
        stop()


@asynccontextmanager
async def answering(at: Broker) -> AsyncIterator[Aggregator]:
    async with aggregating(at) as aggregator:
        controller = SliceController(at.cluster, aggregator)
        await controller.start()
        try:
            yield aggregator
        finally:
            await controller.stop()


def asked(**resources: str) -> Object:
    labels = {"liqo.io/remote-cluster-id": "broker", "liqo.io/remoteID": "broker", "liqo.io/replication": "true"}
    metadata = {"labels": labels, "annotations": {"liqo.io/create-virtual-node": "true"}}
    spec = {"providerClusterID": "broker", "class": "continuo", "resources": resources}
    return kinds.RESOURCE_SLICE.new("big", "liqo-tenant-broker", metadata=metadata, spec=spec)


def has(**wanted: str) -> Any:
    def test(nodes: list[Object]) -> bool:
        found = [node for node in nodes if node["metadata"]["name"] == "big"]
        return bool(found) and (found[0].get("status") or {}).get("allocatable") == wanted

    return test


async def test_a_liqo_consumer_gets_one_node_that_follows_the_providers() -> None:
    async with broker(liqo=True) as at:
        rome = at.clusters.make("rome")
        await at.provider("milan", cpu="4", memory="8Gi", pods="100")
        await at.consumer("rome")
        await at.aggregate("for-rome", "rome")
        await link(at, "rome", "broker")
        async with answering(at) as aggregator:
            await rome.create(asked(cpu="16", memory="4Gi"))
            await until(rome, kinds.NODE, has(cpu="4", memory="4Gi", pods="100"))
            await at.provider("turin", cpu="6", memory="8Gi", pods="10")
            await until(rome, kinds.NODE, has(cpu="10", memory="4Gi", pods="110"))
            await at.has("milan", ready=False, cpu="4")
            await until(rome, kinds.NODE, has(cpu="6", memory="4Gi", pods="10"))
            seen = await rome.get(kinds.RESOURCE_SLICE, "big", "liqo-tenant-broker")
            said = condition(seen, "Resources") or {}
            assert (said["status"], said["message"]) == ("Accepted", "less than asked for of cpu")
            assert (condition(seen, "Authentication") or {})["status"] == "Accepted"
            for node in await nodes_of(rome):
                assert "milan" not in str(node) and "turin" not in str(node), "the consumer sees one cluster"
            await at.cluster.delete(AGGREGATE, "for-rome")
            await shows(aggregator, "rome", {})
            await until(rome, kinds.NODE, has(cpu="0", memory="0", pods="0"))


async def nodes_of(cluster: Any) -> list[Object]:
    listing = await cluster.list(kinds.NODE)
    items: list[Object] = listing.items
    return items


async def test_a_consumer_cannot_ask_in_anothers_name() -> None:
    async with broker(liqo=True) as at:
        at.clusters.make("rome")
        await at.provider("milan", cpu="4")
        await at.consumer("oslo")
        await at.aggregate("for-oslo", "oslo")
        await link(at, "rome", "broker")
        forged = asked()
        forged["metadata"] |= {
            "namespace": "liqo-tenant-rome",
            "labels": {"liqo.io/replicated": "true", "liqo.io/remote-cluster-id": "rome", "liqo.io/originID": "oslo"},
        }
        forged["spec"] |= {"consumerClusterID": "oslo"}
        async with answering(at):
            await at.cluster.create(forged)

            def denied(found: list[Object]) -> bool:
                return any((condition(each, "Resources") or {}).get("reason") == "WrongConsumer" for each in found)

            await until(at.cluster, kinds.RESOURCE_SLICE, denied)
        seen = await at.cluster.get(kinds.RESOURCE_SLICE, "big", "liqo-tenant-rome")
        assert not (seen["status"]).get("resources")
