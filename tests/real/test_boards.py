"""A board that nobody of us made: Lightning-rod 0.5.0 from PyPI, unmodified, and `continuo hub` as its only counterpart."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from real import lightning_rod as lr

why = "not asked for: python -m real boards" if os.environ.get("CONTINUO_TEST_REAL") != "1" else lr.impossible()
pytestmark = pytest.mark.skipif(why is not None, reason=why or "")

PLUGIN = """
from iotronic_lightningrod.modules.plugins import Plugin

class Worker(Plugin.Plugin):
    def __init__(self, uuid, name, q_result, params=None):
        super(Worker, self).__init__(uuid, name, q_result, params)

    def run(self):
        self.q_result.put("hello " + self.params["who"] + " from " + self.name)
"""

LOOP = """
import time
from iotronic_lightningrod.modules.plugins import Plugin

class Worker(Plugin.Plugin):
    def __init__(self, uuid, name, q_result=None, params=None):
        super(Worker, self).__init__(uuid, name, q_result, params)

    def run(self):
        while self._is_running:
            time.sleep(0.2)
"""


@dataclass
class Hub:
    """`continuo hub`, running in a namespace."""

    data: Path
    space: str
    process: subprocess.Popen[bytes]
    token: str = ""

    @property
    def url(self) -> str:
        return f"http://{lr.HUB}:8812"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """REST; the JSON or the text of the answer, and an error's sentence as an AssertionError."""
        request = urllib.request.Request(
            self.url + path, None if body is None else json.dumps(body).encode(), method=method,
            headers={"X-Auth-Token": self.token, "Content-Type": "application/json"},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=65) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None
        try:
            return json.loads(text)
        except ValueError:
            return text

    def command(self, *arguments: str) -> str:
        """A command of the operator's."""
        command = [sys.executable, "-m", "continuo.cli.main", "hub", "--data", str(self.data), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()

    def status(self, board: str) -> str:
        status: str = self.ask("GET", f"/v1/boards/{board}")["status"]
        return status


def started(data: Path, space: str) -> subprocess.Popen[bytes]:
    reading, writing = os.pipe()
    command = [
        "ip", "netns", "exec", space, sys.executable, "-m", "continuo.cli.main", "hub", "--data", str(data), "--insecure",
        "--listen", "0.0.0.0:8812", "--wamp", "0.0.0.0:8181", "--tunnel", "0.0.0.0:8080", "--network", "0.0.0.0:8443",
        "--public", lr.HUB_DOWN, "--ports", "50000-50010", "--allow-lightning-rod", "--ready-fd", str(writing),
    ]  # fmt: skip
    with (data / "log.txt").open("ab") as log:
        process = subprocess.Popen(command, pass_fds=[writing], stdout=log, stderr=log)
    os.close(writing)
    with os.fdopen(reading, "rb") as ready:
        assert ready.read() == b"ready", (data / "log.txt").read_text()
    return process


@pytest.fixture(scope="module")
def places() -> Iterator[tuple[str, str]]:
    with lr.places() as made:
        yield made


@pytest.fixture(scope="module")
def hub(places: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    data = tmp_path_factory.mktemp("hub")
    hub = Hub(data, places[0], started(data, places[0]))
    try:
        hub.token = hub.command("token", "add", "--project", "lab")
        yield hub
    finally:
        hub.process.kill()
        hub.process.wait(10)


def wstun(folder: Path) -> tuple[str, str]:
    """npm's wstun where npm has it, else our own client by its arguments; the program and which it is."""
    npm = folder / "npm"
    npm.mkdir()
    if shutil.which("npm") is not None:
        install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(npm), "wstun"]
        with contextlib.suppress(subprocess.SubprocessError):
            subprocess.run(install, check=True, capture_output=True, timeout=120)
    real = npm / "node_modules/wstun/bin/wstun.js"
    program = folder / "wstun"
    if real.exists():
        program.write_text(f'#!/bin/sh\nNODE_TLS_REJECT_UNAUTHORIZED=0 exec node {real} "$@"\n')
        which = "npm's"
    else:
        program.write_text(f'#!/bin/sh\nWSTUN_INSECURE=1 exec {sys.executable} -m continuo.iot.tunnels.wstun "$@"\n')
        which = "ours"
    program.chmod(0o755)
    return str(program), which


@pytest.fixture(scope="module")
def board(hub: Hub) -> dict[str, Any]:
    where = [{"longitude": "0", "latitude": "0", "altitude": "0"}]
    made: dict[str, Any] = hub.ask("POST", "/v1/boards", {"name": "rod", "code": "rods-code", "location": where})
    assert made["status"] == "registered"
    return made


@pytest.fixture
def rod(hub: Hub, board: dict[str, Any], places: tuple[str, str], tmp_path: Path) -> Iterator[lr.Rod]:
    """It is online. Each one is a device whose storage is new, so it has a new code."""
    code = hub.command("board", "code", board["uuid"])
    program, which = wstun(tmp_path)
    print(f"wstun: {which}")
    with lr.lightning_rod(tmp_path, places[1], f"wss://{lr.HUB_DOWN}:8181/", code, program) as rod:
        wait(lambda: hub.status(board["uuid"]) == "online", rod, hub)
        yield rod


def wait(true: Callable[[], bool], rod: lr.Rod, hub: Hub, seconds: float = lr.PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"in vain:\n{rod.told()}\n-- hub:\n{(hub.data / 'log.txt').read_text()[-4000:]}")
        time.sleep(0.1)


def test_it_comes_takes_a_plugin_answers_and_goes(hub: Hub, board: dict[str, Any], rod: lr.Rod) -> None:
    uuid = board["uuid"]
    at = f"/v1/boards/{uuid}"
    known = hub.ask("GET", at)
    assert known["lr_version"] == "0.5.0"
    assert known["connectivity"]["local_ip"] == lr.BOARD
    assert " @ " in hub.ask("POST", f"{at}/action", {"action": "DevicePing", "parameters": {}})
    assert hub.ask("POST", f"{at}/action", {"action": "DeviceEcho", "parameters": {"say": "hi"}}).startswith("hi @ ")

    plugin = hub.ask(
        "POST", "/v1/plugins", {"name": "hello", "code": PLUGIN, "callable": True, "parameters": {"who": ""}}
    )
    assert hub.ask("PUT", f"{at}/plugins", {"plugin": plugin["uuid"]}) == "PluginInject result: INJECTED"
    called = {"action": "PluginCall", "parameters": {"who": "world"}}
    assert hub.ask("POST", f"{at}/plugins/{plugin['uuid']}", called) == "hello world from hello"

    loop = hub.ask("POST", "/v1/plugins", {"name": "loop", "code": LOOP, "callable": False})
    hub.ask("PUT", f"{at}/plugins", {"plugin": loop["uuid"], "onboot": True})
    act = f"{at}/plugins/{loop['uuid']}"
    assert hub.ask("POST", act, {"action": "PluginStatus", "parameters": {}}) == "DEAD"
    assert hub.ask("POST", act, {"action": "PluginStart", "parameters": {}}) == "STARTED"
    assert hub.ask("POST", act, {"action": "PluginStatus", "parameters": {}}) == "ALIVE"
    assert hub.ask("POST", act, {"action": "PluginStop", "parameters": {}}) == "STOPPED"
    for each in (plugin, loop):
        hub.ask("DELETE", f"{at}/plugins/{each['uuid']}")
    assert hub.ask("GET", f"{at}/plugins") == {"injections": []}

    rod.kill()
    killed = time.monotonic()
    wait(lambda: hub.status(uuid) == "offline", rod, hub, 10)
    print(f"offline {time.monotonic() - killed:.2f} s after it was killed")
    with pytest.raises(AssertionError, match=r"400 .*is not connected"):
        hub.ask("POST", f"{at}/action", {"action": "DevicePing", "parameters": {}})


def test_a_service_is_reached_through_our_tunnel(hub: Hub, board: dict[str, Any], rod: lr.Rod) -> None:
    uuid = board["uuid"]
    at = f"/v1/boards/{uuid}/services"
    service = hub.ask("POST", "/v1/services", {"name": "echo", "port": lr.ECHO_PORT, "protocol": "TCP"})
    act = f"{at}/{service['uuid']}/action"
    said = hub.ask("POST", act, {"action": "ServiceEnable"})
    assert "exposed on port" in said
    (exposed,) = hub.ask("GET", at)["exposed"]
    port = exposed["public_port"]
    wait(lambda: echoed(port) == b"board: ping", rod, hub)
    assert "restored" in hub.ask("POST", act, {"action": "ServiceRestore"})
    wait(lambda: echoed(port) == b"board: ping", rod, hub)
    assert "disabled" in hub.ask("POST", act, {"action": "ServiceDisable"})
    assert hub.ask("GET", at) == {"exposed": []}
    with pytest.raises(OSError):
        socket.create_connection((lr.HUB, port), 5)


def echoed(port: int) -> bytes:
    try:
        with socket.create_connection((lr.HUB, port), 5) as connection:
            connection.settimeout(5)
            connection.sendall(b"ping")
            return connection.recv(100)
    except OSError:
        return b""


def test_it_comes_back_to_a_hub_that_was_killed(hub: Hub, board: dict[str, Any], rod: lr.Rod) -> None:
    hub.process.send_signal(signal.SIGKILL)
    hub.process.wait(10)
    hub.process = started(hub.data, hub.space)
    wait(lambda: hub.status(board["uuid"]) == "online", rod, hub)
    ping = {"action": "DevicePing", "parameters": {}}
    assert " @ " in hub.ask("POST", f"/v1/boards/{board['uuid']}/action", ping)


def test_a_code_that_was_spent_lets_nobody_in(
    hub: Hub, board: dict[str, Any], rod: lr.Rod, places: tuple[str, str], tmp_path: Path
) -> None:
    """Whoever copied the settings of a new device comes too late."""
    code = json.loads((tmp_path / "settings.json").read_text())["iotronic"]["board"]["code"]
    rod.kill()
    wait(lambda: hub.status(board["uuid"]) == "offline", rod, hub, 10)
    thief = tmp_path / "thief"
    thief.mkdir()
    with lr.lightning_rod(thief, places[1], f"wss://{lr.HUB_DOWN}:8181/", code, "/bin/false") as other:
        wait(lambda: "Registration denied" in other.told(), other, hub)
        assert hub.status(board["uuid"]) == "offline"
