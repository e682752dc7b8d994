"""Placing components: how long it takes, how good it is, and what a lost cluster sets in motion.

Times are seconds of CPU, children's too: what it takes where nothing else runs, since all of it is one thread after another.
Quality is against a bound that is proven (see placement_bound), so answers are at least as good as they are said to be: the
bound lies below the true best, the more so the fuller the clusters are.

python -m benchmarks placement [--seeds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics

import msgspec

from benchmarks.placement_bound import gap
from benchmarks.placement_world import world
from benchmarks.report import Bar, Report
from continuo.placement.check import check
from continuo.placement.exact import solve
from continuo.placement.heuristic import place
from continuo.placement.model import Answer, Problem, moved

WITHIN = 3.0
"""Seconds of `exact-within` for 200 components on 100 clusters."""
USES = (0.35, 0.5, 0.7)
"""Of all CPUs; the bar is set for the first, where the bound is worth most."""


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _sound(problem: Problem, answer: Answer) -> None:
    wrong = check(problem, answer.places)
    if wrong or answer.unplaced:
        raise SystemExit(f"placement: an answer that is none: {wrong[:1] or list(answer.unplaced.items())[:1]}")


def at_once(report: Report, seeds: int) -> None:
    """1,000 components on 1,000 clusters, by the heuristic."""
    times = []
    for seed in range(seeds):
        asked = world(1000, 1000, 1500, near=20, use=0.35, seed=seed)
        began = _cpu()
        answer = place(asked)
        times.append(_cpu() - began)
        _sound(asked, answer)
    report.row("1000 on 1000", "heuristic", f"{statistics.median(times):.2f} s", "-", f"of {seeds}")
    report.bar(Bar("1,000 components on 1,000 clusters, median", statistics.median(times), 1.0, " s"))


def good(report: Report, seeds: int) -> None:
    """200 components on 100 clusters with 300 bounded talks, by a longer search."""
    for use in USES:
        times, gaps = [], []
        for seed in range(seeds):
            asked = msgspec.structs.replace(world(200, 100, 300, use=use, seed=7 + seed), exact_within=WITHIN)
            began = _cpu()
            answer = asyncio.run(solve(asked))
            times.append(_cpu() - began)
            _sound(asked, answer)
            gaps.append(100 * gap(asked, answer))
        report.row(
            f"200 on 100, {use:.0%}", "longer search", f"{max(times):.2f} s", f"{max(gaps):.2f} %", f"of {seeds}"
        )
        if use == USES[0]:
            report.bar(Bar("200 components on 100 clusters, slowest", max(times), 5.0, " s"))
            report.bar(Bar("their objective above a proven bound, worst", max(gaps), 2.0, " %"))


def lost(report: Report, seeds: int) -> None:
    """One of 100 clusters is lost, each time the one that runs most."""
    needless, times, count = 0, [], 0
    for seed in range(seeds):
        asked = world(200, 100, 300, use=0.5, seed=7 + seed)
        before = place(asked)
        on = [part for part, site in before.places.items()]
        gone = max(
            sorted(set(before.places.values())), key=lambda name: sum(before.places[part] == name for part in on)
        )
        on = [part for part in on if before.places[part] == gone]
        asked = _without(asked, before, gone)
        began = _cpu()
        after = place(asked)
        times.append(_cpu() - began)
        _sound(asked, after)
        needless += len(moved(asked, after)) - len(on)
        count += len(on)
    report.row("1 of 100 lost", "heuristic", f"{max(times):.2f} s", f"{count} on them", f"{needless} others moved")
    report.bar(Bar("components that moved though their cluster was not lost", needless, 0, ""))


def _without(problem: Problem, before: Answer, gone: str) -> Problem:
    """The same with everything where it was put, and one cluster away."""
    return msgspec.structs.replace(
        problem,
        parts=tuple(msgspec.structs.replace(part, current=before.places[part.id]) for part in problem.parts),
        sites=tuple(
            msgspec.structs.replace(site, available=False, reason="it does not answer") if site.name == gone else site
            for site in problem.sites
        ),
    )


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks placement")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(arguments)
    report = Report("placement", "components on clusters, with bounded talks")
    report.head("problem", "by", "time", "above bound", "")
    at_once(report, options.seeds)
    good(report, options.seeds)
    lost(report, options.seeds)
    return report.end()
