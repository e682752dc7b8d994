"""The whole of it: `continuo hub`, boards with `continuo agent`, ports by REST, and a ping that survives the hub's death."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iot.networks.bed import HUB, Bed, Board, Process, bed, impossible

WHY_NOT = impossible()
pytestmark = [pytest.mark.long, pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))]

REST = "127.0.0.1:8812"
CONTINUO = str(Path(sys.executable).parent / "continuo")
WHO = {
    "X-Project-Id": "00000000-0000-4000-8000-00000000000a",
    "X-User-Id": "00000000-0000-4000-8000-00000000000b",
    "X-Roles": "admin_iot_project",
    "Content-Type": "application/json",
}
ASK = """
import json, sys, urllib.request
method, url, body, headers = sys.argv[1:]
asked = urllib.request.Request(url, body.encode() or None, json.loads(headers), method=method)
print(urllib.request.urlopen(asked, timeout=60).read().decode() or "null")
"""


class Whole:
    """A hub and what is asked of it. `more`: further options of the hub."""

    def __init__(self, made: Bed, *more: str) -> None:
        self.made, self.data, self._more = made, str(made.folder / "hub"), more
        self.hub = self.start()

    def start(self) -> Process:
        hub = self.made.run(
            self.made.hub_space, CONTINUO, "hub", "--data", self.data, "--listen", REST, "--insecure", "--no-auth",
            "--public", HUB, "--wamp", f"{HUB}:8181", "--tunnel", f"{HUB}:8080", "--network", f"{HUB}:8443",
            *self._more,
        )  # fmt: skip
        hub.wait_for("next:", 60)
        return hub

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        words = (method, f"http://{REST}{path}", json.dumps(body) if body is not None else "", json.dumps(WHO))
        return json.loads(self.made.run(self.made.hub_space, "-c", ASK, *words).end()[-1])

    def agent(self, board: Board) -> Process:
        name, code = f"board{board.number}", f"code-of-board-{board.number}"
        place = {"longitude": "15.5", "latitude": "38.2", "altitude": "0"}
        self.ask("POST", "/v1/boards", {"name": name, "code": code, "location": [place]})
        return self.made.run(
            board.space, CONTINUO, "agent", "--home", str(self.made.folder / name), "--hub", f"wss://{HUB}:8181",
            "--ca", f"{self.data}/tls/ca.crt", "--code", code,
        )  # fmt: skip

    def until_online(self, count: int) -> None:
        deadline = time.monotonic() + 60
        while [board["status"] for board in self.ask("GET", "/v1/boards")["boards"]] != ["online"] * count:
            assert time.monotonic() < deadline


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    with bed(tmp_path, 2) as made:
        yield Whole(made)


def test_ports_that_are_declared_ping_each_other_and_go_on_when_the_hub_was_killed(whole: Whole) -> None:
    one, other = whole.made.boards
    for board in (one, other):
        whole.agent(board)
    whole.until_online(2)
    whole.ask("POST", "/v1/networks", {"name": "green", "cidr": "10.5.0.0/24"})
    for board in (one, other):
        told = {"network": "green", "name": f"port{board.number}", "ip": board.ip}
        assert board.ip in whole.ask("PUT", f"/v1/boards/board{board.number}/ports", told)
    assert whole.made.ping(one, other)
    whole.hub.signal(signal.SIGKILL)
    whole.hub = whole.start()
    for _ in (one, other):
        whole.hub.wait_for(" is connected", 60)
    assert whole.made.ping(other, one)
    ports = whole.ask("GET", "/v1/ports")["ports"]
    for port in ports:
        whole.ask("DELETE", f"/v1/ports/{port['uuid']}")
    assert len(ports) == 2 and whole.ask("GET", "/v1/ports")["ports"] == []
    assert not whole.made.ping(one, other, 1, 1.0)
