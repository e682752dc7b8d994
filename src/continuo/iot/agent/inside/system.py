"""The system calls that Python has no functions for: namespaces, mounts, prctl, Landlock. Each raises OSError."""

from __future__ import annotations

import ctypes
import os
import platform

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)
MACHINE = platform.machine()
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}.get(MACHINE, -1)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(what: str, number: int, *arguments: int | bytes | ctypes.c_void_p | None) -> int:
    """Any system call by its number."""
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *words), what)


def unshare(flags: int) -> None:
    """Have namespaces of one's own."""
    _checked(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str | None, flags: int = 0, data: str | None = None) -> None:
    """Mount a file system, or change a mount."""
    _checked(
        _libc.mount(
            source.encode(), target.encode(), kind and kind.encode(), ctypes.c_ulong(flags), data and data.encode()
        ),
        f"mount {target}",
    )


def detach(target: str) -> None:
    """Unmount lazily, with what is mounted below."""
    _checked(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    """Make another mount the root."""
    syscall("pivot_root", PIVOT_ROOT, new.encode(), old.encode())


def prctl(option: int, value: int = 0) -> None:
    """Change something of this process, by one number."""
    _checked(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl {option}")


def drop_bounding_set() -> None:
    """No program that is executed from here on can have a capability; nothing where one has none to give."""
    for capability in range(64):
        if _libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) < 0:
            return


def set_filter(program: bytes) -> None:
    """Install a seccomp filter: struct sock_filter[], packed."""
    instructions = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    told = Program(len(program) // 8, ctypes.addressof(instructions))
    _checked(_libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(2), ctypes.byref(told), 0, 0), "seccomp")
