"""Processes that place for one event loop: what takes long must hold up neither leases nor watches nor answers.

Small jobs are done at once where they are asked for, since the way to a process and back costs more. Of the others each has
a process for itself while it runs; who goes away takes the process along. The result is the same on either way.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
from types import TracebackType
from typing import Any, Self

import msgspec

from continuo.placement.jobs import Job
from continuo.placement.worker import HEAD, framed

log = logging.getLogger(__name__)

PROCESSES = 2
INLINE = 25.0
"""Milliseconds: so long the loop may be held up by a job (a process that runs already costs about five)."""
LONGEST = 120.0
"""Seconds of one job; a placement of 2,048 components takes three."""
IDLE = 60.0
"""Seconds after which a process without a job is ended."""
TRIES = 2
"""A process may be ended by whoever needs its memory; if the next one ends as well, it is the job's fault."""


class Failed(Exception):
    """A job was not done; the sentence says why."""


class Busy(Exception):
    """All processes have a job, and the asker did not want to wait."""


class Pool:
    """A bounded number of processes, started when they are needed."""

    def __init__(
        self, processes: int = PROCESSES, *, inline: float = INLINE, longest: float = LONGEST, idle: float = IDLE,
        command: tuple[str, ...] = (sys.executable, "-P", "-m", "continuo.placement.worker"),
    ) -> None:  # fmt: skip
        self._inline, self._longest, self._idle, self._command = inline, longest, idle, command
        self._free = asyncio.Semaphore(processes)
        self._resting: list[_Child] = []
        self._children: set[_Child] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def inline(self, job: Job) -> bool:
        """Whether a job is so small that it is done at once."""
        return job.milliseconds() <= self._inline

    @property
    def running(self) -> int:
        """How many processes there are."""
        return len(self._children)

    @property
    def busy(self) -> bool:
        """Whether all that there may be have a job."""
        return self._free.locked()

    async def run(self, job: Job, *, wait: bool = True) -> Any:
        """The job's result (`job.result`).

        Raises:
            Busy: it needs a process, none is free, and `wait` is false.
            Failed: it was not done in time, its process ended twice, or it failed itself.
        """
        if self.inline(job):
            await _loaded()
            return job.do()
        if not wait and self.busy:
            raise Busy
        async with self._free:
            for left in reversed(range(TRIES)):
                try:
                    return await self._once(job)
                except EOFError as error:
                    if not left:
                        raise Failed(f"the process that places {error} ({TRIES} times)") from None
                    log.warning("the process that places %s; once more", error)
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """End all processes; whoever waits for a job is told so."""
        self._closed = True
        children, self._resting = list(self._children), []
        await asyncio.gather(*(self._end(child) for child in children))

    async def _once(self, job: Job) -> Any:
        child = await self._child()
        if child is None:
            await _loaded()
            return await asyncio.to_thread(job.do)
        fine = False
        try:
            async with asyncio.timeout(self._longest):
                text = await child.ask(msgspec.json.encode(job))
            fine = True
        except TimeoutError:
            raise Failed(f"a placement did not end within {self._longest:g} s") from None
        finally:
            if not fine:
                await self._end(child)
        self._rest(child)
        if text[:1] != b"+":
            raise Failed(f"a placement failed: {text[1:].decode(errors='replace')}")
        return msgspec.json.decode(text[1:], type=job.result)

    async def _child(self) -> _Child | None:
        """A process for one job; none where none can be started."""
        if self._closed:
            raise Failed("nothing is placed any more: what places is being stopped")
        while self._resting:
            child = self._resting.pop()
            child.awake()
            if child.alive:
                return child
            await self._end(child)
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe)
        except OSError as error:
            log.warning("cannot start %s (%s): what is placed now holds others up", self._command[0], error.strerror)
            return None
        child = _Child(process)
        self._children.add(child)
        return child

    def _rest(self, child: _Child) -> None:
        """Keep a process for the next job, for a while."""
        self._resting.append(child)
        child.bed = asyncio.get_running_loop().call_later(self._idle, self._tired, child)

    def _tired(self, child: _Child) -> None:
        self._resting.remove(child)
        child.ending = asyncio.ensure_future(self._end(child))

    async def _end(self, child: _Child) -> None:
        child.awake()
        child.kill()
        await child.process.wait()
        self._children.discard(child)


class _Child:
    """One process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.bed: asyncio.TimerHandle | None = None
        self.ending: asyncio.Future[None] | None = None

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    def kill(self) -> None:
        if self.alive:
            self.process.kill()

    def awake(self) -> None:
        if self.bed is not None:
            self.bed.cancel()
            self.bed = None

    async def ask(self, text: bytes) -> bytes:
        """What it answers; raises EOFError where it ended instead, with the rest of a sentence."""
        into, out = self.process.stdin, self.process.stdout
        if into is None or out is None:
            raise EOFError("has no pipes")
        try:
            into.write(framed(text))
            await into.drain()
            size = int.from_bytes(await out.readexactly(HEAD), "big")
            return await out.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            code = await self.process.wait()
            raise EOFError(f"ended with code {code}") from None


async def _loaded() -> None:
    """What jobs count with, without holding up the loop while it is loaded for the first time."""
    if "continuo.placement.solving" not in sys.modules:
        await asyncio.to_thread(importlib.import_module, "continuo.placement.solving")


async def done(job: Job, pool: Pool | None) -> Any:
    """A job's result from a pool, or else from a thread."""
    return await pool.run(job) if pool is not None else await asyncio.to_thread(job.do)
