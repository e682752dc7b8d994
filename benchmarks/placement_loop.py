"""How long the operator's event loop stands still while components are placed: many against few, beside the loop and in it.

The engine is another process, the operator runs here, and what it would write to clusters is left out: it decides where
components go and writes that down, no more. A pulse every few milliseconds notices how long nothing else could run. What one
round costs that has nothing to decide (the whole declaration is looked at) is measured too, since no process takes it away.

python -m benchmarks placement_loop [--sizes 32,2048]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import uvloop

from benchmarks import processes
from benchmarks.bed import Bed, make_pairs
from benchmarks.report import Bar, Report
from continuo.cli import tuning
from continuo.kube.config import connect
from continuo.kube.transport import Transports
from continuo.orchestrator.executor import Ask, Round
from continuo.orchestrator.operator import Operator
from continuo.orchestrator.plan import Step
from continuo.placement.pool import INLINE, Pool
from continuo.resources.loop import ADJUSTMENT
from continuo.resources.meta import Key, Object
from continuo.runtime.informer import Watch

APP, BEAT = 32, 0.002
AT_ONCE = 1e12
"""Milliseconds: no job is so long that it would go to another process."""
MOST_OF_INLINE = 0.5


class Idle:
    """Writes nothing to clusters."""

    async def run(self, _: Round) -> tuple[Step, ...]:
        return ()

    def attach(self, _: Ask) -> None:
        """Nobody is asked."""

    def forget(self, _: Key) -> None:
        """Nothing is kept."""


@dataclass(slots=True)
class Pulse:
    """Notices how long nothing else could run."""

    longest: float = 0.0

    async def beat(self) -> None:
        """Until cancelled."""
        last = time.perf_counter()
        while True:
            await asyncio.sleep(BEAT)
            now = time.perf_counter()
            self.longest, last = max(self.longest, now - last - BEAT), now


def declaration(components: int) -> Object:
    """Applications whose components may be on either cluster."""
    apps = []
    for first in range(0, components, APP):
        parts: list[Any] = [
            {"name": f"c{n}", "image": "registry.example.org/c:1", "placement": {},
             "resources": {"requests": {"cpu": "1m"}}}
            for n in range(min(APP, components - first))
        ]  # fmt: skip
        apps.append({"name": f"app-{first // APP:02d}", "owner": "benchmark", "cluster": "green", "components": parts})
    return {"apps": apps}


@contextlib.asynccontextmanager
async def operator_here(kubeconfig: str, inline: float) -> AsyncIterator[Operator]:
    """An operator in this loop that decides and does nothing else."""
    transports = Transports()
    management = connect(kubeconfig, name="management", transports=transports)
    made = Operator(
        management, lambda text, *, name: connect(text, name=name, transports=transports), executor=Idle(),
        placing=Pool(inline=inline),
    )  # fmt: skip
    work = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await management.close()


async def placed(bed: Bed, kubeconfig: str, name: str, components: int, inline: float) -> tuple[float, float]:
    """Seconds until all have a place, and the longest pause of the loop meanwhile."""
    pulse, began = Pulse(), time.perf_counter()
    async with operator_here(kubeconfig, inline):
        beating = asyncio.create_task(pulse.beat())
        try:
            await bed.until(bed.api, Watch(ADJUSTMENT), everywhere(name, components), begin(bed, name, components))
        finally:
            beating.cancel()
    return time.perf_counter() - began, pulse.longest


def everywhere(name: str, components: int) -> Callable[[Object | None, Object | None], bool]:
    """Whether all components of an orchestration have a place."""

    def look(_: Object | None, new: Object | None) -> bool:
        mine = new is not None and new["metadata"]["name"] == name
        return mine and len((new or {})["spec"].get("places") or ()) == components

    return look


def begin(bed: Bed, name: str, components: int) -> Any:
    """Declares them."""
    return lambda: bed.declare(name, declaration(components), "caller")


async def measure(sizes: list[int]) -> dict[str, tuple[float, float]]:
    """By what was placed how: seconds, and the longest pause."""
    found: dict[str, tuple[float, float]] = {}
    cases = [(sizes[0], INLINE), (sizes[-1], INLINE), (sizes[-1], AT_ONCE)]
    with processes.engine(speed=100.0, lease_renewal=6000.0) as engine:
        kubeconfig = engine.hello["kubeconfig"]
        async with Bed(kubeconfig) as bed:
            with processes.operator(engine, provisioning_limit=8):
                warm, *names = await make_pairs(bed, len(cases) + 1, workers=2)
            await placed(bed, kubeconfig, warm, sizes[0], AT_ONCE)  # what is loaded and compiled once is not counted
            for name, (size, inline) in zip(names, cases, strict=True):
                how = "in it" if inline is AT_ONCE else "beside the loop"
                found[f"{size:,} {how}"] = await placed(bed, kubeconfig, name, size, inline)
    return found


def main(arguments: list[str]) -> int:
    """Measure and print; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks placement_loop")
    parser.add_argument("--sizes", default="32,2048", help="few and many components")
    sizes = [int(size) for size in parser.parse_args(arguments).sizes.split(",")]
    tuning.settle()
    found = uvloop.run(measure(sizes))
    report = Report("placement_loop", "the operator's event loop while components are placed")
    report.head("components", "", "seconds", "longest pause ms")
    for what, (seconds, pause) in found.items():
        size, _, how = what.partition(" ")
        report.row(size, how, f"{seconds:.2f}", f"{1000 * pause:.0f}")
    few, many, inline = (pause for _, pause in found.values())
    report.bar(Bar("longest pause, many against few, both beside the loop", many / few, sizes[-1] / sizes[0] / 4))
    report.bar(Bar("longest pause for many, beside the loop against in it", many / inline, MOST_OF_INLINE))
    return report.end()
