"""Workloads that are containers, of whichever engine this board has. They outlive the agent, whose next life finds them."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from continuo.iot.agent.confinement.watching import measure
from continuo.iot.agent.workloads.commands import Failed, NoEngine
from continuo.iot.agent.workloads.ctr import Ctr
from continuo.iot.agent.workloads.docker import Docker
from continuo.iot.agent.workloads.runtime import End, NotStarted, Task

log = logging.getLogger(__name__)

PROGRAMS = ("podman", "nerdctl", "docker", "ctr")
"""In this order."""
EVERY = 2.0
"""Seconds between two looks at how much a container's folder takes."""


class Engine(Protocol):
    """What containers are run by."""

    async def check(self) -> None:
        """Raises Failed where it does not work."""

    async def run(self, task: Task) -> None:
        """Begin a container with the task's label as its name; raises NotStarted."""

    async def state(self, name: str) -> str | None:
        """`created`, `running`, `exited`; None: there is none."""

    async def wait(self, name: str) -> int:
        """Its exit code, when it has ended."""

    async def printing(self, task: Task, anew: bool) -> None:
        """Bring what it prints into the task's log until it has ended. Not `anew`: what is there already is passed by."""

    async def remove(self, name: str) -> None:
        """End it, and let there be none; nothing where there is none."""

    async def names(self, uuid: str) -> list[str]:
        """The containers of a workload."""


@dataclass(slots=True)
class _Container:
    engine: Engine
    task: Task
    printing: asyncio.Task[None]
    _why: str = ""

    async def wait(self) -> End:
        watching = asyncio.create_task(self._watch())
        try:
            code = await self.engine.wait(self.task.label)
            await self.printing
        except Failed as error:
            raise OSError(str(error)) from None
        finally:  # also where the agent ends and the container goes on
            for task in (watching, self.printing):
                task.cancel()
            await asyncio.gather(watching, self.printing, return_exceptions=True)
        await self.engine.remove(self.task.label)
        return End(code, self._why or f"it ended with exit code {code}")

    async def _watch(self) -> None:
        most = self.task.limits.files
        while True:
            size, _ = await asyncio.to_thread(measure, self.task.work, most)
            if size > most:
                self._why = f"its files took more than the {most} bytes that they may"
                with suppress(Failed):
                    await self.engine.remove(self.task.label)
            await asyncio.sleep(EVERY)

    async def stop(self) -> None:
        self.printing.cancel()
        await self.engine.remove(self.task.label)


@dataclass(slots=True)
class Containers:
    """Implements Runtime."""

    find: Callable[[str], str | None] = shutil.which
    _engine: Engine | None = None
    _finding: asyncio.Lock = field(default_factory=asyncio.Lock)

    def there(self) -> bool:
        """Whether the program of an engine is there; it may still not work."""
        return any(self.find(name) is not None for name in PROGRAMS)

    async def engine(self) -> Engine:
        """The first that works; raises NoEngine with what to install."""
        async with self._finding:
            if self._engine is not None:
                return self._engine
            told = []
            for name in PROGRAMS:
                if (program := self.find(name)) is None:
                    continue
                engine: Engine = Ctr(program) if name == "ctr" else Docker(program)
                try:
                    await engine.check()
                except Failed as error:
                    told.append(f"{name} does not work: {error}")
                    continue
                self._engine = engine
                return engine
            if not told and self.find("runc") is not None:
                told.append("runc is there, but fetches no images")
            raise NoEngine("; ".join(told))

    async def start(self, task: Task) -> _Container:
        """Begin it; raises NotStarted."""
        try:
            engine = await self.engine()
        except NoEngine as error:
            raise NotStarted(str(error)) from None
        try:
            await engine.remove(task.label)
            await engine.run(task)
        except Failed as error:
            raise NotStarted(str(error), "Pending") from None
        return _Container(engine, task, asyncio.create_task(self._print(engine, task, True)))

    async def adopt(self, task: Task) -> _Container | None:
        """One that an earlier agent began."""
        engine = await self._there()
        try:
            state = await engine.state(task.label)
            if state == "created":
                await engine.remove(task.label)
                raise NotStarted("")
        except Failed as error:
            raise OSError(str(error)) from None
        if state is None:
            return None
        return _Container(engine, task, asyncio.create_task(self._print(engine, task, False)))

    async def clear(self, uuid: str) -> None:
        """Remove all of its containers. Raises OSError where the engine does not answer."""
        engine = await self._there()
        try:
            for name in await engine.names(uuid):
                await engine.remove(name)
        except Failed as error:
            raise OSError(str(error)) from None

    async def _there(self) -> Engine:
        try:
            return await self.engine()
        except NoEngine as error:
            raise OSError(str(error)) from None

    async def _print(self, engine: Engine, task: Task, anew: bool) -> None:
        try:
            await engine.printing(task, anew)
        except (Failed, OSError) as error:
            log.warning("workload %s: its output is not read: %s", task.uuid, error)
