"""From a fresh WebSocket to somebody who is known: HELLO, perhaps a challenge, and WELCOME or ABORT."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import WSMsgType, web
from wampproto import messages

from continuo.iot.hub.wamp import codec as wamp
from continuo.iot.hub.wamp.codec import Codec, Malformed
from continuo.iot.hub.wamp.identity import Challenged, Door, Newcomer, Refused, Who
from continuo.iot.hub.wamp.limits import Limits, Purse

_BAD = "wamp.error.protocol_violation"


class Crowd:
    """How many may be at their greeting at once: of all, and of each address; others wait, as their kernel does."""

    def __init__(self, limits: Limits) -> None:
        self._all = asyncio.Semaphore(limits.arriving)
        self._each = limits.arriving_each
        self._lanes: dict[str, asyncio.Semaphore] = {}
        self._waiting: Counter[str] = Counter()

    @asynccontextmanager
    async def enter(self, address: str) -> AsyncIterator[None]:
        lane = self._lanes.setdefault(address, asyncio.Semaphore(self._each))
        self._waiting[address] += 1
        try:
            async with lane, self._all:
                yield
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address], self._lanes[address]


async def greeted(
    socket: web.WebSocketResponse, codec: Codec, door: Door, number: Callable[[], int], wrong: Purse, limits: Limits
) -> tuple[int, Who] | None:
    """The session's number and who it is; None: they were turned away, or went."""
    try:
        async with asyncio.timeout(limits.hello):
            found = await _known(socket, codec, door, wrong, limits)
            if isinstance(found, Refused):
                wrong.spend(1.0 if found.counts and not wrong.empty else 0.0)
                await _send(socket, codec, wamp.abort(found.reason, found.sentence))
            elif found is not None:
                session = number()
                await _send(socket, codec, wamp.welcome(session, found.name, "board", found.method))
                return session, found
    except (TimeoutError, ConnectionError):
        pass
    await socket.close(drain=False)
    return None


async def _known(
    socket: web.WebSocketResponse, codec: Codec, door: Door, wrong: Purse, limits: Limits
) -> Who | Refused | None:
    hello = await _next(socket, codec, limits)
    if not isinstance(hello, messages.Hello):
        return hello if hello is None or isinstance(hello, Refused) else Refused(_BAD, "a session begins with HELLO")
    found = door.greet(hello)
    if wrong.empty and isinstance(found, Newcomer | Refused):  # codes can be guessed, keys and realms cannot
        return Refused("wamp.error.authentication_failed", "too many attempts failed from this address; wait a minute")
    if not isinstance(found, Challenged):
        return found
    await _send(socket, codec, wamp.challenge(found.nonce))
    reply = await _next(socket, codec, limits)
    if not isinstance(reply, messages.Authenticate):
        return reply if reply is None or isinstance(reply, Refused) else Refused(_BAD, "a challenge is answered")
    return door.prove(found, reply.signature)


async def _next(socket: web.WebSocketResponse, codec: Codec, limits: Limits) -> object:
    frame = await socket.receive()
    if frame.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
        return None
    if len(frame.data) > limits.greeting:
        return Refused(_BAD, f"a greeting has {limits.greeting} bytes at most")
    try:
        return codec.decode(frame.data)
    except Malformed as error:
        return Refused(_BAD, str(error))


async def _send(socket: web.WebSocketResponse, codec: Codec, message: object) -> None:
    data = codec.encode(message)
    await (socket.send_str(data) if isinstance(data, str) else socket.send_bytes(data))
