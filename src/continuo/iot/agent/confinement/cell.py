"""Start programs confined and wait for their end: the only place where the agent starts processes of others."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import continuo
from continuo.iot.agent.confinement import cgroups
from continuo.iot.agent.confinement.limits import Confinement
from continuo.iot.agent.confinement.places import readable
from continuo.iot.agent.confinement.watching import watch

log = logging.getLogger(__name__)

EVERYTHING = ("user", "files", "disk", "processes", "network", "memory", "tasks", "cpu", "calls")
"""What a strict policy demands; `network` only where it is not granted."""
STARTING = 20.0
"""Seconds until a program has started or been refused."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PACKAGES = str(Path(continuo.__file__).resolve().parent.parent)
_LAUNCH = f"import sys; sys.path.insert(0, {_PACKAGES!r}); from continuo.iot.agent.inside.launch import main; main()"


class Starting(Exception):
    """The program was not started, in a sentence."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: its exit code, or the signal that killed it; `reason` where the agent or a limit did."""

    code: int | None
    signal: int | None = None
    reason: str | None = None

    def sentence(self) -> str:
        """For people."""
        if self.reason:
            return self.reason
        if self.signal is not None:
            name = signal.Signals(self.signal).name if self.signal in set(signal.Signals) else str(self.signal)
            return f"it was killed by {name}"
        return f"it ended with exit code {self.code}"


@dataclass(slots=True)
class Run:
    """A program that runs."""

    process: asyncio.subprocess.Process
    got: Mapping[str, str]
    lacks: Mapping[str, str]
    group: cgroups.Group
    slot: int
    work: str
    """Its work folder as it sees it."""
    _reason: str | None = None
    _ended: asyncio.Future[Ended] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    async def wait(self) -> Ended:
        """Its end, for any number of askers."""
        return await asyncio.shield(self._ended)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return not self._ended.done()

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        if self.process.returncode is None:
            self.process.terminate()

    def kill(self, reason: str | None = None) -> None:
        """End it and everything that it has started."""
        if self.alive and self._reason is None:
            self._reason = reason
        if self.process.returncode is None:
            self.process.kill()

    def release(self) -> None:
        """It has ended, and nobody reads what is left in its pipes."""
        transport = getattr(
            self.process, "_transport", None
        )  # asyncio lets go of a process only once its pipes are read
        if transport is not None:
            transport.close()


class Cell:
    """Where programs run on this board: which users, groups and places there are for them."""

    def __init__(
        self,
        home: Path,
        *,
        uids: tuple[int, int] | None = (70_000, 70_999),
        groups: Sequence[int] = (),
        devices: Sequence[str] = (),
        readable: tuple[str, ...] = (),
        name: str = "continuo-agent",
        without: frozenset[str] = frozenset(),
    ) -> None:
        self._home = home
        self._uids = uids if os.geteuid() == 0 else None
        self._groups_of_users = list(groups)
        self._devices = list(devices)
        self._readable = readable
        self._without = sorted(without)
        self._groups = cgroups.Groups() if "cgroups" in without else _groups(name)
        self._busy: set[int] = set()
        self._runs: dict[int, Run] = {}
        self._ends: set[asyncio.Task[None]] = set()

    def sweep(self) -> int:
        """End what an agent before this one left running; how many processes that were."""
        ended = 0
        for group in self._groups.left():
            for process in group.processes() - {os.getpid()}:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(process, signal.SIGKILL)
                    ended += 1
            group.remove()
        shutil.rmtree(self._home / "work", ignore_errors=True)
        return ended

    async def close(self) -> None:
        """End what runs still, and give back all that it had: folders, control groups."""
        for run in self._runs.values():
            run.kill("its agent was stopped")
        while self._ends:
            await asyncio.gather(*self._ends, return_exceptions=True)
        self._groups.tidy()

    async def probe(self) -> tuple[dict[str, str], dict[str, str]]:
        """What this machine enforces (by what) and what not (why not): found by confining a program that does nothing."""
        try:
            run = await self.start([sys.executable, "-I", "-S", "-c", ""], Confinement(), required=())
        except Starting as refused:
            return {}, {"programs": str(refused)}
        await run.wait()
        return dict(run.got), dict(run.lacks)

    async def start(
        self,
        argv: Sequence[str],
        confinement: Confinement,
        *,
        env: Mapping[str, str] | None = None,
        keep: Sequence[int] = (),
        stdin: int = asyncio.subprocess.DEVNULL,
        stdout: int = asyncio.subprocess.DEVNULL,
        required: Sequence[str] | None = None,
    ) -> Run:
        """Start a program; `keep` are descriptors that it inherits, `stdout` takes its errors too. Raises Starting."""
        slot = self._slot()
        limits = confinement.limits
        group = self._groups.make(f"run-{os.getpid()}-{slot}", limits)
        try:
            told = self._told(argv, confinement, env or {}, keep, slot, group, required)
            process, status = await self._spawn(told, keep, stdin, stdout)
        except BaseException:
            self._free(slot, group)
            raise
        run = self._runs[slot] = Run(process, {}, {}, group, slot, "")
        try:
            async with asyncio.timeout(STARTING):
                end = await self._started(run, status)
        except BaseException as error:
            run.kill()
            if isinstance(error, asyncio.CancelledError):
                self._background(self._finish(run, status, {}))
                raise
            await self._finish(run, status, {})
            run.release()
            if isinstance(error, TimeoutError):
                raise Starting(f"the program was not confined within {STARTING:.0f} s") from None
            raise
        self._background(self._finish(run, status, end))
        if run.got.get("disk") == "watched":
            watching = asyncio.create_task(watch(run, Path(told["folder"] or told["fallback"]), limits.files))
            run._ended.add_done_callback(lambda _: watching.cancel())
        if limits.time is not None:
            handle = asyncio.get_running_loop().call_later(
                limits.time, run.kill, f"it ran longer than the {limits.time:g} s that it may"
            )
            run._ended.add_done_callback(lambda _: handle.cancel())
        return run

    async def _spawn(
        self, told: dict[str, Any], keep: Sequence[int], stdin: int, stdout: int
    ) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader]:
        """The launcher, told over a pipe; its reports come over another."""
        spec = os.memfd_create("spec", 0)
        os.write(spec, json.dumps(told).encode())
        os.lseek(spec, 0, os.SEEK_SET)
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", "-c", _LAUNCH, str(spec), str(writing),
                stdin=stdin, stdout=stdout, stderr=asyncio.subprocess.STDOUT if stdout != asyncio.subprocess.DEVNULL
                else asyncio.subprocess.DEVNULL,
                pass_fds=(spec, writing, *keep), start_new_session=True, cwd="/", env={"PATH": _PATH, "LANG": "C.UTF-8"},
            )  # fmt: skip
        except OSError as error:
            os.close(reading)
            raise Starting(f"no process could be started: {error.strerror}") from error
        finally:
            os.close(spec)
            os.close(writing)
        return process, await reader(reading)

    async def _started(self, run: Run, status: asyncio.StreamReader) -> dict[str, Any]:
        """Until the program runs; what was told of its end already. Raises Starting where it is refused."""
        while line := await status.readline():
            told = json.loads(line)
            if "refused" in told:
                raise Starting(told["refused"])
            if "exit" in told or "signal" in told:
                return dict(told)
            run.got, run.lacks = told["got"], told["lacks"]
            run.work = told.get("work", "")
            if run.work:
                return {}
        raise Starting("the program was ended while it was being confined" + _why(run.group))

    async def _finish(self, run: Run, status: asyncio.StreamReader, end: dict[str, Any]) -> None:
        """Wait for the end of all of its processes, and give back what it had."""
        refused = None
        while line := await status.readline():
            told = json.loads(line)
            end = told if "exit" in told or "signal" in told else end
            refused = told.get("refused", refused)
        await run.process.wait()
        reason = run._reason or refused
        if reason is None and run.group.killed_for_memory():
            reason = "it used more memory than it may"
        code = end.get("exit")
        if not run._ended.done():
            run._ended.set_result(Ended(code, None if code is not None else end.get("signal", 9), reason))
        await asyncio.to_thread(shutil.rmtree, self._own_folder(run.slot), ignore_errors=True)
        for _try in range(50):
            if run.group.remove():
                break
            for process in run.group.processes():
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            await asyncio.sleep(0.02)
        self._runs.pop(run.slot, None)
        self._busy.discard(run.slot)
        if not self._busy:
            self._groups.tidy()

    def _told(
        self, argv: Sequence[str], confinement: Confinement, env: Mapping[str, str], keep: Sequence[int], slot: int,
        group: cgroups.Group, required: Sequence[str] | None,
    ) -> dict[str, Any]:  # fmt: skip
        limits = confinement.limits
        uid = None if self._uids is None else self._uids[0] + slot
        if required is None:
            required = EVERYTHING if confinement.strict else ("files",)
        if confinement.network:
            required = tuple(name for name in required if name != "network")
        return {
            "argv": list(argv), "env": {"PATH": _PATH, "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "2", **env},
            "keep": list(keep), "uid": uid, "groups": self._groups_of_users,
            "limits": {"memory": limits.memory, "processes": limits.processes, "open_files": limits.open_files,
                       "file_size": limits.files, "cpu_seconds": confinement.cpu_seconds},
            "network": confinement.network, "disk": limits.files, "nice": 5, "devices": self._devices,
            "folder": self._own(confinement.folder, uid), "fallback": str(self._fallback(slot, confinement, uid)),
            "stage": str(self._stage()), "readable": readable((*self._readable, *confinement.readable)),
            "cgroups": group.joining(), "require": list(required), "without": self._without,
        }  # fmt: skip

    def _stage(self) -> Path:
        stage = self._home / "root"
        stage.mkdir(mode=0o700, exist_ok=True)
        return stage

    def _fallback(self, slot: int, confinement: Confinement, uid: int | None) -> Path:
        """A folder on disk for where no file system of its own can be made."""
        folder = confinement.folder or self._own_folder(slot)
        if confinement.folder is None:  # what the one before left there is nobody's
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._own(folder, uid)
        return folder

    def _own_folder(self, slot: int) -> Path:
        return self._home / "work" / str(slot)

    def _own(self, folder: Path | None, uid: int | None) -> str | None:
        if folder is not None and uid is not None:
            os.chown(folder, uid, uid)
        return None if folder is None else str(folder)

    def _slot(self) -> int:
        most = 1000 if self._uids is None else self._uids[1] - self._uids[0] + 1
        for slot in range(most):
            if slot not in self._busy:
                self._busy.add(slot)
                return slot
        raise Starting(f"{most} programs run already; more users are given to programs by `uids` in the settings")

    def _free(self, slot: int, group: cgroups.Group) -> None:
        group.remove()
        shutil.rmtree(self._own_folder(slot), ignore_errors=True)
        self._busy.discard(slot)

    def _background(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)


def _why(group: cgroups.Group) -> str:
    return ": it has too little memory to start" if group.killed_for_memory() else ""


def _groups(name: str, read: Callable[[str], str] = lambda path: Path(path).read_text()) -> cgroups.Groups:
    try:
        return cgroups.find(name, read("/proc/self/mounts"), read("/proc/self/cgroup"))
    except OSError:
        return cgroups.Groups()


async def reader(descriptor: int, limit: int = 1 << 16) -> asyncio.StreamReader:
    """A pipe's reading end as a stream."""
    stream = asyncio.StreamReader(limit)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(descriptor, "rb", 0)
    )
    return stream
