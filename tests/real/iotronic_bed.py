"""OpenStack's own IoTronic 0.4.17 in an environment of its own, and a line between it and the provider that loses replies.

One process has its REST interface, its conductor and its WAMP agent; SQLite is its database, and it believes who asks. The
router and the boards are doubles: crossbar would be 375 MB and half a minute more.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from continuo.testbed.cache import cache_root

PINS = (
    "iotronic==0.4.17", "SQLAlchemy==1.3.24", "oslo.db==8.6.0", "oslo.messaging==12.14.0", "oslo.policy==3.12.1",
    "oslo.utils==4.13.0", "oslo.config==8.8.1", "oslo.log==4.8.0", "oslo.service==2.8.0", "oslo.context==3.4.0",
    "oslo.serialization==4.3.0", "oslo.middleware==4.5.1", "eventlet==0.33.3", "keystonemiddleware==9.5.0",
    "autobahn==26.10.2", "setuptools<81",
)  # fmt: skip
"""It has not been changed since 2019, and runs with no newer versions of these."""
PATIENCE = 60.0
PROGRAM = Path(__file__).with_name("iotronic_program.py")
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
LEFT = (
    "boards",
    "locations",
    "fleets",
    "plugins",
    "injection_plugins",
    "services",
    "exposed_services",
    "ports_on_boards",
)
"""Tables that hold what somebody declared; the others are IoTronic's own, or what it remembers of requests."""

CONF = """[DEFAULT]
auth_strategy = noauth
transport_url = fake:/
proxy = nginx
[database]
connection = sqlite:///{own}/iotronic.sqlite
[api]
host_ip = 127.0.0.1
port = 0
[wamp]
wamp_transport_url = ws://127.0.0.1:8181/
wamp_realm = s4t
register_agent = True
[conductor]
service_port_min = 50000
service_port_max = 50012
"""


def impossible() -> str | None:
    """Why this machine cannot run it; None: it can."""
    try:
        installed("iotronic-0.4.17", PINS)
    except subprocess.CalledProcessError as error:
        return f"iotronic 0.4.17 cannot be installed: {_last(error.stderr)}"
    except subprocess.TimeoutExpired:
        return "iotronic 0.4.17 cannot be installed: ten minutes were not enough"
    return None


def installed(name: str, pins: Sequence[str]) -> Path:
    """The folder of a virtual environment, made where there is none."""
    folder = cache_root() / name
    if not (folder / ".ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        uv = [sys.executable, "-m", "uv"]
        for command in (
            ["venv", "-q", "--python", sys.executable, str(folder)],
            ["pip", "install", "-q", "--python", str(folder / "bin/python"), *pins],
        ):
            subprocess.run([*uv, *command], check=True, capture_output=True, text=True, timeout=600)
        (folder / ".ready").touch()
    return folder


def _last(said: str) -> str:
    return (said.strip().splitlines() or ["it said nothing"])[-1]


@dataclass
class IoTronic:
    """One that runs."""

    own: Path
    process: subprocess.Popen[bytes]
    url: str

    def tables(self, *names: str) -> dict[str, int]:
        """How many rows there are; those without any are left out."""
        with self._database() as database:
            counts = {name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names or LEFT}
        return {name: count for name, count in counts.items() if count}

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """What is in its database."""
        with self._database() as database:
            return database.execute(query, values).fetchall()

    def move(self, what: str, whom: str) -> dict[str, Any]:
        """A board comes with its code (`register`), again (`come`), goes (`leave`), or is looked at (`have`)."""
        request = urllib.request.Request(f"{self.url}/lab/{what}", whom.encode(), method="POST")
        with _DIRECT.open(request, timeout=PATIENCE) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def told(self) -> str:
        """The end of its log, for a failure's message."""
        return (self.own / "iotronic.log").read_text(errors="replace")[-6000:]

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(f"file:{self.own}/iotronic.sqlite?mode=ro", uri=True, timeout=30)
        try:
            yield database
        finally:
            database.close()


@contextmanager
def iotronic(own: Path) -> Iterator[IoTronic]:
    """It answers."""
    (own / "iotronic.conf").write_text(CONF.format(own=own))
    python = installed("iotronic-0.4.17", PINS) / "bin/python"
    with (own / "iotronic.log").open("wb") as log:
        process = subprocess.Popen(
            [str(python), str(PROGRAM), "--config-file", str(own / "iotronic.conf")], cwd=own,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            env={"PATH": os.environ["PATH"], "HOME": str(own), "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    try:
        assert process.stdout is not None
        port = process.stdout.readline().decode().strip()
        assert port, (own / "iotronic.log").read_text(errors="replace")[-6000:]
        yield IoTronic(own, process, f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait(PATIENCE)


@dataclass
class Between:
    """What goes from the provider to IoTronic, all of it seen, some of it lost."""

    to: str
    http: aiohttp.ClientSession
    url: str = ""
    log: list[tuple[str, str]] = field(default_factory=list)
    """(method, path) of each request."""
    _losing: list[tuple[str, str]] = field(default_factory=list)

    def lose(self, method: str, path: str) -> None:
        """The reply to the next such request comes to nobody."""
        self._losing.append((method, path))

    def asked(self, test: Callable[[str, str], bool]) -> list[tuple[str, str]]:
        """Requests that fulfil it."""
        return [each for each in self.log if test(*each)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Hand it on."""
        self.log.append((request.method, request.path))
        headers = {
            key: value for key, value in request.headers.items() if key.lower() not in ("host", "accept-encoding")
        }
        async with self.http.request(
            request.method, self.to + request.path_qs, headers=headers, data=await request.read(), allow_redirects=False
        ) as reply:
            body = await reply.read()
        known = (request.method, request.path)
        if known in self._losing:
            self._losing.remove(known)
            assert request.transport is not None
            request.transport.abort()
        kept = {key: value for key, value in reply.headers.items() if key.lower() not in _OWN}
        return web.Response(status=reply.status, body=body, headers=kept)


_OWN = {"content-length", "connection", "transfer-encoding", "content-encoding", "date", "server"}


@asynccontextmanager
async def between(to: str) -> AsyncIterator[Between]:
    """Something that hands requests on."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=130)) as http:
        made = Between(to, http)
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{rest:.*}", made.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield made
        finally:
            with suppress(asyncio.CancelledError):
                await runner.cleanup()
