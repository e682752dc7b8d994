"""Workloads that are processes: confined as plugins are. They end with the agent, whatever ends it."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from continuo.iot.agent.confinement import Cell, Confinement, Run, Starting
from continuo.iot.agent.workloads.logs import Log
from continuo.iot.agent.workloads.runtime import End, NotStarted, Task

CHUNK = 64 * 1024
RATE = 1024 * 1024
"""Bytes in a second that a workload may print; then it waits."""
GRACE = 5.0
"""Seconds between asking a process to end and ending it."""


@dataclass(slots=True)
class _Process:
    run: Run
    printing: asyncio.Task[None]

    async def wait(self) -> End:
        ended = await self.run.wait()
        await self.printing
        return End(ended.code, ended.sentence())

    async def stop(self) -> None:
        self.run.terminate()
        try:
            async with asyncio.timeout(GRACE):
                await self.run.wait()
        except TimeoutError:
            self.run.kill()
            await self.run.wait()
        await self.printing


@dataclass(frozen=True, slots=True)
class Processes:
    """Implements Runtime."""

    cell: Cell
    strict: bool = False

    async def start(self, task: Task) -> _Process:
        """Start it; raises NotStarted."""
        spec = task.spec
        confinement = Confinement(task.limits, network=spec.network, folder=task.work, strict=self.strict)
        reading, writing = os.pipe()
        try:
            run = await self.cell.start(spec.command, confinement, env=spec.env, stdout=writing)
        except Starting as error:
            os.close(reading)
            raise NotStarted(str(error)) from None
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return _Process(run, asyncio.create_task(printed(reading, task.log)))

    async def adopt(self, _task: Task) -> None:
        """None is left of another agent's time."""
        return

    async def clear(self, _uuid: str) -> None:
        """Nothing is left of what has ended."""
        return


async def printed(descriptor: int, log: Log, rate: float = RATE) -> None:
    """Take what comes out of a pipe until its end, no faster than the rate; what the disk does not take is passed over."""
    reader = asyncio.StreamReader(limit=CHUNK)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", 0)
    )
    try:
        while data := await reader.read(CHUNK):
            try:
                await log.append(data)
            except OSError:
                await asyncio.sleep(1.0)  # the disk is full: the program is held up, not the agent
            await asyncio.sleep(len(data) / rate)
    finally:
        transport.close()
