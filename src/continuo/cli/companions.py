"""Processes that run beside an engine on its data folder, and end with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from continuo.cli import places
from continuo.cli.failures import Failed


@dataclass(frozen=True, slots=True)
class Starting:
    """A process that was started, and is not ready yet."""

    name: str
    pid: int
    log: Path
    _child: subprocess.Popen[bytes]
    _pipe: int

    def ready(self) -> int:
        """Wait until it says that it works; its process. Raises Failed with the end of its log when it ends before."""
        with os.fdopen(self._pipe, "rb") as pipe:
            said = pipe.read(5)
        if said != b"ready":
            code = self._child.wait()
            end = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
            raise Failed(f"the {self.name} did not start (exit code {code}): {' / '.join(end)}; see {self.log}")
        return self.pid


def start_companion(data: Path, name: str, arguments: Sequence[str]) -> int:
    """Run a `continuo` command in the background until `continuo down`; returns when it says that it is ready.

    The command takes `--ready-fd`. Raises Failed with the end of its log when it ends before.
    """
    return begin_companion(data, name, arguments).ready()


def begin_companion(
    data: Path, name: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> Starting:
    """The same without waiting, so that several may start at a time. `environment`: what it gets besides ours."""
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "continuo.cli.main", *arguments, "--ready-fd", str(writing)]
    log_path = data / f"{name}.log"
    try:
        with log_path.open("ab") as log:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[writing], start_new_session=True,
                env={**os.environ, "CONTINUO_DATA": str(data), **(environment or {})},
            )  # fmt: skip
    finally:
        os.close(writing)
    remember(data, name, child.pid)
    return Starting(name, child.pid, log_path, child, reading)


def say_ready(descriptor: int | None) -> None:
    """Tell whoever waits for this process that it works."""
    if descriptor is not None:
        try:
            os.write(descriptor, b"ready")
        except BrokenPipeError:
            return  # nobody waits any more
        finally:
            os.close(descriptor)


def stop_companions(data: Path, timeout: float) -> list[str]:
    """End all of them; returns the names of those that ran."""
    from continuo.cli.up import stop_engine

    stopped = []
    for name, pid in reversed(known(data).items()):
        if places.is_ours(pid):
            stop_engine(pid, timeout)
            stopped.append(name)
    _file(data).unlink(missing_ok=True)
    return stopped


def remember(data: Path, name: str, pid: int) -> None:
    """That process ends with the engine, too. Its command line has to have `continuo` in it."""
    _remember(data, {**known(data), name: pid})


def _file(data: Path) -> Path:
    return data / "companions.json"


def known(data: Path) -> dict[str, int]:
    """Those that were started and not stopped, in that order: name and process."""
    try:
        found = json.loads(_file(data).read_text(encoding="utf-8"))
        return {str(name): int(pid) for name, pid in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _remember(data: Path, pids: dict[str, int]) -> None:
    temporary = data / f".companions.{os.getpid()}"
    temporary.write_text(json.dumps(pids), encoding="utf-8")
    temporary.replace(_file(data))
