"""The board's end of WAMP: one connection, authenticated, that calls and is called. What the hub may send is plain data."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from wampproto import messages, serializers
from wampproto.auth import CryptoSignAuthenticator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.typing import Subprotocol

log = logging.getLogger(__name__)

MOST = 4 << 20
"""Bytes of a message."""
JOINING = 15.0
"""Seconds for the connection and the greeting."""
ANSWERING = 30.0
"""Seconds for an answer of the hub."""
SILENCE = 20.0
"""Seconds between two pings, and until a missing answer to one ends the connection."""

Handler = Callable[..., Awaitable[str]]


class Closed(Exception):
    """The connection is over, or never was; `reason` is WAMP's, where the hub said one."""

    def __init__(self, sentence: str, reason: str = "") -> None:
        super().__init__(sentence)
        self.reason = reason


class Refused(Exception):
    """The hub answered a call with an error."""


@dataclass(frozen=True, slots=True)
class Key:
    """By what a session is authenticated."""

    board: str
    public: str
    private: str = field(repr=False)
    """Ed25519, 64 hexadecimal digits each; this one a secret."""


class Session:
    """One joined session; `run` must be running for anything to be answered."""

    def __init__(self, socket: ClientConnection) -> None:
        self.id = 0
        self._socket = socket
        self._binary = socket.subprotocol == "wamp.2.cbor"
        self._codec = serializers.CBORSerializer() if self._binary else serializers.JSONSerializer()
        self._next = 0
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._named: dict[int, Handler] = {}
        self._answering: set[asyncio.Task[None]] = set()

    async def join(self, realm: str, key: Key | None) -> None:
        """Greet and prove who this is; raises Closed."""
        authenticator = CryptoSignAuthenticator(key.board, key.private, {"pubkey": key.public}) if key else None
        hello = messages.HelloFields(
            realm=realm, roles={"caller": {"features": {}}, "callee": {"features": {}}},
            authid=key.board if key else None, authmethods=["cryptosign" if key else "anonymous"],
            authextra=authenticator.auth_extra if authenticator else None,
        )  # fmt: skip
        await self._send(messages.Hello(hello))
        while not self.id:
            said = await self._receive()
            if isinstance(said, messages.Welcome):
                self.id = int(said.session_id)
            elif isinstance(said, messages.Challenge) and authenticator is not None:
                await self._send(authenticator.authenticate(said))
            elif isinstance(said, messages.Abort):
                sentence = said.details.get("message") if isinstance(said.details, dict) else None
                raise Closed(f"the hub refused this board: {sentence or said.reason}", str(said.reason))
            else:
                raise Closed(f"the hub answered the greeting with {type(said).__name__}")

    async def call(self, procedure: str, *arguments: Any, timeout: float = ANSWERING, **named: Any) -> Any:
        """Call the hub; the first value of its answer. Raises Refused, Closed, TimeoutError."""
        request = self._request()
        fields = messages.CallFields(request, procedure, list(arguments), named or None)
        result = await self._ask(request, messages.Call(fields), timeout)
        return result.args[0] if result.args else None

    async def register(self, procedure: str, handler: Handler) -> None:
        """Answer calls of this procedure."""
        request = self._request()
        message = messages.Register(messages.RegisterFields(request, procedure))
        registered = await self._ask(request, message, ANSWERING)
        self._named[registered.registration_id] = handler

    async def run(self) -> None:
        """Until the connection is over; always raises Closed."""
        try:
            while True:
                self._heard(await self._receive())
        finally:
            for task in list(self._answering):
                task.cancel()
            for asked in self._asked.values():
                if not asked.done():
                    asked.set_exception(Closed("the connection to the hub is over"))
                    asked.exception()

    def _heard(self, said: Any) -> None:
        if isinstance(said, messages.Invocation):
            task = asyncio.get_running_loop().create_task(self._answer(said))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        elif isinstance(said, messages.Result | messages.Registered):
            self._done(said.request_id, said)
        elif isinstance(said, messages.Error):
            first = str(said.args[0]) if said.args else ""
            self._done(said.request_id, Refused(first or said.uri))
        elif isinstance(said, messages.Goodbye):
            raise Closed(f"the hub ended the session: {said.reason}", str(said.reason))

    def _done(self, request: int, with_what: Any) -> None:
        asked = self._asked.pop(request, None)
        if asked is None or asked.done():
            return
        if isinstance(with_what, Exception):
            asked.set_exception(with_what)
        else:
            asked.set_result(with_what)

    async def _answer(self, called: Any) -> None:
        handler = self._named.get(called.registration_id)
        try:
            if handler is None:
                raise LookupError("no such procedure")
            text = await handler(*(called.args or []))
            answer: Any = messages.Yield(messages.YieldFields(called.request_id, [text]))
        except Exception as error:  # the boundary of a request: the hub hears that it failed, the log why
            log.warning("a call of the hub failed", exc_info=error)
            what = messages.ErrorFields(
                68, called.request_id, "iotronic.error.failed", [f"{type(error).__name__}: {error}"]
            )
            answer = messages.Error(what)
        try:
            await self._send(answer)
        except Closed:
            log.info("an answer could not be sent: the connection is over")

    async def _ask(self, request: int, message: Any, timeout: float) -> Any:
        asked = self._asked[request] = asyncio.get_running_loop().create_future()
        try:
            await self._send(message)
            async with asyncio.timeout(timeout):
                return await asked
        finally:
            self._asked.pop(request, None)

    def _request(self) -> int:
        self._next += 1
        return self._next

    async def _send(self, message: Any) -> None:
        try:
            await self._socket.send(self._codec.serialize(message))
        except ConnectionClosed as error:
            raise Closed(f"the connection to the hub is over: {error}") from None

    async def _receive(self) -> Any:
        try:
            data = await self._socket.recv()
        except ConnectionClosed as error:
            raise Closed(f"the connection to the hub is over: {error}") from None
        try:
            return self._codec.deserialize(data)
        except Exception as error:  # whatever the parser says of bytes that are no message
            raise Closed(f"the hub sent what is no WAMP message: {type(error).__name__}") from None


@asynccontextmanager
async def joined(url: str, tls: ssl.SSLContext | None, realm: str, key: Key | None) -> AsyncIterator[Session]:
    """A joined session, closed at the end; raises Closed where there is none."""
    async with asyncio.timeout(JOINING) as greeting:
        try:
            socket = await connect(
                url, ssl=tls, subprotocols=[Subprotocol("wamp.2.cbor"), Subprotocol("wamp.2.json")], max_size=MOST,
                ping_interval=SILENCE, ping_timeout=SILENCE, close_timeout=2, compression=None, proxy=None,
            )  # fmt: skip
        except ssl.SSLCertVerificationError as error:
            raise Closed(f"the hub at {url} is not who the CA bundle vouches for: {error.verify_message}") from None
        except (OSError, InvalidHandshake, InvalidURI, TimeoutError) as error:
            raise Closed(f"the hub at {url} cannot be reached: {error or type(error).__name__}") from None
        try:
            session = Session(socket)
            await session.join(realm, key)
        except BaseException:
            await socket.close()
            raise
        greeting.reschedule(None)
        try:
            yield session
        finally:
            await socket.close()
