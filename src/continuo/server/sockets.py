"""Cheap WebSocket sending: a frame that goes to a thousand connections is framed once and written straight out.

`FanOut` is uvicorn's protocol with one more thing in its scope. Under any other server `Sink` falls back to plain ASGI.
"""

from __future__ import annotations

from typing import Any

from fastapi import WebSocket
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from continuo.broker.catalog.feed import Delta

EXTENSION = "continuo.frames"


class FanOut(WSProtocol):
    """Lets an application write whole frames."""

    def handle_connect(self, event: Any) -> None:
        """Offer ourselves to the application, before its task begins."""
        super().handle_connect(event)
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[EXTENSION] = self

    def takes_frames(self) -> bool:
        """Whether a frame can be written now."""
        return self.writable.is_set() and not self.disconnected and not self.close_sent

    async def write_frame(self, frame: bytes) -> None:
        """Write a frame; waits only while the client's connection is full."""
        if not self.writable.is_set():
            await self.writable.wait()
        if not self.disconnected and not self.close_sent:
            self.transport.write(frame)


class Sink:
    """Where one connection's frames go."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self.direct: FanOut | None = socket.scope.get("extensions", {}).get(EXTENSION)
        self.kind = "text" if self.direct is None else "frame"
        """In which form `delta` makes frames: they are shared only among sinks of one kind."""

    async def text(self, payload: bytes) -> None:
        """Send one text."""
        await self.ready(payload if self.direct is None else framed(payload))

    async def ready(self, frame: bytes) -> None:
        """Send what `delta` made."""
        if self.direct is None:
            await self._socket.send_text(frame.decode())
        else:
            await self.direct.write_frame(frame)

    def delta(self, delta: Delta) -> bytes:
        """A delta as this kind of sink sends it."""
        return delta_text(delta) if self.direct is None else self.framed_delta(delta)

    @staticmethod
    def framed_delta(delta: Delta) -> bytes:
        """A delta as a whole frame."""
        return framed(delta_text(delta))


def delta_text(delta: Delta) -> bytes:
    """A delta as one JSON text."""
    more = b',"coalesced":true' if delta.coalesced else b""
    return b'{"op":"delta","revision":%d%b,"changes":[%b]}' % (delta.revision, more, b",".join(delta.items))


def framed(payload: bytes) -> bytes:
    """A server's text frame (RFC 6455: final, unmasked, uncompressed)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload
