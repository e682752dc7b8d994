"""The processes of a bed: started with a log each, written down on disk, restarted when they fall, ended in order.

Three things make sure that none outlives the bed, even when this process is killed: the kernel ends the children with
their parent (where `setpriv` is there), every child is written down with its start time, and every child carries a mark.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from continuo.testbed.errors import Ended
from continuo.testbed.processtable import MARK, start_time

log = logging.getLogger(__name__)

GRACE = 8.0
_LONGEST_WORDS = 400
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0

STORES, SERVERS, CLIENTS = 0, 1, 2
"""Ranks: those of a higher one are ended first, because they speak to those of a lower one."""


@dataclass(slots=True)
class Process:
    """One program that is kept running."""

    name: str
    argv: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    rank: int
    child: asyncio.subprocess.Process | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while it does not run."""
    code: int | None = None

    @property
    def pid(self) -> int:
        """Its number, which is its process group's too; 0 before its first start."""
        return self.child.pid if self.child is not None else 0

    def last_words(self) -> str:
        """The end of its log, for a message."""
        try:
            text = self.log.read_bytes()[-4000:].decode(errors="replace")
        except OSError:
            return "it left no log"
        words = text.strip().rpartition("\n")[2].strip()
        if len(words) > _LONGEST_WORDS:
            return f"...{words[-_LONGEST_WORDS:]}"
        return words or "its log is empty"


class Crew:
    """All processes of one bed."""

    def __init__(self, bed: str, folder: Path) -> None:
        self.bed, self._records = bed, folder / "processes.jsonl"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._processes: dict[str, Process] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._leash = _leash()

    async def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log_file: Path,
        environment: Mapping[str, str] | None = None,
        rank: int = CLIENTS,
        ready: Callable[[], Awaitable[None]] | None = None,
        restart: bool = True,
    ) -> Process:
        """Start a program and wait until `ready` returns; from then on it is started again when it ends.

        Raises Ended with the end of its log when it ends before it is ready, and whatever `ready` raises.
        """
        if name in self._processes:
            raise ValueError(f"{name} runs already in bed {self.bed}")
        log_file.parent.mkdir(parents=True, exist_ok=True)
        process = Process(name, argv, log_file, {**os.environ, **(environment or {}), MARK: self.bed}, rank)
        self._processes[name] = process
        child = await self._spawn(process)
        keeper = asyncio.create_task(self._keep(process, child, restart), name=f"keep {name}")
        self._keepers[name] = keeper
        if ready is not None:
            await _first(ready(), process)
        return process

    def pids(self) -> dict[str, int]:
        """The numbers of all programs that are kept running, by name."""
        return {name: process.pid for name, process in self._processes.items()}

    async def end(self, name: str) -> None:
        """End one program for good."""
        process, keeper = self._processes.pop(name, None), self._keepers.pop(name, None)
        if process is not None and keeper is not None:
            await _end(process, keeper)

    async def stop(self) -> None:
        """End all programs, clients before servers before stores."""
        for rank in sorted({process.rank for process in self._processes.values()}, reverse=True):
            names = [name for name, process in self._processes.items() if process.rank == rank]
            await asyncio.gather(*(self.end(name) for name in names))
        self._records.unlink(missing_ok=True)

    async def _spawn(self, process: Process) -> asyncio.subprocess.Process:
        with process.log.open("ab") as output:
            child = await asyncio.create_subprocess_exec(
                *self._leash, *process.argv, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                env=dict(process.environment), start_new_session=True,
            )  # fmt: skip
        process.child, process.code = child, None
        process.ended.clear()
        record = {"pid": child.pid, "started": start_time(child.pid), "name": process.name}
        with self._records.open("a", encoding="utf-8") as records:
            records.write(json.dumps(record) + "\n")
        return child

    async def _keep(self, process: Process, child: asyncio.subprocess.Process, restart: bool) -> None:
        pause = _FIRST_PAUSE
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            process.code = await child.wait()
            process.ended.set()
            _signal(process.pid, signal.SIGKILL)  # whatever it started and left
            if not restart:
                return
            log.warning(
                "%s ended with code %s: %s; see %s", process.name, process.code, process.last_words(), process.log
            )
            pause = _FIRST_PAUSE if loop.time() - began > _LONGEST_PAUSE else pause
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            child = await self._spawn(process)


async def _first(ready: Awaitable[None], process: Process) -> None:
    """Wait for `ready`, unless the process ends first."""
    waiting = asyncio.ensure_future(ready)
    ending = asyncio.ensure_future(process.ended.wait())
    try:
        await asyncio.wait({waiting, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise Ended(f"{process.name} ended with code {process.code}: {process.last_words()}; see {process.log}")
        waiting.result()
    finally:
        for task in (waiting, ending):
            task.cancel()
        await asyncio.gather(waiting, ending, return_exceptions=True)


async def _end(process: Process, keeper: asyncio.Task[None]) -> None:
    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)
    child = process.child
    if child is None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal(child.pid, number)
        with suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), GRACE)
            break
    _signal(child.pid, signal.SIGKILL)  # members of its group that outlived it


def _signal(group: int, number: signal.Signals) -> None:
    """To the whole group: `nsenter` and the like pass no signals on to what they run."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _leash() -> tuple[str, ...]:
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()
