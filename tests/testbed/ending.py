"""Whether processes end: one that was signalled is still in the table until the kernel comes to it."""

from __future__ import annotations

import os
import select


def ended(pid: int) -> bool:
    """Whether a process that was told to end does so; the kernel closes its files shortly before it is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 10)[0])
    finally:
        os.close(handle)
