"""Where a program's folder is on disk, nothing but a look now and then bounds its size: who outgrows it is ended."""

from __future__ import annotations

import asyncio
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Protocol

EVERY = 0.5
"""Seconds between two looks."""
FILES = 16_384
"""Names that a folder may hold."""


class Watched(Protocol):
    """What is watched."""

    @property
    def alive(self) -> bool: ...

    def kill(self, reason: str | None = None) -> None: ...


async def watch(run: Watched, folder: Path, most: int, every: float = EVERY) -> None:
    """Until it ends: kill it when its folder takes more than `most` bytes on disk, or has too many names."""
    while run.alive:
        size, names = await asyncio.to_thread(measure, folder, most)
        if size > most:
            run.kill(f"its files took more than the {most} bytes that they may")
        elif names > FILES:
            run.kill(f"it made more than {FILES} files")
        await asyncio.sleep(every)


def measure(folder: Path, enough: int) -> tuple[int, int]:
    """Bytes on disk and names below a folder; links are not followed, and it ends once there is too much of either."""
    size = names = 0
    left = [str(folder)]
    while left and size <= enough and names <= FILES:
        with suppress(OSError), os.scandir(left.pop()) as entries:
            for entry in entries:
                names += 1
                with suppress(OSError):
                    facts = entry.stat(follow_symlinks=False)
                    size += facts.st_blocks * 512
                    if stat.S_ISDIR(facts.st_mode):
                        left.append(entry.path)
                if size > enough or names > FILES:
                    break
    return size, names
