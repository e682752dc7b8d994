"""A scripted API server on a real socket: each test says what it answers, and reads what it was asked."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from continuo.kube.access import Access, Credentials, Fixed, Identity, Tls
from continuo.kube.client import KubeCluster
from continuo.kube.transport import Transports
from continuo.kube.watching import WatchSettings
from continuo.resources.meta import Kind

WIDGET = Kind("example.dev", "v1", "Widget", "widgets")
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Stub:
    """Answers in turn; the last one stays."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[web.Request] = []
        self.bodies: list[Any] = []
        self.url = ""

    @property
    def lines(self) -> list[str]:
        return [f"{request.method} {request.path_qs}" for request in self.requests]

    def then(self, answer: Answer) -> Stub:
        self.answers.append(answer)
        return self

    def json(self, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Stub:
        async def answer(_: web.Request) -> web.StreamResponse:
            return web.Response(text=json.dumps(body), status=status, headers=headers)

        return self.then(answer)

    def refuse(self, code: int, reason: str, message: str, headers: dict[str, str] | None = None) -> Stub:
        status = {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message}
        return self.json(status, code, headers)

    def stream(self, *pieces: bytes, cut: bool = False) -> Stub:
        async def answer(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            response.enable_chunked_encoding()
            await response.prepare(request)
            for piece in pieces:
                await response.write(piece)
            if cut and request.transport is not None:
                request.transport.close()
            return response

        return self.then(answer)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        body = await request.read()
        self.bodies.append(json.loads(body) if body else None)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Stub]:
    stub = Stub()
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", stub._handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    host, port = runner.addresses[0][:2]
    stub.url = f"{'https' if tls else 'http'}://{host}:{port}"
    try:
        yield stub
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client_of(
    stub: Stub,
    *,
    credentials: Credentials | None = None,
    tls: Tls | None = None,
    transports: Transports | None = None,
    watching: WatchSettings | None = None,
    timeout: float = 5.0,
    prefix: str = "",
) -> AsyncIterator[KubeCluster]:
    access = Access(stub.url + prefix, tls or Tls(), credentials or Fixed(Identity("Bearer secret-token")))
    cluster = KubeCluster("green", access, transports=transports, timeout=timeout, watching=watching)
    cluster.LONGEST_WAIT = 10.0
    try:
        yield cluster
    finally:
        await cluster.close()
