"""`continuo demo boards` as its users run it: after one that was killed, to its end; ended by them; refused."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.command import continuo
from continuo.cli.boards_demo.wires import impossible, left, prefix_of

WAIT = 300.0
POWERLESS = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
"""Root that may make no interfaces."""


@contextmanager
def demo(data: Path, *before: str) -> Iterator[subprocess.Popen[str]]:
    """The command, with a pipe for its output."""
    command = [*before, sys.executable, "-m", "continuo.cli.main", "demo", "boards", "--data", str(data)]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"}, preexec_fn=_heeding,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()  # it takes along what it started
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _heeding() -> None:
    """Ctrl-C is heeded, also where tests run in the background, who ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def until(process: subprocess.Popen[str], text: str) -> str:
    """What it says until it says this, that included."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(f"it never said {text!r}, but:\n{said}")


def running(data: Path) -> list[str]:
    """The command lines of processes that have to do with a folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            said = place.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(data) in said:
            found.append(said)
    return found


def wired(data: Path) -> tuple[list[str], list[str]]:
    """Interfaces and namespaces of a demo on that folder."""
    return left(prefix_of(data)) if impossible() is None else ([], [])


def powerless() -> list[str]:
    """How a command begins that may make no interfaces."""
    return POWERLESS if impossible() is None and shutil.which("setpriv") is not None else []


@pytest.mark.long
def test_one_file_is_brought_about_kept_and_taken_away_where_a_killed_demo_was(tmp_path: Path) -> None:
    data = tmp_path / "demo"
    with demo(data, *powerless()) as process:  # this one has no right to make interfaces, and says so
        said = until(process, "5 the job's results")
        process.kill()
    if powerless():
        said = " ".join(said.split())
        assert "NOT SHOWN: pinging across the VirtualNetwork, since no permission to make a TAP: grant" in said
        assert re.search(r"Port roof-1 says: .* grant it CAP_NET_ADMIN", said)
    assert len(running(data)) >= 8  # an engine, a hub, a provider and five agents
    with demo(data) as process:
        out, _ = process.communicate(timeout=WAIT)
    assert process.returncode == 0, out
    assert "\x1b" not in out and "✘" not in out
    assert re.search(r"roof-5 +[0-9a-f-]{36} +online +\d+ MB", out)
    assert re.search(r"✔ Fleet roof  5 of 5 boards online", out)
    assert re.search(r"✔ PluginInjection meter  on 5 of 5 boards", out)
    assert re.search(r"-> 'This is roof-1.'", out)
    assert len(re.findall(r"roof-\d +Succeeded +0 +\{\"inside\": \d+, \"of\": 50000\}", out)) == 5
    assert re.search(r"Workload page +Running +as before", out)
    assert re.search(r"Workload pi +Succeeded, exit code 0 +as before", out)
    assert re.search(r"✔ its job was not run again +the same run", out)
    assert len(re.findall(r"(hub's lists|agents' folders|boards' interfaces|agents' programs) +nothing", out)) == 4
    assert re.search(r"port \d+ +nobody listens", out)
    assert re.search(r"✔ agents end, since the hub does not know them +5 of 5", out)
    if impossible() is None:
        assert len(re.findall(r"roof-\d +roof-\d +10\.77\.0\.\d+ +[\d.]+ ms", out)) == 3
        assert re.search(r"✔ what passes a wire is encrypted +0 of [1-9]\d* frames readable", out)
        assert re.search(r"Port roof-1 +iot\w+ [0-9a-f:]{17} 10\.77\.0\.\d+ +as before", out)
    else:
        assert "NOT SHOWN" in out and "- three boards ping each other" in out
    assert running(tmp_path) == []
    assert wired(data) == ([], [])
    assert [path.name for path in data.iterdir()] == ["demo"]


def test_who_ends_it_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    data = tmp_path / "demo"
    with demo(data) as process:
        until(process, "1 an engine")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=WAIT)
    assert process.returncode == 1
    assert "the demo was ended by SIGTERM; nothing of it runs any more" in out
    assert running(tmp_path) == []
    assert wired(data) == ([], [])


@pytest.mark.long
def test_who_interrupts_it_while_boards_come_leaves_nothing(tmp_path: Path) -> None:
    data = tmp_path / "demo"
    with demo(data) as process:
        until(process, "2 five Boards")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=WAIT)
    assert process.returncode != 0
    assert running(tmp_path) == []
    assert wired(data) == ([], [])


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    answer = continuo("demo", "boards", "--data", str(tmp_path))
    assert answer.code == 2
    assert answer.sentence.endswith("is not of an earlier demo of boards: name an empty folder with --data")
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "years of work"
