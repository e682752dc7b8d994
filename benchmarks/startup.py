"""How long one waits: for the help, for an engine that serves, for the whole demo.

python -m benchmarks startup
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.report import Bar, Report

CONTINUO = [str(Path(sys.executable).parent / "continuo")]
ROUNDS = 7
HELP_SECONDS, DEMO_SECONDS = 0.4, 30.0


def timed(*arguments: str) -> float:
    """Seconds that the command took; it has to succeed."""
    started = time.perf_counter()
    subprocess.run([*CONTINUO, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main(arguments: list[str]) -> int:
    """Measure; 1 when a bar is missed."""
    if arguments:
        print("startup takes no options", file=sys.stderr)
        return 2
    report = Report("startup", f"baseline: `python -c pass`, best of {ROUNDS}")
    report.head("command", "seconds")
    bare = min(_python() for _ in range(ROUNDS))
    report.row("python -c pass", f"{bare:.3f}")
    helped = min(timed("--help") for _ in range(ROUNDS))
    report.row("--help", f"{helped:.3f}")
    with TemporaryDirectory(prefix="continuo-benchmark-") as folder:
        first = _up(f"{folder}/up", "up --detach")
        again = _up(f"{folder}/up", "up, restarted")
        for name, seconds in (first, again):
            report.row(name, f"{seconds:.2f}")
        demo = timed("demo", "--data", f"{folder}/demo")
        timed("down", "--data", f"{folder}/demo")
    report.row("demo", f"{demo:.1f}")
    report.bar(Bar("continuo --help", helped, HELP_SECONDS, " s"))
    report.bar(Bar("continuo demo", demo, DEMO_SECONDS, " s"))
    return report.end()


def _python() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - started


def _up(data: str, name: str) -> tuple[str, float]:
    """Until an engine serves."""
    seconds = timed("up", "--detach", "--data", data, "--port", "0")
    timed("down", "--data", data)
    return name, seconds
