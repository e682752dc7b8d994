"""The buyers' endpoints: an HTTP server for each, which keeps what was posted."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from continuo.cli.failures import Failed
from continuo.cli.sensors_demo import scene
from continuo.edge.listening import Face, Place
from continuo.server.identity import uvicorn_options
from continuo.trust.identity import Identity
from continuo.trust.ids import Authorized

OK, NOT_PROVED = 204, 401
KEPT = 1000
"""Readings of a sensor that an endpoint remembers."""


class Body(msgspec.Struct):
    """What a mapper says."""

    sequence: int
    time: str
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a reading said of itself; empty where it said nothing."""

    device: str
    """`ce-device`: who measured."""
    gateway: str
    """`ce-gateway`: who has proved that it speaks for the device."""
    level: str
    """`ce-devicelevel`: how well the device is known."""


@dataclass(frozen=True, slots=True)
class Post:
    """One reading that came."""

    event: str
    """`ce-id`: the same wherever the reading goes."""
    sensor: str
    sequence: int
    values: dict[str, float]
    took: float
    """Milliseconds since it was read at the edge; both clocks are this machine's."""
    at: float
    """Seconds since 1970."""
    claim: Claim


@dataclass(slots=True)
class Receiver:
    """One endpoint: an ASGI application that believes the relay alone."""

    endpoint: scene.Endpoint
    changed: Callable[[], None]
    key: bytes = field(default=b"", repr=False)
    """With it the relay signs, where it does not prove itself by TLS."""
    url: str = ""
    posts: dict[str, deque[Post]] = field(default_factory=dict)
    """By sensor, in the order in which they came: the newest."""
    counts: Counter[str] = field(default_factory=Counter)
    """All that came, by sensor."""
    refused: int = 0
    """Requests that did not come from the relay."""

    def configuration(self) -> Any:
        """As an endpoint of a sensor's configuration."""
        if self.key:
            how = {"scheme": "signed", "secret": f"whsec_{base64.b64encode(self.key).decode()}"}
        else:
            how = {"scheme": "spiffe", "spiffeID": scene.receiver_id(self.endpoint.party)}
        return {"url": self.url, "authentication": how}

    def count(self, sensor: str) -> int:
        """Readings of a sensor that came."""
        return self.counts[sensor]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            part = await receive()
            if part["type"] == "http.disconnect":
                return
            body += part.get("body", b"")
            more = part.get("more_body", False)
        status = self._take({name: value.decode() for name, value in scope["headers"]}, body)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def _take(self, headers: dict[bytes, str], body: bytes) -> int:
        if self.key and not self._signed(headers, body):
            self.refused += 1
            return NOT_PROVED
        said, now = msgspec.json.decode(body, type=Body), time.time()
        sensor, took = headers[b"ce-subject"], now - datetime.fromisoformat(headers[b"ce-time"]).timestamp()
        claim = Claim(*(headers.get(name, "") for name in (b"ce-device", b"ce-gateway", b"ce-devicelevel")))
        post = Post(headers[b"ce-id"], sensor, said.sequence, said.values, took * 1000, now, claim)
        self.posts.setdefault(sensor, deque(maxlen=KEPT)).append(post)
        self.counts[sensor] += 1
        self.changed()
        return OK

    def _signed(self, headers: dict[bytes, str], body: bytes) -> bool:
        """Standard Webhooks."""
        name, at = headers.get(b"webhook-id", ""), headers.get(b"webhook-timestamp", "")
        made = hmac.digest(self.key, f"{name}.{at}.".encode() + body, hashlib.sha256)
        expected = f"v1,{base64.b64encode(made).decode()}"
        return hmac.compare_digest(expected.encode(), headers.get(b"webhook-signature", "").encode())


class Receivers:
    """All endpoints, and waiting for what comes."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._all: dict[scene.Endpoint, Receiver] = {}

    def __getitem__(self, endpoint: scene.Endpoint) -> Receiver:
        return self._all[endpoint]

    def __iter__(self) -> Iterator[Receiver]:
        return iter(self._all.values())

    def add(self, endpoint: scene.Endpoint) -> Receiver:
        """One more."""
        key = secrets.token_bytes(32) if endpoint.scheme == "signed" else b""
        made = self._all[endpoint] = Receiver(endpoint, self._changed.set, key)
        return made

    async def until(self, test: Callable[[], bool], timeout: float, what: str) -> None:
        """Return when the test holds, which is asked after each reading that comes. Raises Failed after so many seconds."""
        try:
            async with asyncio.timeout(timeout):
                while not test():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise Failed(f"waited {timeout:g} s for {what}") from None


@asynccontextmanager
async def receiving(identities: dict[str, Identity], relay: str) -> AsyncIterator[Receivers]:
    """All endpoints, listening. `identities`: by party, of those that prove themselves by TLS; `relay`: whom they believe."""
    receivers = Receivers()
    async with AsyncExitStack() as stack:
        for endpoint in scene.ENDPOINTS:
            made = receivers.add(endpoint)
            by_tls = endpoint.scheme == "spiffe"
            tls = uvicorn_options(identities[endpoint.party], Authorized.of(ids=[relay])) if by_tls else {}
            face = Face(made, Place(), tls)
            await face.start()
            stack.push_async_callback(face.stop)
            made.url = f"{face.url}/{endpoint.name}"
        yield receivers
