"""Long work on the loop's thread, in turns: whoever waits for the loop waits a few milliseconds at most."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

LONGEST = 0.002
"""Seconds."""


class Turns:
    """Gives way to others whenever this one has had the thread for long enough."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()

    async def give(self) -> None:
        """Let others run, if it is time."""
        if self._loop.time() - self._since > LONGEST:
            await asyncio.sleep(0)
            self._since = self._loop.time()


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in parts of this size."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
