"""Bandwidth as the kernel gives it: two network namespaces, a wire between them, a token bucket in each direction."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

INSIDE = Path(__file__).with_name("inside.py")
SPACES = ("cprobe-green", "cprobe-rose")
ADDRESSES = ("10.213.7.1", "10.213.7.2")
RATES = (16_000_000, 5_000_000)
"""Bits in a second that leave each end."""


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)


@pytest.fixture
def wire() -> Iterator[None]:
    if not (shutil.which("ip") and shutil.which("tc")):
        pytest.skip("there is no ip or tc here, so no network can be shaped")
    with ExitStack() as stack:
        for space in SPACES:
            made = subprocess.run(["ip", "netns", "add", space], check=False, capture_output=True, text=True)
            if made.returncode:
                pytest.skip(f"no network namespace may be made here: {made.stderr.strip()}")
            stack.callback(subprocess.run, ["ip", "netns", "delete", space], check=False, capture_output=True)
        try:
            _shape()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no wire may be made, or shaped, here: {error.stderr.strip()}")
        yield


def _shape() -> None:
    one, other = SPACES
    run("ip", "-netns", one, "link", "add", "w0", "type", "veth", "peer", "name", "w0", "netns", other)
    for space, address, rate in zip(SPACES, ADDRESSES, RATES, strict=True):
        run("ip", "-netns", space, "address", "add", f"{address}/30", "dev", "w0")
        run("ip", "-netns", space, "link", "set", "w0", "up")
        bucket = ("rate", f"{rate}bit", "burst", "32k", "latency", "100ms")
        run("tc", "-netns", space, "qdisc", "add", "dev", "w0", "root", "tbf", *bucket)


def _end(space: str, own: str, other: str) -> subprocess.Popen[str]:
    command = ["ip", "netns", "exec", space, sys.executable, str(INSIDE), own, other]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _say(end: subprocess.Popen[str]) -> None:
    assert end.stdin is not None
    end.stdin.write("go\n")
    end.stdin.flush()


def _hear(end: subprocess.Popen[str]) -> str:
    assert end.stdout is not None
    return end.stdout.readline().strip()


@pytest.mark.usefixtures("wire")
def test_each_direction_is_measured_as_the_kernel_shapes_it() -> None:
    (one, other), (here, there) = SPACES, ADDRESSES
    ends = [_end(one, here, there), _end(other, there, here)]
    try:
        assert [_hear(end) for end in ends] == ["up", "up"]
        found = []
        for end in ends:
            _say(end)
            found.append(json.loads(_hear(end)))
    finally:
        for end in ends:
            end.communicate(timeout=20)
    # What an end receives is what the other one may send. A bucket that is full lets a little more through at first.
    assert 0 < found[0]["bps"] < 1.3 * RATES[1] < found[1]["bps"] < 1.3 * RATES[0]
    assert all(measured["bytes"] >= 1 << 20 for measured in found[1:]), "a quarter of a megabyte is over too soon"
