"""One watch for several parts of a process, which each start and stop it as if it were their own."""

from __future__ import annotations

from continuo.runtime.informer import Informer


class SharedInformer(Informer):
    """Follows from the first `start` to the last `stop`. Parts that have stopped must not mind being told more."""

    _users = 0

    def start(self) -> None:
        """Follow, once however many ask for it."""
        self._users += 1
        super().start()

    async def stop(self) -> None:
        """One user less; the last one ends it."""
        self._users -= 1
        if self._users == 0:
            await super().stop()
