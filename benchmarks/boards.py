"""Boards by the thousand: registered, online, in a fleet, given a plugin, asked; what each of them costs.

Cluster (embedded engine), hub, provider and boards are processes of their own. The boards are simulated: sessions, desired
states and reports are real (TLS WebSockets, a key each), their plugins are not run.

python -m benchmarks boards [--boards 10 100 1000] [--idle 60]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from benchmarks.boards_world import Followed, Process, World, world
from benchmarks.report import Bar, Report
from continuo.resources.boards import BOARD, FLEET, PLUGIN, PLUGIN_INJECTION
from continuo.resources.meta import Object, condition

LINEAR, HUB, AGENT, IDLE = 1.5, 600.0, 60.0, 6
WARM = 3
"""Boards that do everything before, so that nobody is measured while it imports."""
CODE = "class Worker:\n    pass\n"
REAL = """from iotronic_lightningrod.modules.plugins import Plugin
import time


class Worker(Plugin.Plugin):
    def run(self):
        while self._is_running:
            time.sleep(0.1)
"""
AT_ONCE = 32


@dataclass
class Phase:
    """What one step cost."""

    name: str
    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass
class Run:
    """One number of boards."""

    boards: int
    phases: list[Phase] = field(default_factory=list)
    hub: float = 0.0
    provider: float = 0.0
    idle: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def seconds(self) -> float:
        return sum(phase.seconds for phase in self.phases)

    def cpu(self, *names: str) -> float:
        """Seconds of these processes over all steps; of all without names."""
        return sum(value for phase in self.phases for name, value in phase.cpu.items() if not names or name in names)

    def asked(self) -> int:
        return sum(phase.asked.total() for phase in self.phases)


@asynccontextmanager
async def measured(there: World, run: Run, name: str) -> AsyncIterator[None]:
    """Count what happens within as one step."""
    before, asked, began = there.cpu(), await there.asked(), time.perf_counter()
    yield
    phase = Phase(name, time.perf_counter() - began)
    phase.cpu = {each: value - before[each] for each, value in there.cpu().items()}
    phase.asked = await there.asked() - asked
    run.phases.append(phase)


def is_true(type_: str) -> Any:
    """Whether an object says that of itself."""
    return lambda obj: (condition(obj, type_) or {}).get("status") == "True"


def observed(field_: str, count: int) -> Any:
    """Whether a status counts that many."""

    def test(obj: Object) -> bool:
        return bool((obj.get("status", {}).get("atProvider") or {}).get(field_) == count) and is_true("Ready")(obj)

    return test


async def life(there: World, run: Run, site: str) -> None:
    """All that boards of one site go through."""
    count, names = run.boards, [f"{site}-{number:05}" for number in range(run.boards)]
    async with measured(there, run, "registered"):
        mine = Followed(there.cluster, BOARD, lambda obj: is_true("Synced")(obj) and obj["metadata"]["name"] in wanted)
        wanted, turn = set(names), asyncio.Semaphore(AT_ONCE)

        async def make(name: str) -> None:
            async with turn:
                await there.make(BOARD, name, {}, labels={"site": site})

        await asyncio.gather(*(make(name) for name in names))
        await mine.until(count)
    held = await there.secrets(names)
    async with measured(there, run, "online"):
        mine = Followed(there.cluster, BOARD, lambda obj: is_true("Ready")(obj) and obj["metadata"]["name"] in wanted)
        codes = "[" + ",".join(f'"{each["code"]}"' for each in held) + "]"
        await asyncio.gather(there.processes["boards"].tell(codes), mine.until(count))
    async with measured(there, run, "fleet"):
        fleet = Followed(there.cluster, FLEET, observed("members", count))
        await there.make(FLEET, site, {"memberSelector": {"matchLabels": {"site": site}}})
        await fleet.until(1)
    async with measured(there, run, "plugin (objects)"):
        injection = Followed(there.cluster, PLUGIN_INJECTION, observed("ready", count))
        await there.make(PLUGIN, site, {"code": CODE, "callable": True})
        await there.make(PLUGIN_INJECTION, site, {"fleetRef": {"name": site}, "pluginRef": {"name": site}})
        await injection.until(1)
    await by_rest(there, run, site)


async def by_rest(there: World, run: Run, site: str) -> None:
    """Another plugin for all of them, and a call of it, with nobody's objects."""
    fleets = (await there.call("GET", "fleets", "/v1/fleets"))["fleets"]
    fleet = next(each["uuid"] for each in fleets if each["name"] == site)
    async with measured(there, run, "plugin (REST)"):
        body = {"name": f"{site}-rest", "code": CODE + "# another\n", "callable": True}
        plugin = (await there.call("POST", "plugins", "/v1/plugins", body))["uuid"]
        where, route = f"fleets/{fleet}/plugins", "/v1/fleets/{fleet}/plugins"
        await done(there, await there.call("PUT", where, route, {"plugin": plugin}), run.boards)
    async with measured(there, run, "call (REST)"):
        said = {"action": "PluginCall", "parameters": {"n": 1}}
        asked = await there.call("POST", f"{where}/{plugin}", f"{route}/{{plugin}}", said)
        await done(there, asked, run.boards)


async def done(there: World, request: dict[str, Any], count: int) -> None:
    """Until the request is, and all its results are good."""
    async with asyncio.timeout(600):
        while request["status"] != "COMPLETED":
            await asyncio.sleep(0.05)
            request = await there.call("GET", f"requests/{request['uuid']}", "/v1/requests/{asked}")
    where = f"requests/{request['uuid']}/results"
    results = (await there.call("GET", where, "/v1/requests/{asked}/results"))["results"]
    good = sum(each["result"] == "SUCCESS" for each in results)
    if good != count:
        raise RuntimeError(f"{request['action']}: {good} of {count} boards answered well: {results[:2]}")


async def measure_one(count: int, idle: float) -> Run:
    """A world of its own."""
    with TemporaryDirectory() as text:
        folder = Path(text)
        async with world(folder) as there:
            url, ca = there.addresses["wamp"], there.addresses["ca"]
            there.processes["boards"] = Process(
                "benchmarks.boards_world",
                "crowd",
                str(folder / "boards"),
                url,
                ca,
                log=folder / "boards.log",
                talks=True,
            )
            await life(there, Run(WARM), "warm")
            run = Run(count)
            await life(there, run, "site")
            if idle:
                await asyncio.sleep(3.0)  # what is left of it
                before = await there.asked()
                await asyncio.sleep(idle)
                run.idle = await there.asked() - before
            run.hub, run.provider = there.processes["hub"].resident(), there.processes["provider"].resident()
            return run


async def real_agent() -> float:
    """MB resident of one agent that runs two plugins."""
    with TemporaryDirectory() as text:
        folder = Path(text)
        async with world(folder) as there:
            names = ["real"]
            await there.make(BOARD, "real", {})
            await Followed(there.cluster, BOARD, is_true("Synced")).until(1)
            code = (await there.secrets(names))[0]["code"]
            there.processes["agent"] = agent = Process(
                "continuo.iot.agent", "--home", str(folder / "agent"), "--hub", there.addresses["wamp"],
                "--ca", there.addresses["ca"], "--code", code, log=folder / "agent.log",
            )  # fmt: skip
            for number in range(2):
                await there.make(PLUGIN, f"p{number}", {"code": REAL + f"# {number}\n"})
                fields = {"boardRef": {"name": "real"}, "pluginRef": {"name": f"p{number}"}, "state": "Running"}
                await there.make(PLUGIN_INJECTION, f"p{number}", fields)
            await Followed(there.cluster, PLUGIN_INJECTION, is_true("Ready")).until(2)
            return agent.resident("VmRSS")


def told(report: Report, run: Run) -> None:
    """The steps of one number of boards."""
    names = ("hub", "provider", "cluster", "boards")
    report.head(f"{run.boards} boards", "seconds", *(f"{name} ms" for name in names), "requests")
    for phase in run.phases:
        report.row(
            phase.name, f"{phase.seconds:.2f}", *(f"{phase.cpu[name] / run.boards * 1e3:.2f}" for name in names),
            f"{phase.asked.total() / run.boards:.2f}",
        )  # fmt: skip
    report.row(
        "all", f"{run.seconds:.2f}", *(f"{run.cpu(name) / run.boards * 1e3:.2f}" for name in names),
        f"{run.asked() / run.boards:.2f}",
    )  # fmt: skip
    report.note(
        f"{'':>4}hub {run.hub:.0f} MB, provider {run.provider:.0f} MB at most; idle: {dict(run.idle) or 'nothing'}"
    )
    if os.environ.get("BOARDS_ROUTES"):
        for phase in run.phases:
            report.note(f"{phase.name}: {dict(phase.asked.most_common(5))}")


async def measure(numbers: Sequence[int], idle: float, agent: bool) -> int:
    report = Report("boards", "what a board costs: CPU ms of each process, and requests of the provider, per board")
    runs = []
    for count in numbers:
        run = await measure_one(count, idle if count == numbers[-1] else 0.0)
        runs.append(run)
        told(report, run)
    if len(runs) > 1:
        compare(report, runs[0], runs[-1])
        for fewer, more in itertools.pairwise(runs):
            further = more.boards - fewer.boards
            seconds, cpu = (more.seconds - fewer.seconds) / further, (more.cpu() - fewer.cpu()) / further
            between = f"{fewer.boards} to {more.boards}"
            report.note(f"each board more from {between}: {seconds * 1e3:.1f} ms, {cpu * 1e3:.1f} ms of CPU")
    report.bar(Bar(f"memory of the hub with {runs[-1].boards} boards", runs[-1].hub, HUB, " MB"))
    if idle:
        report.bar(Bar(f"requests of the provider in {idle:g} s without news", runs[-1].idle.total(), IDLE, ""))
    if agent:
        report.bar(Bar("memory of an agent with two plugins", await real_agent(), AGENT, " MB"))
    return report.end()


def compare(report: Report, few: Run, many: Run) -> None:
    """What a board costs where there are many, to what it costs where there are few."""
    between = f"{many.boards} boards to {few.boards}"
    report.bar(Bar(f"seconds for a board, {between}", many.seconds / many.boards / (few.seconds / few.boards), LINEAR))
    cost = many.cpu() / many.boards / (few.cpu() / few.boards)
    report.bar(Bar(f"CPU for a board, {between}", cost, LINEAR))
    for name in ("hub", "provider", "cluster", "boards"):
        ratio = many.cpu(name) / many.boards / (few.cpu(name) / few.boards)
        report.bar(Bar(f"CPU of {name} for a board, {between}", ratio, LINEAR))


def main(arguments: Sequence[str]) -> int:
    """Measure; the exit code says whether the bars are met."""
    parser = argparse.ArgumentParser(prog="benchmarks boards")
    parser.add_argument("--boards", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--idle", type=float, default=60.0, help="seconds in which nothing happens; 0: not measured")
    parser.add_argument("--no-agent", action="store_true", help="leave the real agent out")
    given = parser.parse_args(arguments)
    if min(given.boards) < 1 or sorted(given.boards) != given.boards:
        print("benchmarks boards: --boards has rising numbers, each at least 1")
        return 2
    return uvloop.run(measure(given.boards, given.idle, not given.no_agent))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
