"""The provider killed at any request while services, networks, ports and workloads come and go: exactly what is declared."""

from __future__ import annotations

from random import Random

import pytest

from continuo.resources.boards import BOARD, EXPOSED_SERVICE, PORT, SERVICE, VIRTUAL_NETWORK, WORKLOAD
from seeding import seeds

from .bench import Bench, provider_world
from .test_chaos import live_and_die

pytestmark = pytest.mark.anyio
KINDS = (EXPOSED_SERVICE, PORT, WORKLOAD, SERVICE, VIRTUAL_NETWORK, BOARD)


async def declare(bench: Bench) -> None:
    here = {"boardRef": {"name": "pump"}}
    await bench.make(BOARD, "pump")
    await bench.make(SERVICE, "ssh", {"port": 22})
    await bench.make(VIRTUAL_NETWORK, "lab", {"cidr": "10.0.0.0/24"})
    await bench.make(EXPOSED_SERVICE, "ssh", {**here, "serviceRef": {"name": "ssh"}})
    await bench.make(EXPOSED_SERVICE, "web", {**here, "port": 80})
    await bench.make(PORT, "pump", {**here, "networkRef": {"name": "lab"}})
    await bench.make(WORKLOAD, "watch", {**here, "command": ["watch"]})


@pytest.mark.parametrize("seed", seeds(1))
async def test_whatever_dies_there_is_exactly_one_of_each(seed: int) -> None:
    rng = Random(seed)
    async with provider_world(started=False) as bench:
        fake, things = bench.fake, bench.fake.things
        fake.chaos = 0.2
        await declare(bench)
        await live_and_die(bench, rng, 6)
        fake.chaos = 0.05
        await bench.start()
        await bench.until(BOARD, lambda _: bool(bench.external(BOARD, "pump")), timeout=30)
        (board,) = fake.rows["boards"]
        fake.connect(board)
        fake.rows["boards"][board]["capabilities"] = ["desire", "process", "tap"]
        fake.tell("board.updated", board=board)
        for kind, name in ((EXPOSED_SERVICE, "ssh"), (EXPOSED_SERVICE, "web"), (PORT, "pump"), (WORKLOAD, "watch")):
            await bench.until_ready(kind, name)
        assert (len(things.exposed), len(things.ports), len(things.networks), len(things.workloads)) == (2, 1, 1, 1)
        assert len(fake.rows["services"]) == 2
        for kind in KINDS:
            for obj in bench.api.list(kind, "default"):
                await bench.cluster.delete(kind, obj["metadata"]["name"], "default")
        await bench.kill()
        await live_and_die(bench, rng, 3)
        await bench.start()
        for kind in KINDS:
            await bench.until(kind, lambda found: not found, timeout=30)
        assert not any((things.exposed, things.ports, things.networks, things.workloads, *fake.rows.values()))
