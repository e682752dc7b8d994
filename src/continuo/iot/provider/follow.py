"""The endpoint's events, followed once for each connection: exactly the objects that are concerned are looked at again.

An event names what changed (its *subjects*). Each object says, with every observation, which subjects concern it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar

import aiohttp
import msgspec

from continuo.iot.provider.external import Absent, Refused
from continuo.iot.provider.rest import Rest
from continuo.runtime.backoff import Backoff

log = logging.getLogger(__name__)
K = TypeVar("K", bound=Hashable)
SILENCE = 60.0
"""Seconds without a byte, comments included, after which a stream counts as broken."""
ASK_AGAIN = 600.0
"""Seconds after which an endpoint without a stream is asked whether it has one now."""


def subjects(event: str, data: dict[str, Any]) -> frozenset[str]:
    """What an event is about."""
    board, thing, request = (str(data.get(name) or "") for name in ("board", "object", "request"))
    kind = event.partition(".")[0]
    found = set()
    match kind:
        case "board":
            found.add(f"board:{board or thing}")
        case "injection" | "service":
            found |= {f"{kind}:{board}/{thing}", f"{kind}s:{board}"}
        case "request":
            found.add(f"request:{request or thing}")
        case _:
            found.add(f"{kind}:{thing}")
    if request:
        found.add(f"request:{request}")
    return frozenset(found)


class Interests(Generic[K]):
    """Who is concerned by what."""

    def __init__(self) -> None:
        self._keys: dict[str, dict[K, None]] = {}
        self._subjects: dict[K, frozenset[str]] = {}

    def set(self, key: K, of: frozenset[str]) -> None:
        """From now on that concerns it; costs what changed."""
        before = self._subjects.get(key, frozenset())
        for gone in before - of:
            keys = self._keys[gone]
            keys.pop(key, None)
            if not keys:
                del self._keys[gone]
        for new in of - before:
            self._keys.setdefault(new, {})[key] = None
        if of:
            self._subjects[key] = of
        else:
            self._subjects.pop(key, None)

    def of(self, found: Iterable[str]) -> list[K]:
        """Those who are concerned by any of these."""
        return list(dict.fromkeys(key for subject in found for key in self._keys.get(subject, ())))


class Follower:
    """One stream of events, resumed where it ended."""

    def __init__(
        self, rest: Rest, told: Callable[[str, dict[str, Any]], None], lost: Callable[[], None], rng: random.Random,
        *, backoff: Backoff | None = None,
    ) -> None:  # fmt: skip
        """`told`: an event came. `lost`: events may have been missed, look at everything."""
        self._rest, self._told, self._lost, self._random = rest, told, lost, rng
        self._backoff = backoff or Backoff(base=0.5, cap=30.0)
        self.live = False
        """Whether everything that changes is being told now."""
        self.offered: bool | None = None
        """Whether the endpoint has a stream; None: not known yet."""
        self.tried = asyncio.Event()
        """Set once it was asked."""
        self.last: str | None = None
        self.events = 0
        self._failures = 0

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._once()
            except Absent:
                self.offered = False
                self._ended()
                await asyncio.sleep(ASK_AGAIN * (1.0 + 0.1 * self._random.random()))
                continue
            except _TooOld:
                self.last = None
                self._ended()
                self._lost()
            except Refused as error:
                if error.status in (405, 406, 501):
                    self.offered = False
                log.info("events: %s", error)
                self._ended()
            except Exception as error:
                log.info("events: %s", error, exc_info=isinstance(error, (KeyError, TypeError, AttributeError)))
                self._ended()
            self._failures += 1
            await asyncio.sleep(self._backoff.delay(self._failures, self._random))

    def _ended(self) -> None:
        self.live = False
        self.tried.set()

    async def _once(self) -> None:
        headers = {"Accept": "text/event-stream"}
        if self.last is not None:
            headers["Last-Event-ID"] = self.last
        try:
            async with self._rest.stream("events", headers, SILENCE) as content:
                self.offered = True
                if self.last is None:
                    self._lost()  # what changed before this stream began nobody will tell
                self.live = True
                self.tried.set()
                await self._read(content)
        except Refused as error:
            if error.status == 410:
                raise _TooOld from error
            raise

    async def _read(self, content: aiohttp.StreamReader) -> None:
        event, number, data = "", None, ""
        async for raw in content:
            line = raw.decode(errors="replace").rstrip("\r\n")
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                if event:
                    self._tell(event, data)
                if number is not None:
                    self.last = number
                event, number, data = "", None, ""
                self._failures = 0
            elif name == "event":
                event = value
            elif name == "id":
                number = value
            elif name == "data":
                data = f"{data}\n{value}" if data else value

    def _tell(self, event: str, data: str) -> None:
        self.events += 1
        try:
            said = msgspec.json.decode(data or "{}")
        except msgspec.DecodeError:
            log.warning("events: an event %r has data that is no JSON", event)
            return
        if isinstance(said, dict):
            self._told(event, said)


class _TooOld(Exception):
    """What came since is no longer kept."""
