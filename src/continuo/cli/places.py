"""Where an engine on this machine keeps its things, and whether it runs."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path


def default_data() -> Path:
    """`$CONTINUO_DATA`, else the user's state folder."""
    named = os.environ.get("CONTINUO_DATA")
    if named:
        return Path(named).expanduser()
    state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    return state / "continuo"


def kubeconfig_path(data: Path) -> Path:
    """The file with one context per cluster of the engine."""
    return data / "kubeconfig"


@dataclass(frozen=True, slots=True)
class Running:
    """A running engine."""

    pid: int
    url: str


def _pid_file(data: Path) -> Path:
    return data / "engine.json"


def write_running(data: Path, running: Running) -> None:
    """Say that an engine runs here."""
    temporary = data / f".engine.{running.pid}"
    temporary.write_text(json.dumps({"pid": running.pid, "url": running.url}), encoding="utf-8")
    temporary.replace(_pid_file(data))


def forget_running(data: Path) -> None:
    _pid_file(data).unlink(missing_ok=True)


def find_running(data: Path) -> Running | None:
    """The engine that runs on that data folder, or None. A file left by a killed one does not count."""
    try:
        said = json.loads(_pid_file(data).read_text(encoding="utf-8"))
        running = Running(int(said["pid"]), str(said["url"]))
    except (OSError, ValueError, KeyError):
        return None
    return running if is_ours(running.pid) else None


def is_ours(pid: int) -> bool:
    """Whether that process is alive and not just a reuse of the number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True  # no procfs here: the signal has to do
    return b"continuo" in command
