"""A queue of keys that are worked off in slices on the event loop.

A listener only notes what has to be looked at. The work itself runs later and in slices, so that ten thousand dependents of
one owner do not hold up every other request; a key that waits is noted once however often it is added.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from continuo.resources.errors import ApiError

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
CallLater = Callable[[float, Callable[[], None]], Callable[[], None]]
_SLICE: Final = 100
_RETRY_SECONDS: Final = 1.0
_RETRY_LIMIT_SECONDS: Final = 60.0


class Worker(Generic[K]):
    """Calls `handle` for every key that was added; a failed one is tried again, ever later."""

    def __init__(self, name: str, handle: Callable[[K], None], call_later: CallLater) -> None:
        self._name = name
        self._handle = handle
        self._call_later = call_later
        self._waiting: dict[K, None] = {}
        self._failures: dict[K, int] = {}
        self._cancel: Callable[[], None] | None = None
        self._retries: dict[K, Callable[[], None]] = {}
        self._stopped = False

    def add(self, key: K) -> None:
        """Look at the key soon."""
        if self._stopped:
            return
        self._waiting[key] = None
        if self._cancel is None:
            self._cancel = self._call_later(0, self._run)

    def stop(self) -> None:
        """Drop what waits."""
        self._stopped = True
        self._waiting.clear()
        for cancel in [*self._retries.values(), *([self._cancel] if self._cancel else [])]:
            cancel()

    def _run(self) -> None:
        self._cancel = None
        for _ in range(min(_SLICE, len(self._waiting))):
            key = next(iter(self._waiting))
            del self._waiting[key]
            self._attempt(key)
            if self._stopped:
                return
        if self._waiting and self._cancel is None:
            self._cancel = self._call_later(0, self._run)

    def _attempt(self, key: K) -> None:
        try:
            self._handle(key)
        except Exception as error:  # the loop's boundary: one bad object must not end the care for all others
            level = logging.WARNING if isinstance(error, ApiError) else logging.ERROR
            log.log(level, "%s: %s failed: %s", self._name, key, error, exc_info=level == logging.ERROR)
            self._retry(key)
        else:
            self._failures.pop(key, None)

    def _retry(self, key: K) -> None:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        seconds = min(_RETRY_SECONDS * 2 ** (count - 1), _RETRY_LIMIT_SECONDS)
        if key not in self._retries:
            self._retries[key] = self._call_later(seconds, lambda: self._again(key))

    def _again(self, key: K) -> None:
        self._retries.pop(key, None)
        self.add(key)
