"""What becomes of routes, as a stream of server-sent events: all at first, then those with news, a few times a second."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec

from continuo.edge.relay.answers import Receive, Send
from continuo.edge.relay.model import RouteStatus
from continuo.edge.relay.relay import Relay

EVERY = 0.5
"""Seconds for which news are gathered."""
ALIVE = 15.0
"""Seconds after which something is said in any case."""


async def follow(relay: Relay, receive: Receive, send: Send) -> None:
    """Answer with the stream, until the caller hangs up or the relay stops."""
    changed: set[str] = set()
    news = asyncio.Event()

    def note(name: str) -> None:
        changed.add(name)
        news.set()

    hung_up = asyncio.create_task(_hang_up(receive))
    hung_up.add_done_callback(lambda _: news.set())
    stop = relay.follow(note)
    try:
        await send({"type": "http.response.start", "status": 200, "headers": [
            (b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"),
        ]})  # fmt: skip
        silences: dict[str, float] = {}
        await _tell(relay, send, list(relay.routes), silences)
        while not hung_up.done() and not relay.stopping:
            with suppress(TimeoutError):
                async with asyncio.timeout(ALIVE):
                    await news.wait()
                    await asyncio.sleep(EVERY)
            news.clear()
            names = list(changed) or _more_silent(relay, silences)
            changed.clear()
            await _tell(relay, send, names, silences)
        await send({"type": "http.response.body", "body": b""})
    finally:
        stop()
        hung_up.cancel()


async def _tell(relay: Relay, send: Send, names: list[str], silences: dict[str, float]) -> None:
    found = [status for name in names if (status := relay.status(name)) is not None]
    for status in found:
        silences[status.name] = _silence(status)
    for name in names:
        if name not in relay.routes:
            silences.pop(name, None)
    event = msgspec.json.encode({"instance": relay.instance, "routes": found})
    await send({"type": "http.response.body", "body": b"data: " + event + b"\n\n", "more_body": True})


def _more_silent(relay: Relay, silences: dict[str, float]) -> list[str]:
    """Routes of which nothing comes, each time their silence has doubled."""
    found = []
    for name in relay.routes:
        status = relay.status(name)
        if status is not None and _silence(status) > max(ALIVE, 2 * silences.get(name, 0.0)):
            found.append(name)
    return found


def _silence(status: RouteStatus) -> float:
    return max((flow.silent for flow in status.flows), default=0.0)


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
