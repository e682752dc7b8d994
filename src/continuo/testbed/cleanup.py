"""Removing what a bed leaves: processes, mounts, network namespaces, interfaces, control groups, folders.

The same code ends a bed that stops and one that was killed; it goes by names and marks only, so it needs no memory.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from continuo.testbed.commands import run
from continuo.testbed.errors import TestbedError
from continuo.testbed.processtable import marked, same, start_time, within
from continuo.testbed.registry import Registered, registered

log = logging.getLogger(__name__)

_PATIENCE = 10.0
NAMESPACES = Path("/run/netns")
CGROUPS = Path("/sys/fs/cgroup")


async def sweep(root: Path) -> list[str]:
    """Remove everything of the beds whose process is gone; returns their identities."""
    dead = [bed for bed in registered(root) if not bed.alive]
    for bed in dead:
        log.info("cleaning up after the testbed %s of %s, which was killed", bed.id, bed.data)
        await remove(bed)
    return [bed.id for bed in dead]


async def remove(bed: Registered) -> None:
    """End and remove everything that carries the bed's name; raises TestbedError when something stays."""
    await _end_processes(bed)
    if os.getuid() == 0:
        for point in mounts_under(bed.folder, bed.scratch):
            await run("umount", "-l", point, check=False)
        await _remove_network(bed)
        _remove_cgroups(bed)
        shutil.rmtree(bed.scratch, ignore_errors=True)
    bed.forget()


async def _end_processes(bed: Registered) -> None:
    pause = 0.01
    try:
        async with asyncio.timeout(_PATIENCE):
            while found := set(processes_of(bed)):
                for pid in found:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 0.2)
    except TimeoutError as error:
        left = ", ".join(str(pid) for pid in sorted(set(processes_of(bed))))
        raise TestbedError(f"processes {left} of the testbed {bed.id} cannot be ended") from error


def processes_of(bed: Registered) -> Iterator[int]:
    """The living processes of a bed: those written down, those marked, those in its namespaces and control groups."""
    yield from _recorded(bed.folder / "processes.jsonl")
    yield from marked(bed.id)
    if os.getuid() == 0:
        yield from (pid for pid in within(namespaces_of(bed)) if start_time(pid) is not None)
        for group in cgroups_of(bed):
            yield from _members(group)


def _recorded(records: Path) -> Iterator[int]:
    try:
        lines = records.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue  # killed while it wrote this line: the mark finds that process
        if record["started"] is not None and same(record["pid"], record["started"]):
            yield int(record["pid"])


def namespaces_of(bed: Registered) -> list[Path]:
    """Its network namespaces."""
    return sorted(NAMESPACES.glob(f"{bed.namespace_prefix}*"))


def links_of(bed: Registered) -> list[str]:
    """Its interfaces in this namespace."""
    return sorted(path.name for path in Path("/sys/class/net").glob(f"{bed.link_prefix}*"))


def cgroups_of(bed: Registered) -> list[Path]:
    """Its control groups with everything below, deepest first; in every hierarchy that is mounted."""
    tops = [CGROUPS / bed.cgroup, *CGROUPS.glob(f"*/{bed.cgroup}")]
    found = {Path(folder) for top in tops for folder, _, _ in os.walk(top)}
    return sorted(found, key=lambda path: len(path.parts), reverse=True)


def mounts_under(*folders: Path) -> list[str]:
    """The mount points below folders, deepest first."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    points = [line.split(" ")[1].replace("\\040", " ") for line in lines]
    inside = [point for point in points if any(Path(point).is_relative_to(folder) for folder in folders)]
    return sorted(inside, key=len, reverse=True)


def _members(group: Path) -> Iterator[int]:
    with suppress(OSError, ValueError):
        for line in group.joinpath("cgroup.procs").read_text(encoding="utf-8").split():
            pid = int(line)
            if pid != os.getpid() and start_time(pid) is not None:
                yield pid


async def _remove_network(bed: Registered) -> None:
    for path in namespaces_of(bed):
        await run("ip", "netns", "delete", path.name, check=False)
    for link in links_of(bed):
        await run("ip", "link", "delete", link, check=False)  # one end of a pair takes the other with it


def _remove_cgroups(bed: Registered) -> None:
    for group in cgroups_of(bed):
        with suppress(OSError):
            group.rmdir()
