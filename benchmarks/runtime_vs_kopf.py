"""Continuo's runtime beside kopf: the same no-op reconcile with one status patch per object, in the same run.

    python -m benchmarks runtime_vs_kopf [--objects 2000] [--rounds 3]

Every measurement is a process of its own against a stub API server in yet another process. Objects per core-second are
objects divided by the CPU time (user + system) that the process needed beyond what it needs with no objects at all;
memory per watched object is the growth of its resident memory from none to all objects with nothing to do for them.

kopf is set up as lean as it goes: no persistence of its own (a null diff-base and progress storage, so it writes
no annotations), no posting of events, no finalizers (a plain event handler needs none), a status-only patch.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import urllib.request
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import Bar, Report

HERE = Path(__file__).parent
GROUP, VERSION, PLURAL, KIND = "bench.dev", "v1", "widgets", "Widget"
NEEDED_RATIO = 4.0


def usage() -> dict[str, float]:
    """CPU seconds and resident KiB of this process, now."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {"cpu": spent.ru_utime + spent.ru_stime, "rss": pages * os.sysconf("SC_PAGE_SIZE") / 1024}


# --- the two contenders, each in a child process ---
async def run_continuo(port: int, objects: int, write: bool) -> None:
    from continuo.kube.access import Access
    from continuo.kube.client import KubeCluster
    from continuo.resources.meta import Key, Kind, key_of
    from continuo.runtime.controller import DONE, Controller, Result
    from continuo.runtime.informer import Informer, Watch

    widgets = Kind(GROUP, VERSION, KIND, PLURAL)
    cluster = KubeCluster("bench", Access(f"http://127.0.0.1:{port}"))
    informer = Informer(cluster, Watch(widgets))
    finished = asyncio.Event()

    async def reconcile(key: Key) -> Result:
        obj = informer.cache.get(key)
        if obj is None or "status" in obj:
            return DONE
        await cluster.patch(widgets, key[1], {"status": {"phase": "Ready"}}, key[0], subresource="status")
        return DONE

    controller = Controller("bench", reconcile, workers=16)
    ready = 0

    def changed(_: Any, new: Any) -> None:
        nonlocal ready
        if write:
            controller.add(key_of(new))
            ready += "status" in new
        if ready == objects:
            finished.set()

    informer.on_change(changed)
    controller.start()
    informer.start()
    await informer.synced.wait()
    if write and objects:
        await finished.wait()
    await asyncio.sleep(1.0)  # the same rest for both contenders, and part of the start-up that is subtracted
    print(json.dumps({**usage(), "requests": dict(cluster.requests)}), flush=True)
    await informer.stop()
    await controller.stop()
    await cluster.close()


def run_kopf(port: int, objects: int, write: bool) -> None:
    import logging

    import kopf

    seen: set[str] = set()
    ready: set[str] = set()
    stop = asyncio.Event()
    logging.disable(logging.CRITICAL)

    class Nowhere(kopf.DiffBaseStorage):
        def fetch(self, **_: Any) -> None:
            return None

        def store(self, **_: Any) -> None:
            return None

    @kopf.on.startup()
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.persistence.diffbase_storage = Nowhere()
        settings.persistence.progress_storage = kopf.StatusProgressStorage(field="status.kopf")
        settings.posting.enabled = False
        settings.scanning.disabled = True

    @kopf.on.login()
    def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=f"http://127.0.0.1:{port}")

    @kopf.on.event(GROUP, VERSION, PLURAL)
    async def changed(name: str, body: Any, patch: kopf.Patch, **_: Any) -> None:
        seen.add(name)
        if "status" in body:
            ready.add(name)
        elif write:
            patch.status["phase"] = "Ready"

    async def watch_progress() -> None:
        while len(ready if write else seen) < objects:  # noqa: ASYNC110 - twenty looks a second cost kopf nothing
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.0)
        print(json.dumps(usage()), flush=True)
        stop.set()

    async def main() -> None:
        # Both start with the connection; with no objects there is nothing to wait for but the rest.
        operator = asyncio.create_task(kopf.operator(clusterwide=True, standalone=True, stop_flag=stop))
        await watch_progress()
        await asyncio.wait([operator], timeout=10)

    asyncio.run(main())


# --- measuring ---
def measure(contender: str, objects: int, write: bool) -> dict[str, Any]:
    """One child against a fresh stub."""
    python = [sys.executable, "-W", "ignore"]
    with subprocess.Popen(
        [*python, str(HERE / "stub_api.py"), str(objects)], stdout=subprocess.PIPE, text=True
    ) as stub:
        assert stub.stdout is not None
        port = stub.stdout.readline().strip()
        try:
            command = [
                *python,
                "-m",
                "benchmarks.runtime_vs_kopf",
                "--child",
                contender,
                port,
                str(objects),
                str(int(write)),
            ]
            child = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120, check=True, cwd=HERE.parent)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/done") as answer:
                served = json.load(answer)
        finally:
            stub.terminate()
    expected = objects if write else 0
    if (served["withStatus"], served["patches"]) != (expected, expected):
        raise SystemExit(f"{contender}: {served} where {expected} status patches were due: not a fair comparison")
    return {**json.loads(child.stdout), **served}


def best_of(contender: str, objects: int, rounds: int) -> dict[str, float]:
    work, empty, idle = [], [], []
    for _ in range(rounds):
        empty.append(measure(contender, 0, True))
        idle.append(measure(contender, objects, False))
        work.append(measure(contender, objects, True))
    cpu = median(run["cpu"] for run in work) - median(run["cpu"] for run in empty)
    memory = median(run["rss"] for run in idle) - median(run["rss"] for run in empty)
    return {"cpu": cpu, "rate": objects / cpu, "kib": memory / objects, "start": median(run["cpu"] for run in empty)}


def main(arguments: list[str]) -> int:
    """Measure both; 1 when the bar is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks runtime_vs_kopf")
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    report = Report("runtime_vs_kopf", "baseline: kopf at the same work, in the same run")
    results = {name: best_of(name, options.objects, options.rounds) for name in ("continuo", "kopf")}
    print(f"{options.objects} objects of about 1 KB, one status patch each; median of {options.rounds} rounds\n")
    print(f"{'':10}{'start-up CPU':>14}{'CPU of the work':>17}{'objects/core-s':>16}{'KiB/watched object':>20}")
    for name, row in results.items():
        print(f"{name:10}{row['start']:>12.2f} s{row['cpu']:>15.2f} s{row['rate']:>16,.0f}{row['kib']:>20.1f}")
    ratio = results["continuo"]["rate"] / results["kopf"]["rate"]
    report.bar(Bar("kopf's objects per core-second", ratio, NEEDED_RATIO, at_least=True))
    return report.end()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _, _, who, where, count, writes = sys.argv
        if who == "kopf":
            run_kopf(int(where), int(count), writes == "1")
        else:
            asyncio.run(run_continuo(int(where), int(count), writes == "1"))
    else:
        raise SystemExit(main(sys.argv[1:]))
