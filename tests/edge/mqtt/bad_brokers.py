"""Brokers that do what none should, and that who follows them ends nevertheless when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from continuo.edge.mqtt.address import Address

CONNECTED = bytes([0x20, 2, 0, 0])
"""CONNACK: it lets us in."""
MORE = 32 * 1024 * 1024
"""Bytes that no socket takes which nobody reads."""

Does = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Lets us in, and reads nothing afterwards."""
    await reader.read(1)
    writer.write(CONNECTED)
    writer.transport.pause_reading()  # type: ignore[attr-defined]


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Takes the connection, and says nothing."""
    await reader.read(1)


async def gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Lets us in, and ends."""
    await reader.read(1)
    writer.write(CONNECTED)
    writer.close()


@asynccontextmanager
async def broker(does: Does) -> AsyncIterator[tuple[Address, asyncio.Event]]:
    """A broker that does this, and when it was done for the first time."""
    done, kept = asyncio.Event(), list[asyncio.StreamWriter]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept.append(writer)
        await does(reader, writer)
        done.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Address("127.0.0.1", server.sockets[0].getsockname()[1]), done
    finally:
        server.close()
        for writer in kept:
            writer.transport.abort()


async def ended(running: asyncio.Task[None]) -> None:
    """Told once, it ends; what is asked once more would hide that it was forgotten."""
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=30)
    assert done, "it goes on"
    assert running.cancelled()
