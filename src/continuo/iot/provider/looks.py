"""What an endpoint says of single things that it has no list of: kept while events tell of changes, asked again where not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from continuo.iot.provider.follow import Interests
from continuo.iot.provider.rest import Rest

RESYNC = 600.0
"""Seconds after which something is asked anew though events tell everything: no stream is trusted for ever."""
Concern = Callable[[Any], frozenset[str]]
"""The subjects of events after which an answer is no longer what is there."""


class Looks:
    """Path -> the answer to a GET; None: the endpoint says that nothing is there."""

    def __init__(
        self, rest: Rest, now: Callable[[], float], poll: Callable[[], float], told: Callable[[], bool]
    ) -> None:
        """`poll`: seconds for which an answer is good; `told`: whether the endpoint tells of changes now."""
        self._rest, self._now, self._poll, self._told = rest, now, poll, told
        self._known: dict[str, tuple[float, Any]] = {}
        self._concerned: Interests[str] = Interests()
        self._step = 0

    async def get(self, path: str, of: Concern) -> Any | None:
        """The answer, asked for only where the last one may be old. What `of` it says of None matters, too."""
        known = self._known.get(path)
        if known is not None and self._now() - known[0] < (RESYNC if self._told() else self._poll() * 0.9):
            return known[1]
        step = self._step
        answer = await self._rest.find(path)
        if self._step == step:  # else an event may have told of something newer
            self._known[path] = (self._now(), answer)
            self._concerned.set(path, of(answer))
        return answer

    def event(self, found: frozenset[str]) -> None:
        """These subjects changed."""
        self._step += 1
        for path in self._concerned.of(found):
            self.drop(path)

    def drop(self, path: str) -> None:
        """It changed, or nobody wants it any more."""
        self._step += 1
        self._known.pop(path, None)
        self._concerned.set(path, frozenset())

    def forget(self) -> None:
        """Events may have been missed."""
        self._step += 1
        for path in list(self._known):
            self.drop(path)
