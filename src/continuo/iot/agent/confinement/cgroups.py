"""A control group for each program, where the agent may make one: version 1 or 2 of the kernel's files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from continuo.iot.agent.confinement.limits import Limits

PERIOD = 100_000
"""Microseconds within which a share of a core is counted."""


@dataclass(frozen=True, slots=True)
class Group:
    """One program's groups: by what they limit (`memory`, `tasks`, `cpu`), their folders."""

    folders: Mapping[str, Path]

    def joining(self) -> list[tuple[str, str]]:
        """What each limits, and the file by whose writing a process joins."""
        return [(what, str(folder / "cgroup.procs")) for what, folder in self.folders.items()]

    def killed_for_memory(self) -> bool:
        """Whether the kernel has killed in it because its memory was used up."""
        folder = self.folders.get("memory")
        if folder is None:
            return False
        for name in ("memory.events", "memory.oom_control"):
            with suppress(OSError):
                for line in (folder / name).read_text().splitlines():
                    if line.startswith("oom_kill ") and line.split()[1] != "0":
                        return True
        return False

    def processes(self) -> set[int]:
        """Who is in it now."""
        found: set[int] = set()
        for folder in self.folders.values():
            with suppress(OSError):
                found |= {int(line) for line in (folder / "cgroup.procs").read_text().split()}
        return found

    def remove(self) -> bool:
        """Remove it; False where somebody is in it still."""
        gone = True
        for folder in set(self.folders.values()):
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                gone = False
        return gone


@dataclass(frozen=True, slots=True)
class Groups:
    """Where groups can be made: by what they limit, the folder to make them in."""

    bases: Mapping[str, Path] = field(default_factory=dict)
    unified: bool = False

    def make(self, name: str, limits: Limits) -> Group:
        """A group for one program; what cannot be made is left out, and then the program's report says so."""
        made: dict[str, Path] = {}
        for what, base in self.bases.items():
            folder = base / name
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                for file, text in _texts(what, limits, self.unified):
                    if (folder / file).exists() or not file.endswith(".max"):
                        (folder / file).write_text(text)
                made[what] = folder
        return Group(made)

    def tidy(self) -> None:
        """Leave nothing behind where nothing runs; in version 2 the folder holds what is handed down, and stays."""
        for base in () if self.unified else set(self.bases.values()):
            with suppress(OSError):
                base.rmdir()

    def left(self) -> list[Group]:
        """Groups of an agent before this one."""
        names = {child.name for base in set(self.bases.values()) if base.is_dir() for child in base.iterdir()
                 if child.is_dir()}  # fmt: skip
        return [Group({what: base / name for what, base in self.bases.items()}) for name in sorted(names)]


def _texts(what: str, limits: Limits, unified: bool) -> list[tuple[str, str]]:
    """What to write into which file."""
    quota = str(max(1000, int(limits.cpu * PERIOD)))
    if unified:
        return {
            "memory": [("memory.max", str(limits.memory)), ("memory.swap.max", "0")],
            "tasks": [("pids.max", str(limits.processes))],
            "cpu": [("cpu.max", f"{quota} {PERIOD}")],
        }[what]
    return {
        "memory": [("memory.limit_in_bytes", str(limits.memory))],
        "tasks": [("pids.max", str(limits.processes))],
        "cpu": [("cpu.cfs_period_us", str(PERIOD)), ("cpu.cfs_quota_us", quota)],
    }[what]


_CONTROLLERS = {"memory": "memory", "tasks": "pids", "cpu": "cpu"}


def find(name: str, mounts: str, own: str) -> Groups:
    """Where groups can be made below this process's own, by the texts of /proc/self/mounts and /proc/self/cgroup."""
    places = dict(_own_places(own))
    bases: dict[str, Path] = {}
    for line in mounts.splitlines():
        _source, where, kind, options = line.split(" ")[:4]
        if kind != "cgroup":
            continue
        for what, controller in _CONTROLLERS.items():
            if controller in options.split(",") and controller in places:
                bases[what] = _below(Path(where), places[controller]) / name
    if bases:
        return Groups({what: base for what, base in bases.items() if _usable(base)})
    return _unified(name, mounts, places.get("", "/"))


def _own_places(own: str) -> list[tuple[str, str]]:
    """By controller (empty: version 2), the group that this process is in."""
    found = []
    for line in own.splitlines():
        _number, controllers, place = line.split(":", 2)
        found += [(controller, place) for controller in controllers.split(",")]
    return found


def _below(mount: Path, place: str) -> Path:
    """The group's folder; within a container the mount may begin at it."""
    folder = mount / place.lstrip("/")
    return folder if folder.is_dir() else mount


def _usable(base: Path) -> bool:
    try:
        base.mkdir(exist_ok=True)
    except OSError:
        return False
    return os.access(base, os.W_OK)


def _unified(name: str, mounts: str, place: str) -> Groups:
    """Version 2: a group's limits are there once its parent hands the controllers down."""
    for line in mounts.splitlines():
        _source, where, kind, *_ = line.split(" ")
        if kind != "cgroup2":
            continue
        base = _below(Path(where), place) / name
        if not _usable(base):
            continue
        handed = {what for what, controller in _CONTROLLERS.items() if _hand_down(base, controller)}
        return Groups({what: base for what in sorted(handed)}, unified=True)
    return Groups()


def _hand_down(base: Path, controller: str) -> bool:
    try:
        for folder in (base.parent, base):
            control = folder / "cgroup.subtree_control"
            if controller not in control.read_text().split():
                control.write_text(f"+{controller}")
    except OSError:
        return False
    return True
