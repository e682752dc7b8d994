"""How long a picture takes from send to view: all of a stream in one cluster, and its server in another one.

Everything goes through the LowLevelOrchestration of examples/stream.yaml, on two real clusters linked by real Liqo. Source
and viewer read the same clock, that of this machine. One cluster and two take turns on one bed, so that the ratio is honest.

python -m benchmarks stream [--pictures 1800] [--rounds 2] [--rate 30] [--size 20000] [--csv FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median, pstdev, quantiles

import yaml

from benchmarks.bed import NAMESPACE, Bed, is_ready
from benchmarks.real_liqo import missing, real_liqo
from benchmarks.report import Bar, Report
from continuo.kube.client import KubeCluster
from continuo.resources import kinds
from continuo.resources.errors import ApiError
from continuo.resources.meta import Object, labels_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.runtime.informer import Watch
from continuo.testbed.waiting import until

EXAMPLE = Path(__file__).parents[1] / "examples" / "stream.yaml"
NAME, HOME = "stream", "streaming"
PLACES = {"one cluster": "a", "two clusters": "b"}
"""Where the server runs; source and viewer stay in a."""
PATIENCE = 600.0
WARM_UP = 10.0
"""Seconds of the stream that are not counted, after each move."""
PARTS = 10
"""Of each measurement, for its course over time."""


@dataclass(slots=True)
class Taken:
    """What was measured at one place."""

    rounds: list[list[float]] = field(default_factory=list)
    """Milliseconds from send to view, picture by picture."""
    lost: int = 0
    disordered: int = 0

    @property
    def all(self) -> list[float]:
        """Those of all rounds."""
        return [latency for part in self.rounds for latency in part]


def spec(place: str, options: argparse.Namespace) -> Object:
    """The example's declaration, with its server there."""
    wanted: Object = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))["spec"]
    (app,) = wanted["apps"]
    parts = {component["name"]: component for component in app["components"]}
    parts["stream"]["cluster-selector"] = place
    parts["source"]["args"] = ["-rate", str(options.rate), "-size", str(options.size)]
    parts["capture"]["args"] = ["-window", str(options.pictures)]
    return wanted


async def measure(options: argparse.Namespace) -> dict[str, Taken]:
    """Both places in turn, several times over."""
    found = {title: Taken() for title in PLACES}
    async with real_liqo() as real, Bed(real.kubeconfig("management")) as bed:
        home = real.clusters["a"].client()
        try:
            for _ in range(options.rounds):
                for title, place in PLACES.items():
                    await _move(bed, spec(place, options))
                    await _watch(home, options, found[title])
        finally:
            await home.close()
        await bed.until(
            bed.api, Watch(LOW_LEVEL_ORCHESTRATION), lambda old, new: old is not None and new is None,
            lambda: bed.api.delete(LOW_LEVEL_ORCHESTRATION, NAME, NAMESPACE),
        )  # fmt: skip
    return found


async def _move(bed: Bed, wanted: Object) -> None:
    applied = await bed.api.apply(LOW_LEVEL_ORCHESTRATION.new(NAME, NAMESPACE, spec=wanted), manager="benchmark")
    least = applied["metadata"]["generation"]

    def done(_: Object | None, new: Object | None) -> bool:
        return new is not None and new["metadata"]["generation"] >= least and is_ready(new)

    await bed.until(bed.api, Watch(LOW_LEVEL_ORCHESTRATION), done)


async def _watch(home: KubeCluster, options: argparse.Namespace, taken: Taken) -> None:
    """Let the stream run in, then take one window of pictures."""
    await until(lambda: _unsettled(home), "the stream", PATIENCE)
    await asyncio.sleep(WARM_UP)
    before = await _viewed(home)
    await asyncio.sleep(options.pictures / options.rate)  # the window is as many pictures: nobody asks meanwhile
    frames, after = await _viewed(home, "frames"), await _viewed(home)
    taken.rounds.append([microseconds / 1000 for microseconds in frames["microseconds"]])
    taken.lost += after["lost"] - before["lost"]
    taken.disordered += after["disordered"] - before["disordered"]


async def _unsettled(home: KubeCluster) -> str | None:
    """Whether pictures come from pods that are on their way out, or not at all."""
    pods = (await home.list(kinds.POD, HOME)).items
    live = {
        labels_of(pod)["continuo.dev/component"]: pod["metadata"]["name"]
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
    }
    try:
        seen = await _viewed(home)
    except ApiError as error:
        return str(error)
    came = (seen.get("source"), seen.get("server"))
    settled = len(pods) == len(live) and came == (live.get("source"), live.get("stream"))
    return None if settled else f"pictures come from {came}"


async def _viewed(home: KubeCluster, path: str = "") -> Object:
    said = await home.raw(f"/api/v1/namespaces/{HOME}/services/capture:8080/proxy/{path}")
    answer: Object = json.loads(said)
    return answer


def tell(found: dict[str, Taken]) -> int:
    """Print the tables; the exit code."""
    report = Report("stream", "milliseconds from send to view, by one clock; one cluster and two in turn on one bed")
    report.head("", "pictures", "mean", "spread", "median", "p95", "p99", "max")
    for title, taken in found.items():
        cuts = quantiles(taken.all, n=100)
        values = (fmean(taken.all), pstdev(taken.all), median(taken.all), cuts[94], cuts[98], max(taken.all))
        report.row(title, f"{len(taken.all):,}", *(f"{value:.3f}" for value in values))
    one, two = (found[title].all for title in PLACES)
    report.row("two / one", "", f"{fmean(two) / fmean(one):.2f}x", "", f"{median(two) / median(one):.2f}x")
    report.note("\nover time: the median of each tenth of a round")
    for title, taken in found.items():
        for number, latencies in enumerate(taken.rounds, 1):
            parts = " ".join(f"{median(part):7.3f}" for part in tenths(latencies))
            report.note(f"{title:>{Report.WIDTH}} {number} {parts}")
    lost = sum(taken.lost + taken.disordered for taken in found.values())
    report.bar(Bar("pictures lost or out of order", lost, 0, ""))
    return report.end()


def tenths(latencies: list[float]) -> list[list[float]]:
    """The list in ten consecutive parts; fewer when it is short."""
    size = max(1, math.ceil(len(latencies) / PARTS))
    return [latencies[begin : begin + size] for begin in range(0, len(latencies), size)]


def write_csv(path: Path, found: dict[str, Taken]) -> None:
    """Every picture's latency, to draw it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("clusters", "round", "picture", "milliseconds"))
        for title, taken in found.items():
            for number, latencies in enumerate(taken.rounds, 1):
                writer.writerows((title, number, picture, latency) for picture, latency in enumerate(latencies))


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks stream")
    parser.add_argument("--pictures", type=int, default=1800)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--size", type=int, default=20_000)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args(arguments)
    if problem := missing():
        print(f"real Liqo: {problem}", file=sys.stderr)
        return 1
    found = asyncio.run(measure(options))
    if options.csv:
        write_csv(options.csv, found)
    return tell(found)
