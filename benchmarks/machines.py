"""Machines of a bounded speed on one computer: processes that share a part of a core, and take nothing from others.

Clusters are far from each other and have CPUs of their own. Where all of them run on one computer, what one does slows the
others down; with a quota for each (control groups, of either version) it does not.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
PERIOD = 10_000
"""Microseconds in which a machine has its share once."""


class Machine:
    """One control group with a quota."""

    def __init__(self, folder: Path, share: float) -> None:
        self._folder = folder
        folder.mkdir()
        quota = str(int(share * PERIOD))
        if (folder / "cpu.max").exists():
            (folder / "cpu.max").write_text(f"{quota} {PERIOD}", encoding="ascii")
        else:
            (folder / "cpu.cfs_period_us").write_text(str(PERIOD), encoding="ascii")
            (folder / "cpu.cfs_quota_us").write_text(quota, encoding="ascii")

    def host(self, *pids: int) -> None:
        """These processes run here from now on."""
        for pid in pids:
            (self._folder / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def close(self) -> None:
        """Let go of everybody; their processes run where they did before."""
        for pid in (self._folder / "cgroup.procs").read_text(encoding="ascii").split():
            (self._folder.parent / "cgroup.procs").write_text(pid, encoding="ascii")
        self._folder.rmdir()


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def machines(names: Iterable[str], share: float) -> Iterator[dict[str, Machine]]:
    """Machines by name, each with that share of a core; raises OSError where this user may have none."""
    parent, mark = _parent(), secrets.token_hex(3)
    made: dict[str, Machine] = {}
    try:
        for name in names:
            made[name] = Machine(parent / f"continuo-{mark}-{name}", share)
        yield made
    finally:
        for machine in made.values():
            machine.close()


def _parent() -> Path:
    """The group below which there may be others with a quota."""
    if (_ROOT / "cpu" / "cpu.cfs_quota_us").exists() or (_ROOT / "cpu" / "cgroup.procs").exists():
        return _ROOT / "cpu"
    own = Path("/proc/self/cgroup").read_text(encoding="ascii").strip().rpartition("::")[2]
    here = _ROOT / own.lstrip("/")
    if "cpu" not in (here / "cgroup.subtree_control").read_text(encoding="ascii").split():
        (here / "cgroup.subtree_control").write_text("+cpu", encoding="ascii")
    return here
