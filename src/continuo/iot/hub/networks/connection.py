"""One connection at the hub: first a request, then frames."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, cast

from continuo.iot.frames import ETHERNET, KEEPALIVE, Closing, Decoder, Malformed, encode
from continuo.iot.hub.networks import upgrade
from continuo.iot.hub.networks.outbox import Outbox
from continuo.iot.hub.networks.switch import Port, Switch

if TYPE_CHECKING:
    from continuo.iot.hub.networks.server import NetworkServer

PATIENCE = 10.0
"""Seconds until the request must be there, and for a connection that we close to take what we said last."""
ALIVE, SILENCE = 10.0, 30.0
"""Seconds after which we say that we are there, and after which a silent board is taken for gone."""
BUFFER = 64 * 1024
UNSENT = 128 * 1024
"""Bytes that the kernel takes before it says that it is full: what waits there cannot be dropped any more."""
TCP_NOTSENT_LOWAT = 25


class Connection(asyncio.Protocol):
    """A board's end of one port."""

    outbox: Outbox

    def __init__(self, server: NetworkServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._port: Port | None = None
        self._switch: Switch | None = None
        self._decoder: Decoder | None = None
        self._heard = self._said = self._begun = server.clock()
        self._closed: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=BUFFER)
        with contextlib.suppress(OSError, AttributeError):  # a matter of latency only
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT)
        self.outbox = Outbox(self._transport, self._server.due)
        if not self._server.stranger(self, transport.get_extra_info("peername")):
            self._refuse(upgrade.Refused(503, "Too many connections have not said yet who they are; come again."))

    def data_received(self, data: bytes) -> None:
        if self._closed is not None:
            return  # it was told already that it is over
        now = self._heard = self._server.clock()
        if self._decoder is None:
            self._request(data)
        else:
            self._frames(data, now)

    def _request(self, data: bytes) -> None:
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        try:
            if not end:
                if len(self._head) > upgrade.LONGEST:
                    raise upgrade.Refused(400, f"A request has at most {upgrade.LONGEST} bytes.")
                return
            self._switch, self._port = self._server.admit(upgrade.read(head), self)
        except upgrade.Refused as refused:
            self._refuse(refused)
            return
        self._head = b""
        self._decoder = Decoder(self._switch.network.mtu)
        self._write(upgrade.ACCEPTED)
        self._server.flush()
        if rest:
            self._frames(rest, self._heard)

    def _frames(self, data: bytes, now: float) -> None:
        switch, port, decoder = self._switch, self._port, self._decoder
        if switch is None or port is None or decoder is None or self._transport is None or self._transport.is_closing():
            return
        try:
            for frame in decoder.feed(data):
                if len(frame) >= ETHERNET:
                    switch.take(port, frame, now)
        except Malformed as reason:
            port.counters[f"dropped {reason}"] += 1
            self.abort()
        self._server.flush()

    def _refuse(self, refused: upgrade.Refused) -> None:
        self._write(refused.answer())
        self._close()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def tick(self, now: float) -> None:
        """Say that we are there, or give up on who is silent, or says only drop by drop who it is."""
        if self._closed is not None:
            late = now - self._closed > PATIENCE
        else:
            late = now - self._begun > PATIENCE if self._port is None else now - self._heard > SILENCE
        if late:
            self.abort()
        elif self._port is not None and self._closed is None and now - self._said >= ALIVE:
            self._said = now
            self._write(encode([KEEPALIVE]))

    def close(self, why: Closing) -> None:
        """End it and say why."""
        self._write(encode([bytes([why])]))
        self._close()

    def _close(self) -> None:
        self._closed = self._server.clock()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    def pause_writing(self) -> None:
        self.outbox.pause()

    def resume_writing(self) -> None:
        self.outbox.resume()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._server.gone(self, self._port.told.id if self._port else None)
