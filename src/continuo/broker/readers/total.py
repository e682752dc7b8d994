"""The aggregate: what several readers have together, each for itself allowed to fail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from fractions import Fraction

from continuo.broker.readers.amounts import total
from continuo.broker.readers.port import Bell, Changes, ResourceReader, Resources
from continuo.resources.errors import ApiError, Unreachable

log = logging.getLogger(__name__)


class Sum:
    """Named readers that come and go. One that does not answer adds nothing; if none answers, neither does the sum.

    A part that has the asking cluster's own name is left out: nobody is offered what is theirs.
    """

    def __init__(self, parts: Mapping[str, ResourceReader] | None = None) -> None:
        self._parts: dict[str, ResourceReader] = dict(parts or {})
        self._bell = Bell()
        self._ears: dict[str, tuple[Changes, asyncio.Task[None]]] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self.failed: dict[str, str] = {}
        """Why a part added nothing when it was last asked."""

    def put(self, name: str, reader: ResourceReader) -> None:
        """Add a part, or put another in its place."""
        self._deafen(name)
        self._parts[name] = reader
        if len(self._bell):
            self._listen(name)
        self._bell.ring()

    def drop(self, name: str) -> None:
        """Leave a part out from now on."""
        self._deafen(name)
        self._parts.pop(name, None)
        self.failed.pop(name, None)
        self._bell.ring()

    async def read(self, originator: str) -> dict[str, Fraction]:
        """The sum of those that answer; all are asked at the same time."""
        asked = [name for name in self._parts if name != originator]
        answers = await asyncio.gather(*(self._ask(name, self._parts[name], originator) for name in asked))
        known = [answer for answer in answers if answer is not None]
        if asked and not known:
            why = "; ".join(self.failed.get(name, name) for name in asked)
            raise Unreachable(f"none of {len(asked)} readers answers: {why}")
        return total(known)

    async def _ask(self, name: str, reader: ResourceReader, originator: str) -> Resources | None:
        try:
            answer = await reader.read(originator)
        except ApiError as error:
            if name in self._parts:
                self.failed[name] = str(error)
            return None
        self.failed.pop(name, None)
        return answer

    async def remove(self, cluster: str) -> None:
        """Tell every part; one that cannot be told is logged, since it forgets by itself what it cannot use."""
        readers = list(self._parts.items())
        results = await asyncio.gather(*(reader.remove(cluster) for _, reader in readers), return_exceptions=True)
        for (name, _), result in zip(readers, results, strict=True):
            if isinstance(result, ApiError):
                log.warning("reader %s was not told that cluster %s is gone: %s", name, cluster, result)
            elif isinstance(result, BaseException):
                raise result

    def subscribe(self) -> Changes:
        """What changes in any part, now or later."""
        ear = _Ear(self._bell, self._quiet)
        for name in self._parts:
            if name not in self._ears:
                self._listen(name)
        return ear

    def _listen(self, name: str) -> None:
        changes = self._parts[name].subscribe()
        self._ears[name] = changes, asyncio.create_task(self._pass_on(changes), name=f"changes of reader {name}")

    async def _pass_on(self, changes: Changes) -> None:
        async for _ in changes:
            self._bell.ring()

    def _deafen(self, name: str) -> None:
        if name in self._ears:
            changes, task = self._ears.pop(name)
            task.cancel()
            ending = asyncio.create_task(_closed(changes, task))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def _quiet(self) -> None:
        """When nobody listens to the sum, it listens to nobody."""
        if not len(self._bell):
            for name in list(self._ears):
                self._deafen(name)
            await asyncio.gather(*self._endings)


async def _closed(changes: Changes, task: asyncio.Task[None]) -> None:
    await asyncio.gather(task, return_exceptions=True)
    await changes.aclose()


class _Ear:
    """A subscription that says when it was closed."""

    def __init__(self, bell: Bell, closed: Callable[[], Awaitable[None]]) -> None:
        self._own, self._closed = bell.subscribe(), closed

    def __aiter__(self) -> _Ear:
        return self

    async def __anext__(self) -> None:
        await self._own.__anext__()

    async def aclose(self) -> None:
        """Listen no more."""
        await self._own.aclose()
        await self._closed()
