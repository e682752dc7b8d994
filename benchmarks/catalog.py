"""The catalog: many offers, many subscribers in another process, changes at a fixed rate; and filtered queries.

python -m benchmarks catalog [--offers 10000] [--subscribers 1000] [--rate 100] [--seconds 10]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import uvloop

from benchmarks.report import Bar, Report
from continuo.broker.catalog.accounts import Account, Accounts
from continuo.broker.catalog.catalog import Catalog
from continuo.broker.catalog.schema import SCHEMA
from continuo.broker.catalog.tokens import Signer
from continuo.broker.offers.model import Offer, Plan
from continuo.storage.database import Database

ROOT = Path(__file__).parent.parent
PROVIDERS = 10
REGIONS = ("eu-south", "eu-north", "us-east", "ap-west")
DELTA_P99, QUERY_P99 = 250.0, 10.0
SECRET = "a-secret-of-benchmarks"


@dataclass(frozen=True, slots=True)
class Phase:
    """What one phase cost: the server's CPU, and what its subscribers received."""

    seconds: float
    changes: int
    cpu: float
    received: int
    deltas: int
    p50: float
    p99: float
    worst: float
    reader: float = 0.0
    """Seconds of CPU that the process with all subscribers used."""
    waited: float = 0.0
    """Seconds in which the server could have run but had no core."""
    reader_waited: float = 0.0


def plans(dice: random.Random) -> tuple[Plan, ...]:
    """Three sizes."""
    return tuple(
        Plan(
            size, f"plan-{size}", f"{dice.randrange(10, 900) / 100:.2f}",
            {"cpu": str(cores), "memory": f"{4 * cores}Gi", "storage": f"{100 * cores}G"},
        )
        for size, cores in (("small", 2), ("medium", 8), ("large", 32))
    )  # fmt: skip


async def fill(storage: Path, offers: int) -> None:
    """A storage with providers and offers."""
    database = Database(str(storage), SCHEMA)
    await database.open()
    signer = Signer(database, "catalog", time.time)
    accounts = Accounts(database, signer, time.time)
    catalog = Catalog(database)
    await catalog.load()
    for number in range(PROVIDERS):
        await accounts.put(Account(f"provider{number}", "provider"), SECRET)
    dice = random.Random(4)
    made = [
        Offer(
            f"offer{number:05}", f"provider{number % PROVIDERS}", f"Offer {number}", "general", plans(dice),
            region=dice.choice(REGIONS), labels={"tier": dice.choice(("gold", "silver")), "at": "0"},
        )
        for number in range(offers)
    ]  # fmt: skip
    for start in range(0, offers, 250):
        await asyncio.gather(*(catalog.publish(each) for each in made[start : start + 250]))
    catalog.feed.close()
    await database.close()


@contextlib.asynccontextmanager
async def server(folder: Path) -> AsyncIterator[tuple[str, int]]:
    """`continuo catalog serve` over the storage: its address and process."""
    environment = {**os.environ, "CONTINUO_DATA": str(folder)}
    command = [sys.executable, "-m", "continuo.cli.main", "catalog", "serve", "--port", "0", "--anonymous"]
    process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=ROOT, stderr=subprocess.DEVNULL)
    told = folder / "catalog" / "running.json"
    try:
        async with asyncio.timeout(120):
            while not told.exists():
                await asyncio.sleep(0.1)
                if process.returncode is not None:
                    raise SystemExit("the catalog ended as it began; `continuo catalog serve` says why")
        yield json.loads(told.read_text())["url"], process.pid
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def waited_of(pid: int) -> float:
    """Seconds in which a process could have run but had no core: what is not its own fault."""
    return sum(int(path.read_text().split()[1]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


class Subscribers:
    """The other process, with all subscribers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process, self.pid = process, process.pid

    @classmethod
    async def start(cls, url: str, count: int, mode: str) -> Subscribers:
        """Connect, and wait until each has its first list."""
        command = [sys.executable, "-m", "benchmarks.catalog_subscribers", url, str(count), mode]
        pipe = subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe, limit=1 << 24)
        started = cls(process)
        assert process.stdout is not None
        async with asyncio.timeout(180):
            await process.stdout.readline()
        return started

    async def take(self) -> dict[str, Any]:
        """What was received since the last time."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(b"take\n")
        found: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return found

    async def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


class Publisher:
    """Changes prices at a fixed rate, as the providers themselves."""

    def __init__(self, http: aiohttp.ClientSession, url: str, offers: int) -> None:
        self._http, self._url, self._offers = http, url, offers
        self._tokens: list[str] = []
        self._dice = random.Random(7)

    async def login(self) -> None:
        """As every provider."""
        for number in range(PROVIDERS):
            body = {"account": f"provider{number}", "secret": SECRET}
            async with self._http.post(f"{self._url}/api/v1/tokens", json=body) as answer:
                self._tokens.append((await answer.json())["access_token"])

    async def run(self, rate: float, seconds: float) -> int:
        """Publish; returns how many changes were accepted."""
        begin = time.monotonic()
        tasks = []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begin + number / rate - time.monotonic()))
            tasks.append(asyncio.create_task(self._change()))
        return sum(await asyncio.gather(*tasks))

    async def _change(self) -> int:
        number = self._dice.randrange(self._offers)
        sizes = {
            plan.id: {"planName": plan.name, "planID": plan.id, "cost": plan.cost, "resources": plan.resources}
            for plan in plans(self._dice)
        }
        body = {
            "name": f"Offer {number}", "type": "general", "region": REGIONS[number % 4], "plans": sizes,
            "labels": {"tier": "gold", "at": str(time.monotonic_ns())},
        }  # fmt: skip
        headers = {"Authorization": f"Bearer {self._tokens[number % PROVIDERS]}"}
        async with self._http.post(f"{self._url}/offer/offer{number:05}", json=body, headers=headers) as answer:
            await answer.read()
            return int(answer.status == 200)


async def phase(pid: int, subscribers: Subscribers | None, publisher: Publisher, rate: float, seconds: float) -> Phase:
    """Publish for so long, and see what it costs."""
    if subscribers is not None:
        await subscribers.take()
    pids = [pid, subscribers.pid] if subscribers is not None else [pid]
    before = [(cpu_of(each), waited_of(each)) for each in pids]
    begin = time.monotonic()
    changes = await publisher.run(rate, seconds)
    await asyncio.sleep(1.5)
    lasted = time.monotonic() - begin
    spent = [(cpu_of(each) - cpu, waited_of(each) - wait) for each, (cpu, wait) in zip(pids, before, strict=True)]
    got = await subscribers.take() if subscribers is not None else {"bytes": 0, "deltas": 0, "histogram": {}}
    p50, p99, worst = quantiles({int(ms): count for ms, count in got["histogram"].items()})
    (cpu, waited), (reader, kept) = spent[0], spent[-1]
    return Phase(lasted, changes, cpu, got["bytes"], got["deltas"], p50, p99, worst, reader, waited, kept)


def quantiles(histogram: dict[int, int]) -> tuple[float, float, float]:
    """Median, 99th percentile and maximum of milliseconds."""
    total, seen, found = sum(histogram.values()), 0, []
    for share in (0.5, 0.99):
        seen = 0
        for ms in sorted(histogram):
            seen += histogram[ms]
            if seen >= share * total:
                found.append(float(ms))
                break
    return (*found, float(max(histogram))) if found else (0.0, 0.0, 0.0)  # type: ignore[return-value]


async def queries(http: aiohttp.ClientSession, url: str, count: int) -> list[float]:
    """Milliseconds of filtered, ranked queries, none of which was asked before."""
    dice = random.Random(11)
    shapes = (
        "price < {a:.3f} && resources.cpu >= 8 && region == 'eu-south'",
        "labels.tier == 'gold' && resources.memory >= quantity('32Gi') && price < {a:.3f}",
        "region in ['eu-south', 'eu-north'] && !(labels.tier == 'silver') && price * 2.0 < {a:.3f}",
    )
    times = []
    for number in range(count):
        asked = {"where": shapes[number % 3].format(a=dice.uniform(0.2, 8)), "order": "price", "limit": "50"}
        begin = time.perf_counter()
        async with http.get(f"{url}/api/v1/offers", params=asked) as answer:
            await answer.read()
            assert answer.status == 200, await answer.text()
        times.append(1000 * (time.perf_counter() - begin))
        await asyncio.sleep(0.01)
    return sorted(times)


async def measure(options: argparse.Namespace, report: Report) -> None:
    """All phases, against one server."""
    with TemporaryDirectory(prefix="continuo-catalog-") as name:
        folder = Path(name)
        await fill(folder / "catalog" / "catalog.sqlite", options.offers)
        gc.collect()
        gc.freeze()  # or the offers that were made here would be walked through while queries are timed
        async with server(folder) as (url, pid), aiohttp.ClientSession() as http:
            publisher = Publisher(http, url, options.offers)
            await publisher.login()
            times = await queries(http, url, options.queries)
            alone = await phase(pid, None, publisher, options.rate, options.seconds / 2)
            full = await subscribed(pid, url, "full", options.listeners, publisher, options.rate, options.seconds / 2)
            (half, whole) = await halves(pid, url, options, publisher)
            tell(report, options, times, alone, full, half, whole)


async def subscribed(
    pid: int, url: str, mode: str, count: int, publisher: Publisher, rate: float, seconds: float
) -> Phase:
    """One phase with so many subscribers."""
    subscribers = await Subscribers.start(url, count, mode)
    found = await phase(pid, subscribers, publisher, rate, seconds)
    await subscribers.stop()
    return found


async def halves(pid: int, url: str, options: argparse.Namespace, publisher: Publisher) -> Sequence[Phase]:
    """The subscribers of deltas, at half the rate and at the whole."""
    subscribers = await Subscribers.start(url, options.subscribers, "deltas")
    half = await phase(pid, subscribers, publisher, options.rate / 2, options.seconds)
    whole = await phase(pid, subscribers, publisher, options.rate, options.seconds)
    await subscribers.stop()
    return half, whole


def tell(
    report: Report,
    options: argparse.Namespace,
    times: list[float],
    alone: Phase,
    full: Phase,
    half: Phase,
    whole: Phase,
) -> None:
    """Print it all."""
    report.head(
        "phase", "subscribers", "changes", "CPU ms/change", "their CPU", "no core", "KiB/change/sub",
        "p50 ms", "p99 ms", "worst ms",
    )  # fmt: skip
    for name, count, found in (
        ("writes alone", 0, alone), ("full lists", options.listeners, full),
        ("deltas, half rate", options.subscribers, half), ("deltas", options.subscribers, whole),
    ):  # fmt: skip
        each = found.received / found.changes / max(count, 1) / 1024
        timed = [f"{value:.0f}" for value in (found.p50, found.p99, found.worst)] if found.deltas else ["-"] * 3
        readers = f"{1000 * found.reader / found.changes:.2f}" if count else "-"
        starved = f"{100 * found.waited / found.seconds:.0f}/{100 * found.reader_waited / found.seconds:.0f} %"
        cost = f"{1000 * found.cpu / found.changes:.2f}"
        report.row(name, str(count), str(found.changes), cost, readers, starved, f"{each:.2f}", *timed)
    report.note("\n`no core`: the share of the time in which the server, and its subscribers, waited for a processor")
    p99 = times[int(len(times) * 0.99)]
    report.note(f"\nfiltered queries: median {times[len(times) // 2]:.1f} ms, p99 {p99:.1f} ms, of {len(times)}")
    expected = (half.changes + whole.changes) * options.subscribers
    report.bar(Bar("changes that subscribers missed", float(expected - half.deltas - whole.deltas), 0, ""))
    report.bar(Bar("delta p99", whole.p99, DELTA_P99, " ms"))
    report.bar(Bar("filtered query p99", p99, QUERY_P99, " ms"))
    # What a reader costs beyond the writes themselves, for each change, beside one who gets full lists.
    fan_out = (whole.cpu / whole.changes - alone.cpu / alone.changes) / options.subscribers
    lists = (full.cpu / full.changes - alone.cpu / alone.changes) / options.listeners
    report.bar(
        Bar("CPU per change and subscriber, full lists to deltas", lists / max(fan_out, 1e-9), 10, "x", at_least=True)
    )
    ratio = (full.received / full.changes / options.listeners) / (whole.received / whole.changes / options.subscribers)
    report.bar(Bar("bytes per change and subscriber, full lists to deltas", ratio, 10, "x", at_least=True))
    report.bar(Bar("bytes at twice the changes", whole.received / half.received, 2.2))
    report.bar(Bar("CPU at twice the changes", whole.cpu / half.cpu, 2.2))


def main(arguments: list[str]) -> int:
    """Measure; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks catalog")
    parser.add_argument("--offers", type=int, default=10_000)
    parser.add_argument("--subscribers", type=int, default=1_000)
    parser.add_argument("--listeners", type=int, default=10, help="subscribers of full lists, the baseline")
    parser.add_argument("--rate", type=float, default=100.0, help="changes per second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--queries", type=int, default=300)
    options = parser.parse_args(arguments)
    about = f"{options.offers} offers, {options.subscribers} subscribers, {options.rate:g} changes per second"
    report = Report("catalog", about)
    uvloop.run(measure(options, report))
    return report.end()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
