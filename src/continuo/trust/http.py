"""Pooled HTTP connections that do not outlive what they proved."""

from __future__ import annotations

import ssl
import weakref
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import aiohttp

from continuo.trust.contexts import Guarded
from continuo.trust.holder import utc_now

MARGIN = timedelta(seconds=2)
"""How long before its end a connection is left alone, so that a request does not meet the server closing it."""


class PeerConnector(aiohttp.TCPConnector):
    """For `aiohttp.ClientSession`: connections are not used longer than their SVIDs last, nor with a peer no longer believed.

    A request under way is finished when an SVID ends; when the peer is no longer believed, its connection is cut.
    """

    def __init__(self, context: ssl.SSLContext, *, clock: Callable[[], datetime] = utc_now, **options: Any) -> None:
        """`context` is an Identity's `client_context`; `options` are TCPConnector's."""
        super().__init__(ssl=context, **options)
        self._clock = clock
        self._used: weakref.WeakSet[Guarded] = weakref.WeakSet()

    async def connect(self, *arguments: Any, **options: Any) -> Any:
        while True:
            connection = await super().connect(*arguments, **options)
            transport = connection.transport
            link = transport.get_extra_info("ssl_object") if transport is not None else None
            if transport is None or not isinstance(link, Guarded) or link.peer is None:
                return connection  # plain HTTP
            if link not in self._used:
                self._used.add(link)
                link.on_end(transport.abort)
                return connection
            if not link.ended and link.peer.until - MARGIN > self._clock():
                return connection
            connection.close()
