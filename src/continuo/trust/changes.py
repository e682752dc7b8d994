"""That something has changed, told within one event loop: by callback, or by waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Changes:
    """What several parts follow. `tell` calls everybody at once, in the order in which they subscribed."""

    def __init__(self) -> None:
        self._callbacks: dict[object, Callable[[], None]] = {}
        self._told = asyncio.Event()
        self.count = 0
        """How often something has changed."""

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call it (in the event loop) after each change; the answer ends that."""
        key = object()
        self._callbacks[key] = callback
        return lambda: self._callbacks.pop(key, None) and None

    async def wait(self, seen: int | None = None) -> None:
        """Until the next change; not at all if there was one since `count` was `seen`."""
        if seen is None or seen == self.count:
            await self._told.wait()

    def tell(self) -> None:
        """Something has changed."""
        self.count += 1
        told, self._told = self._told, asyncio.Event()
        told.set()
        for callback in list(self._callbacks.values()):
            callback()
