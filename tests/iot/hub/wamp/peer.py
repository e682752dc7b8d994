"""The other end in tests: a client of WAMP with the library's joiner, and a Presence in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from wampproto import auth, messages, serializers
from wampproto.auth.cryptosign import generate_cryptosign_keypair
from wampproto.joiner import Joiner

from continuo.iot.hub.wamp import Limits, Router
from continuo.iot.wire import REALM, Message, Outcome, hub_procedure, procedure


class CallError(Exception):
    """The hub answered ERROR."""

    def __init__(self, uri: str, args: list[Any]) -> None:
        super().__init__(uri, *args)
        self.uri = uri


@dataclass
class Book:
    """What the registry will do, in memory: `Presence` of the hub's ports, and what it heard."""

    codes: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    former: set[tuple[str, str]] = field(default_factory=set)
    realms: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, int] = field(default_factory=dict)
    spent: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    heard: list[tuple[Any, ...]] = field(default_factory=list)
    wanted: dict[str, dict[str, Any]] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    slow: Callable[[], Any] | None = None

    async def register(self, code: str, session: int, key: str | None) -> dict[str, Any]:
        if code in self.spent and self.spent[code][1] == key and key is not None:
            board = self.spent[code][0]
        elif code in self.codes:
            board = self.codes.pop(code)
            self.spent[code] = (board, key)
        else:
            raise LookupError("this code is unknown, or was used")
        if key is None:
            self.realms[f"secret-{board}"] = board
        else:
            self.keys[board] = key
        return {"iotronic": {"board": {"uuid": board}, "wamp": {"main-agent": {"realm": REALM}}}}

    def key_of(self, board: str) -> str | None:
        return self.keys.get(board)

    def was_key_of(self, board: str, key: str) -> bool:
        return (board, key) in self.former

    def board_of_realm(self, realm: str) -> str | None:
        return self.realms.get(realm)

    async def connected(self, board: str, session: int, info: Any) -> None:
        if self.slow is not None:
            await self.slow()
        self.sessions[board] = session
        await self._note("connected", board, session)

    async def left(self, session: int) -> None:
        for board, current in list(self.sessions.items()):
            if current == session:
                del self.sessions[board]
        await self._note("left", session)

    async def notified(self, board: str, message: Message) -> None:
        await self._note("notified", board, message)

    async def reported(self, board: str, report: Any) -> None:
        await self._note("reported", board, report)

    def desired(self, board: str) -> dict[str, Any]:
        return self.wanted.get(board, {})

    async def _note(self, *what: Any) -> None:
        async with self.changed:
            self.heard.append(what)
            self.changed.notify_all()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(true)

    def board(self, name: str) -> auth.CryptoSignAuthenticator:
        """A board that is registered: what it proves itself with."""
        public, private = generate_cryptosign_keypair()
        self.keys[name] = public
        return auth.CryptoSignAuthenticator(name, private, {"pubkey": public})


class Peer:
    """One session at the hub."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, serializer: Any) -> None:
        self.socket, self.serializer = socket, serializer
        self.number, self.authid, self.reason = 0, "", ""
        self.over = asyncio.Event()
        self._next = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._methods: dict[int, Callable[..., Any]] = {}
        self._task: asyncio.Task[None] | None = None

    async def send(self, message: Any) -> None:
        data = self.serializer.serialize(message)
        await (self.socket.send_str(data) if isinstance(data, str) else self.socket.send_bytes(data))

    async def join(self, realm: str, who: Any) -> None:
        joiner = Joiner(realm, self.serializer, who)
        hello = joiner.send_hello()
        await (self.socket.send_str(hello) if isinstance(hello, str) else self.socket.send_bytes(hello))
        while True:
            frame = await self.socket.receive()
            if frame.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                raise ConnectionError(f"closed: {frame}")
            answer = joiner.receive(frame.data)
            if answer is None:
                break
            await (self.socket.send_str(answer) if isinstance(answer, str) else self.socket.send_bytes(answer))
        details = joiner.get_session_details()
        self.number, self.authid = details.session_id, details.authid
        self._task = asyncio.create_task(self._read())

    async def call(self, uri: str, *args: Any, **kwargs: Any) -> Any:
        return await self._ask(lambda n: messages.Call(messages.CallFields(n, uri, list(args), kwargs or None)))

    async def register(self, uri: str, method: Callable[..., Any], **options: Any) -> None:
        fields = lambda n: messages.Register(messages.RegisterFields(n, uri, options))  # noqa: E731
        self._methods[await self._ask(fields)] = method

    async def offer(self, name: str, method: Callable[..., Any]) -> None:
        await self.register(procedure(self.number, self.authid, name), method)

    async def subscribe(self, topic: str) -> Any:
        return await self._ask(lambda n: messages.Subscribe(messages.SubscribeFields(n, topic)))

    async def publish(self, topic: str) -> Any:
        return await self._ask(
            lambda n: messages.Publish(messages.PublishFields(n, topic, options={"acknowledge": True}))
        )

    async def come(self, *capabilities: str) -> Message:
        info = {"lr_version": "0.5.0", "capabilities": list(capabilities), "connectivity": {}}
        return Message.decode(await self.call(hub_procedure("connection"), self.authid, self.number, info))

    async def _ask(self, made: Callable[[int], Any]) -> Any:
        self._next += 1
        answer = self._waiting[self._next] = asyncio.get_running_loop().create_future()
        await self.send(made(self._next))
        async with asyncio.timeout(20):
            return await answer

    async def _read(self) -> None:
        try:
            async for frame in self.socket:
                await self._took(self.serializer.deserialize(frame.data))
        finally:
            self.over.set()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(ConnectionError(self.reason or "closed"))
                    answer.exception()

    async def _took(self, message: Any) -> None:
        match message:
            case messages.Result():
                self._waiting.pop(message.request_id).set_result((message.args or [None])[0])
            case messages.Registered():
                self._waiting.pop(message.request_id).set_result(message.registration_id)
            case messages.Error():
                self._waiting.pop(message.request_id).set_exception(CallError(message.uri, message.args or []))
            case messages.Invocation():
                await self._invoked(message)
            case messages.Goodbye():
                self.reason = message.reason

    async def _invoked(self, message: Any) -> None:
        try:
            said = self._methods[message.registration_id](*message.args)
        except Exception as error:  # what a board's method raises is what the hub has to hear
            fields = messages.ErrorFields(message.TYPE, message.request_id, "board.error", [str(error)], None, {})
            await self.send(messages.Error(fields))
            return
        if said is not None:
            await self.send(messages.Yield(messages.YieldFields(message.request_id, [said])))

    async def close(self) -> None:
        await self.socket.close()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=5)


def good(text: Any) -> str:
    return Message(text, Outcome.SUCCESS).encode()


@dataclass
class Site:
    """A router that serves, its book, and clients."""

    router: Router
    book: Book
    port: int
    http: aiohttp.ClientSession
    peers: list[Peer] = field(default_factory=list)

    async def socket(self, subprotocol: str = "wamp.2.cbor") -> aiohttp.ClientWebSocketResponse:
        return await self.http.ws_connect(f"http://127.0.0.1:{self.port}/", protocols=[subprotocol])

    async def join(self, who: Any = None, realm: str = REALM, json: bool = False) -> Peer:
        serializer = serializers.JSONSerializer() if json else serializers.CBORSerializer()
        peer = Peer(await self.socket("wamp.2.json" if json else "wamp.2.cbor"), serializer)
        self.peers.append(peer)
        await peer.join(realm, who)
        return peer

    async def online(self, name: str, **methods: Callable[..., Any]) -> Peer:
        """A registered board that is there."""
        peer = await self.join(self.book.board(name))
        for method, function in methods.items():
            await peer.offer(method, function)
        await peer.come()
        return peer


@asynccontextmanager
async def site(limits: Limits | None = None, *, lightning_rod: bool = False, port: int = 0) -> AsyncIterator[Site]:
    book = Book()
    router = Router(book, lightning_rod=lightning_rod, limits=limits)
    connector = aiohttp.TCPConnector(limit=0)
    async with router.serve("127.0.0.1", port, None) as bound, aiohttp.ClientSession(connector=connector) as http:
        here = Site(router, book, bound, http)
        try:
            yield here
        finally:
            await asyncio.gather(*(peer.close() for peer in here.peers))
