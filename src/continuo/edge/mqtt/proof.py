"""Connections to a broker on which both ends have shown SVIDs: they last no longer than these."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

import aiomqtt

from continuo.trust.contexts import Guarded
from continuo.trust.holder import utc_now

MARGIN = timedelta(seconds=2)


class Unproved(aiomqtt.MqttError):
    """A connection whose SVIDs end, or whose broker is no longer believed: the next one shows new ones. No trouble."""


async def while_proved(client: aiomqtt.Client, clock: Callable[[], datetime] = utc_now) -> None:
    """Raise Unproved when the connection is to be made anew; wait for ever where nobody had to prove anything."""
    link, ended = client._client.socket(), asyncio.Event()
    if isinstance(link, Guarded) and link.peer is not None:
        loop = asyncio.get_running_loop()
        link.on_end(lambda: loop.call_soon_threadsafe(ended.set) and None)
        left = (link.peer.until - MARGIN - clock()).total_seconds()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, left)):
                await ended.wait()
        if link.ended:  # nothing reads what still comes, and the loop would call for it again and again
            client._client._sock_close()
        raise Unproved(link.ended or "the identities of this connection end")
    await ended.wait()
