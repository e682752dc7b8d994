"""A whole agent: its parts put together, kept until it is stopped, and ended in order."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import logging
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from continuo.iot.agent import health, settings
from continuo.iot.agent.board import Board
from continuo.iot.agent.calls import Calls
from continuo.iot.agent.confinement import Cell
from continuo.iot.agent.confinement.places import overlaps
from continuo.iot.agent.device import Device, now
from continuo.iot.agent.exposing import Exposing
from continuo.iot.agent.files import Store
from continuo.iot.agent.keeping import Keeper, Unwelcome, registered
from continuo.iot.agent.parts import Json, Part
from continuo.iot.agent.plugins.manager import Plugins
from continuo.iot.agent.reporting import Reporter
from continuo.iot.agent.settings import BadSettings, Identity, Settings
from continuo.iot.agent.tunnels import Services
from continuo.iot.agent.workloads import Containers, Processes, Workloads
from continuo.iot.agent.workloads.spec import check_signature

log = logging.getLogger(__name__)


class Agent:
    """One board's agent in this process. `run` ends by being cancelled; True: it shall begin anew."""

    def __init__(self, told: Settings, rng: random.Random | None = None) -> None:
        self._told = told
        self._rng = rng or random.Random()
        self._started = time.monotonic()
        self._restart = asyncio.Event()
        self._lacks: Mapping[str, str] = {}
        self._got: Mapping[str, str] = {}
        self.keeper: Keeper | None = None
        self.board: Board | None = None

    async def run(self) -> bool:
        """Everything, until told to begin anew. Raises BadSettings and Unwelcome."""
        settings.prepare(self._told.home)
        with _Alone(self._told.home):
            place = overlaps(self._told.home, self._told.readable)
            if place is not None:
                raise BadSettings(
                    f"the folder {self._told.home} lies in {place}, which programs on this board may read"
                )
            cell = self._cell()
            try:
                await self._look(cell)
                return await self._until_told(cell)
            finally:
                await cell.close()

    async def _until_told(self, cell: Cell) -> bool:
        """Do the work until it ends, or until told to begin anew."""
        working = asyncio.create_task(self._work(cell))
        restart = asyncio.create_task(self._restart.wait())
        try:
            await asyncio.wait({working, restart}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
            return True
        finally:
            restart.cancel()
            working.cancel()
            await asyncio.gather(working, restart, return_exceptions=True)
            if self.board is not None:
                await self.board.close()

    def restart(self, delay: float) -> None:
        """Begin anew, so many seconds from now."""
        asyncio.get_running_loop().call_later(delay, self._restart.set)

    def report(self) -> dict[str, Any]:
        """What the board has; before it is known who it is, its health alone."""
        if self.board is not None:
            return self.board.report()
        return {"plugins": {}, "health": self._health()}

    def _cell(self) -> Cell:
        told = self._told
        return Cell(
            told.home, name=groups_of(told.home), uids=told.uids, groups=told.groups, devices=told.devices,
            readable=told.readable,
        )  # fmt: skip

    async def _look(self, cell: Cell) -> None:
        """End what was left running, and find out what this machine can confine."""
        left = cell.sweep()
        if left:
            log.warning("ended %d processes that an agent before this one left running", left)
        self._got, self._lacks = await cell.probe()
        for what, why in sorted(self._lacks.items()):
            log.warning("programs on this board are not confined in their %s: %s", what, why)

    async def _work(self, cell: Cell) -> None:
        reporter = Reporter(self.report)
        store = Store(self._told.home / "state")
        who: list[Identity] = []
        known = settings.identity(self._told.home)
        who += [known] if known else []
        plugins = Plugins(
            cell, store, reporter.changed, now, board=lambda: {"uuid": who[0].uuid, "location": who[0].location},
            most=self._told.limits, strict=self._told.strict,
        )  # fmt: skip
        services = Services(reporter.changed, self._told.tls(), known.uuid if known else None)
        parts: dict[str, Part] = {"services": services, **self._parts(cell, reporter.changed, plugins)}
        board = Board(store, plugins, parts, self._health)
        if known:  # the hub need not be there for what should run
            self.board = board
            await board.restore()
        identity = await registered(self._told, self._rng, asyncio.sleep)
        if not known:
            who.append(identity)
            self.board = board
            services.board = identity.uuid
        try:
            await self._follow(board, identity, reporter)
        except Unwelcome:  # nobody may tell this board anything any more, so nothing of what it was told goes on
            await board.forget()
            raise

    async def _follow(self, board: Board, identity: Identity, reporter: Reporter) -> None:
        """Bring about what the hub says, until it removes the board."""
        working = asyncio.create_task(board.work())
        try:
            await self._keep(board, identity, reporter)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _keep(self, board: Board, identity: Identity, reporter: Reporter) -> None:
        machine = Device(self._told.home, self._told.allow, self.restart)
        calls = Calls(board, machine, self._notify)
        calls.methods.update(Exposing(board).methods)
        self.keeper = Keeper(
            identity, self._told.home / "key.pem", self._told.tls(),
            {name: partial(calls.answer, name) for name in calls.methods}, lambda: self._info(identity), reporter,
            rng=self._rng,
        )  # fmt: skip
        await self.keeper.run()

    async def _notify(self, message: Any) -> None:
        if self.keeper is not None:
            await self.keeper.notify(message)

    def _parts(self, cell: Cell, changed: Callable[[], None], plugins: Plugins) -> dict[str, Part]:
        from continuo.iot.agent.networks.ports import Ports, trusting

        ports = Ports(lambda _: changed(), self._told.tls() or trusting(self._told.ca))
        processes = Processes(cell, self._told.strict)
        workloads = Workloads(
            changed,
            self._told.home / "workloads",
            {"process": processes, "container": Containers()},
            lambda: {**plugins.policy.limits, **self._told.limits},
            lambda wanted: check_signature(wanted, plugins.policy.keys, plugins.policy.unsigned),
        )
        return {
            "ports": _Ports(ports),
            "workloads": workloads,
        }

    def _health(self) -> dict[str, Any]:
        return health.health(self._told.home, self._started, {"enforced": self._got, "missing": self._lacks})

    def _info(self, identity: Identity) -> dict[str, Any]:
        """What the hub is told of this agent at each connection."""
        from continuo.iot.agent.networks.tap import permitted

        url = urlsplit(identity.url)
        capabilities = ["desire", "process"]
        if permitted() is None:
            capabilities.append("tap")
        if Containers().there():
            capabilities.append("container")
        if self._got and not self._lacks:
            capabilities.append("confined")
        return {
            "lr_version": "0.5.0",
            "agent": f"continuo/{version('continuo')}",
            "capabilities": capabilities,
            "connectivity": health.connectivity(url.hostname or "", url.port or 443),
        }


def groups_of(home: Path) -> str:
    """What a board's control groups are called: of each folder its own, since a machine may be several boards."""
    return f"continuo-{hashlib.sha256(bytes(home.resolve())).hexdigest()[:12]}"


class _Ports:
    """Ports as a part."""

    def __init__(self, ports: Any) -> None:
        self._ports = ports

    async def set(self, desired: Mapping[str, Json]) -> None:
        await self._ports.set(desired)

    def status(self) -> Mapping[str, Json]:
        state: Mapping[str, Json] = self._ports.state()
        return state

    async def close(self) -> None:
        await self._ports.close()


class _Alone:
    """One agent for each folder: a second one is refused, also while the first one is ending."""

    def __init__(self, home: Path) -> None:
        self._path = home / "lock"

    def __enter__(self) -> None:
        self._file = self._path.open("a")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise BadSettings(f"another agent uses the folder {self._path.parent}; each board has its own") from None

    def __exit__(self, *_: object) -> None:
        self._file.close()


@asynccontextmanager
async def metrics_served(agent: Agent, where: str | None) -> AsyncIterator[None]:
    """`/metrics` and `/healthz` at HOST:PORT while the block runs; nothing when it is None. Raises BadSettings."""
    if where is None:
        yield
        return
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.http11 import Request, Response

    host, _, port = where.rpartition(":")
    if not port.isdecimal() or int(port) > 65535 or host not in ("127.0.0.1", "localhost", "[::1]"):
        raise BadSettings(f"--metrics {where!r}: it is served on this machine alone, as 127.0.0.1:9105")

    def respond(connection: ServerConnection, request: Request) -> Response:
        keeper = agent.keeper
        if request.path == "/healthz":
            return connection.respond(200, "ok\n")
        if request.path == "/metrics":
            online, sessions = (keeper.online, keeper.sessions) if keeper else (False, 0)
            return connection.respond(200, health.metrics(agent.report(), online, sessions))
        return connection.respond(404, "there are /metrics and /healthz\n")

    async def nothing(_: ServerConnection) -> None:
        return

    try:
        server = await serve(nothing, host.strip("[]"), int(port), process_request=respond)
    except OSError as error:
        raise BadSettings(f"--metrics {where}: {error.strerror}; choose another port") from None
    async with server:
        yield


async def serve(told: Settings, metrics: str | None = None) -> None:
    """Run an agent in this process until SIGTERM or SIGINT; begins anew by executing itself."""
    loop = asyncio.get_running_loop()
    agent = Agent(told)
    running = asyncio.create_task(_with_metrics(agent, metrics))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    again = False
    with suppress(asyncio.CancelledError):
        again = await running
    if again:
        log.info("the agent begins anew")
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


async def _with_metrics(agent: Agent, metrics: str | None) -> bool:
    async with metrics_served(agent, metrics):
        return await agent.run()
