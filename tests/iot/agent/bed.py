"""Plugins to test with, and agents as processes of their own beside a hub's router with a book in memory."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent
from typing import Any

from continuo.iot.hub.wamp import Router
from continuo.iot.wire import Message
from iot.hub.wamp.peer import Book

UUID = "b0a2d000-0000-4000-8000-000000000001"
HEAD = """from iotronic_lightningrod.modules.plugins import Plugin
from oslo_log import log as logging

LOG = logging.getLogger(__name__)


class Worker(Plugin.Plugin):
    def __init__(self, uuid, name, q_result=None, params=None):
        super(Worker, self).__init__(uuid, name, q_result, params)

    def run(self):
"""
LOOP = "import time\nwhile self._is_running:\n    time.sleep(0.01)"


def source(body: str) -> str:
    """A plugin in Lightning-rod's format whose `run` is this."""
    return HEAD + indent(body, " " * 8) + "\n"


@dataclass
class Hub:
    """A router that can be stopped and come back at its port, and the agents that were started."""

    home: Path
    book: Book = field(default_factory=lambda: Book({"CODE": UUID}))
    router: Router | None = None
    port: int = 0
    _stop: Any = None
    agents: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def start(self) -> None:
        self.router = Router(self.book)
        self._stop = self.router.serve("127.0.0.1", self.port, None)
        self.port = await self._stop.__aenter__()

    async def stop(self) -> None:
        if self.router is not None:
            self.router = None
            await self._stop.__aexit__(None, None, None)

    async def agent(self, *options: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "continuo.iot.agent", "--home", str(self.home), "--hub", f"ws://127.0.0.1:{self.port}",
            *options, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self.agents.append(process)
        return process

    async def kill(self, process: asyncio.subprocess.Process, number: int = signal.SIGKILL) -> None:
        os.kill(process.pid, number)
        await process.communicate()

    async def call(self, method: str, *arguments: Any) -> Message:
        assert self.router is not None
        return await self.router.call(UUID, method, *arguments, timeout=30)

    async def online(self) -> None:
        """Until it is, and was told what it shall have, as a hub does with each that comes."""
        await self.book.until(lambda: self.router is not None and self.router.session(UUID) is not None)
        if UUID in self.book.wanted:
            await self.call("Desire", self.book.wanted[UUID])

    def report(self) -> dict[str, Any]:
        """The last one."""
        return next((what[2] for what in reversed(self.book.heard) if what[0] == "reported"), {})

    async def reported(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        await self.book.until(lambda: bool(self.report()) and true(self.report()))
        return self.report()


@asynccontextmanager
async def hub(home: Path) -> AsyncIterator[Hub]:
    here = Hub(home)
    await here.start()
    try:
        yield here
    finally:
        for process in here.agents:
            if process.returncode is None:
                process.kill()
                await process.communicate()
        await here.stop()


def wanted(**plugins: dict[str, Any]) -> dict[str, Any]:
    """A desired state with these plugins, of anybody."""
    return {"policy": {"unsigned": True}, "plugins": plugins, "services": {}, "ports": {}, "workloads": {}}
