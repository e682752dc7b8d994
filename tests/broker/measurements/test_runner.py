"""Schedules in virtual time: everybody at their own pace, whatever the others do."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from broker.catalog.bench import Clock
from continuo.broker.catalog.schema import SCHEMA
from continuo.broker.measurements.publishing import Publisher
from continuo.broker.measurements.runner import Runner, Schedule, Target
from continuo.broker.measurements.store import Measurements
from continuo.kube.port import Listing
from continuo.probing.client import Bandwidth, Endpoint, Latency, ProbeFailed, ProbeRefused
from continuo.resources import kinds
from continuo.resources.errors import Unreachable
from continuo.storage.database import Database

pytestmark = pytest.mark.anyio


class Time(Clock):
    """Sleepers in the order of their alarms; time passes only when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self._alarms: list[tuple[float, int, asyncio.Event]] = []
        self._numbers = itertools.count()

    async def sleep(self, seconds: float) -> None:
        over = asyncio.Event()
        heapq.heappush(self._alarms, (self.now + seconds, next(self._numbers), over))
        await over.wait()

    async def pass_until(self, end: float, settled: Any) -> None:
        await settled()
        while self._alarms and self._alarms[0][0] <= end:
            self.now, _, over = heapq.heappop(self._alarms)
            over.set()
            await settled()
        self.now = end


class Probes:
    """Answers for every provider as it is told; sick ones take their time in virtual seconds."""

    def __init__(self, time: Time) -> None:
        self.time, self.sick, self.refusing = time, set[str](), set[str]()
        self.asked: Counter[tuple[str, str]] = Counter()
        self.at_a_time = self.most = 0

    async def latency(self, endpoint: Endpoint, samples: int) -> Latency:
        self.asked["check", endpoint.probe] += 1
        await self._answer(endpoint.probe)
        return Latency(5.0, 8.0, 9.0, 1.0, samples)

    async def bandwidth(self, endpoint: Endpoint, size: int) -> Bandwidth:
        self.asked["bandwidth", endpoint.probe] += 1
        self.at_a_time += 1
        self.most = max(self.most, self.at_a_time)
        try:
            await self.time.sleep(2.0)
            await self._answer(endpoint.probe)
        finally:
            self.at_a_time -= 1
        return Bandwidth(100.0, 50.0, size)

    async def _answer(self, name: str) -> None:
        if name in self.refusing:
            raise ProbeRefused("another key")
        if name in self.sick:
            await self.time.sleep(5.0)
            raise ProbeFailed(f"{name} is sick")


@asynccontextmanager
async def measuring(
    tmp_path: Any, names: list[str], **schedule: Any
) -> AsyncIterator[tuple[Time, Probes, Measurements, Runner]]:
    time = Time()
    database = Database(str(tmp_path / "c.sqlite"), SCHEMA)
    await database.open()
    kept = Measurements(database, "broker", time)
    await kept.load()
    probes = Probes(time)

    async def tell(provider: str, values: Any) -> None:
        return None

    runner = Runner(probes, Publisher(kept, tell), Schedule(**schedule), random.Random(7), sleep=time.sleep)  # type: ignore[arg-type]
    for name in names:
        await runner.put(Target(name, Endpoint(f"http://{name}:1", name)))

    async def settled() -> None:
        for _ in range(4):  # whatever is ready runs, and its writes are answered
            await asyncio.sleep(0)
            await database.do(lambda session: None)

    time.settled = settled  # type: ignore[attr-defined]
    try:
        yield time, probes, kept, runner
    finally:
        await runner.close()
        await database.close()


async def test_a_sick_provider_delays_nobody_and_is_checked_at_the_same_pace(tmp_path: Any) -> None:
    names = [f"p{n}" for n in range(6)]
    async with measuring(tmp_path, names, checks=6) as (time, probes, kept, _):
        probes.sick = {"p0"}
        await time.pass_until(time.now + 900, time.settled)  # type: ignore[attr-defined]
        counts = {name: probes.asked["check", name] for name in names}
        assert all(27 <= count <= 33 for count in counts.values()), counts
        assert kept.newest("p1")["uptime"].record.value == 1.0
        assert kept.newest("p0")["uptime"].record.value == 0.0 and "latency" not in kept.newest("p0")
        assert kept.newest("p1")["latency"].record.value == 5.0
        assert probes.most <= 2, "few transfers at a time"


async def test_transfers_back_off_from_the_sick(tmp_path: Any) -> None:
    async with measuring(tmp_path, ["a", "b", "c"], bandwidth=60.0) as (time, probes, kept, _):
        probes.sick = {"a"}
        await time.pass_until(time.now + 1800, time.settled)  # type: ignore[attr-defined]
        assert probes.asked["bandwidth", "a"] < probes.asked["bandwidth", "b"] / 3
        assert kept.newest("b")["bandwidth_up"].record.unit == "Mbit/s"


async def test_who_is_cut_off_itself_says_nothing_of_others(tmp_path: Any) -> None:
    async with measuring(tmp_path, ["a", "b", "c"]) as (time, probes, kept, _):
        await time.pass_until(time.now + 600, time.settled)  # type: ignore[attr-defined]
        probes.sick = {"a", "b", "c"}
        await time.pass_until(time.now + 600, time.settled)  # type: ignore[attr-defined]
        seen = kept.checks("a").uptime(time.now, 3600, 30)
        assert seen is not None and seen.share > 0.8, "but for the moments until it knew"
        assert seen.coverage < 0.75
        probes.sick = {"a"}
        await time.pass_until(time.now + 600, time.settled)  # type: ignore[attr-defined]
        later = kept.checks("a").uptime(time.now, 3600, 30)
        assert later is not None and later.share < 0.6


async def test_a_refusal_is_neither_up_nor_down(tmp_path: Any) -> None:
    async with measuring(tmp_path, ["a"]) as (time, probes, kept, _):
        probes.refusing = {"a"}
        await time.pass_until(time.now + 600, time.settled)  # type: ignore[attr-defined]
        assert probes.asked["check", "a"] >= 18 and not kept.newest("a")


async def test_a_removed_target_is_measured_no_more(tmp_path: Any) -> None:
    async with measuring(tmp_path, ["a"]) as (time, probes, _, runner):
        await time.pass_until(time.now + 100, time.settled)  # type: ignore[attr-defined]
        before = probes.asked.total()
        assert before
        await runner.remove("a")
        await time.pass_until(time.now + 3600, time.settled)  # type: ignore[attr-defined]
        assert probes.asked.total() == before


class Lists:
    """A cluster with one list of nodes and one of pods."""

    name = "a"

    def __init__(self) -> None:
        self.away = False

    async def list(self, kind: Any, *_: Any, **__: Any) -> Listing:
        if self.away:
            raise Unreachable("a does not answer")
        ready = [{"type": "Ready", "status": "True"}]
        has = {"cpu": "4", "memory": "8Gi", "pods": "110"}

        def node(name: str, labels: dict[str, str], conditions: Any = ready, **spec: Any) -> Any:
            return kinds.NODE.new(
                name, metadata={"labels": labels}, spec=spec, status={"allocatable": has, "conditions": conditions}
            )

        def pod(name: str, node: str, phase: str = "Running") -> Any:
            containers = [{"name": "c", "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}}]
            return kinds.POD.new(name, "x", spec={"nodeName": node, "containers": containers}, status={"phase": phase})

        if kind == kinds.NODE:
            virtual, liqo = {"continuo.dev/virtual-node": "x"}, {"liqo.io/type": "virtual-node"}
            nodes = [
                node("n", {}),
                node("v", virtual),
                node("l", liqo),
                node("down", {}, []),
                node("off", {}, unschedulable=True),
            ]
            return Listing(nodes, "1")
        return Listing([pod("1", "n"), pod("2", "n", "Succeeded"), pod("3", "v")], "1")


async def test_resources_are_those_of_real_nodes_that_work(tmp_path: Any) -> None:
    async with measuring(tmp_path, []) as (_, _, kept, runner):
        cluster = Lists()
        target = Target("a", None, cluster)  # type: ignore[arg-type]
        assert await runner.resources(target)
        found = {name: one.record.value for name, one in kept.newest("a").items()}
        assert found == {
            "cpu_allocatable": 4.0, "cpu_free": 3.5, "memory_allocatable": 8 * 2.0**30, "memory_free": 7 * 2.0**30,
            "pods_allocatable": 110.0, "pods_free": 109.0, "pods_running": 1.0, "nodes_ready": 1.0,
        }  # fmt: skip
        cluster.away = True
        assert not await runner.resources(target)
