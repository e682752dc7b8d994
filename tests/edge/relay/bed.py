"""A relay between real sockets: targets that behave as told, readings put in, and waiting for what is told of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from continuo.edge.relay.model import Authentication, Flow, Route, Source, Target
from continuo.edge.relay.pace import Patience
from continuo.edge.relay.path import Clock, Limits
from continuo.edge.relay.relay import Relay, Settings
from continuo.edge.relay.service import Options, RelayService

QUICK = Patience(first=0.002, longest=0.02, timeout=0.5, age=600)
WAIT = 20.0
Say = Callable[["Target_", dict[str, str], bytes], bytes | None]


def answer(status: int, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def ok(*_: Any) -> bytes:
    return answer(204)


def always(status: int, *headers: str) -> Say:
    return lambda *_: answer(status, *headers)


def hang(*_: Any) -> None:
    return None


@dataclass
class Target_:
    """An endpoint of a buyer. `say` gets headers and body, and gives the answer; None: nothing, for ever."""

    say: Say = ok
    seen: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    """Everything that was asked."""
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    """What was answered with 2xx."""
    connections: int = 0
    url: str = ""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                line, *rest = head.strip().split("\r\n")
                headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in rest)}
                headers[":line"] = line
                body = await reader.readexactly(int(headers["content-length"]))
                self.seen.append((headers, body))
                said = self.say(self, headers, body)
                if said is None:
                    self.news.set()
                    await reader.read()
                    return
                if b" 200 " in said or b" 204 " in said:
                    self.taken.append((headers, body))
                self.news.set()
                writer.write(said)
                await writer.drain()
                if said == b"" or b"Connection: close" in said:
                    return

    async def until(self, count: int, *, seen: bool = False) -> None:
        """Until so many were taken (or seen)."""
        async with asyncio.timeout(WAIT):
            while len(self.seen if seen else self.taken) < count:
                self.news.clear()
                await self.news.wait()

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, body in self.taken]


@contextlib.asynccontextmanager
async def target(say: Say = ok) -> AsyncIterator[Target_]:
    made = Target_(say)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/in"
    try:
        yield made
    finally:
        server.close()


def source(number: int = 0, node: str = "edge-a") -> Source:
    return Source(namespace="default", node=node, topic=f"sensor/{number}")


def route(
    name: str,
    *targets: Target_ | str,
    sensors: int = 1,
    rate: float = 0.0,
    how: Authentication | None = None,
    **more: Any,
) -> Route:
    flows = tuple(Flow(sensor=f"s{number}", source=source(number), max_rate=rate) for number in range(sensors))
    urls = [each if isinstance(each, str) else each.url for each in targets]
    made = tuple(Target(url=url, authentication=how or Authentication()) for url in urls)
    return Route(**{"name": name, "buyer": f"spiffe://{name}.example/x", "flows": flows, "targets": made, **more})


def reading(sequence: int, sensor: int = 0) -> bytes:
    return json.dumps({"time": 1_700_000_000 + sequence, "sequence": sequence, "sensor": sensor}).encode()


def sequences(bodies: list[bytes], sensor: int = 0) -> list[int]:
    said = [json.loads(body) for body in bodies]
    return [each["sequence"] for each in said if each["sensor"] == sensor]


def clock(seed: int = 1) -> Clock:
    return Clock(rng=random.Random(seed))


def a_relay(
    seed: int = 1,
    *,
    patience: Patience = QUICK,
    limits: Limits | None = None,
    memory: int = 2**28,
    identity: Any = None,
) -> Relay:
    return Relay("test", settings=Settings(patience, limits or Limits(), memory), clock=clock(seed), identity=identity)


@contextlib.asynccontextmanager
async def relaying(*routes: Route, **options: Any) -> AsyncIterator[Relay]:
    """A relay without HTTP faces."""
    relay = a_relay(**options)
    for each in routes:
        await relay.put(each)
    try:
        yield relay
    finally:
        await relay.stop()


def service(folder: Path, *, seed: int = 1, **options: Any) -> RelayService:
    """All of it, in a folder."""
    settings = options.pop("settings", None) or Settings(patience=QUICK)
    return RelayService(Options(folder, settings=settings, **options), clock=clock(seed))


async def settled(relay: Relay, wanted: Callable[[], bool]) -> None:
    """Until that holds, looked at whenever the relay tells of a change."""
    news = asyncio.Event()
    stop = relay.follow(lambda _: news.set())
    try:
        async with asyncio.timeout(WAIT):
            while not wanted():
                news.clear()
                await news.wait()
    finally:
        stop()


def once_each(ids: list[str]) -> Iterator[str]:
    seen: set[str] = set()
    for each in ids:
        if each not in seen:
            seen.add(each)
            yield each
