"""Connections: one for each ProviderConfig, with its lists and its stream of events, for as long as somebody uses it.

What a connection was made with is kept in memory while it has users, so that objects of a namespace that is being deleted can
still clean up when their configuration's Secret went before them.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from continuo.iot.provider import credentials
from continuo.iot.provider.addresses import Reach
from continuo.iot.provider.auth import Keystone, Password
from continuo.iot.provider.credentials import ReadSecret
from continuo.iot.provider.external import NotYet, Refused
from continuo.iot.provider.follow import Follower, Interests, subjects
from continuo.iot.provider.injections import Injections
from continuo.iot.provider.lists import Lists
from continuo.iot.provider.looks import Looks
from continuo.iot.provider.rest import Rest
from continuo.resources.boards import decode_at
from continuo.resources.boards_config import ProviderConfigSpec
from continuo.resources.meta import Key, Kind, Object

log = logging.getLogger(__name__)

ObjectKey = tuple[str, str, str]
"""(kind's plural, namespace, name) of a managed resource."""
RECENT = 1024
"""So many events are remembered for those who were being looked at when they came."""
FRESH = 60.0
"""Seconds for which credentials count as current without being read again."""


@dataclass(frozen=True, slots=True)
class ConfigName:
    """A ProviderConfig or, without a namespace, a ClusterProviderConfig."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"


class Line:
    """One endpoint as one ProviderConfig names it (`world.Connection`)."""

    def __init__(
        self, name: ConfigName, spec: ProviderConfigSpec, raw: bytes, http: aiohttp.ClientSession,
        now: Callable[[], float], poll: Callable[[], float], wake: Callable[[ObjectKey], None], rng: random.Random,
    ) -> None:  # fmt: skip
        self.name, self.spec, self.raw = name, spec, raw
        tls = credentials.tls_of(spec)

        def keystone(url: str, password: Password) -> Keystone:
            return Keystone(http, url, password, now, tls=tls)

        auth = credentials.auth_of(spec, raw, keystone)
        self.rest = Rest(http, spec.endpoint, auth, tls=tls, timeout=float(spec.request_timeout))
        self.host = urlsplit(spec.endpoint).hostname or ""
        self._polls: dict[ObjectKey, float] = {}
        self.lists = Lists(self.rest, now, lambda: min([poll(), *self._polls.values()]), lambda: self.told)
        self.injections = Injections(self.rest, now, poll, lambda: self.told, lambda: self.ours)
        self.looks = Looks(self.rest, now, lambda: min([poll(), *self._polls.values()]), lambda: self.told)
        self.memory: dict[str, object] = {}
        self.interests: Interests[ObjectKey] = Interests()
        self.follower = Follower(self.rest, self._event, self._lost, rng)
        self._wake = wake
        self._recent: deque[tuple[int, frozenset[str]]] = deque(maxlen=RECENT)
        self.step = 0
        """How many events came: who is about to observe remembers it."""
        self._known: dict[ObjectKey, str] = {}
        """The UIDs of those who use it."""
        self._task: asyncio.Task[None] | None = None

    @property
    def ours(self) -> bool:
        """Whether it is a hub of ours: only those offer events."""
        return self.follower.offered is True

    @property
    def told(self) -> bool:
        """Whether the endpoint tells of changes now."""
        return self.follower.live

    async def start(self) -> None:
        """Follow its events; returns when it is known whether there are any, or after five seconds."""
        if self._task is None:
            self._task = asyncio.create_task(self.follower.run(), name=f"events of {self.name}")
        try:
            async with asyncio.timeout(5.0):
                await self.follower.tried.wait()
        except TimeoutError:
            return

    async def stop(self) -> None:
        """Stop following."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def concern(self, key: ObjectKey, uid: str, of: frozenset[str], since: int, poll: float | None = None) -> None:
        """What concerns an object from now on, and did since that step, at which it was looked at.

        `poll`: seconds, where it wants to be looked at more often than others.
        """
        if self._known.get(key, uid) != uid:
            self.memory.pop(self._known[key], None)
        self._known[key] = uid
        self.interests.set(key, of)
        self._polls.pop(key, None)
        if poll is not None:
            self._polls[key] = poll
        if self._missed(of, since):
            self._wake(key)

    def forget(self, key: ObjectKey) -> None:
        """The object is gone."""
        self.memory.pop(self._known.pop(key, ""), None)
        self._polls.pop(key, None)
        self.interests.set(key, frozenset())

    def _missed(self, of: frozenset[str], since: int) -> bool:
        """Whether something of that changed while nobody was known to be concerned."""
        if self.step - since > len(self._recent):
            return True
        for step, found in reversed(self._recent):
            if step <= since:
                return False
            if not of.isdisjoint(found):
                return True
        return False

    def _event(self, event: str, data: dict[str, Any]) -> None:
        board, thing = str(data.get("board") or ""), str(data.get("object") or "")
        if event.startswith("board.") and (board or thing):
            if isinstance(now := data.get("now"), dict):
                self.lists.boards.told(board or thing, now)
            else:
                self.lists.boards.changed(board or thing)
        elif event.startswith("port.") and thing:
            self.lists.ports.changed(thing)
        elif event.startswith("network.") and thing:
            self.lists.networks.changed(thing)
        elif event.startswith("injection."):
            self.injections.event(board, thing, data)
        found = subjects(event, data)
        self.step += 1
        self._recent.append((self.step, found))
        self.looks.event(found)
        for key in self.interests.of(found):
            self._wake(key)

    def _lost(self) -> None:
        self.lists.forget()
        self.injections.forget()
        self.looks.forget()
        for key in list(self._known):
            self._wake(key)


class Connections:
    """All of them, by configuration."""

    def __init__(
        self, http: aiohttp.ClientSession, config: Callable[[ConfigName], Object | None], secret: ReadSecret,
        wake: Callable[[ObjectKey], None], reach: Reach, *, now: Callable[[], float], poll: Callable[[], float],
        rng: random.Random, environ: Mapping[str, str],
    ) -> None:  # fmt: skip
        """`config`: the configuration's object, from a cache."""
        self._http, self._config, self._secret, self._wake, self._reach = http, config, secret, wake, reach
        self._now, self._poll, self._random, self._environ = now, poll, rng, environ
        self._lines: dict[ConfigName, Line] = {}
        self._checked: dict[ConfigName, tuple[float, Any]] = {}
        self._users: dict[ConfigName, set[ObjectKey]] = {}
        self._of: dict[ObjectKey, ConfigName] = {}
        self._locks: dict[ConfigName, asyncio.Lock] = {}

    async def use(self, name: ConfigName, key: ObjectKey) -> Line:
        """The connection; raises NotYet and Refused where it cannot be made."""
        before = self._of.get(key)
        if before is not None and before != name:
            await self.release(key)
        async with self._locks.setdefault(name, asyncio.Lock()):
            line = await self._line(name)
        self._users.setdefault(name, set()).add(key)
        self._of[key] = name
        return line

    async def release(self, key: ObjectKey) -> None:
        """The object is gone; the last one ends the connection and what it knows."""
        name = self._of.pop(key, None)
        if name is None:
            return
        users = self._users.get(name, set())
        users.discard(key)
        line = self._lines.get(name)
        if line is not None:
            line.forget(key)
        if not users:
            self._users.pop(name, None)
            self._lines.pop(name, None)
            self._checked.pop(name, None)
            if line is not None:
                await line.stop()

    def told(self, name: ConfigName) -> bool | None:
        """Whether its endpoint offers events; None where nobody asked yet."""
        line = self._lines.get(name)
        return None if line is None else line.follower.offered

    async def stop(self) -> None:
        """End all."""
        lines, self._lines = list(self._lines.values()), {}
        await asyncio.gather(*(line.stop() for line in lines))

    async def check(self, name: ConfigName) -> None:
        """Whether a connection could be made as it stands; raises NotYet and Refused."""
        await self._made_of(name)

    async def _line(self, name: ConfigName) -> Line:
        known = self._lines.get(name)
        obj = self._config(name)
        generation = obj["metadata"].get("generation") if obj else None
        checked = self._checked.get(name)
        if known is not None and checked is not None and self._now() - checked[0] < FRESH and checked[1] == generation:
            return known
        try:
            spec, raw = await self._made_of(name)
        except NotYet:
            if known is None:
                raise
            return known  # it is going, and who still uses it has to clean up
        self._checked[name] = (self._now(), generation)
        if known is not None and (known.spec, known.raw) == (spec, raw):
            return known
        line = Line(name, spec, raw, self._http, self._now, self._poll, self._wake, self._random)
        self._lines[name] = line
        if known is not None:
            log.info("%s changed: connecting anew", name)
            await known.stop()
        await line.start()
        return line

    async def _made_of(self, name: ConfigName) -> tuple[ProviderConfigSpec, bytes]:
        obj = self._config(name)
        if obj is None:
            raise NotYet(f"{name} does not exist")
        spec = decode_at(obj, "spec", ProviderConfigSpec)
        for url in filter(None, (spec.endpoint, spec.auth_url)):
            await self._reach.check(url)
        return spec, await credentials.read(spec, name.namespace, self._secret, self._environ)


def config_name(ref: Mapping[str, Any] | None, namespace: str) -> ConfigName:
    """Which configuration an object of that namespace names."""
    said = ref or {}
    kind = str(said.get("kind") or "ClusterProviderConfig")
    return ConfigName(kind, namespace if kind == "ProviderConfig" else "", str(said.get("name") or "default"))


def object_key(kind: Kind, key: Key) -> ObjectKey:
    """How a managed resource is named across kinds."""
    return kind.plural, *key


__all__ = ["ConfigName", "Connections", "Line", "ObjectKey", "Refused", "config_name", "object_key"]
