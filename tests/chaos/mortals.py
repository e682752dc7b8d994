"""Processes that are killed at random moments, and start anew each time: forks of a nursery, such as market_nursery.py."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path


class Nursery:
    """Starts processes in milliseconds, and buries them."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._one = asyncio.Lock()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @classmethod
    async def open(cls, program: str = "market_nursery.py") -> Nursery:
        pipe = asyncio.subprocess.PIPE
        program = str(Path(__file__).with_name(program))
        return cls(await asyncio.create_subprocess_exec(sys.executable, program, stdin=pipe, stdout=pipe))

    async def ask(self, *words: object) -> int:
        assert self._process.stdin is not None and self._process.stdout is not None
        async with self._one:
            self._process.stdin.write(json.dumps(words).encode() + b"\n")
            await self._process.stdin.drain()
            return int(await self._process.stdout.readline())

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


class Mortal:
    """One command that lives again and again.

    A life ends after a random number of changes in the cluster that it works on, at most `span`: half of them before the
    write that made the change is answered, the others a little later, wherever it is by then.
    """

    def __init__(
        self, nursery: Nursery, command: str, name: str, arguments: Sequence[str], folder: Path, *,
        rng: random.Random, span: int,
    ) -> None:  # fmt: skip
        self.name, self.log = name, folder / f"{name}.log"
        self.up = asyncio.Event()
        """Set while it says that it works."""
        self.armed = False
        """Whether it may be killed now."""
        self.ends_with: int | None = None
        """The exit code with which it may end by itself."""
        self.allowed = self.kills = self.at_writes = 0
        self._nursery, self._command, self._arguments = nursery, command, list(arguments)
        self._rng, self._span = rng, span
        self._pipe = folder / f"{name}.ready"
        os.mkfifo(self._pipe)
        self._reads = os.open(self._pipe, os.O_RDWR | os.O_NONBLOCK)
        self._pid = self._left = 0
        self._ending = self._spoke = False
        self._died = asyncio.Event()
        self._living: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Its process now; 0 between two lives."""
        return self._pid

    async def start(self) -> None:
        """Let it live from now on; returns when it works."""
        asyncio.get_running_loop().add_reader(self._reads, self._said)
        self._living = asyncio.create_task(self._live(), name=self.name)
        await self.wait_up()

    async def wait_up(self) -> None:
        """Return when it works. Raises AssertionError with the end of its log where it does not begin to."""
        assert self._living is not None and not self._living.done(), f"{self.name} is no more: {self.tail()}"
        try:
            async with asyncio.timeout(30):
                await self.up.wait()
        except TimeoutError:
            raise AssertionError(f"{self.name} does not work: {self.tail()}") from None

    def tail(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:])

    def saw(self) -> None:
        """There was a change in its cluster: perhaps the last one that it lived to see."""
        if not self.armed or not self._pid or self.kills >= self.allowed or self._left <= 0:
            return
        self._left -= 1
        if self._left:
            return
        if self._rng.random() < 0.5:
            self.at_writes += 1
            self._kill(self._pid)
        else:
            asyncio.get_running_loop().call_later(self._rng.uniform(0.0, 0.04), self._later, self._pid)

    async def stop(self) -> None:
        """End it for good. Raises AssertionError if it ended by itself before."""
        self.armed, self._ending = False, True
        if self._living is not None:
            if self._pid:
                self._kill(self._pid)
            try:
                await self._living
            finally:
                asyncio.get_running_loop().remove_reader(self._reads)
        os.close(self._reads)

    async def _live(self) -> None:
        while not self._ending:
            self._left = self._rng.randint(1, self._span)
            self._died.clear()
            self._spoke = False
            self._pid = pid = await self._nursery.ask(
                "live", self._command, self._arguments, str(self.log), str(self._pipe)
            )
            if self._spoke:  # it may work before it is known who it is
                self.up.set()
            if self._ending:
                self._kill(pid)
            await self._died.wait()
            await self._bury(pid)

    def kill(self) -> bool:
        """End this life now, beside those that chance ends; whether there was one."""
        if not (self.armed and self._pid):
            return False
        self.allowed += 1
        self._kill(self._pid)
        return True

    def _later(self, pid: int) -> None:
        if self.armed:
            self._kill(pid)

    def _kill(self, pid: int) -> None:
        if self._pid != pid:
            return  # it has died already
        os.kill(pid, signal.SIGKILL)
        self._pid = 0
        self.kills += 1
        self.up.clear()
        self._died.set()

    async def _bury(self, pid: int) -> None:
        code = await self._nursery.ask("bury", pid)
        assert code in (-signal.SIGKILL, self.ends_with), f"{self.name} ended by itself ({code}): {self.tail()}"
        while self._read():  # what it said before it died
            pass
        self.up.clear()

    def _said(self) -> None:
        if self._read():
            self._spoke = True
            if self._pid:
                self.up.set()

    def _read(self) -> bytes:
        try:
            return os.read(self._reads, 512)
        except BlockingIOError:
            return b""
