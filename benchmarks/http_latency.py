"""How long an HTTP request takes: at the provider, over a link, through the aggregator, and as the orchestrator arranges it.

    python -m benchmarks http [--rounds 60] [--requests 30] [--loopback]

Every cluster has the pod network 10.0.0.0/16 and calls from the same address of it. Addresses are those that the control
plane works out: the aggregator's two stages, and the one translation of the link that an orchestrator arranges. All places
take turns in every round, another one first each time; each request is followed by a round trip of one byte on its way.
Two further consumers have ordinary links of their own. They do the same, so what differs between them is noise.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import uvloop

from benchmarks.report import Bar, Report
from continuo.broker.aggregate.addresses import Mapped, Relay, View, outward
from continuo.federation.reflection.places import Atlas, Place
from continuo.testbed.datapath.latency import Latency, share
from continuo.testbed.datapath.path import DataPath
from continuo.testbed.datapath.plan import End, Link, Member, Plan

PODS, EXTERNAL = "10.0.0.0/16", "10.70.0.0/16"
POD = Place("milan", "10.0.3.4")
PROVIDER, AGGREGATOR, AGGREGATED = "provider", "aggregator", "consumer (agg.)"
ORCHESTRATOR, ORCHESTRATED = "orchestrator", "consumer (orch.)"
DIRECT, AGAIN = "direct link", "direct again"
TABLES = ((PROVIDER, AGGREGATOR, AGGREGATED), (PROVIDER, ORCHESTRATOR, ORCHESTRATED), (DIRECT, AGAIN))
MOST_ADDED = 200.0
"""Microseconds that a hop may add beyond the raw round trip."""

NOISY = 0.75
"""Noise is by how much two direct links differ in so many of the rounds; a hop differs by more."""

Rounds = dict[str, list[Latency]]


@dataclass(frozen=True, slots=True)
class World:
    """The plan, and from where the pod is called under which address, by place."""

    plan: Plan
    calls: dict[str, tuple[str, str]]


def world() -> World:
    """One provider, one broker, a consumer of its, and two consumers that need none."""
    relay = Relay("broker", {"milan": Mapped(PODS, "10.1.0.0/16")}, EXTERNAL).publish(POD)
    view = View(Mapped(PODS, "10.71.0.0/16"), Mapped(EXTERNAL, "10.72.0.0/16"))
    atlas = Atlas("rome", {"milan": "10.20.0.0/16", "broker": view.pods.seen}, flat=False)
    hop = Place("broker", relay.sees(POD))
    arranged = atlas.seen(POD, hop, Atlas("broker"))
    assert arranged is not None
    members = (
        Member("milan", PODS), Member("broker", PODS, EXTERNAL, relay.published), Member("rome", PODS),
        Member("oslo", PODS), Member("bern", PODS),
    )  # fmt: skip
    links = (
        Link(End("broker", relay.providers["milan"].seen), End("milan", "10.61.0.0/16", "10.62.0.0/16")),
        Link(End("rome", view.pods.seen, view.external.seen), End("broker", "10.73.0.0/16")),
        Link(End("rome", atlas.networks["milan"]), End("milan", "10.63.0.0/16")),
        Link(End("oslo", "10.30.0.0/16"), End("milan", "10.64.0.0/16")),
        Link(End("bern", "10.40.0.0/16"), End("milan", "10.65.0.0/16")),
    )
    calls = {
        PROVIDER: ("milan", POD.ip), AGGREGATOR: ("broker", hop.ip), AGGREGATED: ("rome", outward(POD, relay, view)),
        ORCHESTRATOR: ("broker", hop.ip), ORCHESTRATED: ("rome", arranged),
        DIRECT: ("oslo", Mapped(PODS, "10.30.0.0/16").there(POD.ip)),
        AGAIN: ("bern", Mapped(PODS, "10.40.0.0/16").there(POD.ip)),
    }  # fmt: skip
    return World(Plan(members, links), calls)


async def measure(path: DataPath, calls: dict[str, tuple[str, str]], rounds: int, requests: int) -> Rounds:
    """All places in turn."""
    await path.serve(POD.cluster, POD.ip)
    places, found = list(calls), {place: list[Latency]() for place in calls}
    for number in range(rounds + 1):
        turn = number % len(places)
        for place in (*places[turn:], *places[:turn]):
            latency = await path.measure(*calls[place], requests=requests)
            if latency.served_by != f"{POD.cluster}/{POD.ip}":
                raise RuntimeError(f"{place} called {calls[place][1]} and got to {latency.served_by}")
            if number:  # the first round starts processes
                found[place].append(latency)
    return found


def pooled(rounds: list[Latency]) -> Latency:
    """All of a place's rounds as one."""
    return sum(rounds[1:], start=rounds[0])


def paired(found: Rounds, one: str, other: str, of: Callable[[Latency, Latency], float]) -> list[float]:
    """Something of two places, round by round, so that a busy moment of the machine is in both."""
    return [of(first, second) for first, second in zip(found[one], found[other], strict=True)]


def added(through: Latency, direct: Latency) -> float:
    """Microseconds of the median beyond those of the raw round trip."""
    return 1000 * ((through.median - direct.median) - (through.raw_median - direct.raw_median))


def ratio(one: Latency, other: Latency) -> float:
    """Of the medians."""
    return one.median / other.median


def tell(paper: Report, calls: dict[str, tuple[str, str]], found: Rounds, hops: int) -> None:
    """The tables and the bars."""
    for table in TABLES:
        paper.head("called from", "address", "median ms", "mean ms", "p99 ms", "raw median ms", "to direct")
        for place in table:
            all_of = pooled(found[place])
            relative = median(paired(found, place, DIRECT, ratio))
            numbers = (all_of.median, all_of.mean, all_of.p99, all_of.raw_median)
            paper.row(place, calls[place][1], *(f"{number:.3f}" for number in numbers), f"{relative:.2f}x")
        paper.note("")
    whole = paired(found, AGGREGATED, DIRECT, lambda one, other: 1000 * (one.median - other.median))
    paper.note(f"the aggregator's hop with its raw round trip: {median(whole) / hops:.1f} us on the median")
    noise = share([abs(1 - each) for each in paired(found, AGAIN, DIRECT, ratio)], NOISY)
    paper.note(f"noise: two direct links differ by at most {noise:.1%} in {NOISY:.0%} of the rounds")
    beyond = median(paired(found, AGGREGATED, DIRECT, added)) / hops
    paper.bar(Bar("a hop through the aggregator adds beyond the raw round trip", beyond, MOST_ADDED, " us"))
    arranged = median(paired(found, ORCHESTRATED, DIRECT, ratio))
    paper.bar(Bar("through the orchestrator against a direct link, within noise", arranged, round(1 + noise, 3)))


async def run(options: argparse.Namespace) -> int:
    """Build, measure, tell."""
    paper = Report("http", f"{options.rounds} rounds of {options.requests} requests at each place, in one run")
    here = world()
    async with DataPath.build(here.plan, loopback=options.loopback) as path:
        paper.note(f"{path.about}\n")
        found = await measure(path, here.calls, options.rounds, options.requests)
        hops = len(path.way(*here.calls[AGGREGATED]).links) - len(path.way(*here.calls[DIRECT]).links)
    tell(paper, here.calls, found, hops)
    return paper.end()


def main(arguments: list[str]) -> int:
    """Measure; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks http")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--requests", type=int, default=30)
    parser.add_argument(
        "--loopback", action="store_true", help="relays in user space, also where the kernel could do it"
    )
    return uvloop.run(run(parser.parse_args(arguments)))
