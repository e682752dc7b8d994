"""Many boards in one process, to see what a hub does with a thousand of them.

What is real: each has its own key, its own session over its own connection, takes its whole desired state and reports what it
has. What is not: nothing is run. What shall run is said to run, a job to have ended; a call is answered by a function here.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from continuo.iot.agent import settings
from continuo.iot.agent.calls import success
from continuo.iot.agent.device import now
from continuo.iot.agent.keeping import Keeper, registered
from continuo.iot.agent.plugins import spec
from continuo.iot.agent.plugins.spec import NotAllowed, Plugin
from continuo.iot.agent.reporting import Reporter
from continuo.iot.agent.settings import Settings
from continuo.iot.wire import Message, Outcome

Answer = Callable[[Plugin, Mapping[str, Any]], Any]


def echo(plugin: Plugin, parameters: Mapping[str, Any]) -> Any:
    """What a call is answered where nothing else was said: which code it would have been, and its parameters."""
    return {"hash": plugin.hash, "parameters": dict(parameters)}


@dataclass
class Simulated:
    """One board that runs nothing."""

    told: Settings
    answer: Answer = echo
    rng: random.Random = field(default_factory=random.Random)
    desires: int = 0
    injected: int = 0
    """How often a plugin's code came that was not there."""
    keeper: Keeper | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it was online."""
    _plugins: dict[str, Plugin] = field(default_factory=dict)
    _refused: dict[str, str] = field(default_factory=dict)
    _workloads: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def run(self, tls: ssl.SSLContext | None) -> None:
        """Until cancelled; raises Unwelcome where the hub does not know it."""
        await asyncio.to_thread(settings.prepare, self.told.home)
        identity = await registered(self.told, self.rng, asyncio.sleep)
        reporter = Reporter(self.report)
        methods: dict[str, Callable[..., Message]] = {
            "Desire": self._desire, "PluginInject": self._inject, "PluginRemove": self._remove, "PluginStart": self._start,
            "PluginStop": self._stop, "PluginCall": self._call, "PluginStatus": self._status, "DevicePing": self._ping,
            "DeviceFactoryReset": self._reset,
        }  # fmt: skip
        answers = {name: partial(self._answered, method, reporter.changed) for name, method in methods.items()}
        self.keeper = Keeper(
            identity, self.told.home / "key.pem", tls, answers,
            lambda: {
                "lr_version": "0.5.0", "agent": "continuo/simulated", "capabilities": ["desire", "process"],
                "connectivity": {},
            },
            reporter, rng=self.rng, arrived=self.arrived,
        )  # fmt: skip
        await self.keeper.run()

    def report(self) -> dict[str, Any]:
        """What it says that it has."""
        plugins = {
            uuid: {"state": plugin.state, "hash": plugin.hash, "message": "simulated", "since": ""}
            for uuid, plugin in self._plugins.items()
        }
        refused = {
            uuid: {"state": "refused", "hash": "", "message": why, "since": ""} for uuid, why in self._refused.items()
        }
        return {
            "plugins": {**plugins, **refused},
            "services": {},
            "ports": {},
            "workloads": self._workloads,
            "health": {},
        }

    async def _answered(self, method: Callable[..., Message], changed: Callable[[], None], *arguments: Any) -> str:
        request, *rest = arguments or ({},)
        try:
            message = method(*rest)
        except (NotAllowed, LookupError, TypeError, ValueError) as error:
            message = Message(str(error), Outcome.ERROR)
        changed()
        identity = request.get("uuid") if isinstance(request, Mapping) else None
        return Message(message.message, message.result, identity).encode()

    def _desire(self, said: Mapping[str, Any]) -> Message:
        self.desires += 1
        wanted = dict(said.get("plugins", {}))
        for uuid in self._plugins.keys() - wanted.keys():
            del self._plugins[uuid]
        self._refused = {}
        self._workloads = {uuid: _ran(workload) for uuid, workload in said.get("workloads", {}).items()}
        for uuid, plugin in wanted.items():
            try:
                self._have(uuid, spec.read(uuid, plugin))
            except NotAllowed as refused:
                self._refused[uuid] = str(refused)
        return success("the board works on it")

    def _have(self, uuid: str, plugin: Plugin) -> bool:
        before = self._plugins.get(uuid)
        self.injected += before is None or before.hash != plugin.hash
        self._plugins[uuid] = plugin
        return before is not None

    def _inject(self, plugin: Mapping[str, Any], onboot: bool = False) -> Message:
        there = self._have(*spec.from_iotronic(plugin, onboot))
        return success(f"PluginInject result: {'UPDATED' if there else 'INJECTED'}")

    def _remove(self, uuid: str) -> Message:
        self._plugins.pop(uuid, None)
        return success(f"PluginRemove result: {uuid} removed!")

    def _start(self, uuid: str, _parameters: Any = None) -> Message:
        self._set(uuid, "running")
        return success("STARTED")

    def _stop(self, uuid: str, _parameters: Any = None) -> Message:
        self._set(uuid, "injected")
        return success("STOPPED")

    def _set(self, uuid: str, state: str) -> None:
        self._plugins[uuid] = msgspec.structs.replace(self._one(uuid), state=state)

    def _call(self, uuid: str, parameters: Any = None) -> Message:
        return success(self.answer(self._one(uuid), parameters or {}))

    def _status(self, uuid: str) -> Message:
        running = uuid in self._plugins and self._plugins[uuid].state == "running"
        return success("ALIVE" if running else "DEAD")

    def _ping(self, *_parameters: Any) -> Message:
        return success(f"{self.told.home.name} @ {now()}")

    def _reset(self, *_parameters: Any) -> Message:
        self._plugins, self._workloads = {}, {}
        return success("the board forgets this hub")

    def _one(self, uuid: str) -> Plugin:
        if uuid not in self._plugins:
            raise LookupError(f"there is no plugin {uuid} on this board")
        return self._plugins[uuid]


def _ran(workload: Mapping[str, Any]) -> dict[str, Any]:
    job = workload.get("job", False) is not False
    said = {"phase": "Succeeded" if job else "Running", "generation": workload.get("generation"), "restarts": 0}
    return {**said, "message": "simulated", "exitCode": 0 if job else None}


@dataclass
class Crowd:
    """Many of them: `codes` are one for each board; its folders are made below `home`."""

    home: Path
    url: str
    codes: tuple[str, ...]
    ca: Path | None = None
    answer: Answer = echo
    seed: int = 0
    joining: int = 50
    """How many come at a time."""
    boards: list[Simulated] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> None:
        """All of them, and until each is online."""
        tls = Settings(self.home, self.url, ca=self.ca).tls()
        turn = asyncio.Semaphore(self.joining)
        for number, code in enumerate(self.codes):
            told = Settings(self.home / f"board-{number:05}", self.url, code, ca=self.ca)
            self.boards.append(Simulated(told, self.answer, random.Random(f"{self.seed}/{number}")))
        await asyncio.gather(*(self._begin(board, tls, turn) for board in self.boards))

    async def _begin(self, board: Simulated, tls: ssl.SSLContext | None, turn: asyncio.Semaphore) -> None:
        async with turn:
            task = asyncio.create_task(board.run(tls))
            self._tasks.append(task)
            arrived = asyncio.create_task(board.arrived.wait())
            await asyncio.wait({task, arrived}, return_when=asyncio.FIRST_COMPLETED)
            if not arrived.done():
                arrived.cancel()
                task.result()

    def online(self) -> int:
        """How many have a session now."""
        return sum(1 for board in self.boards if board.keeper is not None and board.keeper.online)

    async def stop(self) -> None:
        """All of them end."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
