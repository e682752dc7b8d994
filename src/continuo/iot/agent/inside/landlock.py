"""Landlock: which files a process may touch, whether it may use TCP, and that it signals nobody outside of its domain.

It needs no privilege and cannot be undone; older kernels know less of it, and `restrict` says what it got.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable

from continuo.iot.agent.inside import system

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_EXECUTE, _WRITE, _READ, _LIST = 1, 2, 4, 8
_ON_FILES = _EXECUTE | _WRITE | _READ | 1 << 14 | 1 << 15  # and truncate, ioctl on devices
_KNOWN = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP = 3  # bind, connect
_SCOPES = 3  # abstract sockets, signals


def version() -> int:
    """What the kernel knows of Landlock; 0: nothing."""
    try:
        return system.syscall("landlock", _CREATE, None, 0, 1)
    except OSError:
        return 0


def restrict(readable: Iterable[str], writable: Iterable[str], tcp: bool) -> frozenset[str]:
    """Let this process and its children read (and execute) and write only below these paths.

    Returns what is enforced now: of `files`, `tcp`, `signals`. A path that is not there is left out.
    """
    known = version()
    if not known:
        return frozenset()
    handled = _KNOWN[min(known, 5)]
    net = _TCP if known >= 4 and not tcp else 0
    scopes = _SCOPES if known >= 6 else 0
    words = struct.pack("QQQ", handled, net, scopes)[: 24 if known >= 6 else 16 if known >= 4 else 8]
    ruleset = system.syscall("landlock ruleset", _CREATE, words, len(words), 0)
    try:
        for path in readable:
            _allow(ruleset, path, (_EXECUTE | _READ | _LIST) & handled)
        for path in writable:
            _allow(ruleset, path, handled)
        system.syscall("landlock restrict", _RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)
    return frozenset({"files"} | ({"tcp"} if net else set()) | ({"signals"} if scopes else set()))


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            access &= _ON_FILES
        system.syscall(f"landlock rule {path}", _ADD, ruleset, 1, struct.pack("=Qi", access, opened), 0)
    finally:
        os.close(opened)
