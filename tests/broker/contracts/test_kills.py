"""The process dies anywhere, again and again; in the end there is exactly what was bought, and then nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Any, cast

import pytest

from broker.contracts.world import World, contracted, pod, world
from broker.mortal import Life, Mortal
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.broker import CONSUMER, CONTRACT, PROVIDER
from seeding import seeds

pytestmark = pytest.mark.anyio
LINKED, HANDED = "c0ffee0012345678", "beef"


@pytest.fixture
async def made(anyio_backend: str) -> AsyncIterator[World]:
    async with world() as clusters:
        yield clusters


async def live_and_die(made: World, rng: Random) -> None:
    """One life of the process, as long as chance will have it."""
    life = Life(rng.randint(4, 60), rng)
    async with contracted(made, lambda cluster: cast(Cluster, Mortal(cluster, life))):
        await asyncio.wait({asyncio.ensure_future(life.over.wait())}, timeout=0.3)


def some_of_it(made: World) -> list[Any]:
    """All that may be there because of contracts."""
    return [
        *[name for name in made.names("lab", kinds.NODE) if name != "lab-0"],
        *[name for name in made.names("lab", kinds.LEASE) if name != "lab-0"],
        *made.names("green", kinds.NAMESPACE, "contract-"),
        *made.names("green", kinds.NAMESPACE, "shop"),
        *made.names("green", kinds.POD),
    ]


@pytest.mark.parametrize("seed", seeds(1))
async def test_killed_anywhere(made: World, seed: int) -> None:
    rng = Random(seed)
    made.contract(LINKED, "lab", "green")
    made.contract(HANDED, "far", "green")
    for _ in range(4):
        await live_and_die(made, rng)
    async with contracted(made):
        await made.until(lambda: made.said(LINKED)[0] == made.said(HANDED)[0] == "True")
        node = f"green-{LINKED[:8]}"
        made.space(node)
        made.apis["lab"].create(pod(node))
        await made.until(lambda: made.names("green", kinds.POD) == ["web"])
    assert made.names("lab", kinds.NODE) == [node, "lab-0"]
    assert made.names("green", kinds.NAMESPACE, "contract-") == ["contract-beef"]

    for id in (LINKED, HANDED):
        made.apis["broker"].delete(CONTRACT, id)
    for _ in range(4):
        await live_and_die(made, rng)
    async with contracted(made):
        await made.until(
            lambda: not made.names("broker", CONTRACT) and not made.names("green", kinds.NAMESPACE, "shop")
        )
    assert some_of_it(made) == []


async def test_a_contract_that_was_never_begun_leaves_at_once(made: World) -> None:
    made.contract(LINKED, "lab", "green")
    made.apis["broker"].delete(CONTRACT, LINKED)
    assert made.names("broker", CONTRACT) == [] and some_of_it(made) == []


async def test_a_provider_who_is_gone_holds_nobody(made: World) -> None:
    """Its Provider object and its cluster are gone: the consumer's side is cleaned, and the contract ends."""
    made.contract(LINKED, "lab", "green")
    made.contract(HANDED, "far", "green")
    async with contracted(made) as (_, fleet, known):
        await made.until(lambda: made.said(LINKED)[0] == made.said(HANDED)[0] == "True")
        made.space(f"green-{LINKED[:8]}")
        made.apis["lab"].create(pod(f"green-{LINKED[:8]}"))
        await made.until(lambda: made.names("green", kinds.POD) == ["web"])
        made.apis["broker"].delete(PROVIDER, "green")
        await fleet.remove_cluster("green")
        known.put("Provider", "green", None)
        for id in (LINKED, HANDED):
            made.apis["broker"].delete(CONTRACT, id)
        await made.until(lambda: made.names("broker", CONTRACT) == [])
        assert made.names("lab", kinds.NODE) == ["lab-0"] and made.names("lab", kinds.POD) == []


async def test_a_consumer_who_is_gone_leaves_nothing_at_the_provider(made: World) -> None:
    made.contract(LINKED, "lab", "green")
    async with contracted(made) as (_, fleet, known):
        await made.until(lambda: made.said(LINKED)[0] == "True")
        made.space(f"green-{LINKED[:8]}")
        made.apis["lab"].create(pod(f"green-{LINKED[:8]}"))
        await made.until(lambda: made.names("green", kinds.POD) == ["web"])
        made.apis["broker"].delete(CONSUMER, "lab")
        await fleet.remove_cluster("lab")
        known.put("Consumer", "lab", None)
        made.apis["broker"].delete(CONTRACT, LINKED)
        await made.until(lambda: made.names("broker", CONTRACT) == [])
        assert made.names("green", kinds.POD) == [] and not made.names("green", kinds.NAMESPACE, "shop")


async def test_a_provider_who_is_away_is_waited_for(made: World) -> None:
    made.contract(LINKED, "lab", "green")
    async with contracted(made) as (_, fleet, known):
        await made.until(lambda: made.said(LINKED)[0] == "True")
        green = known.client("Provider", "green")
        await fleet.remove_cluster("green")
        known.put("Provider", "green", None)
        await made.until(lambda: made.said(LINKED) == ("False", "Unreachable"))
        made.apis["broker"].delete(CONTRACT, LINKED)
        await made.until(lambda: made.said(LINKED) == ("False", "Ending"))
        assert green is not None
        fleet.add_cluster(green)
        known.put("Provider", "green", green)
        await made.until(lambda: made.names("broker", CONTRACT) == [])
        assert some_of_it(made) == []
