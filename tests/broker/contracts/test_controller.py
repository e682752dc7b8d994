"""Contracts of both kinds, from the object to the cluster and back to nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from broker.contracts.world import World, contracted, pod, world
from continuo.resources import kinds
from continuo.resources.broker import CONTRACT
from continuo.resources.errors import ApiError
from continuo.resources.meta import is_true, labels_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def made(anyio_backend: str) -> AsyncIterator[World]:
    async with world() as clusters:
        yield clusters


async def test_a_linked_contract_is_a_node_and_nothing_is_left_of_it(made: World) -> None:
    lab = made.apis["lab"]
    async with contracted(made):
        made.contract("c0ffee0012345678", "lab", "green", features=["example.com/redis"])
        await made.until(lambda: made.said("c0ffee0012345678") == ("True", "Linked"))
        status = made.apis["broker"].get(CONTRACT, "c0ffee0012345678")["status"]
        assert (status["mode"], status["node"]) == ("Linked", "green-c0ffee00") and "namespace" not in status
        node = lab.get(kinds.NODE, "green-c0ffee00")
        assert labels_of(node).items() >= {
            "continuo.dev/contract": "c0ffee0012345678", "continuo.dev/provider": "green", "example.com/redis": "true",
        }.items()  # fmt: skip
        assert node["status"]["allocatable"] == {
            "cpu": "2", "memory": "4Gi", "ephemeral-storage": "10G", "nvidia.com/gpu": "1", "pods": "110",
        }, "what was bought, and nothing else that the provider has"  # fmt: skip

        made.space("green-c0ffee00")
        lab.create(pod("green-c0ffee00"))
        await made.until(lambda: is_true(lab.get(kinds.POD, "web", "shop"), "Ready"))
        assert made.names("green", kinds.POD, namespace="shop-lab") == ["web"]

        made.apis["broker"].delete(CONTRACT, "c0ffee0012345678")
        await made.until(lambda: made.said("c0ffee0012345678") == ("", ""))
        assert made.names("lab", kinds.NODE) == ["lab-0"] and made.names("lab", kinds.POD) == []
        assert made.names("green", kinds.POD) == []
        await made.until(lambda: not made.names("green", kinds.NAMESPACE, "shop"))


async def test_a_consumer_out_of_reach_gets_a_namespace(made: World) -> None:
    green = made.apis["green"]
    async with contracted(made):
        made.contract("beef", "far", "green")
        await made.until(lambda: made.said("beef") == ("True", "HandedOver"))
        status = made.apis["broker"].get(CONTRACT, "beef")["status"]
        assert (status["mode"], status["namespace"]) == ("HandedOver", "contract-beef") and "node" not in status
        space = green.get(kinds.NAMESPACE, "contract-beef")
        assert labels_of(space).items() >= {"continuo.dev/contract": "beef", "continuo.dev/consumer": "far"}.items()
        assert green.get(kinds.RESOURCE_QUOTA, "plan", "contract-beef")["spec"]["hard"] == {
            "requests.cpu": "2", "requests.memory": "4Gi", "requests.storage": "10G",
            "requests.nvidia.com/gpu": "1", "pods": "110",
        }  # fmt: skip
        assert green.find(kinds.SERVICE_ACCOUNT, "continuo-buyer", "contract-beef") is not None

        made.apis["broker"].delete(CONTRACT, "beef")
        await made.until(lambda: made.said("beef") == ("", ""))
        assert not made.names("green", kinds.NAMESPACE, "contract-")


async def test_what_cannot_be_delivered_says_why_until_it_can(made: World) -> None:
    async with contracted(made) as (_, _, known):
        made.contract("a1", "lab", "red")
        made.contract("a2", "nobody", "green")
        made.contract("a3", "lab", "blue")
        await made.until(lambda: made.said("a3") == ("True", "Linked"))
        await made.until(lambda: made.said("a1")[1] == "ProviderUnknown" and made.said("a2")[1] == "ConsumerUnknown")
        assert "declare it there" in made.message("a1") and "Consumer nobody" in made.message("a2")

        made.apis["broker"].create({**made.apis["broker"].get(CONTRACT, "a1"), "metadata": {"name": "a4"}})
        await made.until(lambda: made.said("a4")[1] == "ProviderUnknown")
        known.put("Provider", "green", None)
        made.contract("a5", "far", "green")
        await made.until(lambda: made.said("a5") == ("False", "Unreachable"))
        client = made.client("green")
        known.put("Provider", "green", client)
        await made.until(lambda: made.said("a5") == ("True", "HandedOver"))
        for id in ("a1", "a2", "a3", "a4", "a5"):
            made.apis["broker"].delete(CONTRACT, id)
        await made.until(lambda: made.names("broker", CONTRACT) == [])


async def test_a_contract_cannot_be_changed(made: World) -> None:
    made.contract("a1", "lab", "green")
    with pytest.raises(ApiError, match="end this contract and buy another plan"):
        await made.client("broker").patch(CONTRACT, "a1", {"spec": {"plan": "large"}})


async def test_nobody_takes_the_node_of_another(made: World) -> None:
    lab = made.apis["lab"]
    async with contracted(made):
        made.contract("a1", "lab", "green", node="lab-0")
        await made.until(lambda: made.said("a1") == ("False", "NodeTaken"))
        assert "continuo.dev/contract" not in labels_of(lab.get(kinds.NODE, "lab-0"))
        made.contract("a2", "lab", "green", node="gpu")
        await made.until(lambda: made.said("a2") == ("True", "Linked"))
        made.contract("a3", "lab", "blue", node="gpu")
        await made.until(lambda: made.said("a3") == ("False", "NodeTaken"))
        for id in ("a1", "a3"):
            made.apis["broker"].delete(CONTRACT, id)
        await made.until(lambda: made.names("broker", CONTRACT) == ["a2"])
        assert made.names("lab", kinds.NODE) == ["gpu", "lab-0"] and made.said("a2") == ("True", "Linked")
