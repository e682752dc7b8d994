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

from continuo.iot.agent.confinement import cgroups

PERIOD = 10_000
"""Microseconds in which a machine has its share once: a tenth of the usual, so that nobody stands still for long."""


class NoMachines(Exception):
    """This user may give no quota of a core to anybody here."""


class Machine:
    """One control group with a quota."""

    def __init__(self, folder: Path, share: float, *, unified: bool) -> None:
        self._folder = folder
        folder.mkdir()
        quota = str(int(share * PERIOD))
        if unified:
            (folder / "cpu.max").write_text(f"{quota} {PERIOD}", encoding="ascii")
        else:
            (folder / "cpu.cfs_period_us").write_text(str(PERIOD), encoding="ascii")
            (folder / "cpu.cfs_quota_us").write_text(quota, encoding="ascii")

    def host(self, *pids: int) -> None:
        """These processes run here from now on."""
        for pid in pids:
            (self._folder / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def close(self) -> None:
        """Let go of everybody; their processes run where this one did before."""
        for pid in (self._folder / "cgroup.procs").read_text(encoding="ascii").split():
            (self._folder.parent.parent / "cgroup.procs").write_text(pid, encoding="ascii")
        self._folder.rmdir()


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def machines(names: Iterable[str], share: float) -> Iterator[dict[str, Machine]]:
    """Machines by name, each with that share of a core; raises NoMachines."""
    groups = _groups()
    made: dict[str, Machine] = {}
    try:
        for name in names:
            made[name] = Machine(groups.bases["cpu"] / name, share, unified=groups.unified)
        yield made
    finally:
        for machine in made.values():
            machine.close()
        for base in set(groups.bases.values()):
            base.rmdir()


def _groups() -> cgroups.Groups:
    """Where there may be groups with a quota."""
    mounts, own = (Path(f"/proc/self/{name}").read_text(encoding="utf-8") for name in ("mounts", "cgroup"))
    groups = cgroups.find(f"continuo-{secrets.token_hex(3)}", mounts, own)
    if "cpu" not in groups.bases:
        for base in set(groups.bases.values()):
            base.rmdir()
        raise NoMachines("control groups with a CPU quota are needed, and this user may make none here")
    return groups
