"""For how long a cluster that does not answer any more is still believed, and that those who rely on it hear of its end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from continuo.broker.readers.port import Bell
from continuo.resources.errors import Unreachable
from continuo.runtime.informer import Informer


class Freshness:
    """The age of what some informers of one cluster know. Rings when it becomes too old, and when it is known again."""

    def __init__(self, name: str, informers: Sequence[Informer], bound: float, bell: Bell) -> None:
        self._name, self._informers, self._bound, self._bell = name, tuple(informers), bound, bell
        self._task: asyncio.Task[None] | None = None

    def check(self) -> None:
        """Unreachable, with a sentence, if nothing is known or it is too old."""
        why = self.trouble()
        if why is not None:
            raise Unreachable(why)

    def trouble(self) -> str | None:
        """Why what is known cannot be used; None while it can."""
        now = asyncio.get_running_loop().time()
        for informer in self._informers:
            if not informer.synced.is_set():
                return f"cluster {self._name}: its {informer.watch.kind.plural} are not known yet; ask again"
            if informer.stale_since is not None and now - informer.stale_since > self._bound:
                return (
                    f"cluster {self._name} has not answered for {now - informer.stale_since:.0f} s, longer than the "
                    f"{self._bound:.0f} s for which what was known before is used: {informer.last_error}"
                )
        return None

    def start(self) -> None:
        """Watch the clock, in a task of the running loop. It looks at our own memory only."""
        self._task = asyncio.create_task(self._mind(), name=f"freshness of {self._name}")

    async def stop(self) -> None:
        """Watch it no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _mind(self) -> None:
        usable = self.trouble() is None
        while True:
            await asyncio.sleep(self._bound / 4)
            before, usable = usable, self.trouble() is None
            if before != usable:
                self._bell.ring()
