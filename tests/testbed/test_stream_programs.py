"""The stream's server and viewer, as processes of this machine: what a viewer says of pictures that are lost or come late."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from continuo.testbed.tools import find_tools
from ports import free_port

SECONDS = 30.0


@pytest.fixture
def program() -> Path:
    found = find_tools().find("continuo-images")
    if found is None:
        pytest.skip("continuo-images is missing: continuo testbed build images")
    return found


@contextmanager
def running(program: Path, *argv: str) -> Iterator[None]:
    process = subprocess.Popen([program, *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(SECONDS)


def until(test: Callable[[], Any]) -> Any:
    """What the test gives, as soon as it gives something; connections that are refused count as nothing."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with suppress(OSError):
            if found := test():
                return found
        time.sleep(0.02)
    raise AssertionError("it never happened")


def picture(number: int, content: bytes = b"picture") -> bytes:
    host = b"camera"
    return struct.pack(">IQQH", len(content), number, time.time_ns(), len(host)) + host + content


def get(port: int, path: str = "") -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
        return json.load(answer)


def test_a_viewer_tells_what_is_lost_and_what_is_out_of_order(program: Path) -> None:
    server, port = free_port(), free_port()
    with ExitStack() as stack:
        stack.enter_context(running(program, "stream", "-listen", f"127.0.0.1:{server}"))
        address = ("127.0.0.1", server)
        source = stack.enter_context(until(lambda: socket.create_connection(address)))
        capture = ("capture", "-server", f"127.0.0.1:{server}", "-listen", f"127.0.0.1:{port}", "-window", "3")
        stack.enter_context(running(program, *capture))
        source.sendall(b"S")

        def begun() -> bool:
            source.sendall(picture(0))  # again and again: a source that starts anew begins with 0
            return bool(get(port)["pictures"])

        until(begun)
        for number in (1, 2, 5, 4):
            source.sendall(picture(number))
        seen = until(lambda: (said := get(port))["disordered"] and said)
        assert (seen["lost"], seen["disordered"], seen["window"]) == (2, 1, 3)
        assert (seen["source"], seen["sourceAddress"], seen["server"]) == ("camera", "127.0.0.1", socket.gethostname())
        assert 0 < seen["medianMilliseconds"] <= seen["maxMilliseconds"]
        frames = get(port, "frames")
        assert frames["numbers"] == [2, 5, 4] and len(frames["microseconds"]) == 3
