"""A file system of one's own: a new root that has the named paths read-only, a few devices, a work folder, nothing else."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable

from continuo.iot.agent.inside import system

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
WORK = "/run/work"
_MOUNT_SETATTR, _AT_FDCWD, _RECURSIVE = 442, -100, 0x8000
_READ_ONLY = struct.pack("QQQQ", 1 | 2 | 4, 0, 0, 0)  # read-only, no set-user-id, no devices


def enter(
    stage: str, readable: Iterable[str], devices: Iterable[str], folder: str | None, size: int, owner: tuple[int, int]
) -> None:
    """Make that root at `stage` (an empty folder) and go there; the old one is gone for whoever comes after.

    The work folder is `folder`, or else memory of at most `size` bytes that ends with the mount namespace.
    """
    system.mount("none", "/", None, system.MS_REC | system.MS_PRIVATE)
    system.mount("continuo", stage, "tmpfs", system.MS_NOSUID | system.MS_NODEV, "size=1m,nr_inodes=4096,mode=0755")
    for path in sorted(set(readable)):
        _show(stage, path)
    for device in (*DEVICES, *devices):
        _bind(stage, device)
    _proc(stage)
    _work(stage, folder, size, owner)
    old = f"{stage}/.old"
    os.mkdir(old)
    system.pivot_root(stage, old)
    os.chdir("/")
    system.detach("/.old")
    os.rmdir("/.old")
    system.mount(
        "none", "/", None, system.MS_REMOUNT | system.MS_BIND | system.MS_RDONLY | system.MS_NOSUID | system.MS_NODEV
    )


def _show(stage: str, path: str) -> None:
    """A path of the old root, read-only, with everything that is mounted below it; a link stays a link."""
    if os.path.islink(path):
        os.makedirs(os.path.dirname(stage + path), exist_ok=True)
        if not os.path.lexists(stage + path):
            os.symlink(os.readlink(path), stage + path)
        return
    if os.path.exists(path) and not os.path.exists(stage + path):
        _bind(stage, path)
        system.syscall("read-only", _MOUNT_SETATTR, _AT_FDCWD, (stage + path).encode(), _RECURSIVE, _READ_ONLY, 32)


def _bind(stage: str, path: str) -> None:
    if not os.path.exists(path):
        return
    target = stage + path
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    system.mount(path, target, None, system.MS_BIND | system.MS_REC)


def _proc(stage: str) -> None:
    """Its own processes; inside of containers that is forbidden at times, and then there is no /proc."""
    os.mkdir(f"{stage}/proc")
    try:
        system.mount("proc", f"{stage}/proc", "proc", system.MS_NOSUID | system.MS_NODEV | system.MS_NOEXEC)
    except OSError:
        return
    os.symlink("/proc/self/fd", f"{stage}/dev/fd")


def _work(stage: str, folder: str | None, size: int, owner: tuple[int, int]) -> None:
    work = stage + WORK
    os.makedirs(work)
    if folder is None:
        what = f"size={size},nr_inodes=16384,mode=0700,uid={owner[0]},gid={owner[1]}"
        system.mount("work", work, "tmpfs", system.MS_NOSUID | system.MS_NODEV, what)
    else:
        system.mount(folder, work, None, system.MS_BIND)
    temporary = f"{work}/tmp"
    os.makedirs(temporary, 0o700, exist_ok=True)
    os.chown(temporary, *owner)
    if not os.path.lexists(f"{stage}/tmp"):  # else something readable lies in there
        os.symlink(temporary.removeprefix(stage), f"{stage}/tmp")
