"""The engine is killed with SIGKILL in the middle of everything and started again on the same data and port.

What it had acknowledged is there again, the operator (a process of its own, which lives on) reconnects, everything converges.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continuo.cli import places
from continuo.cli.up import start_detached
from continuo.resources import kinds
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from scenarios.beds import Bed

from .test_kill import GREEN, LINK, ROSE, app

pytestmark = [pytest.mark.anyio, pytest.mark.long]

SPAN: Object = {"clusters": [GREEN, ROSE], "links": [LINK], "apps": [app("green", web="green", db="rose")]}
SCALED: Object = {**SPAN, "clusters": [{**GREEN, "worker-machine-count": 3}, ROSE]}


class Engine:
    """`continuo up --no-operator` on one data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.pid = 0

    async def start(self, port: int | None = None) -> None:
        await asyncio.to_thread(start_detached, self.data, port=port, operator=False, speed=4.0)
        running = places.find_running(self.data)
        assert running is not None
        self.pid, self.url = running.pid, running.url

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.pid = 0


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[tuple[Engine, Bed]]:
    engine = Engine(tmp_path / "data")
    await engine.start(port=0)
    kubeconfig = places.kubeconfig_path(engine.data)
    bed = Bed(kubeconfig=kubeconfig.read_text(encoding="utf-8"))
    with (tmp_path / "operator.log").open("wb") as log:
        operator = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "continuo.cli.main",
            "operator",
            "--kubeconfig",
            str(kubeconfig),
            stdout=log,
            stderr=log,
        )
    await bed.credentials()
    try:
        yield engine, bed
        assert operator.returncode is None, "the operator did not outlive the engine"
    finally:
        if operator.returncode is None:
            operator.terminate()
        await operator.wait()
        await bed.close()
        if engine.pid:
            engine.kill()


async def test_the_engine_is_killed_and_nothing_is_lost(world: tuple[Engine, Bed]) -> None:
    engine, bed = world
    seed = int(os.environ.get("CONTINUO_SEED", "20261122"))
    print(f"seed {seed}")
    rng, url = random.Random(seed), engine.url

    async def kills(count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(rng.uniform(0.2, 1.2))
            engine.kill()
            await engine.start()
            assert engine.url == url

    await bed.apply("o", SPAN)
    await kills(1)
    await bed.ready("o")
    uids = {c["metadata"]["uid"] for c in (await bed.api.list(kinds.CLUSTER)).items}
    assert len(uids) == 2
    accepted = await bed.apply("o", SCALED)
    engine.kill()  # right after the answer: what was acknowledged is kept
    await engine.start()
    assert engine.url == url
    kept = await bed.api.get(LOW_LEVEL_ORCHESTRATION, "o", "default")
    assert kept["metadata"]["generation"] == accepted["metadata"]["generation"]
    await bed.ready("o")
    assert {c["metadata"]["uid"] for c in (await bed.api.list(kinds.CLUSTER)).items} == uids
    assert len((await bed.api.list(kinds.MACHINE)).items) == 6
    green = await bed.workload("green", "o")
    assert len((await green.list(kinds.POD, "shop")).items) == 2
    await bed.api.delete(LOW_LEVEL_ORCHESTRATION, "o", "default")
    await kills(1)
    await bed.gone(LOW_LEVEL_ORCHESTRATION, "o", "default")
    for kind in (kinds.CLUSTER, kinds.MACHINE, kinds.OPENSTACK_CLUSTER, kinds.HELM_CHART_PROXY):
        assert (await bed.api.list(kind)).items == [], kind.kind
