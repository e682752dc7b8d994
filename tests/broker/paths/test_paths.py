"""Direct networks for the pairs in use, and for no others: decided, made by the stand-in for Liqo, and gone again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from broker.paths.clusters import Clusters, until, world
from continuo.broker.paths import Paths
from continuo.federation import paths
from continuo.federation.model import LinkPhase, LinkSettings
from continuo.federation.reflection.places import ROOT_CID, ROOT_IP
from continuo.federation.reflection.twin import OPAQUE
from continuo.kube.client import KubeCluster
from continuo.resources import kinds
from continuo.resources.meta import Object, labels_of

pytestmark = pytest.mark.anyio
SETTINGS = LinkSettings(service_type="NodePort")
BROKER = "hub"


def pod(name: str, runs_in: str | None, *, space: str = "shop-rome", phase: str = "Running") -> Object:
    marks = {} if runs_in is None else {ROOT_CID: runs_in, ROOT_IP: "10.0.0.7"}
    made = kinds.POD.new(
        name, space, metadata={"annotations": marks}, spec={"containers": [{"name": "c", "image": "i"}]}
    )
    return {**made, "status": {"phase": phase}}


def opaque(pod: Object) -> Object:
    metadata = pod["metadata"]
    return {**pod, "metadata": {**metadata, "labels": {OPAQUE: "true"}}}


# --- decisions --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("found", "consumer", "wanted"),
    [
        (pod("p", "milan"), "rome", (("milan", "rome"),)),
        (pod("p", "zurich"), "rome", (("rome", "zurich"),)),
        (pod("p", "rome"), "rome", ()),
        (pod("p", None), "rome", ()),
        (pod("p", "milan"), None, ()),
        (pod("p", "milan", phase="Succeeded"), "rome", ()),
        (opaque(pod("p", "milan")), "rome", (("hub", "rome"), ("hub", "milan"))),
        (opaque(pod("p", "hub")), "rome", (("hub", "rome"),)),
    ],
)
def test_which_path_a_pod_needs(found: Object, consumer: str | None, wanted: tuple[paths.Ends, ...]) -> None:
    assert paths.used_by(found, (consumer, consumer), paths.Knowledge("hub")) == wanted


KNOWN = paths.Knowledge("hub", frozenset({"hub", "rome", "milan", "south"}), {"far": "south"})


@pytest.mark.parametrize(
    ("found", "consumers", "wanted"),
    [
        (pod("p", "milan"), ("rome", "rome"), (("milan", "rome"),)),
        (pod("p", "naples"), ("rome", "rome"), (("hub", "rome"), ("hub", "south"))),  # behind the broker `south`
        (pod("p", "milan"), ("oslo", "north"), (("hub", "milan"),)),  # `north` makes the other half
        (pod("p", "milan"), ("oslo", "rome"), (("hub", "rome"), ("hub", "milan"))),
        (pod("p", "hub"), ("rome", "rome"), (("hub", "rome"),)),
    ],
)
def test_in_a_chain_of_brokers_each_makes_the_hops_beside_it(
    found: Object, consumers: tuple[str, str], wanted: tuple[paths.Ends, ...]
) -> None:
    found["spec"]["nodeName"] = "far"
    assert paths.used_by(found, consumers, KNOWN) == wanted
    assert paths.through(found, consumers[0], KNOWN) == (len(wanted) == 2 or "oslo" in consumers)


def test_each_pair_once() -> None:
    found = [pod("a", "milan"), pod("b", "milan"), pod("c", "zurich"), pod("d", "milan", space="other")]
    consumers = {"shop-rome": ("rome",), "other": ("turin",)}
    assert paths.in_use(found, lambda space: consumers[space]) == {
        ("milan", "rome"),
        ("rome", "zurich"),
        ("milan", "turin"),
    }


# --- with the stand-in for Liqo, over HTTP ------------------------------------------------------------------------------
@asynccontextmanager
async def running(clusters: Clusters, hub: KubeCluster, members: dict[str, KubeCluster]) -> AsyncIterator[Paths]:
    """The loop, killed at the end."""
    loop = Paths(hub, BROKER, settings=SETTINGS, linger=0.05)
    for name, client in members.items():
        loop.add(name, client)
    task = asyncio.create_task(loop.run())
    try:
        yield loop
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def told(loop: Paths, test: Callable[[], bool]) -> None:
    """Wait until the loop's standings are so."""
    async with asyncio.timeout(20):
        while not test():
            loop.changed.clear()
            await loop.changed.wait()


async def three(clusters: Clusters) -> tuple[KubeCluster, dict[str, KubeCluster]]:
    hub = clusters.make(BROKER)
    members = {name: clusters.make(name) for name in ("rome", "milan", "zurich")}
    await hub.create(kinds.NAMESPACE.new("shop-rome", metadata={"labels": {"continuo.dev/consumer": "rome"}}))
    return hub, members


async def runs(hub: KubeCluster, name: str, where: str) -> None:
    """A pod that a reflection says is running somewhere."""
    made = pod(name, where)
    made["spec"]["schedulerName"] = "nobody"
    await hub.create(made)


def connected(found: list[Object]) -> bool:
    return any((obj.get("status") or {}).get("value") == "Connected" for obj in found)


def nothing(found: list[Object]) -> bool:
    return not found


def no_tenants(found: list[Object]) -> bool:
    return not any("liqo.io/tenant-namespace" in labels_of(obj) for obj in found)


async def test_a_path_for_the_pair_in_use_only_and_only_as_long() -> None:
    async with world() as clusters:
        hub, members = await three(clusters)
        async with running(clusters, hub, members) as loop:
            await runs(hub, "one", "milan")
            await runs(hub, "two", "milan")
            for name in ("rome", "milan"):
                await until(members[name], kinds.CONNECTION, connected)
            assert no_tenants((await members["zurich"].list(kinds.NAMESPACE)).items)
            seen = (await members["rome"].list(kinds.CONFIGURATION)).items[0]["status"]["remote"]["cidr"]["pod"]
            assert seen != ["10.0.0.0/16"]  # both ends use it, so each sees the other as something else
            for kind in (kinds.TENANT, kinds.IDENTITY, kinds.RESOURCE_SLICE, kinds.VIRTUAL_NODE):
                assert not (await members["milan"].list(kind)).items and not (await members["rome"].list(kind)).items
            assert [(each.ends, each.pods) for each in loop.standings] == [(("milan", "rome"), 2)]
            await hub.delete(kinds.POD, "one", "shop-rome", grace_seconds=0)
            await hub.delete(kinds.POD, "two", "shop-rome", grace_seconds=0)
            for name in ("rome", "milan"):
                await until(members[name], kinds.NAMESPACE, no_tenants)
                await until(members[name], kinds.FOREIGN_CLUSTER, nothing)


async def test_killed_before_it_could_remove_a_path_it_is_removed_by_the_next() -> None:
    async with world() as clusters:
        hub, members = await three(clusters)
        async with running(clusters, hub, members):
            await runs(hub, "one", "zurich")
            await until(members["rome"], kinds.CONNECTION, connected)
        await hub.delete(kinds.POD, "one", "shop-rome", grace_seconds=0)
        async with running(clusters, hub, members):
            for name in ("rome", "zurich"):
                await until(members[name], kinds.NAMESPACE, no_tenants)


async def test_a_link_of_others_is_used_and_left() -> None:
    async with world() as clusters:
        hub, members = await three(clusters)
        for name, peer in (("rome", "milan"), ("milan", "rome")):
            labels = {"liqo.io/tenant-namespace": "true", "liqo.io/remote-cluster-id": peer}
            await members[name].create(kinds.NAMESPACE.new(f"liqo-tenant-{peer}", metadata={"labels": labels}))
        async with running(clusters, hub, members) as loop:
            await runs(hub, "one", "milan")
            await told(loop, lambda: any("linked by others" in each.why for each in loop.standings))
            await hub.delete(kinds.POD, "one", "shop-rome", grace_seconds=0)
            await told(loop, lambda: not loop.standings)
        assert await members["rome"].get(kinds.NAMESPACE, "liqo-tenant-milan")
        assert not (await members["rome"].list(kinds.CONFIGURATION)).items


async def test_a_provider_that_is_away_holds_nothing_up_and_is_cleaned_when_it_is_back() -> None:
    async with world() as clusters:
        hub, members = await three(clusters)
        async with running(clusters, hub, members) as loop:
            await runs(hub, "one", "milan")
            for name in ("rome", "milan"):
                await until(members[name], kinds.CONNECTION, connected)
            clusters.engine.cluster("milan").outage = "drop"
            await hub.delete(kinds.POD, "one", "shop-rome", grace_seconds=0)
            await until(members["rome"], kinds.NAMESPACE, no_tenants)
            clusters.engine.cluster("milan").outage = None
            await until(members["milan"], kinds.NAMESPACE, no_tenants)
            assert all(each.phase is not LinkPhase.CONNECTED for each in loop.standings)


async def test_what_an_earlier_process_left_of_a_path_goes_though_its_mark_went_before_it() -> None:
    """Killed between the last two deletions: the tenant namespace that said whose it was is gone, Liqo's summary is not."""
    async with world() as clusters:
        hub, members = await three(clusters)
        rome = clusters.engine.cluster("rome")
        for peer in ("milan", "oslo"):
            rome.create(kinds.FOREIGN_CLUSTER.new(peer, spec={"clusterID": peer}))
        async with running(clusters, hub, {"rome": members["rome"]}) as loop:
            await until(members["rome"], kinds.FOREIGN_CLUSTER, lambda found: len(found) == 2)
            assert len(rome.list(kinds.FOREIGN_CLUSTER)) == 2, "they may be of others, whom this broker does not know"
            loop.add("milan", members["milan"])
            await until(members["rome"], kinds.FOREIGN_CLUSTER, lambda found: len(found) == 1)
        assert [obj["metadata"]["name"] for obj in rome.list(kinds.FOREIGN_CLUSTER)] == ["oslo"]


async def test_a_path_to_a_cluster_that_is_known_no_more_does_not_keep_the_other_end() -> None:
    async with world() as clusters:
        hub, members = await three(clusters)
        await hub.create(pod("a", "milan"))
        async with running(clusters, hub, members) as loop:
            await told(loop, lambda: [each.phase for each in loop.standings] == [LinkPhase.CONNECTED])
            await loop.remove("milan")
            await hub.delete(kinds.POD, "a", "shop-rome", grace_seconds=0)
            await told(loop, lambda: loop.standings == [])
            await until(members["rome"], kinds.CONFIGURATION, lambda found: not found)


async def test_who_asks_how_a_pod_is_reached_is_told_when_that_changes_and_of_no_other_pod() -> None:
    async with world() as clusters:
        hub = clusters.make(BROKER)
        for name, consumer in (("shop-rome", "rome"), ("bank-oslo", "oslo"), ("later", "")):
            labels = {"continuo.dev/consumer": consumer} if consumer else {}
            await hub.create(kinds.NAMESPACE.new(name, metadata={"labels": labels}))
            await hub.create(
                {**pod("p", "milan", space=name), "spec": {**pod("p", "milan")["spec"], "schedulerName": "x"}}
            )
        pods = clusters.engine.cluster(BROKER).list(kinds.POD)
        found = {obj["metadata"]["namespace"]: obj for obj in pods if obj["metadata"]["name"] == "p"}
        loop, told = Paths(hub, BROKER), list[tuple[str, str]]()
        for who in ("milan", "rome"):
            loop.expect(f"test {who}", who)
        await loop.start()
        forget, heard = loop.on_judged(told.append), asyncio.Event()
        loop.on_judged(lambda _: heard.set())
        try:
            assert {name: loop.through(each) for name, each in found.items()} == {
                "shop-rome": False, "bank-oslo": True, "later": False
            }  # fmt: skip
            loop.expect("test oslo", "oslo")
            assert told == [("bank-oslo", "p")] and not loop.through(found["bank-oslo"])
            loop.expect("test milan", None)
            assert sorted(told[1:]) == [("bank-oslo", "p"), ("shop-rome", "p")]
            heard.clear()
            await hub.patch(kinds.NAMESPACE, "later", {"metadata": {"labels": {"continuo.dev/consumer": "rome"}}})
            async with asyncio.timeout(20):
                await heard.wait()
            assert told[3:] == [("later", "p")] and loop.through(found["later"])
            forget()
            loop.expect("test milan", "milan")
            assert len(told) == 4
        finally:
            await loop.close()
