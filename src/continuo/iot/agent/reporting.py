"""Tell the hub what the board has: whenever that changes, at most a few times a second, and never the same twice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

log = logging.getLogger(__name__)

TOGETHER = 0.1
"""Seconds within which changes are told together."""
HEALTH = 60.0
"""Seconds after which health is told without any other change."""


class Reporter:
    """`changed` may be called at any time and costs nothing; `run` sends for as long as one session lasts."""

    def __init__(self, snapshot: Callable[[], Mapping[str, Any]]) -> None:
        self._snapshot = snapshot
        self._dirty = asyncio.Event()

    def changed(self) -> None:
        """Something may be otherwise than told."""
        self._dirty.set()

    async def run(self, send: Callable[[Mapping[str, Any]], Awaitable[None]]) -> None:
        """Everything once, then each change; raises what `send` raises."""
        told: Mapping[str, Any] | None = None
        self._dirty.set()
        while True:
            try:
                async with asyncio.timeout(HEALTH):
                    await self._dirty.wait()
            except TimeoutError:
                told = None
            await asyncio.sleep(TOGETHER)
            self._dirty.clear()
            now = dict(self._snapshot())
            facts = {name: value for name, value in now.items() if name != "health"}
            if facts != told:
                await send(now)
                told = facts
