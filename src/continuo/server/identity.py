"""How an HTTP server requires SPIFFE identities: what uvicorn is told, and what handlers see.

Each request's ASGI scope has `scope["spiffe_id"]` (SpiffeId) and `scope["spiffe_peer"]` (Peer, with the certificate).
A connection ends with the first of its two SVIDs: after the request under way, at once when it is idle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from continuo.trust.contexts import Guarded
from continuo.trust.holder import utc_now
from continuo.trust.identity import Identity, Peer
from continuo.trust.ids import Authorize, SpiffeId

LINGER = 300.0
"""Seconds that a request may go on after its connection's SVID has ended."""


def uvicorn_options(identity: Identity, authorize: Authorize, *, sockets: Any = "none") -> dict[str, Any]:
    """Keyword arguments for `uvicorn.Config`: mutual TLS, and protocols that know their peer.

    `sockets`: uvicorn's class for WebSockets, such as WSProtocol, where the application has any.
    """
    context = identity.server_context(authorize)
    face = sockets if sockets == "none" else _knowing(sockets)
    return {"ssl_context_factory": lambda *_: context, "http": SpiffeHttp, "ws": face}


def peer_id(scope: Mapping[str, Any]) -> SpiffeId | None:
    """Who sent this request; None where the server runs without identities (`--insecure`)."""
    found: SpiffeId | None = scope.get("spiffe_id")
    return found


def peer(scope: Mapping[str, Any]) -> Peer | None:
    """The same with the certificate, as `verify_delegation` wants it."""
    found: Peer | None = scope.get("spiffe_peer")
    return found


class _Knowing:
    """A protocol of uvicorn that tells the application who is at the other end."""

    app: Any
    transport: Any
    _timer: asyncio.TimerHandle | None = None
    _expired = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        link = transport.get_extra_info("ssl_object")
        if not isinstance(link, Guarded) or link.peer is None:
            transport.abort()  # these classes are for mutual TLS alone
            return
        self.app = self._telling(self.app, link.peer)
        link.on_end(transport.abort)
        left = (link.peer.until - utc_now()).total_seconds()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, left), self._expire)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        super().connection_lost(exc)  # type: ignore[misc]

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _telling(self, app: Any, proved: Peer) -> Any:
        async def told(scope: Any, receive: Any, send: Any) -> None:
            scope["spiffe_id"], scope["spiffe_peer"] = proved.spiffe_id, proved

            async def answer(message: Any) -> None:
                if self._expired and message["type"] == "http.response.start":
                    message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
                await send(message)

            await app(scope, receive, answer)

        return told

    def _expire(self) -> None:
        self._expired = True
        self._timer = asyncio.get_running_loop().call_later(LINGER, self.transport.abort)
        self.shutdown()  # type: ignore[attr-defined]


class SpiffeHttp(_Knowing, HttpToolsProtocol):
    """HTTP/1.1 over mutual TLS."""

    def handle_websocket_upgrade(self) -> None:
        self._cancel_timer()  # the WebSocket's protocol has its own
        super().handle_websocket_upgrade()


def _knowing(face: type[Any]) -> type[Any]:
    """That class of WebSocket protocols, knowing its peer."""
    return type(f"Spiffe{face.__name__}", (_Knowing, face), {})
