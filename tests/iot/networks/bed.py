"""Boards as network namespaces, each wired to the hub's: real interfaces, real processes, real frames.

board ── wire (10.99.<i>.2) ───────── h<i> (10.99.<i>.1) ── hub, which listens at 10.99.0.1
  └── cont0: the TAP
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iot.networks.certificates import make_ca

HUB, PORT = "10.99.0.1", 8443
INSIDE = str(Path(__file__).parent / "inside.py")
PATIENCE = 20.0
SOURCES = str(Path(__file__).parents[3] / "src")


def impossible() -> str | None:
    """Why this machine has no boards for us; None: it has."""
    if sys.platform != "linux":
        return "boards are network namespaces, which need Linux"
    if os.geteuid() != 0:
        return "boards are network namespaces, which need root"
    if shutil.which("ip") is None:
        return "the command ip (iproute2) is missing"
    if not Path("/dev/net/tun").exists():
        return "/dev/net/tun is missing"
    tried = subprocess.run(
        ["unshare", "--net", "ip", "tuntap", "add", "t0", "mode", "tap"], capture_output=True, text=True
    )
    return f"this kernel does not let us: {tried.stderr.strip()}" if tried.returncode else None


class Process:
    """A process whose lines are read as they come."""

    def __init__(self, *command: str) -> None:
        self.command = command
        self.lines: list[str] = []
        self._new: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PYTHONPATH": SOURCES, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._new.put(line.rstrip("\n"))
        self._new.put(None)

    def wait_for(self, text: str, seconds: float = PATIENCE) -> str:
        """The next line with this text."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._new.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                said = "\n".join(self.lines)
                raise AssertionError(f"{' '.join(self.command[-4:])} never said {text!r}, but:\n{said}")
            self.lines.append(line)
            if text in line:
                return line

    def end(self) -> list[str]:
        """Close its input, wait until it is over, and give all that it said."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        while (line := self._new.get()) is not None:
            self.lines.append(line)
        return self.lines

    def signal(self, number: int) -> None:
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait(PATIENCE)

    def stop(self) -> None:
        """Whatever it does, it is over."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


@dataclass
class Board:
    """One board: its namespace, and the file that says what ports it should have."""

    number: int
    space: str
    config: Path
    port: str
    ip: str
    mac: str
    token: str
    vif: str = "cont0"

    def desired(self, **changed: Any) -> dict[str, Any]:
        """Its port, as a hub would tell it."""
        told = {"vif": self.vif, "mac": self.mac, "ip": f"{self.ip}/24", "mtu": 1400, "url": f"https://{HUB}:{PORT}"}
        return {**told, "token": self.token, **changed}


@dataclass
class Bed:
    """The hub's namespace and the boards', and all that runs in them."""

    folder: Path
    prefix: str
    boards: list[Board] = field(default_factory=list)
    running: list[Process] = field(default_factory=list)

    @property
    def hub_space(self) -> str:
        return f"{self.prefix}hub"

    def begin(self, count: int) -> None:
        make_ca(self.folder, "ca", HUB)
        _ip("netns", "add", self.hub_space)
        _in(self.hub_space, "link", "set", "lo", "up")
        _in(self.hub_space, "address", "add", f"{HUB}/32", "dev", "lo")
        for number in range(1, count + 1):
            self.boards.append(self._board(number))

    def _board(self, number: int) -> Board:
        space = f"{self.prefix}{number}"
        _ip("netns", "add", space)
        _ip(
            "link", "add", f"h{number}", "netns", self.hub_space, "type", "veth", "peer", "name", "wire", "netns", space
        )
        _in(self.hub_space, "address", "add", f"10.99.{number}.1/30", "dev", f"h{number}")
        _in(self.hub_space, "link", "set", f"h{number}", "up")
        _in(space, "link", "set", "lo", "up")
        _in(space, "address", "add", f"10.99.{number}.2/30", "dev", "wire")
        _in(space, "link", "set", "wire", "up")
        _in(space, "route", "add", f"{HUB}/32", "via", f"10.99.{number}.1")
        port = f"00000000-0000-4000-8000-{number:012d}"
        return Board(
            number, space, self.folder / f"board-{number}.json", port,
            f"10.5.0.{number}", f"fa:16:3e:00:00:{number:02x}", f"token-of-board-{number}",
        )  # fmt: skip

    def write_networks(self, networks: Mapping[str, Any]) -> None:
        """What the hub is told."""
        (self.folder / "networks.json").write_text(json.dumps(networks))

    def hub(self, *, tls: bool = True) -> Process:
        """The switch, listening."""
        files = ("--cert", str(self.folder / "ca-hub.pem"), "--key", str(self.folder / "ca-hub.key")) if tls else ()
        hub = self.run(
            self.hub_space, "-m", "continuo.iot.hub.networks",
            "--config", str(self.folder / "networks.json"), "--listen", f"0.0.0.0:{PORT}", *files,
        )  # fmt: skip
        hub.wait_for("networks at")
        return hub

    def write_board(self, board: Board, ca: str = "ca", ports: Mapping[str, Any] | None = None) -> None:
        """What a board's agent is told."""
        told = {board.port: board.desired()} if ports is None else ports
        board.config.write_text(json.dumps({"ca": str(self.folder / f"{ca}.pem"), "ports": told}))

    def agent(self, board: Board) -> Process:
        """A board's agent, as far as ports go."""
        if not board.config.exists():
            self.write_board(board)
        return self.run(board.space, "-m", "continuo.iot.agent.networks", "--config", str(board.config))

    def run(self, space: str, *arguments: str) -> Process:
        """Python in a namespace."""
        process = Process("ip", "netns", "exec", space, sys.executable, *arguments)
        self.running.append(process)
        return process

    def inside(self, board: Board, *words: str) -> Process:
        """One of the board's own programs."""
        return self.run(board.space, INSIDE, *words)

    def ping(self, board: Board, other: Board, count: int = 3, seconds: float = PATIENCE / 2) -> bool:
        """Whether so many answers come in time."""
        return self.inside(board, "ping", other.ip, str(count), str(seconds)).end()[-1] == f"{count} answers"

    def close(self) -> None:
        for process in reversed(self.running):
            process.stop()
        for space in [board.space for board in self.boards] + [self.hub_space]:
            subprocess.run(["ip", "netns", "delete", space], check=False, capture_output=True)


def network(boards: list[Board], **changed: Any) -> dict[str, Any]:
    """A network of these boards, as the registry would tell it."""
    ports = {
        board.port: {
            "board": f"board-{board.number}",
            "mac": board.mac,
            "ip": f"{board.ip}/24",
            "token": hashlib.sha256(board.token.encode()).hexdigest(),
            "security_groups": [],
        }
        for board in boards
    }
    return {"mtu": 1400, "encryption": "tls", "security_groups": [], "ports": ports, **changed}


@contextlib.contextmanager
def bed(folder: Path, count: int) -> Iterator[Bed]:
    """A hub's namespace and so many boards; nothing of it is left."""
    made = Bed(folder, f"cn{os.getpid():x}-{os.urandom(2).hex()}-")
    try:
        made.begin(count)
        yield made
    finally:
        made.close()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def _in(space: str, *words: str) -> None:
    _ip("-netns", space, *words)
