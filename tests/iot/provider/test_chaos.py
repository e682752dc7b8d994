"""The provider killed at any request, an endpoint that fails at random: in the end exactly what is declared, none twice."""

from __future__ import annotations

from random import Random

import pytest

from broker.mortal import Life
from continuo.resources.boards import BOARD, FLEET, PLUGIN, PLUGIN_INJECTION
from continuo.resources.meta import Object
from seeding import seeds

from .bench import Bench, external, provider_world, said

pytestmark = pytest.mark.anyio
BOARDS = ("a", "b", "c")
EVERYTHING = ((BOARD, BOARDS), (FLEET, ("north",)), (PLUGIN, ("meter",)), (PLUGIN_INJECTION, ("all",)))


async def declare(bench: Bench) -> None:
    for name in BOARDS:
        await bench.make(BOARD, name, labels={"site": "north"})
    await bench.make(FLEET, "north", {"memberSelector": {"matchLabels": {"site": "north"}}})
    await bench.make(PLUGIN, "meter", {"code": "one = 1\n"})
    fields = {"fleetRef": {"name": "north"}, "pluginRef": {"name": "meter"}, "state": "Running"}
    await bench.make(PLUGIN_INJECTION, "all", fields)


async def live_and_die(bench: Bench, rng: Random, times: int) -> None:
    """Providers that end at some request each, done or not, known of or not."""
    for _ in range(times):
        life = Life(rng.randint(3, 25), rng)
        await bench.start(life, rng=rng.randrange(1 << 30))
        await bench.over(life, 1.0)
        await bench.kill()
        for board in bench.fake.rows["boards"]:
            if rng.random() < 0.5:
                bench.fake.connect(board, online=rng.random() < 0.7)


@pytest.mark.parametrize("events", [True, False])
@pytest.mark.parametrize("seed", seeds(1))
async def test_whatever_dies_there_is_exactly_one_of_each(seed: int, events: bool) -> None:
    rng = Random(seed)
    async with provider_world(events=events, started=False) as bench:
        bench.fake.chaos = 0.25
        await declare(bench)
        await live_and_die(bench, rng, 6)
        bench.fake.chaos = 0.05
        await bench.start()
        await bench.until(BOARD, lambda found: all(external(each) for each in found), timeout=30)
        for board in list(bench.fake.rows["boards"]):
            bench.fake.connect(board)
        for kind, names in EVERYTHING:
            await bench.until(kind, lambda found, names=names: said(found, names, "Ready", "True"), timeout=30)  # type: ignore[misc]
        fake = bench.fake
        assert (len(fake.rows["boards"]), len(fake.rows["fleets"]), len(fake.rows["plugins"])) == (3, 1, 1)
        assert len(fake.created) == 5
        plugin = bench.external(PLUGIN, "meter")

        def running(found: list[Object]) -> bool:
            has = [fake.boards_plugins[board].get(plugin) for board in fake.rows["boards"]]
            return said(found, ["all"], "Ready", "True") and all(each is not None and each.running for each in has)

        # it may have been ready when no board was there
        await bench.until(PLUGIN_INJECTION, running, timeout=30)
        for kind, names in EVERYTHING:
            for name in names:
                await bench.cluster.delete(kind, name, "default")
        await bench.kill()
        await live_and_die(bench, rng, 3)
        for board in list(fake.rows["boards"]):
            fake.connect(board)
        await bench.start()
        for kind in (PLUGIN_INJECTION, PLUGIN, FLEET, BOARD):
            await bench.until(kind, lambda found: not found, timeout=30)
        assert not any(fake.rows.values()) and not any(fake.boards_plugins.values())
