"""A connection to a broker that ends when it is told to, whatever the broker does meanwhile.

aiomqtt forgets an end that comes together with the beginning, and being cancelled where its goodbye fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiomqtt

GOODBYE = 1.0
"""Seconds for which a broker may keep us from leaving it."""


@asynccontextmanager
async def connected(client: aiomqtt.Client) -> AsyncIterator[aiomqtt.Client]:
    """The client while it is connected; MqttError where there is no connection or it ends."""
    early = client._disconnected
    try:
        async with client:
            end_if_told()
            if early.done():
                raise aiomqtt.MqttError("it ended the connection as soon as that was made")
            try:
                yield client
            finally:
                client.timeout = GOODBYE
    finally:
        for end in (early, client._disconnected):
            if end.done() and not end.cancelled():
                end.exception()  # what nobody asked for would be logged as an error of ours


def end_if_told() -> None:
    """Be cancelled, where that was asked for and forgotten.

    A broker's trouble with our goodbye takes its place, and Python 3.11's `wait_for` drops it when its answer comes at the
    same moment; whoever cancelled then waits for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
