"""Keep a session with the hub: register once, join for ever, whatever ends on either side."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from continuo.iot.agent import settings as known
from continuo.iot.agent.reporting import Reporter
from continuo.iot.agent.settings import BadSettings, Identity, Settings
from continuo.iot.agent.wamp import Closed, Key, Refused, Session, joined
from continuo.iot.signing import key_at, private_hex, public_hex
from continuo.iot.wire import Message, Outcome, hub_procedure, procedure
from continuo.trust.backoff import Backoff

log = logging.getLogger(__name__)

REPLACED = 30.0
"""Seconds that a session waits at least when a newer one of the same board has taken its place."""
LASTED = 30.0
"""Seconds after which a session counts as good: the next attempt follows at once."""
ALIVE = 60.0
"""Seconds between two signs of life on the level of the hub."""

Answer = Callable[..., Awaitable[str]]


class Unwelcome(Exception):
    """The hub does not know this board (any more), in a sentence: only a new code helps."""


async def registered(told: Settings, rng: random.Random, sleep: Callable[[float], Awaitable[None]]) -> Identity:
    """Who this board is: as kept, or from the hub for its code. Raises Unwelcome, BadSettings.

    The key is on disk before the code is spent, and the same code with the same key is taken again: a lost answer is no loss.
    """
    if (identity := known.identity(told.home)) is not None:
        return replace(identity, url=told.url)  # hubs move: what is said now holds
    if not told.code:
        raise BadSettings("this board has no code; the hub gives one with the board (`continuo hub board code BOARD`)")
    key = await asyncio.to_thread(key_at, told.home / "key.pem")
    backoff = Backoff(0.5, 30.0, rng)
    while True:
        try:
            said = await _spend(told, told.code, public_hex(key))
            break
        except (Closed, Refused, TimeoutError) as error:
            pause = backoff.next()
            log.warning("not registered yet: %s; again in %.1f s", error or type(error).__name__, pause)
            await sleep(pause)
    identity = known.configured(said, told)
    await asyncio.to_thread(known.keep, told.home, identity)
    log.info("registered as board %s (%s)", identity.uuid, identity.name)
    return identity


async def _spend(told: Settings, code: str, public: str) -> Any:
    async with joined(told.url, told.tls(), told.realm, None) as session:
        running = asyncio.create_task(session.run())
        try:
            text = await session.call("stack4things.register", code=code, session=session.id, key=public)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    message = _message(text)
    if message.result is not Outcome.SUCCESS:
        raise Unwelcome(f"the hub does not take this code: {message.message}")
    return message.message


def _message(text: Any) -> Message:
    try:
        return Message.decode(text)
    except (ValueError, TypeError) as error:
        raise Refused(f"the hub's answer is no message: {error}") from None


class Keeper:
    """One board's sessions, one after another. `info` is what the hub is told of the agent at each; `arrived` is set once it
    has taken the first.
    """

    def __init__(
        self, identity: Identity, key: Path, tls: ssl.SSLContext | None, methods: Mapping[str, Answer],
        info: Callable[[], Mapping[str, Any]], reporter: Reporter, *, rng: random.Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, arrived: asyncio.Event | None = None,
    ) -> None:  # fmt: skip
        self.identity = identity
        self.sessions = 0
        own = key_at(key)
        self._key = Key(identity.uuid, public_hex(own), private_hex(own))
        self._tls, self._methods, self._info, self._reporter = tls, methods, info, reporter
        self._rng, self._sleep = rng, sleep
        self._arrived = arrived or asyncio.Event()
        self._session: Session | None = None
        self._unsaid: dict[str, Message] = {}

    @property
    def online(self) -> bool:
        """Whether there is a session now."""
        return self._session is not None

    async def notify(self, message: Message) -> None:
        """Tell the end of a request that was answered RUNNING; where there is no session, in the next one."""
        if message.req_id is None:
            return
        self._unsaid[message.req_id] = message
        while len(self._unsaid) > 1000:
            self._unsaid.pop(next(iter(self._unsaid)))
        if self._session is not None:
            await self._say_ends(self._session)

    async def run(self) -> None:
        """For ever; raises Unwelcome where the hub removed the board."""
        backoff = Backoff(0.5, 30.0, self._rng)
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._once()
            except Closed as error:
                reason, sentence = error.reason, str(error)
            except (Refused, TimeoutError, OSError) as error:
                reason, sentence = "", str(error) or type(error).__name__
            if reason == "iotronic.close.removed":
                raise Unwelcome("the hub removed this board, or gave it a new code")
            if loop.time() - began > LASTED:
                backoff.reset()
            pause = backoff.next()
            if reason == "iotronic.close.replaced":
                pause = REPLACED * self._rng.uniform(1, 2)
                log.warning("another agent has joined as this board: is its folder in use twice?")
            log.info("offline: %s; again in %.1f s", sentence, pause)
            await self._sleep(pause)

    async def _once(self) -> None:
        """One session from its beginning to its end; always raises."""
        async with joined(self.identity.url, self._tls, self.identity.realm, self._key) as session:
            try:
                await _first(session.run(), self._speak(session))
            finally:
                self._session = None

    async def _speak(self, session: Session) -> None:
        """Offer what can be called, say who is here, then tell what the board has for as long as the session lasts."""
        board = self.identity.uuid
        await asyncio.gather(
            *(session.register(procedure(session.id, board, name), method) for name, method in self._methods.items())
        )
        info = await asyncio.to_thread(self._info)
        welcome = _message(await session.call(hub_procedure("connection"), board, session.id, dict(info)))
        if welcome.result is not Outcome.SUCCESS:
            raise Refused(f"the hub does not take the connection: {welcome.message}")
        self._session = session
        self.sessions += 1
        self._arrived.set()
        log.info("online: session %d", session.id)
        await self._say_ends(session)
        await _first(self._reporter.run(lambda report: self._report(session, report)), self._alive(session))

    async def _report(self, session: Session, report: Mapping[str, Any]) -> None:
        await session.call(hub_procedure("report"), self.identity.uuid, dict(report))

    async def _alive(self, session: Session) -> None:
        while True:
            await asyncio.sleep(ALIVE * self._rng.uniform(0.8, 1.2))
            await session.call(hub_procedure("wamp_alive"), self.identity.uuid, self.identity.name)

    async def _say_ends(self, session: Session) -> None:
        for identity, message in list(self._unsaid.items()):
            await session.call(hub_procedure("notify_result"), self.identity.uuid, message.encode())
            self._unsaid.pop(identity, None)


async def _first(*work: Awaitable[None]) -> None:
    """All of it at once until one of them raises, which is raised: that of the first named, where several did."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in sorted(done, key=tasks.index):
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
