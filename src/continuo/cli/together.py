"""A worker with what runs beside it: they begin and end together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from continuo.cli.working import Worker


class Together:
    """Runs a worker and others; it is in trouble when the worker is."""

    def __init__(self, worker: Worker, others: Sequence[Callable[[], Awaitable[None]]]) -> None:
        self._worker, self._others = worker, others

    async def run(self) -> None:
        """Work until cancelled, or until one of them fails."""
        tasks = [asyncio.ensure_future(run()) for run in (self._worker.run, *self._others)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def trouble(self) -> str:
        return self._worker.trouble()
