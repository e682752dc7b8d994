"""The real Lightning-rod 0.5.0 as a board: its own environment, and namespaces in which it finds only what is its own.

It has fixed paths under /etc and /var, listens on every address, kills processes by their names, and a factory reset removes
whole folders. So it gets its own mounts, processes and network, wired to this machine by one pair of interfaces.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from continuo.testbed.cache import cache_root

PINS = ("iotronic-lightningrod==0.5.0", "autobahn==26.10.2", "setuptools<81", "pip==23.2.1")
"""It reads its version by setuptools' pkg_resources, and its modules by the copy of that in an older pip."""
PATIENCE = 60.0
HERE, HUB, HUB_DOWN, BOARD = "10.98.7.1", "10.98.7.2", "10.98.8.1", "10.98.8.2"
"""This machine and the hub, as it sees the hub; the hub and the board, as that sees it."""


def impossible() -> str | None:
    """Why this machine cannot run it; None: it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "Lightning-rod wants the whole machine, so it gets namespaces of its own, which need Linux and root"
    missing = [name for name in ("ip", "unshare", "mount") if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} missing"
    tried = subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "true"], capture_output=True, text=True)
    if tried.returncode:
        return f"this kernel gives no namespaces: {tried.stderr.strip()}"
    try:
        installed()
    except subprocess.CalledProcessError as error:
        return f"iotronic-lightningrod 0.5.0 cannot be installed: {error.stderr.strip().splitlines()[-1]}"
    return None


def installed() -> Path:
    """The folder of its virtual environment, made where there is none."""
    folder = cache_root() / "lightning-rod-0.5.0"
    if not (folder / ".ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        uv = [sys.executable, "-m", "uv"]
        _run(*uv, "venv", "-q", "--python", sys.executable, str(folder))
        _run(*uv, "pip", "install", "-q", "--python", str(folder / "bin/python"), *PINS)
        (folder / ".ready").touch()
    return folder


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)


BOX = r"""
set -e
mount --make-rprivate /
cp -a /etc {own}/etc && mount --bind {own}/etc /etc
for folder in /var/lib /var/log; do mount -t tmpfs none $folder; done
mkdir -p /etc/iotronic /var/lib/iotronic/plugins /var/log/iotronic /var/log/wstun
cp {own}/iotronic.conf {own}/settings.json /etc/iotronic/
cp {templates}/plugins.example.json /var/lib/iotronic/plugins.json
cp {templates}/services.example.json /var/lib/iotronic/services.json
ln -s /var/lib/iotronic {own}/home
{echo} &
exec {rod}
"""

CONF = """[DEFAULT]
lightningrod_home = /var/lib/iotronic
skip_cert_verify = True
log_level = info
log_file = {log}

[services]
wstun_bin = {wstun}

[webservices]
proxy = nginx

[autobahn]
connection_timer = 30
alive_timer = 600
rpc_alive_timer = 10
connection_failure_timer = 300
"""

ECHO = """
import socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(b"board: " + data)
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("127.0.0.1", 5555), Echo).serve_forever()
"""

ECHO_PORT = 5555


@dataclass
class Rod:
    """One that runs."""

    process: subprocess.Popen[bytes]
    log: Path
    said: Path

    def kill(self) -> None:
        """As if the power went: all of its processes end at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def told(self) -> str:
        """Its log and what it printed, for a failure's message."""
        files = [file.read_text(errors="replace")[-6000:] for file in (self.log, self.said) if file.exists()]
        return "\n--\n".join(files)


@contextmanager
def places() -> Iterator[tuple[str, str]]:
    """Two network namespaces, wired to each other, and the first one to this machine: the hub's and the board's."""
    tag = f"{os.getpid() % 100000}"
    hub, board = f"hub{tag}", f"rod{tag}"
    try:
        for space in (hub, board):
            _run("ip", "netns", "add", space)
            _run("ip", "-n", space, "link", "set", "lo", "up")
        _run("ip", "link", "add", f"lh{tag}", "type", "veth", "peer", "name", "there", "netns", hub)
        _run("ip", "-n", hub, "link", "add", "lab", "type", "veth", "peer", "name", "wire", "netns", board)
        _run("ip", "addr", "add", f"{HERE}/30", "dev", f"lh{tag}")
        _run("ip", "link", "set", f"lh{tag}", "up")
        for space, device, address in ((hub, "there", HUB), (hub, "lab", HUB_DOWN), (board, "wire", BOARD)):
            _run("ip", "-n", space, "addr", "add", f"{address}/30", "dev", device)
            _run("ip", "-n", space, "link", "set", device, "up")
        yield hub, board
    finally:
        subprocess.run(["ip", "link", "del", f"lh{tag}"], check=False, capture_output=True)
        for space in (hub, board):
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


@contextmanager
def lightning_rod(folder: Path, space: str, url: str, code: str, wstun: str) -> Iterator[Rod]:
    """It runs with the settings that an operator would write: the code, and where the hub is."""
    environment, own = installed(), folder
    log, said = own / "lightning-rod.log", own / "printed.txt"
    settings = {"iotronic": {"board": {"code": code}, "wamp": {"registration-agent": {"url": url, "realm": "s4t"}}}}
    (own / "settings.json").write_text(json.dumps(settings))
    (own / "iotronic.conf").write_text(CONF.format(log=log, wstun=wstun))
    python = environment / "bin/python"
    templates = next(environment.glob("lib/python*/site-packages/iotronic_lightningrod/templates"))
    box = BOX.format(
        own=own,
        templates=templates,
        rod=f"{python} {environment}/bin/lightning-rod",
        echo=shlex.join([str(python), "-c", ECHO]),
    )
    private = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with said.open("wb") as out:
        process = subprocess.Popen(
            ["ip", "netns", "exec", space, *private, "sh", "-c", box],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            cwd="/",
            env={"PATH": f"{environment}/bin:{os.environ['PATH']}", "HOME": str(own), "PYTHONUNBUFFERED": "1"},
        )
    rod = Rod(process, log, said)
    try:
        yield rod
    finally:
        rod.kill()
