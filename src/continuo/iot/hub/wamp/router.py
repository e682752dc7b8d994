"""The hub's end of WAMP: sessions come and go here, and boards are called here. It routes nothing between peers."""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import uuid4

from aiohttp import web

from continuo.iot.hub.ports import BoardNotConnected, CallFailed, Json, Presence
from continuo.iot.hub.wamp.codec import SUBPROTOCOLS, Codec
from continuo.iot.hub.wamp.greeting import Crowd, greeted
from continuo.iot.hub.wamp.identity import Board, Door
from continuo.iot.hub.wamp.limits import Limits, Purse, Purses
from continuo.iot.hub.wamp.procedures import Procedures
from continuo.iot.hub.wamp.session import Session
from continuo.iot.wire import Message

log = logging.getLogger(__name__)

REPLACED = "iotronic.close.replaced"
REMOVED = "iotronic.close.removed"
LATE = "iotronic.close.no_connection"
SHUTDOWN = "wamp.close.system_shutdown"

_MOST = 1 << 53
_LOCKS = 64
_STOPPING = 5.0


class Router:
    """Sessions of boards, and calls to them: `Boards` of the hub's ports. Made within a running loop."""

    def __init__(self, presence: Presence, *, lightning_rod: bool = False, limits: Limits | None = None) -> None:
        """`lightning_rod`: boards without a key may join their secret realm."""
        self._limits = limits or Limits()
        self._presence = presence
        self._door = Door(presence, partial(secrets.token_hex, 32), lightning_rod)
        self._procedures = Procedures(presence, self, lightning_rod=lightning_rod)
        self._wrong = Purses(self._limits.wrong_rate, self._limits.wrong, time.monotonic)
        self._crowd = Crowd(self._limits)
        self._online: dict[str, Session] = {}
        self._sessions: dict[int, Session] = {}
        self._by_board: dict[str, list[Session]] = {}
        self._locks = [asyncio.Lock() for _ in range(_LOCKS)]
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: set[asyncio.Task[Any]] = set()
        self.counts: Counter[str] = Counter()

    # What the hub's other parts use

    def session(self, board: str) -> int | None:
        found = self._online.get(board)
        return found.number if found else None

    def capabilities(self, board: str) -> frozenset[str]:
        found = self._online.get(board)
        return found.capabilities if found else frozenset()

    async def call(
        self, board: str, method: str, *arguments: Any, request: Json | None = None, timeout: float = 50.0
    ) -> Message:
        session = self._online.get(board)
        if session is None:
            raise BoardNotConnected(f"Board {board} is not connected.")
        self.counts["calls"] += 1
        said = await session.invoke(method, [dict(request or _request(board, method)), *arguments], timeout)
        try:
            return Message.decode(said)
        except (ValueError, TypeError) as error:
            raise CallFailed(f"{method} on board {board} answered no message: {error}") from None

    async def close(self, board: str) -> None:
        sessions = list(self._by_board.get(board, ()))
        await asyncio.gather(*(session.end(REMOVED) for session in sessions))

    @property
    def online(self) -> int:
        """How many boards have a session that counts."""
        return len(self._online)

    @property
    def sessions(self) -> int:
        """How many sessions there are, those of newcomers too."""
        return len(self._sessions)

    # Serving

    @asynccontextmanager
    async def serve(self, host: str, port: int, tls: ssl.SSLContext | None) -> AsyncIterator[int]:
        """Serve WebSockets at every path; the port, where 0 was asked for a free one. Raises OSError."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._accept)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2.0)
        await runner.setup()
        site = web.TCPSite(runner, host, port, ssl_context=tls, backlog=1024)
        try:
            await site.start()
            try:
                yield int(runner.addresses[0][1])
            finally:
                await site.stop()
                await self._stop()
        finally:
            await runner.cleanup()

    async def _stop(self) -> None:
        """Say goodbye to all; that they are offline is stored before this returns."""
        await asyncio.gather(*(session.end(SHUTDOWN) for session in list(self._sessions.values())))
        while tasks := self._tasks | self._running:
            if not (await asyncio.wait(tasks, timeout=_STOPPING))[0]:
                log.error("%d sessions do not end; they are left behind", len(self._sessions))
                return

    async def _accept(self, request: web.Request) -> web.StreamResponse:
        offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        if request.headers.get("Upgrade", "").lower() != "websocket" or not SUBPROTOCOLS.keys() & set(offered):
            return web.Response(
                status=426,
                headers={"Upgrade": "websocket"},
                text=f"this is for boards: WebSocket with one of the subprotocols {', '.join(SUBPROTOCOLS)}\n",
            )
        socket = web.WebSocketResponse(
            protocols=tuple(SUBPROTOCOLS),
            heartbeat=self._limits.ping,
            max_msg_size=self._limits.message,
            compress=False,
            timeout=2.0,
        )
        address = request.remote or ""
        wrong = self._wrong.of(address)
        async with self._crowd.enter(address):
            await socket.prepare(request)
            codec = Codec.of(socket.ws_protocol or "")
            known = await greeted(socket, codec, self._door, self._number, wrong, self._limits)
        if known is not None and request.transport is not None:
            await self._run(Session(*known, socket, codec, self._limits, request.transport.abort), wrong)
        else:
            self.counts["refused"] += 1
        return socket

    def _number(self) -> int:
        while (number := secrets.randbelow(_MOST) + 1) in self._sessions:
            pass
        return number

    async def _run(self, session: Session, wrong: Purse) -> None:
        self._sessions[session.number] = session
        self.counts["sessions"] += 1
        loop = asyncio.get_running_loop()
        if (running := asyncio.current_task()) is not None:
            self._running.add(running)
            running.add_done_callback(self._running.discard)
        late = self._limits.arrival if isinstance(session.who, Board) else self._limits.newcomer
        timer = loop.call_later(late, self._too_late, session)
        self._enlist(session)
        try:
            await session.run(lambda who, message: self._procedures.handle(who, message, wrong))
        finally:
            timer.cancel()
            del self._sessions[session.number]
            await asyncio.shield(self._spawn(self._left(session)))

    def _too_late(self, session: Session) -> None:
        if not self.current(session):
            self._spawn(session.end(LATE))

    def _enlist(self, session: Session) -> None:
        if not isinstance(session.who, Board):
            return
        mine = self._by_board.setdefault(session.who.uuid, [])
        mine.append(session)
        if len(mine) > self._limits.sessions:
            oldest = next(other for other in mine if not self.current(other))
            self._spawn(oldest.end(REPLACED))

    # Arrivals, for the procedures

    def current(self, session: Session) -> bool:
        return self._online.get(session.who.name) is session

    async def arrived(self, session: Session, board: str, info: dict[str, Any]) -> None:
        """A board says that it is there; an older session of its ends."""
        session.capabilities = _capabilities(info)
        session.settle()
        async with self._lock(board):
            older = self._online.get(board)
            self._online[board] = session  # before anybody hears of it: who does may call it at once
            try:
                await self._presence.connected(board, session.number, info)
            except BaseException:
                del self._online[board]
                if older is not None:
                    self._online[board] = older
                raise
        if older is not None and older is not session:
            self._spawn(older.end(REPLACED))

    async def registered(self, board: str, proof: str | None) -> None:
        """A board has a new identity: sessions that came by another one end."""
        sessions = [
            one for one in self._by_board.get(board, ()) if isinstance(one.who, Board) and one.who.proof != proof
        ]
        await asyncio.gather(*(session.end(REMOVED) for session in sessions))

    async def _left(self, session: Session) -> None:
        if not isinstance(session.who, Board):
            return
        board = session.who.uuid
        mine = self._by_board[board]
        mine.remove(session)
        if not mine:
            del self._by_board[board]
        async with self._lock(board):
            if self.current(session):
                del self._online[board]
                await self._presence.left(session.number)

    def _lock(self, board: str) -> asyncio.Lock:
        """Coming and going of one board happen one after the other."""
        return self._locks[hash(board) % _LOCKS]

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("what a session needed failed: %s", error, exc_info=error)


def _capabilities(info: dict[str, Any]) -> frozenset[str]:
    said = info.get("capabilities", ())
    return frozenset(word for word in said if isinstance(word, str)) if isinstance(said, list) else frozenset()


def _request(board: str, method: str) -> dict[str, Any]:
    """A call that no request stands behind, in the form that Lightning-rod reads."""
    return {
        "uuid": str(uuid4()),
        "main_request_uuid": None,
        "destination_uuid": board,
        "pending_requests": 0,
        "status": "PENDING",
        "project": None,
        "type": 0,
        "action": method[:20],
        "created_at": None,
        "updated_at": None,
    }
