"""What runs where a network ends: answers the probes of those whose keys it was told, and nobody else's.

It speaks HTTP on one port, needs no secret, reads and writes nothing but the connection, and sends nothing that was not
asked for with a token. Every token has a budget, and the agent one for everybody together.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aiohttp import web

from continuo.probing.payload import BLOCK, blocks
from continuo.probing.tokens import BadProbeToken, ProbeToken, believe
from continuo.resources.probing import PORT

__all__ = ("NONCE", "PORT", "Agent", "Limits", "Refused", "start")

NONCE = "X-Probe-Nonce"


@dataclass(frozen=True, slots=True)
class Limits:
    """What an agent does at most."""

    transfer: int = 16 * 1024 * 1024
    """Bytes of one transfer."""
    per_minute: int = 128 * 1024 * 1024
    """Bytes for everybody together in a minute."""
    transfers: int = 2
    """Transfers at a time."""
    seconds: float = 30.0
    """How long a transfer may take."""
    tokens: int = 4096
    """Tokens whose budget is remembered; more are refused until old ones have expired."""


class Refused(Exception):
    """Answered with a status and a sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Agent:
    """One probe's server."""

    def __init__(
        self, name: str, keys: bytes | Callable[[], Iterable[bytes]], limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        """`keys`: the public key of who may ask, or what says whose keys those are now."""
        self._name, self._limits, self._clock = name, limits or Limits(), clock
        self._keys: Callable[[], Iterable[bytes]] = (lambda: (keys,)) if isinstance(keys, bytes) else keys
        self._spent: dict[str, tuple[float, int]] = {}
        self._minute, self._bytes = 0, 0
        self._busy = 0

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=1024, middlewares=[_refusals])
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/v1/echo", self._echo)
        app.router.add_get("/v1/download", self._download)
        app.router.add_post("/v1/upload", self._upload)
        return app

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _echo(self, request: web.Request) -> web.Response:
        self._token(request)
        nonce = request.headers.get(NONCE, "")
        if not 16 <= len(nonce) <= 64 or not nonce.isascii() or not nonce.isalnum():
            raise Refused(400, f"{NONCE} must be 16 to 64 letters and digits")
        return web.Response(text=nonce)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        token = self._token(request)
        size = self._size(request.query.get("bytes", ""))
        with self._transfer(token, size):
            answer = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
            answer.content_length = size
            async with asyncio.timeout(self._limits.seconds):
                await answer.prepare(request)
                for block in blocks(token.id, size):
                    await answer.write(block)
                await answer.write_eof()
            return answer

    async def _upload(self, request: web.Request) -> web.Response:
        token = self._token(request)
        size = self._size(str(request.content_length or ""))
        with self._transfer(token, size):
            got, digest = 0, hashlib.sha256()
            async with asyncio.timeout(self._limits.seconds):
                async for chunk in request.content.iter_chunked(BLOCK):
                    got += len(chunk)
                    digest.update(chunk)
        return web.json_response({"bytes": got, "sha256": digest.hexdigest()})

    def _token(self, request: web.Request) -> ProbeToken:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Refused(401, "Authorization must be: Bearer TOKEN")
        try:
            return believe(text.strip(), self._keys(), self._name, self._clock())
        except BadProbeToken as error:
            raise Refused(401, str(error)) from error

    def _size(self, text: str) -> int:
        size = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0
        if not 1 <= size <= self._limits.transfer:
            raise Refused(413, f"a transfer is 1 to {self._limits.transfer} bytes")
        return size

    def _transfer(self, token: ProbeToken, size: int) -> _Slot:
        """Book the bytes before the first of them moves."""
        now = self._clock()
        if int(now // 60) != self._minute:
            self._minute, self._bytes = int(now // 60), 0
            self._spent = {id: held for id, held in self._spent.items() if held[0] > now - 60}
        spent = self._spent.get(token.id, (token.expires, 0))[1] + size
        if spent > token.budget:
            raise Refused(403, f"the token's budget of {token.budget} bytes is spent")
        if self._busy >= self._limits.transfers or len(self._spent) >= self._limits.tokens:
            raise Refused(429, "too many transfers at a time; try again later")
        if self._bytes + size > self._limits.per_minute:
            raise Refused(429, "this minute's bytes are spent; try again later")
        self._spent[token.id] = (token.expires, spent)
        self._bytes += size
        return _Slot(self)

    def _enter(self, by: int) -> None:
        self._busy += by


class _Slot:
    """One transfer under way."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def __enter__(self) -> None:
        self._agent._enter(1)

    def __exit__(self, *_: object) -> None:
        self._agent._enter(-1)


@web.middleware
async def _refusals(request: web.Request, handler: Callable[[web.Request], object]) -> web.StreamResponse:
    try:
        return await handler(request)  # type: ignore[misc, no-any-return]
    except Refused as refused:
        return web.json_response({"detail": str(refused)}, status=refused.status)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise


async def start(agent: Agent, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Serve; returns what `cleanup()` ends, and the port."""
    runner = web.AppRunner(agent.app(), access_log=None, keepalive_timeout=30, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner, int(runner.addresses[0][1])
