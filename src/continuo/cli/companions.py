"""Processes that run beside an engine on its data folder, and end with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from continuo.cli import places
from continuo.cli.failures import Failed


def start_companion(data: Path, name: str, arguments: Sequence[str]) -> int:
    """Run a `continuo` command in the background until `continuo down`; returns when it says that it is ready.

    The command takes `--ready-fd`. Raises Failed with the end of its log when it ends before.
    """
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "continuo.cli.main", *arguments, "--ready-fd", str(writing)]
    log_path = data / f"{name}.log"
    environment = {**os.environ, "CONTINUO_DATA": str(data)}
    with log_path.open("ab") as log:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[writing], start_new_session=True,
            env=environment,
        )  # fmt: skip
    _remember(data, {**_known(data), name: child.pid})
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        ready = pipe.read(5)
    if ready != b"ready":
        code = child.wait()
        end = log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        raise Failed(f"the {name} did not start (exit code {code}): {' / '.join(end)}; see {log_path}")
    return child.pid


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
    for name, pid in reversed(_known(data).items()):
        if places.is_ours(pid):
            stop_engine(pid, timeout)
            stopped.append(name)
    _file(data).unlink(missing_ok=True)
    return stopped


def _file(data: Path) -> Path:
    return data / "companions.json"


def _known(data: Path) -> dict[str, int]:
    try:
        found = json.loads(_file(data).read_text(encoding="utf-8"))
        return {str(name): int(pid) for name, pid in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _remember(data: Path, pids: dict[str, int]) -> None:
    temporary = data / f".companions.{os.getpid()}"
    temporary.write_text(json.dumps(pids), encoding="utf-8")
    temporary.replace(_file(data))
