"""A consumer who makes more of its node than was bought gets no more of the provider: one wire, two clusters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import cast

import pytest

from broker.contracts.world import World, contracted, pod, world
from broker.mortal import Life, Mortal
from continuo.federation import plans
from continuo.federation.requests import requests_of
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.broker import CONTRACT
from continuo.resources.meta import Object, labels_of
from seeding import seeds

pytestmark = pytest.mark.anyio
ID, NODE = "c0ffee0012345678", "green-c0ffee00"


@pytest.fixture
async def made(anyio_backend: str) -> AsyncIterator[World]:
    async with world() as clusters:
        yield clusters


def asking(name: str, **requests: str) -> Object:
    made = pod(NODE, name)
    made["spec"]["containers"][0]["resources"] = {"requests": requests}
    return made


def there(made: World) -> list[Object]:
    """What takes something of the provider."""
    return [
        obj
        for obj in made.apis["green"].list(kinds.POD)
        if (obj.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    ]


def used(made: World, resource: str) -> int:
    return sum(requests_of(obj["spec"]).get(resource, 0) for obj in there(made))


def waits(made: World) -> dict[str, str]:
    """Why each pod waits that does."""
    found = made.apis["lab"].list(kinds.POD, "shop")
    return {
        obj["metadata"]["name"]: obj["status"].get("message", "")
        for obj in found
        if (obj.get("status") or {}).get("reason") == "ContractExhausted"
    }


@contextmanager
def never_more(made: World, test: Callable[[], bool]) -> Iterator[list[str]]:
    """What was there whenever the test did not hold."""
    seen: list[str] = []

    def look(_: object) -> None:
        if not test():
            seen.append(str(made.names("green", kinds.POD)))

    stop = made.apis["green"].listen(kinds.POD, look)
    try:
        yield seen
    finally:
        stop()


def more(made: World) -> None:
    """The consumer lets its node say what it likes."""
    lab = made.apis["lab"]
    status = {"capacity": {"cpu": "99", "memory": "99Gi", "pods": "999"}, "allocatable": {"cpu": "99", "pods": "999"}}
    lab.set_status(lab.get(kinds.NODE, NODE), status, "me")


async def test_a_node_that_says_more_gets_no_more(made: World) -> None:
    lab = made.apis["lab"]
    async with contracted(made):
        made.contract(ID, "lab", "green")
        await made.until(lambda: made.said(ID) == ("True", "Linked"))
        made.space(NODE)
        more(made)
        with never_more(made, lambda: used(made, "cpu") <= 2000) as seen:
            for number in range(12):
                lab.create(asking(f"p{number}", cpu="500m"))
            await made.until(lambda: len(waits(made)) == 8 and len(there(made)) == 4)
            assert set(waits(made).values()) == {
                f"contract {ID} has no room for this pod (cpu: 500m asked, 2 of 2 in use): it waits until there is"
            }
            assert all(lab.get(kinds.POD, name, "shop")["status"]["phase"] == "Pending" for name in waits(made))
            for running in [name for name in made.names("lab", kinds.POD) if name not in waits(made)][:3]:
                lab.delete(kinds.POD, running, "shop")
            await made.until(lambda: len(waits(made)) == 5 and len(there(made)) == 4)
            for name in made.names("lab", kinds.POD):
                lab.delete(kinds.POD, name, "shop")
            await made.until(lambda: not there(made) and not made.names("lab", kinds.POD))
        assert seen == []


async def test_every_resource_of_the_plan_and_none_that_was_not_bought(made: World) -> None:
    lab = made.apis["lab"]
    async with contracted(made):
        made.contract(ID, "lab", "green", resources={"cpu": "2", "pods": "3", "nvidia.com/gpu": "1"})
        await made.until(lambda: made.said(ID) == ("True", "Linked"))
        made.space(NODE)
        for name in ("g1", "g2"):
            lab.create(asking(name, **{"nvidia.com/gpu": "1"}))
            await made.until(lambda: len(there(made)) == 1)
        lab.create(asking("tpu", **{"example.com/tpu": "1"}))
        lab.create(asking("plain"))
        await made.until(lambda: len(there(made)) == 2 and len(waits(made)) == 2)
        assert "nvidia.com/gpu: 1 asked, 1 of 1 in use" in waits(made)["g2"]
        assert "example.com/tpu: 1 asked, 0 of 0 in use" in waits(made)["tpu"]
        (plain,) = [obj for obj in there(made) if obj["metadata"]["name"] == "plain"]
        assert plain["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "100m"}, "limits": {"cpu": "2"}}
        lab.create(asking("third"))
        lab.create(asking("fourth"))
        await made.until(lambda: len(there(made)) == 3 and len(waits(made)) == 3)
        space = made.apis["green"].get(kinds.NAMESPACE, "shop-lab")
        assert labels_of(space)["pod-security.kubernetes.io/enforce"] == "baseline"


async def test_what_ends_makes_room(made: World) -> None:
    async with contracted(made):
        made.contract(ID, "lab", "green", resources={"pods": "1"})
        await made.until(lambda: made.said(ID) == ("True", "Linked"))
        made.space(NODE)
        made.apis["lab"].create(asking("first"))
        await made.until(lambda: len(there(made)) == 1)
        made.apis["lab"].create(asking("second"))
        await made.until(lambda: list(waits(made)) == ["second"])
        green = made.apis["green"]
        green.set_status(green.get(kinds.POD, "first", "shop-lab"), {"phase": "Succeeded"}, "kubelet")
        await made.until(lambda: [obj["metadata"]["name"] for obj in there(made)] == ["second"] and not waits(made))


async def test_a_plan_that_shrinks_leaves_what_runs_and_lets_nothing_in(made: World) -> None:
    """Nobody can change a Contract; what the definition of the kind refuses is done here behind its back."""
    lab = made.apis["lab"]
    async with contracted(made):
        made.contract(ID, "lab", "green", resources={"cpu": "2"})
        await made.until(lambda: made.said(ID) == ("True", "Linked"))
        made.space(NODE)
        for number in range(6):
            lab.create(asking(f"p{number}", cpu="500m"))
        await made.until(lambda: len(there(made)) == 4 and len(waits(made)) == 2)
        resize(made, "1")
        await made.until(lambda: lab.get(kinds.NODE, NODE)["status"]["allocatable"]["cpu"] == "1")
        running = [name for name in made.names("lab", kinds.POD) if name not in waits(made)]
        with never_more(made, lambda: used(made, "cpu") <= 2000) as seen:
            lab.delete(kinds.POD, running[0], "shop")
            lab.delete(kinds.POD, running[1], "shop")
            await made.until(lambda: len(there(made)) == 2)
            assert len(waits(made)) == 2, "two of 500m are all of the smaller plan"
            lab.delete(kinds.POD, running[2], "shop")
            await made.until(lambda: len(waits(made)) == 1 and len(there(made)) == 2)
        assert seen == []
        resize(made, "9")
        await made.until(lambda: len(waits(made)) == 0 and len(there(made)) == 3)


def resize(made: World, cpu: str) -> None:
    """Another plan under the same name."""
    made.lift_rule()
    broker = made.apis["broker"]
    found = broker.get(CONTRACT, ID)
    broker.update({**found, "spec": {**found["spec"], "resources": {"cpu": cpu}}})


def nobody_waits_beside_room(made: World) -> bool:
    waiting, left = waits(made), 2000 - used(made, "cpu")
    asked = [requests_of(made.apis["lab"].get(kinds.POD, name, "shop")["spec"])["cpu"] for name in waiting]
    return len(there(made)) + len(waiting) == len(made.names("lab", kinds.POD)) and all(cpu > left for cpu in asked)


@pytest.mark.parametrize("seed", seeds(1))
async def test_killed_anywhere_there_is_never_more(made: World, seed: int) -> None:
    lab, rng = made.apis["lab"], Random(seed)
    made.contract(ID, "lab", "green", resources={"cpu": "2"})
    made.space(NODE)
    with never_more(made, lambda: used(made, "cpu") <= 2000) as seen:
        for turn in range(5):
            for number in range(8):
                lab.create(asking(f"p{turn}-{number}", cpu=rng.choice(["250m", "500m", "1"])))
            for name in made.names("lab", kinds.POD):
                if rng.random() < 0.3:
                    lab.delete(kinds.POD, name, "shop")
            life = Life(rng.randint(20, 80), rng)

            def mortal(cluster: Cluster, life: Life = life) -> Cluster:
                return cast(Cluster, Mortal(cluster, life))

            async with contracted(made, mortal):
                await asyncio.wait({asyncio.ensure_future(life.over.wait())}, timeout=0.3)
        async with contracted(made):
            await made.until(lambda: nobody_waits_beside_room(made))
    assert seen == []


# --- a namespace that is handed over ----------------------------------------------------------------------------------
async def test_a_handed_over_namespace_has_the_plan_as_its_quota_and_nothing_slips_through(made: World) -> None:
    green = made.apis["green"]
    node = green.get(kinds.NODE, "green-0")
    offered = {**node["status"]["allocatable"], "nvidia.com/gpu": "4", "example.com/fpga": "2"}
    green.set_status(node, {**node["status"], "allocatable": offered}, "kubelet")
    async with contracted(made):
        plan = {"cpu": "2", "memory": "4Gi", "ephemeral-storage": "1G", "nvidia.com/gpu": "1"}
        made.contract("beef", "far", "green", resources=plan)
        await made.until(lambda: made.said("beef") == ("True", "HandedOver"))
    assert green.get(kinds.RESOURCE_QUOTA, "plan", "contract-beef")["spec"]["hard"] == {
        "requests.cpu": "2", "requests.memory": "4Gi", "requests.ephemeral-storage": "1G", "pods": plans.PODS,
        "requests.nvidia.com/gpu": "1", "requests.example.com/fpga": "0",
    }, "what the provider has and nobody bought is nothing, not as much as they like"  # fmt: skip
    (bounds,) = green.get(kinds.LIMIT_RANGE, "plan", "contract-beef")["spec"]["limits"]
    assert set(bounds["default"]) == set(bounds["defaultRequest"]) == set(bounds["max"]) == {
        "cpu", "memory", "ephemeral-storage",
    }, "a quota counts what is said, so everything is said"  # fmt: skip
