"""What an agent costs its board: its memory with two plugins running, and a call beside a bare process that does the same."""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Bar, Report

MOST = 60.0
"""MB that an agent may have resident, its plugins not counted."""


async def measure(calls: int) -> int:
    """The whole of it; the exit code."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from iot.agent.bed import LOOP, hub, source, wanted

    report = Report("agent", "a board, its plugins and their confinement")
    with tempfile.TemporaryDirectory() as folder:
        async with hub(Path(folder) / "home") as here:
            await here.agent("--code", "CODE")
            await here.online()
            loop = {"name": "loop", "code": source(LOOP), "state": "running", "parameters": {}}
            answer = {"name": "answer", "code": source("self.q_result.put(1)"), "callable": True}
            await here.call("Desire", wanted(p1=loop, p2={**loop, "name": "two"}, p3=answer))
            await here.reported(lambda said: [p["state"] for p in said["plugins"].values()].count("running") == 2)
            bare = [await _bare() for _ in range(calls)]
            called = []
            for _ in range(calls):
                began = time.perf_counter()
                await here.call("PluginCall", "p3", {})
                called.append(time.perf_counter() - began)
            resident = _resident(here.agents[0].pid)
    once, confined = statistics.median(bare), statistics.median(called)
    report.note(f"a bare python that prints: {once * 1e3:.0f} ms")
    report.note(f"a confined call over WAMP: {confined * 1e3:.0f} ms, {confined / once:.1f}x of that")
    report.bar(Bar("memory of an agent with two plugins", resident, MOST, " MB"))
    return report.end()


def _resident(process: int) -> float:
    """MB."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def _bare() -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-c",
        "import threading, queue, json, logging; print(1)",
        stdout=asyncio.subprocess.DEVNULL,
    )
    await process.wait()
    return time.perf_counter() - began


def main(arguments: Sequence[str]) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="benchmarks agent", description=__doc__)
    parser.add_argument("--calls", type=int, default=20)
    return asyncio.run(measure(parser.parse_args(arguments).calls))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
