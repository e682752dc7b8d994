"""`continuo demo sensors` as its users run it: to its end, ended by them, and where it must not begin."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.command import continuo

WAIT = 300.0


@contextmanager
def demo(data: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, with a pipe for its output."""
    command = [sys.executable, "-m", "continuo.cli.main", "demo", "sensors", "--data", str(data)]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


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


@pytest.mark.long
def test_from_boards_to_endpoints_and_nothing_is_left(tmp_path: Path) -> None:
    with demo(tmp_path / "demo") as process:
        out, _ = process.communicate(timeout=WAIT)
    assert process.returncode == 0, out
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 80
    assert re.search(r"stwinkt1b-e9906ef209a8 +provider-1 +6 +\d+ ms", out)
    assert re.search(
        r"latency < 25ms\n.*\n +sensortile-box.*\n +stwinkt1b|latency < 25ms\n.*\n +stwinkt1b.*\n +sensortile", out
    )
    assert re.search(r"latency < 16ms\n.*\n +stwinkt1b.*\n\n", out)
    assert re.search(r"stwinkt1b +10 +10 +30 +archive:10 screen:10 lab:10", out)
    assert re.search(r"sensortile-box +10 +10 +20 +archive:10 screen:10", out)
    assert "readings from the edge, 0 of them twice" in out
    said = " ".join(out.split())
    assert "50 of 50 posts say who measured and who vouches (ce-device, ce-gateway), such as /led/" in said
    assert "and /gw/provider-1 of provider.example" in said
    assert "409 flavor provider.example-sensor-" in said and "nobody else can have it meanwhile" in said
    assert "169.254.169.254 is a cloud's metadata service" in said
    ended = re.findall(r"(consumer\d) +(\S+) +(\S+) +\d+ +\+(\d+)", out)
    assert [(*path, int(since) > 0) for *path, since in ended] == [
        ("consumer1", "stwinkt1b", "archive", False), ("consumer1", "stwinkt1b", "screen", False),
        ("consumer1", "sensortile-box", "archive", True), ("consumer1", "sensortile-box", "screen", True),
        ("consumer2", "stwinkt1b", "lab", True),
    ]  # fmt: skip
    assert running(tmp_path) == []
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["demo"]


def test_who_ends_it_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    with demo(tmp_path / "demo") as process:
        assert process.stdout is not None and process.stdout.readline().startswith("1 ")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=WAIT)
    assert process.returncode == 1
    assert "the demo was ended by SIGTERM; nothing of it runs any more" in out
    assert running(tmp_path) == []


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    answer = continuo("demo", "sensors", "--data", str(tmp_path))
    assert answer.code == 2
    assert answer.sentence.endswith("is not of an earlier demo of sensors: name an empty folder with --data")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "demo").write_text("continuo demo brokers\n", encoding="utf-8")
    assert continuo("demo", "sensors", "--data", str(tmp_path / "other")).code == 2
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "years of work"
