"""One session of a peer that is known: what it registered, calls to it, and calls of it. The hub is the only dealer.

What a peer sends is worked off in order, one at a time: whoever sends faster than that is read more slowly.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

from aiohttp import WSMsgType, web
from wampproto import messages

from continuo.iot.hub.ports import CallFailed
from continuo.iot.hub.wamp import codec as wamp
from continuo.iot.hub.wamp.codec import Codec, Malformed
from continuo.iot.hub.wamp.identity import Who
from continuo.iot.hub.wamp.limits import UNIT, Limits, Purse
from continuo.iot.hub.wamp.rights import NOT_AUTHORIZED, Forbidden, method_of

log = logging.getLogger(__name__)

GOODBYE_AND_OUT = "wamp.close.goodbye_and_out"
PROTOCOL_ERROR = "iotronic.error.protocol"

Heard = Callable[["Session", Any], Awaitable[Any]]
"""What a call to the hub is handed to: the result, or Forbidden."""


class Session:
    """A WebSocket on which somebody was welcomed."""

    def __init__(
        self,
        number: int,
        who: Who,
        socket: web.WebSocketResponse,
        codec: Codec,
        limits: Limits,
        abort: Callable[[], None],
    ) -> None:
        self.number, self.who = number, who
        self.capabilities: frozenset[str] = frozenset()
        self.spent = False
        self._socket, self._codec, self._limits, self._abort = socket, codec, limits, abort
        self._purse = Purse(limits.rate, limits.burst, time.monotonic)
        self._methods: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._registered = asyncio.Event()
        self._under_way: dict[int, asyncio.Future[Any]] = {}
        self._ids = count(1)
        self._over = ""
        self._writing = asyncio.Lock()
        self._writes: set[asyncio.Task[bool]] = set()
        self._settled = asyncio.get_running_loop().time()

    def settle(self) -> None:
        """The board has said that it is there; from now on it registers its methods."""
        self._settled = asyncio.get_running_loop().time()

    async def invoke(self, method: str, arguments: list[Any], timeout: float) -> Any:
        """The first value that a board's method answers; raises CallFailed."""
        try:
            async with asyncio.timeout(timeout):
                registration = await self._registration(method)
                return await self._invoked(method, registration, arguments)
        except TimeoutError:
            raise CallFailed(f"{method} on board {self.who.name}: no answer within {timeout:g} s") from None

    async def _invoked(self, method: str, registration: int, arguments: list[Any]) -> Any:
        if len(self._under_way) >= self._limits.calls:
            raise CallFailed(f"{method} on board {self.who.name}: {self._limits.calls} calls to it are under way")
        number = next(self._ids)
        answer = self._under_way[number] = asyncio.get_running_loop().create_future()
        try:
            await self.send(wamp.invocation(number, registration, arguments))
            return await answer
        finally:
            self._under_way.pop(number, None)

    async def _registration(self, method: str) -> int:
        """Boards register their methods after they have said that they are there, so there is a moment to wait for."""
        until = self._settled + self._limits.registering
        while method not in self._methods:
            if self._over:
                raise CallFailed(f"{method} on board {self.who.name}: {self._over}")
            self._registered.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._registered.wait()
            except TimeoutError:
                raise CallFailed(f"board {self.who.name} has no method {method}") from None
        return self._methods[method]

    async def send(self, message: Any) -> None:
        """Send; who leaves everything unread is cut off.

        In a task of its own, one after the other: aiohttp lets all senders wait for one future, which a sender that is
        cancelled takes from the others.
        """
        if self._over or self._socket.closed:
            raise CallFailed(f"board {self.who.name} went away")
        writing = asyncio.get_running_loop().create_task(self._write(self._codec.encode(message)))
        self._writes.add(writing)
        writing.add_done_callback(self._writes.discard)
        done, _ = await asyncio.wait({writing}, timeout=self._limits.sending)
        if not done:
            self.cut()
        if not done or not writing.result():
            raise CallFailed(f"board {self.who.name} takes nothing any more")

    async def _write(self, data: str | bytes) -> bool:
        async with self._writing:
            try:
                await (self._socket.send_str(data) if isinstance(data, str) else self._socket.send_bytes(data))
            except (ConnectionError, RuntimeError):  # closed or closing
                return False
            return True

    async def end(self, reason: str) -> None:
        """Say goodbye and close; the reading side sees the end and tidies up."""
        if self._socket.closed:
            return
        with contextlib.suppress(CallFailed):
            await self.send(wamp.goodbye(reason))
        await self._socket.close(drain=False)

    def cut(self) -> None:
        """Close at once, whatever is under way."""
        self._abort()

    async def run(self, heard: Heard) -> None:
        """Read until the end. Whatever was under way then fails."""
        try:
            while (frame := await self._socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
                if wait := self._purse.spend(1 + len(frame.data) / UNIT):
                    await asyncio.sleep(wait)
                if not await self._took(frame.data, heard):
                    break
        except CallFailed as gone:
            log.info("session %d: %s", self.number, gone)
        finally:
            self._finish()

    def _finish(self) -> None:
        self._over = "the board went away"
        self._registered.set()
        for answer in self._under_way.values():
            if not answer.done():
                answer.set_exception(CallFailed(f"board {self.who.name} went away during the call"))

    async def _took(self, data: str | bytes, heard: Heard) -> bool:
        """Handle one frame; False: the session is over."""
        try:
            message = self._codec.decode(data)
        except Malformed as error:
            log.info("session %d of %s sends %s", self.number, self.who.name, error)
            await self.end(PROTOCOL_ERROR)
            return False
        match message:
            case messages.Yield() | messages.Error():
                self._answered(message)
            case messages.Register():
                await self._register(message)
            case messages.Unregister():
                await self._unregister(message)
            case messages.Call():
                await self._call(message, heard)
            case messages.Subscribe() | messages.Publish() | messages.Unsubscribe():
                sentence = "the hub has no topics; boards register and call"
                await self.send(wamp.error(message, NOT_AUTHORIZED, sentence))
            case messages.Goodbye():
                await self.end(GOODBYE_AND_OUT)
                return False
            case messages.Cancel():
                pass  # calls to the hub are short: their answer comes all the same
            case _:
                log.info("session %d of %s sends %s", self.number, self.who.name, type(message).__name__)
                await self.end(PROTOCOL_ERROR)
                return False
        return True

    def _answered(self, message: Any) -> None:
        """An answer nobody waits for any more is dropped."""
        answer = self._under_way.get(message.request_id)
        if answer is None or answer.done():
            return
        if isinstance(message, messages.Error):
            if message.message_type != messages.Invocation.TYPE:
                return
            said = ": ".join([str(message.uri), *(str(part)[:500] for part in message.args or [])])
            answer.set_exception(CallFailed(f"board {self.who.name}: {said}"))
        else:
            answer.set_result((message.args or [None])[0])

    async def _register(self, message: Any) -> None:
        try:
            name = method_of(self.who, self.number, message.procedure, message.options)
            if name in self._methods:
                raise Forbidden("wamp.error.procedure_already_exists", f"{message.procedure} is registered already")
            if len(self._methods) >= self._limits.methods:
                raise Forbidden(NOT_AUTHORIZED, f"a session registers {self._limits.methods} procedures at most")
        except Forbidden as error:
            await self.send(wamp.error(message, error.uri, str(error)))
            return
        number = next(self._ids)
        self._methods[name], self._names[number] = number, name
        await self.send(wamp.registered(message.request_id, number))
        self._registered.set()

    async def _unregister(self, message: Any) -> None:
        name = self._names.pop(message.registration_id, None)
        if name is None:
            sentence = f"there is no registration {message.registration_id} of this session"
            await self.send(wamp.error(message, "wamp.error.no_such_registration", sentence))
            return
        del self._methods[name]
        await self.send(wamp.unregistered(message.request_id))

    async def _call(self, message: Any, heard: Heard) -> None:
        try:
            answer = wamp.result(message.request_id, await heard(self, message))
        except Forbidden as error:
            answer = wamp.error(message, error.uri, str(error))
        await self.send(answer)
