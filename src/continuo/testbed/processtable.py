"""The operating system's processes: which are alive, which are the same as before, which belong to a bed.

A number alone names no process, because numbers are used again; number and start time together do.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

PROC = Path("/proc")
MARK = "CONTINUO_BED"
"""Every process of a bed has this environment variable, and hands it on to whatever it starts."""


def start_time(pid: int) -> str | None:
    """When a process started, in whatever unit the system counts; None when there is no such process."""
    if PROC.joinpath("self").exists():
        return _from_proc(pid)
    asked = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or None


def _from_proc(pid: int) -> str | None:
    try:
        stat = PROC.joinpath(str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the program's name in brackets and may hold anything, brackets too.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def same(pid: int, started: str) -> bool:
    """Whether that very process is still alive."""
    return start_time(pid) == started


def marked(bed: str) -> Iterator[int]:
    """The processes that carry a bed's mark in their environment (Linux; elsewhere none are found)."""
    wanted = f"{MARK}={bed}".encode()
    for pid in _all():
        try:
            environment = PROC.joinpath(str(pid), "environ").read_bytes()
        except OSError:
            continue  # ended meanwhile, or somebody else's
        if wanted in environment.split(b"\0") and start_time(pid) is not None:
            yield pid


def within(namespaces: Iterable[Path]) -> Iterator[int]:
    """The processes inside any of those network namespaces."""
    inodes = set()
    for path in namespaces:
        try:
            inodes.add(path.stat().st_ino)
        except OSError:
            continue
    if not inodes:
        return
    for pid in _all():
        try:
            inode = PROC.joinpath(str(pid), "ns", "net").stat().st_ino
        except OSError:
            continue
        if inode in inodes:
            yield pid


def _all() -> Iterator[int]:
    try:
        entries = [path.name for path in PROC.iterdir()]
    except OSError:
        return
    own = os.getpid()
    yield from (int(entry) for entry in entries if entry.isdigit() and int(entry) != own)
