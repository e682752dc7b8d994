"""Namespaces that a reflection made go when nothing is in them, and stay when anything is."""

from __future__ import annotations

import pytest

from broker.paths.clusters import Clusters, until, world
from continuo.federation.reflection.engine import Settings, identity
from continuo.federation.reflection.fleet import Fleet, Peer
from continuo.federation.reflection.vacated import State, Vacated
from continuo.kube.client import KubeCluster
from continuo.kube.port import Listing
from continuo.resources import kinds
from continuo.resources.errors import Forbidden
from continuo.resources.meta import Kind, Object, is_true

pytestmark = pytest.mark.anyio
THERE = "shop-rome"


def made_for(origin: str, name: str = THERE) -> Object:
    return kinds.NAMESPACE.new(name, metadata={"labels": {"continuo.dev/reflected-from": origin}})


@pytest.mark.parametrize(
    ("content", "state"),
    [
        (None, State.GONE),
        (kinds.CONFIG_MAP.new("theirs", THERE, data={}), State.OCCUPIED),
        (kinds.DEPLOYMENT.new("theirs", THERE, spec={
            "replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
                "containers": [{"name": "c", "image": "i"}]}}}), State.OCCUPIED),
        (kinds.IP.new("theirs", THERE, spec={"ip": "10.0.0.1"}), State.OCCUPIED),
        (kinds.CONFIG_MAP.new("copy", THERE, metadata={"labels": {"continuo.dev/reflected-from": "x"}}), State.USED),
    ],
)  # fmt: skip
async def test_what_is_in_it_decides(content: Object | None, state: State) -> None:
    async with world() as clusters:
        far = clusters.make("far", nodes=0)
        await far.create(made_for("x"))
        await until(far, kinds.SERVICE_ACCOUNT, lambda found: any(o["metadata"]["namespace"] == THERE for o in found))
        if content is not None:
            await far.create(content)
        assert await Vacated(far, "x").clear(THERE) is state
        if state is State.GONE:
            await until(far, kinds.NAMESPACE, lambda found: THERE not in names(found))
        else:
            assert THERE in names((await far.list(kinds.NAMESPACE)).items)


async def test_one_that_others_made_or_into_which_nobody_can_see_stays() -> None:
    async with world() as clusters:
        far = clusters.make("far", liqo=False, nodes=0)
        await far.create(kinds.NAMESPACE.new("theirs"))
        await far.create(made_for("y", "of-another"))
        await far.create(made_for("x"))
        for name in ("theirs", "of-another"):
            await Vacated(far, "x").clear(name)
        await Vacated(Blind(far), "x").clear(THERE)  # type: ignore[arg-type]
        assert {"theirs", "of-another", THERE} <= names((await far.list(kinds.NAMESPACE)).items)


class Blind:
    """A cluster whose Secrets cannot be seen."""

    def __init__(self, cluster: KubeCluster) -> None:
        self._cluster, self.name = cluster, cluster.name
        self.get, self.raw, self.delete = cluster.get, cluster.raw, cluster.delete

    async def list(self, kind: Kind, namespace: str | None = None, **more: str) -> Listing:
        if kind.kind == "Secret":
            raise Forbidden("secrets is forbidden")
        return await self._cluster.list(kind, namespace, **more)


async def test_it_goes_with_the_namespace_at_home_and_after_it_when_nobody_looked() -> None:
    async with world() as clusters:
        home, far = clusters.make("rome"), clusters.make("milan")
        for name in ("shop", "batch"):
            await home.create(kinds.NAMESPACE.new(name, metadata={"labels": {"continuo.dev/offload": "far"}}))
            await home.create(kinds.POD.new("p", name, spec={
                "nodeName": "far", "tolerations": [{"operator": "Exists"}], "terminationGracePeriodSeconds": 1,
                "containers": [{"name": "c", "image": "i"}],
            }))  # fmt: skip
        fleet = await started(clusters)
        for name in ("shop", "batch"):
            await until(home, kinds.POD, lambda found: [is_true(obj, "Ready") for obj in found] == [True], name)
        await home.delete(kinds.NAMESPACE, "shop")
        await until(far, kinds.NAMESPACE, lambda found: THERE not in names(found))
        assert "batch-rome" in names((await far.list(kinds.NAMESPACE)).items)
        await fleet.close()
        await home.delete(kinds.POD, "p", "batch", grace_seconds=0)
        await home.delete(kinds.NAMESPACE, "batch")
        await until(home, kinds.NAMESPACE, lambda found: "batch" not in names(found))
        fleet = await started(clusters)
        await until(far, kinds.NAMESPACE, lambda found: "batch-rome" not in names(found))
        assert await Vacated(far, await identity(home)).ours() == {}
        await fleet.close()


async def started(clusters: Clusters) -> Fleet:
    fleet = Fleet(beat=0.1)
    for name in ("rome", "milan"):
        fleet.add_cluster(clusters.client(name))
    await fleet.put(Peer("rome", "milan", Settings("far", frozenset(), offload=True, naming="suffixed")))
    await fleet.ready("rome", "far")
    return fleet


def names(found: list[Object]) -> set[str]:
    return {obj["metadata"]["name"] for obj in found}
