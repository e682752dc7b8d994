"""The processes of a data path: pods that answer, callers that measure, relays. Each is told what to do over a socket."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from continuo.testbed.errors import Ended, NotReady, TestbedError
from continuo.testbed.processes import Crew, Process
from continuo.testbed.waiting import until

START_SECONDS, PATIENCE, LONGEST_LINE = 30.0, 60.0, 1 << 26
MODULE = "continuo.testbed.datapath.agent"


class Agent:
    """One process. What it is asked, it does one after the other."""

    def __init__(self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._process, self._reader, self._writer = process, reader, writer
        self._lock = asyncio.Lock()

    async def ask(self, what: str, *, patience: float = PATIENCE, **arguments: object) -> dict[str, Any]:
        """Have it do something; raises TestbedError with what it says, and Ended when it is gone."""
        async with self._lock:
            try:
                self._writer.write(json.dumps({"do": what, **arguments}).encode() + b"\n")
                await self._writer.drain()
                async with asyncio.timeout(patience):
                    line = await self._reader.readline()
            except ConnectionError:
                line = b""
            except TimeoutError as error:
                self._writer.close()
                raise NotReady(f"{self._process.name} did not answer within {patience:g} s") from error
            except BaseException:
                self._writer.close()  # the answer that may still come is to no later question
                raise
        if not line:
            raise Ended(f"{self._process.name} ended: {self._process.last_words()}; see {self._process.log}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise TestbedError(str(answer["error"]))
        return answer

    async def close(self) -> None:
        """Ask no more."""
        self._writer.close()


class Agents:
    """All of them, started when they are needed first."""

    def __init__(self, crew: Crew, folder: Path) -> None:
        self._crew, self._folder = crew, folder
        self._started: dict[str, asyncio.Task[Agent]] = {}

    async def of(self, name: str, enter: Sequence[str] = ()) -> Agent:
        """The process of that name; `enter` is the command that brings it where it belongs."""
        if name not in self._started:
            self._started[name] = asyncio.create_task(self._start(name, enter))
        return await asyncio.shield(self._started[name])

    def pids(self) -> dict[str, int]:
        """Their numbers by name."""
        return self._crew.pids()

    async def close(self) -> None:
        """Let go of all; the crew ends them."""
        for task in self._started.values():
            task.cancel()
        for done in await asyncio.gather(*self._started.values(), return_exceptions=True):
            if isinstance(done, Agent):
                await done.close()

    async def _start(self, name: str, enter: Sequence[str]) -> Agent:
        socket = self._folder / f"{name}.sock"

        async def connected() -> str | None:
            try:
                ends.append(await asyncio.open_unix_connection(str(socket), limit=LONGEST_LINE))
            except OSError as error:
                return str(error)
            return None

        ends: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        process = await self._crew.start(
            name, [*enter, sys.executable, "-m", MODULE, str(socket)], log_file=self._folder / f"{name}.log",
            ready=lambda: until(connected, name, START_SECONDS), restart=False,
        )  # fmt: skip
        return Agent(process, *ends[0])
