"""A service over mutual TLS that says who asked, and clients of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import uvicorn
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from continuo.server.identity import peer_id, uvicorn_options
from continuo.trust.http import PeerConnector
from continuo.trust.identity import Identity
from continuo.trust.ids import Authorize


class Service:
    """Answers with the caller's ID; `/slow` only when `go` is set."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.go = asyncio.Event()
        self.begun = asyncio.Event()
        self.answered = 0
        self._answered = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        if scope["path"] == "/slow":
            self.begun.set()
            await self.go.wait()
        self.answered += 1
        self._answered.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(peer_id(scope)).encode()})

    async def more(self, count: int) -> None:
        """Until that many more requests have been answered."""
        wanted = self.answered + count
        while self.answered < wanted:
            self._answered.clear()
            await self._answered.wait()

    async def _websocket(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": str(peer_id(scope))})
        while (await receive())["type"] != "websocket.disconnect":
            pass


@asynccontextmanager
async def served(identity: Identity, authorize: Authorize) -> AsyncIterator[Service]:
    """That service, on loopback."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    service = Service(f"https://127.0.0.1:{listener.getsockname()[1]}")
    options = uvicorn_options(identity, authorize, sockets=WSProtocol)
    config = uvicorn.Config(
        service, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1, **options
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup([listener])
    try:
        yield service
    finally:
        service.go.set()
        await server.shutdown([listener])


@asynccontextmanager
async def asking(identity: Identity, authorize: Authorize) -> AsyncIterator[aiohttp.ClientSession]:
    """A client with pooled connections."""
    connector = PeerConnector(identity.client_context(authorize))
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


async def ask(session: aiohttp.ClientSession, service: Service, path: str = "/") -> str:
    """What the service answers; aiohttp.ClientError when there is no answer."""
    async with session.get(service.url + path) as answer:
        assert answer.status == 200
        return await answer.text()
