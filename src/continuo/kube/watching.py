"""A watch stream, decoded as it arrives.

Lines may come in pieces, many at once, or be megabytes long; each becomes one `Change` as soon as its end is there.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import aiohttp
import msgspec

from continuo.kube.lean import LeanPod
from continuo.kube.port import Change
from continuo.resources.errors import InternalError, from_status
from continuo.resources.kinds import POD
from continuo.resources.meta import Kind


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How long one watch request may last. Ends are spread so that thousands of watches do not renew at once."""

    shortest: int = 290
    longest: int = 590
    idle: float = 180.0
    """Seconds without a byte (API servers send a bookmark about every minute) after which the stream is renewed."""
    connect: float = 15.0

    def seconds(self, rng: random.Random) -> int:
        """What to ask of the server as `timeoutSeconds`."""
        return rng.randint(self.shortest, self.longest)

    def timeout(self, seconds: int) -> aiohttp.ClientTimeout:
        """The client's own limits for a watch of that many seconds."""
        return aiohttp.ClientTimeout(
            total=seconds + 30.0, connect=self.connect, sock_connect=self.connect, sock_read=self.idle
        )


class _Event(msgspec.Struct):
    type: str
    object: dict[str, Any]


class _PodEvent(msgspec.Struct):
    type: str
    object: LeanPod


_Decode: TypeAlias = Callable[[bytes], _Event]
_any: _Decode = msgspec.json.Decoder(_Event).decode
_pod = cast(_Decode, msgspec.json.Decoder(_PodEvent).decode)  # a LeanPod is a dict like any other


async def changes(stream: aiohttp.StreamReader, kind: Kind) -> AsyncIterator[Change]:
    """The changes of a watch response; raises the API error that an ERROR event carries."""
    decode = _pod if kind == POD else _any
    pending: list[bytes] = []
    async for chunk in _chunks(stream):
        if b"\n" not in chunk:
            pending.append(chunk)  # joined once, when the line is whole: long lines cost linear time
            continue
        lines = chunk.split(b"\n")
        if pending:
            pending.append(lines[0])
            lines[0] = b"".join(pending)
        rest = lines.pop()
        pending = [rest] if rest else []
        for line in lines:
            if line:
                yield _change(line, decode)
    # What is left has no end: the connection broke inside an event, which will come again after the reconnect.


def _change(line: bytes, decode: _Decode) -> Change:
    try:
        event = decode(line)
    except msgspec.DecodeError as error:
        raise InternalError(f"the watch sent something that is no event: {error}") from error
    if event.type == "ERROR":
        raise from_status(event.object)
    return Change(event.type, event.object)  # type: ignore[arg-type]


async def _chunks(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """What comes; a connection that is lost between two chunks is aiohttp's RuntimeError, and here no different."""
    while True:
        try:
            chunk = await stream.readany()
        except RuntimeError as error:
            raise aiohttp.ClientConnectionError(str(error)) from error
        if not chunk:
            return
        yield chunk
