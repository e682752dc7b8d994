"""How long many pods take where every cluster has a machine of its own, as clusters have.

    python -m benchmarks scheduling_apart [--sizes 1000,10000] [--rounds N] [--share CORES]

As `scheduling`, but what one cluster does takes nothing from the others: there are three machines, each with the same share
of a core (`benchmarks.machines`). The consumer's has its cluster, its reflection and the user; the broker's its cluster, its
selector and its reflection; the provider's its cluster. For `broker` one process on the broker's machine keeps the consumer's
node and what goes on, as `continuo broker serve` does. For `bound` the consumer's node is kept by a process on the consumer's
machine, which sees of a pod only what the broker's API server says: the selector binds it there, and its status is written at
the broker before the consumer hears of it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

import uvloop

from benchmarks import processes
from benchmarks.machines import Machine, NoMachines, cores, machines
from benchmarks.report import Bar, Report
from benchmarks.scheduling import (
    BOUND,
    BROKER,
    CHAIN,
    CONSUMER,
    DIRECT,
    LINK,
    NODES,
    PROVIDER,
    SPACE,
    WARM_UP,
    Found,
    Lane,
    against,
    connected,
    declare,
    growth,
    measure,
    nodes_of,
    seconds_of,
    table,
)
from continuo.resources import kinds

Node: TypeAlias = dict[str, Any]
"""A virtual node, as a fleet is told of it."""
PARTIES = (CONSUMER, BROKER, PROVIDER)
WAYS = (DIRECT, LINK, CHAIN, BOUND)
MOST_OF_LINK = 1.3
LEFT = 0.9
"""How much of this computer the machines share; the rest is for whatever else it does."""


@asynccontextmanager
async def lane(hosts: dict[str, Machine], way: str) -> AsyncIterator[Lane]:
    """A way with everything that it needs, after a first wave that is not counted."""
    nodes, selecting = nodes_of(way)
    with ExitStack() as stack:
        engines = []
        for seed, party in enumerate(PARTIES):
            engine = stack.enter_context(
                processes.clusters([party], NODES, seed=seed, speed=50.0, lease_renewal=3000.0)
            )
            hosts[party].host(engine.pid)
            engines.append(engine)
        config = {party: engine.hello[party] for party, engine in zip(PARTIES, engines, strict=True)}
        if selecting:
            await declare(config[BROKER])
        async with connected(config[CONSUMER]) as home:
            await home.create(kinds.NAMESPACE.new(SPACE))
            fleets = []
            for party, part in parts(way, nodes):
                ends = {name: config[name] for node in part for name in (node["home"], node["remote"])}
                more = selecting if party == BROKER else {}
                fleet = stack.enter_context(processes.fleet(ends, part, **more))
                hosts[party].host(fleet.pid)
                fleets.append(fleet)
            made = Lane(way, home, engines, fleets)
            await made.measure("warm-up", WARM_UP)
            yield made


def parts(way: str, nodes: list[Node]) -> list[tuple[str, list[Node]]]:
    """Which of the virtual nodes are kept by a process on whose machine."""
    if way == CHAIN:
        return [(BROKER, nodes)]
    return [(node["home"], [node]) for node in nodes]


async def run(sizes: list[int], rounds: int, share: float) -> Found:
    """All ways, in turn for every wave, on the same three machines: the others have nothing to do meanwhile."""
    with machines(PARTIES, share) as hosts:
        hosts[CONSUMER].host(os.getpid())
        return await measure(sizes, rounds, WAYS, partial(lane, hosts))


def main(arguments: list[str]) -> int:
    """Run the sizes; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks scheduling_apart")
    parser.add_argument("--sizes", default="1000,10000")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--share", type=float, default=round(LEFT * cores() / len(PARTIES), 2))
    options = parser.parse_args(arguments)
    sizes = [int(size) for size in options.sizes.split(",")]
    try:
        found = uvloop.run(run(sizes, options.rounds, options.share))
    except NoMachines as error:
        print(f"scheduling_apart is left out: {error}")
        return 0
    return report(sizes, found, options.share)


def report(sizes: list[int], found: Found, share: float) -> int:
    """Print what was measured, and the bars."""
    paper = Report("scheduling_apart", f"three machines with {share} of a core each; until the last pod is Ready")
    table(paper, WAYS, sizes, found)
    growth(paper, WAYS, sizes, found, (("time", seconds_of),))
    paper.note("")
    for size in sizes:
        paper.bar(
            Bar(f"{size:,} pods, broker against link", against(found, (CHAIN, LINK), size, seconds_of), MOST_OF_LINK)
        )
        paper.note(f"{size:,} pods, bound against link: {against(found, (BOUND, LINK), size, seconds_of):.2f}x time")
    return paper.end()
