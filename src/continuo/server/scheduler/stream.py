"""The stream of changes: server-sent events that take up where a client was, or begin with a snapshot.

A reader has no queue: it reads the one bounded log. Who falls out of it gets the next snapshot instead of deltas, so the
slowest costs what the fastest does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from continuo.server.problems import Problem
from continuo.server.scheduler.following import Infrastructure
from continuo.server.scheduler.log import UnknownVersion

QUIET = 15.0
"""Seconds without a change after which a stream says that it lives, and its token is looked at again."""
MOST = 256
"""Streams at a time."""


class Streams:
    """All streams of one face."""

    def __init__(self, infrastructure: Infrastructure) -> None:
        self._infrastructure, self._open = infrastructure, 0

    def admit(self) -> None:
        """Raise the problem when there are as many streams as may be."""
        if self._open >= MOST:
            raise Problem(503, "too-many-streams", f"{MOST} streams are open, the most there may be: come back later")

    async def events(self, since: str | None, still: Callable[[], Awaitable[object]]) -> AsyncIterator[bytes]:
        """The events from that version on; ends when `still` refuses its reader."""
        self._open += 1
        try:
            async for chunk in self._events(since, still):
                yield chunk
        finally:
            self._open -= 1

    async def _events(self, since: str | None, still: Callable[[], Awaitable[object]]) -> AsyncIterator[bytes]:
        log, loop = self._infrastructure.log, asyncio.get_running_loop()
        version, checked = self._known(since), loop.time()
        while not self._infrastructure.closed:
            if version is None or version < log.oldest:
                version = log.version
                yield _event("snapshot", log.current, log.snapshot())
                continue  # while it was being sent, the log may have moved on
            deltas = log.after(version)
            if deltas:
                version = deltas[-1].version
                yield b"".join(_event("delta", log.text(delta.version), delta.body) for delta in deltas)
            elif loop.time() - checked >= QUIET:
                yield b": it lives\n\n"
            if loop.time() - checked >= QUIET:
                if not await _admitted(still):
                    return
                checked = loop.time()
            if version == log.version:
                await self._infrastructure.next_version(QUIET)

    def _known(self, since: str | None) -> int | None:
        if since is None:
            return None
        try:
            return self._infrastructure.log.read(since)
        except UnknownVersion:
            return None


async def _admitted(still: Callable[[], Awaitable[object]]) -> bool:
    try:
        await still()
    except Problem:
        return False
    return True


def _event(name: str, version: str, body: bytes) -> bytes:
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (version.encode(), name.encode(), body)
