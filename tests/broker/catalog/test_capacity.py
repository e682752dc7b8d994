"""Offers that follow a cluster's nodes: exact sums, and one publication for many changes."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from continuo.broker.catalog.capacity import CapacityReader, NotTaken, left_of, offer_of, resources_of
from continuo.broker.catalog.left import Tally
from continuo.kube.port import Change, Listing

pytestmark = pytest.mark.anyio


def node(
    name: str, *, version: str = "1", ready: bool = True, spec: Any = None, labels: Any = None, **allocatable: str,
) -> dict[str, Any]:  # fmt: skip
    return {
        "metadata": {"name": name, "resourceVersion": version, "labels": labels or {}},
        "spec": spec or {},
        "status": {
            "allocatable": {key.replace("_", "-"): value for key, value in allocatable.items()},
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def test_sums_are_exact() -> None:
    nodes = [node("a", cpu="1908m", memory="16Gi", pods="110", ephemeral_storage="35913494528"),
             node("b", cpu="2", memory="2664000000", pods="99", ephemeral_storage="1")]  # fmt: skip
    expected = {"cpu": "3908m", "ephemeral-storage": "35913494529", "memory": "19843869184", "pods": "209"}
    assert resources_of(nodes) == expected


def test_only_what_can_run_something_counts() -> None:
    nodes = [
        node("own", cpu="1"), node("lost", ready=False, cpu="10"), node("cordoned", spec={"unschedulable": True}, cpu="100"),
        node("virtual", labels={"liqo.io/type": "virtual-node"}, cpu="1000"),
    ]  # fmt: skip
    assert resources_of(nodes) == {"cpu": "1"}


def pod(space: str, name: str, on: str | None, phase: str = "Running", **requests: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": [{"name": "main", "resources": {"requests": requests}}]}
    if on is not None:
        spec["nodeName"] = on
    return {"metadata": {"name": name, "namespace": space}, "spec": spec, "status": {"phase": phase}}


def sold(space: str, name: str = "plan", **hard: str) -> dict[str, Any]:
    asked = {"pods": hard.pop("pods", "2"), **{f"requests.{key}": amount for key, amount in hard.items()}}
    return {"metadata": {"name": name, "namespace": space}, "spec": {"hard": asked}}


def test_what_is_left_is_neither_used_nor_promised() -> None:
    nodes = [node("a", cpu="8", memory="16Gi", pods="110"), node("b", cpu="4", memory="8Gi", pods="110"),
             node("cordoned", spec={"unschedulable": True}, cpu="100")]  # fmt: skip
    tally = Tally()
    for each in (
        pod("own", "one", "a", cpu="1500m", memory="1Gi"), pod("own", "done", "a", "Succeeded", cpu="4"),
        pod("own", "waits", None, cpu="4"), pod("own", "elsewhere", "cordoned", cpu="50"),
        pod("bought", "guest", "b", cpu="1", memory="5Gi"),
    ):  # fmt: skip
        tally.see_pod(None, each)
    tally.see_quota(None, sold("bought", cpu="3", memory="4Gi"))
    # of `bought` the three CPUs are promised, and five GiB are used, more than was promised; pods are only bounded
    assert left_of(nodes, tally) == {"cpu": "7500m", "memory": "18Gi", "pods": "218"}
    tally.see_quota(sold("bought"), None)
    assert left_of(nodes, tally) == {"cpu": "9500m", "memory": "18Gi", "pods": "218"}


def test_what_is_used_up_is_told_as_nothing() -> None:
    tally = Tally()
    tally.see_quota(None, sold("bought", cpu="5", pods="110"))
    assert left_of([node("a", cpu="4", pods="110")], tally) == {"cpu": "0", "pods": "110"}, "the pods are only bounded"


def test_kept_with_every_change_what_is_taken_is_that_of_counting_anew() -> None:
    rng, tally = random.Random(5), Tally()
    there: dict[str, dict[str, Any]] = {}
    for _ in range(2000):
        name = f"p{rng.randrange(60)}"
        space, on, phase = f"s{int(name[1:]) % 4}", rng.choice([None, "a", "b"]), rng.choice(["Running", "Failed"])
        new = None if rng.random() < 0.3 else pod(space, name, on, phase, cpu=f"{rng.randrange(9)}m")
        tally.see_pod(there.get(name), new)
        there.pop(name, None)
        if new is not None:
            there[name] = new
    anew = Tally()
    for each in there.values():
        anew.see_pod(None, each)
    for nodes in ({"a"}, {"a", "b"}):
        found = {resource: amount for resource, amount in tally.taken(nodes).items() if amount}
        assert found == {resource: amount for resource, amount in anew.taken(nodes).items() if amount}
        assert found["cpu"] > 0


def test_a_template_keeps_everything_but_the_plans_resources() -> None:
    template = {"name": "x", "plans": {"all": {"cost": "1"}, "some": {"cost": "2", "resources": {"cpu": "1"}}}}
    made = offer_of(template, "all", {"cpu": "5"})
    assert made["plans"] == {"all": {"cost": "1", "resources": {"cpu": "5"}}, "some": template["plans"]["some"]}
    assert "resources" not in template["plans"]["all"]


class Nodes:
    """A cluster of which only nodes matter; tests send its changes."""

    name = "green"

    def __init__(self, *nodes: dict[str, Any]) -> None:
        self.nodes = list(nodes)
        self.changes: asyncio.Queue[Change] = asyncio.Queue()

    async def list(self, kind: Any, namespace: Any = None, **selectors: Any) -> Listing:
        return Listing(list(self.nodes), "1")

    async def watch(self, kind: Any, namespace: Any = None, **options: Any) -> Any:
        while True:
            yield await self.changes.get()


async def test_many_changes_are_one_publication() -> None:
    cluster, told, published = Nodes(node("a", cpu="1")), [], asyncio.Event()
    allowed = asyncio.Semaphore(0)

    async def publish(resources: dict[str, str]) -> None:
        if not told and resources == {"cpu": "1"} and not failed:
            failed.append(True)
            raise NotTaken("the catalog is away")
        told.append(resources)
        published.set()

    async def pause(_: float) -> None:
        await allowed.acquire()

    failed: list[bool] = []
    reader = asyncio.create_task(CapacityReader(cluster, publish, pause=pause).run())  # type: ignore[arg-type]
    allowed.release()
    allowed.release()
    await asyncio.wait_for(published.wait(), 10)
    assert told == [{"cpu": "1"}], "tried again after the failure"
    for number in range(50):
        cluster.changes.put_nowait(Change("MODIFIED", node("b", version=str(number + 2), cpu=str(number))))
    cluster.changes.put_nowait(Change("DELETED", node("a", version="52")))
    while not cluster.changes.empty():  # noqa: ASYNC110
        await asyncio.sleep(0)
    published.clear()
    allowed.release()
    await asyncio.wait_for(published.wait(), 10)
    assert told == [{"cpu": "1"}, {"cpu": "49"}]
    cluster.changes.put_nowait(Change("DELETED", node("b", version="53")))
    published.clear()
    allowed.release()
    await asyncio.wait_for(published.wait(), 10)
    assert told[2:] == [{"cpu": "0"}], "nothing is left, and nobody may think otherwise"
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)


async def test_what_the_catalog_refuses_for_good_ends_the_following() -> None:
    class Refused(Exception):
        pass

    async def publish(_: dict[str, str]) -> None:
        raise Refused

    cluster = Nodes(node("a", cpu="1"))
    with pytest.raises(Refused):
        await asyncio.wait_for(CapacityReader(cluster, publish, quiet=0.0).run(), 10)  # type: ignore[arg-type]
