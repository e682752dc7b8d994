"""What the origin of a pod knows already, written down in the cluster between when nobody waits for anything else.

Of many changes of one pod only the last is written then. Under a load that never ends each record is written all the same,
one at a time, once it is old enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from continuo.resources.meta import Key
from continuo.runtime.controller import DONE, Controller, Result

CALM = 0.1
"""Seconds for which nothing must have been under way."""
LATEST = 60.0
"""Seconds after which a record waits no longer."""


class Calm:
    """Whether anything is under way in this process that somebody waits for: `with calm:` around it."""

    def __init__(self) -> None:
        self._under_way = 0
        self._ended = float("-inf")

    def __enter__(self) -> None:
        """Around a write that somebody waits for."""
        self._under_way += 1

    def __exit__(self, *_: object) -> None:
        self._under_way -= 1
        self._ended = asyncio.get_running_loop().time()

    def in_seconds(self, now: float) -> float:
        """When to ask again, given the loop's time; zero or less: it is calm."""
        return CALM if self._under_way else self._ended + CALM - now


class Records:
    """The records of one reflection, by key; `write` looks at what is to be said only then."""

    def __init__(self, name: str, calm: Calm, write: Callable[[Key], Awaitable[None]], latest: float = LATEST) -> None:
        self._calm, self._write, self._latest = calm, write, latest
        self._controller: Controller[Key] = Controller(name, self._turn, workers=1)
        self._since: dict[Key, float] = {}
        self._closing = asyncio.Event()

    def __len__(self) -> int:
        return len(self._since)

    def add(self, key: Key) -> None:
        """There is something to be written."""
        self._since.setdefault(key, asyncio.get_running_loop().time())
        self._controller.add(key)

    def start(self) -> None:
        """Begin, in the running loop."""
        self._controller.start()

    async def stop(self) -> None:
        """What has not been written is found again by whoever looks at the pods next."""
        self._closing.set()
        await self._controller.stop()

    async def _turn(self, key: Key) -> Result:
        if await self._may_write(key):
            await self._write(key)
            self._since.pop(key, None)
        return DONE

    async def _may_write(self, key: Key) -> bool:
        """Wait for the key's turn; the others stand in line behind it. False when it will not come any more."""
        loop = asyncio.get_running_loop()
        due = self._since.get(key, loop.time()) + self._latest
        while not self._closing.is_set():
            now = loop.time()
            seconds = min(self._calm.in_seconds(now), due - now)
            if seconds <= 0:
                return True
            try:
                async with asyncio.timeout(seconds):
                    await self._closing.wait()
            except TimeoutError:
                continue
        return False
