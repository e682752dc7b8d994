"""A seccomp filter: no system calls that no plugin needs and through which machines were taken over, no foreign sockets."""

from __future__ import annotations

import struct
from collections.abc import Iterable

_ERRNO = 0x00050000
_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_EPERM = 1
_ENOSYS = 38
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06

# ptrace mount umount2 swapon swapoff reboot sethostname setdomainname init_module delete_module quotactl kexec_load
# add_key request_key keyctl unshare perf_event_open name_to_handle_at open_by_handle_at setns process_vm_readv/writev
# finit_module bpf userfaultfd kexec_file_load pivot_root chroot acct settimeofday clock_settime clock_adjtime adjtimex
# io_uring_setup/enter/register and the newer calls of mounting
_NEWER = (*range(425, 434), 442)
_FORBIDDEN = {
    "x86_64": (101, 155, 159, 161, 163, 164, 165, 166, 167, 168, 169, 170, 171, 172, 173, 175, 176, 179, 227, 246, 248,
               249, 250, 272, 298, 303, 304, 305, 308, 310, 311, 313, 320, 321, 323, *_NEWER),
    "aarch64": (39, 40, 41, 51, 60, 89, 97, 104, 105, 106, 112, 117, 142, 161, 162, 170, 171, 217, 218, 219, 224, 225,
                241, 264, 265, 266, 268, 270, 271, 273, 280, 282, 294, *_NEWER),
}  # fmt: skip
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SOCKET = {"x86_64": 41, "aarch64": 198}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
_NAMESPACES = 0x7E020000
_X32 = 0x40000000
_LOCAL = 1  # AF_UNIX


def program(machine: str, network: bool) -> bytes | None:
    """The filter for a machine as packed instructions; None where its system calls are not known here."""
    if machine not in _FORBIDDEN:
        return None
    lines = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _ARCHITECTURE[machine]), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    if machine == "x86_64":
        lines += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    for number in _FORBIDDEN[machine]:
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    # clone3 keeps its flags where a filter cannot look, so that the C library falls back to clone
    lines += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    lines += [(_EQUAL, 0, 4, _CLONE[machine]), (_LOAD, 0, 0, 16), (_ANY_BIT, 0, 1, _NAMESPACES)]
    lines += [(_RETURN, 0, 0, _ERRNO | _EPERM), (_RETURN, 0, 0, _ALLOW)]
    lines += _sockets(machine, network)
    lines.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", *line) for line in lines)


def _sockets(machine: str, network: bool) -> Iterable[tuple[int, int, int, int]]:
    """Without a network only local sockets; with one also IPv4 and IPv6, and no raw kinds of families."""
    allowed = (_LOCAL, 2, 10, 16) if network else (_LOCAL,)
    yield (_EQUAL, 0, len(allowed) + 3, _SOCKET[machine])
    yield (_LOAD, 0, 0, 16)
    for place, family in enumerate(allowed):
        yield (_EQUAL, len(allowed) - place, 0, family)
    yield (_RETURN, 0, 0, _ERRNO | _EPERM)
    yield (_RETURN, 0, 0, _ALLOW)
