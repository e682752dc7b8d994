"""OpenStack's own client, unmodified, against the hub: `python-iotronicclient` in an environment of its own.

It brings sixty packages of OpenStack, which nothing else here needs, so it is installed once into the cache, and skipped
where it cannot be: without a network, or from Python 3.12 on, which has no `distutils` any more.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from continuo.testbed.cache import cache_root
from iot.hub.bench import hub

pytestmark = pytest.mark.anyio
RELEASE = "python-iotronicclient==0.4.7"
SESSION = Path(__file__).with_name("client_session.py")


def _steps(place: Path, program: Path) -> list[list[str | Path]]:
    """What installs the client: uv where it is, as `make` brings it, for it takes a fraction of pip's time."""
    wanted = [RELEASE, "setuptools<81"]
    if importlib.util.find_spec("uv") is not None:
        uv: list[str | Path] = [sys.executable, "-m", "uv"]
        return [
            [*uv, "venv", "-q", "--clear", "--python", sys.executable, place],
            [*uv, "pip", "install", "-q", "--python", program, *wanted],
        ]
    return [
        [sys.executable, "-m", "venv", "--clear", place],
        [program, "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted],
    ]


@pytest.fixture(scope="session")
def python() -> Path:
    """The interpreter that has the client."""
    if sys.version_info >= (3, 12):
        pytest.skip(f"{RELEASE} needs distutils, which Python has no more since 3.12")
    place = cache_root() / "iotronicclient-0.4.7"
    program = place / "bin" / "python"
    if not (place / "ready").exists():
        try:
            for command in _steps(place, program):
                subprocess.run(command, check=True, capture_output=True, timeout=300)
        except (subprocess.SubprocessError, OSError) as error:
            said = getattr(error, "stderr", b"") or b""
            last = said.decode(errors="replace").strip().splitlines()[-1:] or [str(error)]
            pytest.skip(f"{RELEASE} cannot be installed here: {last[0]}")
        (place / "ready").touch()
    return program


async def test_every_manager(python: Path, tmp_path: Path) -> None:
    # the client takes every `/`, `v` and `1` off the end of its endpoint, also those of a port
    async with hub(str(tmp_path / "h.sqlite"), not_ending_in="1") as bench:
        lab = await bench.client()
        board, agent = await bench.online(lab, "first")
        network = await lab.made("networks", name="lan", cidr="10.7.0.0/24")
        agent.answers["PluginCall"] = lambda uuid, parameters: f"hello {parameters['who']}"
        session = await asyncio.create_subprocess_exec(
            python, SESSION, bench.url, lab.headers["X-Auth-Token"], board["uuid"], network["uuid"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        )  # fmt: skip
        said, trouble = await asyncio.wait_for(session.communicate(), 120)
        assert session.returncode == 0, trouble.decode()[-2000:]
        seen = json.loads(said)
    assert seen["version"] == "1.0", "it asked for 1.9, and took what there is"
    assert seen["created"] == ["second", "code-second", "registered", True]
    assert seen["boards"] == ["first", "second"] and seen["paged"] == ["second", "first"] and seen["one"] == ["first"]
    assert seen["online"] == ["first"] and seen["members"] == ["first"]
    assert seen["narrow"] == ["links", "name", "status"] and seen["extra"] == {"room": "4"}
    assert seen["fleet"] == "all of them" and seen["plugins"] == ["hello"]
    assert (seen["code"], seen["plugin"]) == ("Vx = 1\\u000a\np0\n.", "Vx = 2\\u000a\np0\n.")
    assert seen["inject"] == "PluginInject result: INJECTED" and seen["call"] == "hello you"
    assert seen["injections"] == [[True, "injected", True]]
    assert seen["missing"].startswith("BadRequest: parameters: plugin")
    assert seen["removed"].startswith("NotFound: Plugin")
    assert seen["service"] == 2222 and seen["exposed"] == seen["restored"] == [50000]
    assert seen["enable"] == "Cloud service 'ssh' exposed on port 50000 on 127.0.0.1"
    assert seen["disable"] == "Cloud service 'ssh' tunnel disabled."
    assert seen["attach"].startswith("Port ") and seen["ports left"] == 0
    assert seen["ports"][0][0].startswith("10.7.0.") and seen["ports"][0][1] is True
    assert seen["webservices"] == [[], [], []]
    assert "DNS provider" in seen["dns"] and "DNS provider" in seen["expose"]
    assert seen["no such"] == "NotFound: Board nobody could not be found. (HTTP 404)"
    assert seen["taken"] == "Conflict: A board with name second already exists. (HTTP 409)"
    assert "is not connected." in seen["offline"]
    assert seen["left"] == [0, 0, 0, 1]
