"""HTTP/1.1 to a target: connections that stay open, to given addresses only, and an answer of which only the head matters.

Not aiohttp: a reading goes to many targets, so what one POST costs is what the relay costs, and this is a third of it.
What it leaves out is left out on purpose: proxies, redirects, cookies, names.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

import httptools

from continuo.edge.relay.endpoints import Endpoint
from continuo.trust.contexts import Guarded

LARGEST = 64 * 1024
"""Bytes of an answer that are read; behind a longer one the connection is closed."""
MARGIN = timedelta(seconds=2)
"""How long before its end a connection is left alone."""

TlsContext = Callable[[], ssl.SSLContext]


class Trouble(Exception):
    """No answer; `str()` says why in a few words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a target said."""

    status: int
    retry_after: float | None = None
    """Seconds that it asked to wait."""


class _Stale(Trouble):
    """A connection that had been idle was closed by the other end before any answer."""


class Connection(asyncio.Protocol):
    """One connection; one exchange at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, opened: float) -> None:
        self._loop, self.opened = loop, opened
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._received = self._status = self._exchanges = 0
        self._retry_after: float | None = None
        self.open = True
        self.until: datetime | None = None
        """When the first of the two identities of this connection ends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is of no common class
        link = transport.get_extra_info("ssl_object")
        if isinstance(link, Guarded) and link.peer is not None:
            self.until = link.peer.until
            link.on_end(self.close)  # it is no longer true who they are

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self._status:  # an answer that ends with the connection
            self._settle()
        elif self._exchanges > 1 and not self._received:
            self._fail(_Stale("it closed the connection"))
        else:
            self._fail(Trouble(f"it closed the connection without an answer{f' ({exc})' if exc else ''}"))

    def data_received(self, data: bytes) -> None:
        if self._waiter is None:  # an answer that nobody asked for
            self.close()
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.close()
            if self._status:
                self._settle()
            else:
                self._fail(Trouble(f"its answer is no HTTP: {error}"))
            return
        if self._received > LARGEST and self._waiter is not None:
            self.close()
            if self._status:
                self._settle()
            else:
                self._fail(Trouble(f"its answer begins with more than {LARGEST} bytes of headers"))

    # what httptools calls

    def on_message_begin(self) -> None:
        if self._waiter is None:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            with suppress(ValueError):
                self._retry_after = max(0.0, float(value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._status = 0 if status < 200 else status  # 100 and the like announce another one

    def on_message_complete(self) -> None:
        if not self._status:
            self._retry_after = None
            return
        if not self._parser.should_keep_alive():
            self.close()
        self._settle()

    async def exchange(self, data: bytes, timeout: float) -> Answer:
        """Send a request, wait for the answer; Trouble when there is none in time."""
        if self._transport is None or not self.open:
            raise _Stale("it closed the connection")
        self._received = self._status = 0
        self._retry_after = None
        self._exchanges += 1
        waiter: asyncio.Future[Answer] = self._loop.create_future()
        self._waiter = waiter
        late = self._loop.call_later(timeout, self._late, timeout)
        try:
            self._transport.write(data)
            return await waiter
        finally:
            late.cancel()
            if self._waiter is not None:  # cancelled: what comes now is the answer to nothing
                self._waiter = None
                self.close()

    def close(self) -> None:
        """Close at once; nothing that is still to be sent matters."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def _late(self, timeout: float) -> None:
        self.close()
        self._fail(Trouble(f"it did not answer within {timeout:.3g} s"))

    def _settle(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(Answer(self._status, self._retry_after))

    def _fail(self, trouble: Trouble) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(trouble)


class Pool:
    """The connections to one target."""

    def __init__(
        self, endpoint: Endpoint, context: TlsContext | None, *, idle_most: int = 4, age: float = 300.0
    ) -> None:
        self._endpoint, self._context = endpoint, context
        self._idle_most, self._age = idle_most, age
        self._idle: list[Connection] = []
        self._generation = 0

    async def post(self, data: bytes, timeout: float) -> Answer:
        """One request; Trouble when there is no answer. A connection that was closed while idle is no trouble."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        while (connection := self._take(loop.time())) is not None:
            try:
                return await self._exchange(connection, data, until)
            except _Stale:
                continue
        return await self._exchange(await self._connect(until), data, until)

    def retire(self) -> None:
        """Use what is connected now for nothing new: identities or addresses have changed."""
        self._generation += 1
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def close(self) -> None:
        """Keep nothing open any more."""
        self._idle_most = 0
        self.retire()

    async def _exchange(self, connection: Connection, data: bytes, until: float) -> Answer:
        loop, generation = asyncio.get_running_loop(), self._generation
        answer = await connection.exchange(data, max(0.001, until - loop.time()))
        if not connection.open:
            return answer
        if generation == self._generation and len(self._idle) < self._idle_most:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _take(self, now: float) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            fresh = connection.until is None or connection.until - MARGIN > datetime.now(UTC)
            if connection.open and fresh and now - connection.opened < self._age:
                return connection
            connection.close()
        return None

    async def _connect(self, until: float) -> Connection:
        loop, place, trouble = asyncio.get_running_loop(), self._endpoint, ""
        context = self._context() if self._context is not None else None
        for place_in_line, address in enumerate(place.addresses):
            left = (until - loop.time()) / (
                len(place.addresses) - place_in_line
            )  # a silent one leaves time for the others
            if left <= 0:
                break
            try:
                async with asyncio.timeout(left):
                    _, connection = await loop.create_connection(
                        lambda: Connection(loop, loop.time()), address, place.port,
                        ssl=context, server_hostname=place.host.rstrip(".") if context is not None else None,
                    )  # fmt: skip
                return connection
            except TimeoutError:
                trouble = "it does not take connections in time"
            except ssl.SSLCertVerificationError as error:
                trouble = f"its certificate is refused: {getattr(error, 'verify_message', '') or error.args[-1]}"
            except ssl.SSLError as error:
                trouble = f"TLS failed: {error.reason or error}"
            except OSError as error:
                trouble = f"cannot connect: {error.strerror or error}"
        raise Trouble(trouble or "it does not take connections in time")
