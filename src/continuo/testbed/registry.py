"""The beds of this machine, each with an identity that everything it makes carries in its name.

It is not kept with a bed's data, which may be gone or elsewhere: the next start must find what a killed one left.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from continuo.testbed.credentials import write_private
from continuo.testbed.errors import TestbedError
from continuo.testbed.processtable import same, start_time

_FILE = "bed.json"


def default_root(environ: Mapping[str, str] = os.environ, uid: int | None = None) -> Path:
    """Where beds are registered. A short path, because sockets are kept there too."""
    if (os.getuid() if uid is None else uid) == 0:
        return Path("/run/continuo")
    runtime = environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "continuo" if runtime else Path("~/.cache/continuo/run").expanduser()


@dataclass(frozen=True, slots=True)
class Registered:
    """One bed that was started and has not said that it ended."""

    id: str
    folder: Path
    """For what must not outlive it: sockets, the list of its processes."""
    data: Path
    pid: int
    started: str

    @property
    def alive(self) -> bool:
        """Whether the process that started it still runs."""
        return same(self.pid, self.started)

    @property
    def scratch(self) -> Path:
        """For what is large and must not outlive it: containers. /run is often in memory, and hidden from nodes."""
        return Path("/var/tmp") / f"continuo-{self.id}"

    @property
    def namespace_prefix(self) -> str:
        """How its network namespaces' names begin."""
        return f"continuo-{self.id}-"

    @property
    def link_prefix(self) -> str:
        """How its interfaces' names begin; they may have 15 characters."""
        return f"ct{self.id}"

    @property
    def cgroup(self) -> str:
        """The name of its control groups."""
        return f"continuo-{self.id}"

    def forget(self) -> None:
        """It ended, and nothing of it is left."""
        shutil.rmtree(self.folder, ignore_errors=True)


def register(root: Path, data: Path, wanted: str | None = None) -> Registered:
    """Register a bed of this process under its identity of last time, or a new one."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    identity = wanted or secrets.token_hex(2)
    pid = os.getpid()
    started = start_time(pid)
    if started is None:
        raise TestbedError("this system does not tell when a process started; a testbed needs /proc or ps")
    building = root / f".{identity}-{pid}"
    building.mkdir(mode=0o700)
    write_private(building / _FILE, json.dumps({"pid": pid, "started": started, "data": str(data)}))
    folder = root / identity
    try:
        building.rename(folder)
    except OSError as error:
        shutil.rmtree(building)
        if wanted is None:
            return register(root, data)
        raise TestbedError(f"a testbed with the identity {identity} runs already; stop it first") from error
    return Registered(identity, folder, data, pid, started)


def registered(root: Path) -> Iterator[Registered]:
    """All beds that are registered, dead ones too."""
    for folder in sorted(root.glob("[!.]*")):
        try:
            said = json.loads((folder / _FILE).read_text(encoding="utf-8"))
            yield Registered(folder.name, folder, Path(said["data"]), int(said["pid"]), str(said["started"]))
        except (OSError, ValueError, KeyError):
            continue  # ended at this moment
