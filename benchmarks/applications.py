"""What one application costs as the system grows: time, CPU of operator and engine, and the operator's API calls.

    python -m benchmarks applications [--sizes 10:2,100:10,500:50]

Applications of three components, one of them on the other cluster of a linked pair, each declared by a caller of its own;
up to twenty per LowLevelOrchestration. The clusters are up before the clock starts, and a first wave is not counted.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from statistics import fmean

import uvloop

from benchmarks import processes
from benchmarks.bed import Bed, add_applications, make_pairs, remove_applications
from benchmarks.report import Bar, Report

SIZES = "10:2,100:10,500:50"
ENOUGH = 200
"""Small sizes are repeated until about so many applications were measured."""
MOST_ROUNDS = 20
MOST_GROWTH = 1.2
SPEED = 100.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one application."""

    milliseconds: float
    operator_cpu: float
    engine_cpu: float
    """Milliseconds."""
    calls: float
    verbs: dict[str, int]

    @property
    def cpu(self) -> float:
        """Of both processes."""
        return self.operator_cpu + self.engine_cpu


async def measure(applications: int, clusters: int) -> tuple[Cost, float]:
    """The cost of one application among so many on so many clusters, and how long the clusters took."""
    pairs_wanted = clusters // 2
    rounds = max(1, min(MOST_ROUNDS, ENOUGH // applications))
    # Where time runs a hundred times faster nodes report as often: keep that out, it grows with the clusters alone.
    with (
        processes.engine(speed=SPEED, lease_renewal=60.0 * SPEED) as engine,
        processes.operator(engine, provisioning_limit=clusters) as operator,
    ):
        async with Bed(engine.hello["kubeconfig"]) as bed:
            started = time.perf_counter()
            pairs = await make_pairs(bed, pairs_wanted)
            bring_up = time.perf_counter() - started
            await _wave(bed, engine, operator, pairs, max(10, pairs_wanted))
            await remove_applications(bed, pairs, max(10, pairs_wanted))
            costs = []
            for number in range(rounds):
                costs.append(await _wave(bed, engine, operator, pairs, applications))
                if number + 1 < rounds:
                    await remove_applications(bed, pairs, applications)
    return _mean(costs), bring_up


async def _wave(bed: Bed, engine: processes.Child, operator: processes.Child, pairs: list[str], count: int) -> Cost:
    """Declare so many applications and wait until all run."""
    before, started = (engine.usage(), operator.usage()), time.perf_counter()
    await add_applications(bed, pairs, count)
    await bed.ready(count, len(pairs))
    seconds = time.perf_counter() - started
    engine_used, operator_used = engine.usage() - before[0], operator.usage() - before[1]
    return Cost(
        1000 * seconds / count,
        1000 * operator_used.cpu / count,
        1000 * engine_used.cpu / count,
        operator_used.calls / count,
        operator_used.requests,
    )


def _mean(costs: list[Cost]) -> Cost:
    """Over all rounds: the least of many short ones would leave out what comes round rarely."""
    return Cost(
        fmean(cost.milliseconds for cost in costs),
        fmean(cost.operator_cpu for cost in costs),
        fmean(cost.engine_cpu for cost in costs),
        fmean(cost.calls for cost in costs),
        costs[-1].verbs,
    )


def main(arguments: list[str]) -> int:
    """Run the sizes; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks applications")
    parser.add_argument("--sizes", default=SIZES, help="applications:clusters,...")
    sizes = [tuple(map(int, size.split(":"))) for size in parser.parse_args(arguments).sizes.split(",")]
    report = Report("applications", "baseline: the smallest size, in the same run")
    report.head("applications", "clusters", "bring-up s", "ms/app", "operator CPU ms", "engine CPU ms", "calls/app")
    costs: list[Cost] = []
    for applications, clusters in sizes:
        cost, bring_up = uvloop.run(measure(applications, clusters))
        costs.append(cost)
        report.row(
            f"{applications:,}", str(clusters), f"{bring_up:.1f}", f"{cost.milliseconds:.1f}",
            f"{cost.operator_cpu:.1f}", f"{cost.engine_cpu:.1f}", f"{cost.calls:.2f}",
        )  # fmt: skip
        report.note(f"{'':17}by verb: {', '.join(f'{verb} {count}' for verb, count in cost.verbs.items())}")
    first, last = costs[0], costs[-1]
    report.bar(
        Bar("time per application, largest against smallest", last.milliseconds / first.milliseconds, MOST_GROWTH)
    )
    report.bar(Bar("CPU per application (both processes), the same", last.cpu / first.cpu, MOST_GROWTH))
    report.bar(Bar("operator CPU per application, the same", last.operator_cpu / first.operator_cpu, MOST_GROWTH))
    report.bar(Bar("API calls per application, the same", last.calls / first.calls, MOST_GROWTH))
    return report.end()
