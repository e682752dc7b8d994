"""A reading: what came of one source, once in memory however many targets it goes to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from continuo.edge.relay.model import Source

JSON, TEXT, BINARY = "application/json", "text/plain; charset=utf-8", "application/octet-stream"
_LINE = re.compile(rb"[ ,]sequence=(\d{1,19})i?(?=[ ,]).*? (\d{16,19})\s*$", re.DOTALL)
"""A line of Influx' protocol that has a field `sequence` and says its time in nanoseconds (or microseconds)."""


class _Said(msgspec.Struct):
    """What a JSON reading says of itself, if anything."""

    time: str | float | None = None
    sequence: int | str | None = None


_DECODER = msgspec.json.Decoder(_Said)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a payload is, and when its sensor says it was taken."""

    content_type: str
    time: float | None = None
    """Seconds since 1970."""
    numbered: bool = False
    """It says time and sequence, so equal bytes of one source are the same reading."""


def stamp(body: bytes) -> Stamp:
    """Look at a payload; never raises."""
    if body[:1] in (b"{", b"["):
        try:
            said = _DECODER.decode(body)
        except msgspec.ValidationError:  # JSON, but of other shape
            return Stamp(JSON)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        else:
            at = _seconds(said.time)
            return Stamp(JSON, at, at is not None and said.sequence is not None)
    try:
        body.decode()
    except UnicodeDecodeError:
        return Stamp(BINARY)
    found = _LINE.search(body)
    if found is None:
        return Stamp(TEXT)
    digits = found[2]
    return Stamp(TEXT, int(digits) / (1e9 if len(digits) == 19 else 1e6), True)


def _seconds(said: str | float | None) -> float | None:
    if isinstance(said, str):
        try:
            at = datetime.fromisoformat(said)
        except ValueError:
            return None
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    if said is None or not 0 < said < 1e19:
        return None
    for unit in (1e9, 1e6, 1e3):  # nanoseconds, microseconds, milliseconds
        if said > 1e8 * unit:
            return said / unit
    return float(said)


def rfc3339(at: float) -> str:
    """A time in seconds since 1970, to the microsecond; the nearest that there is for what no calendar has."""
    at = min(max(at, 0.0), 253402300799.0)
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Memory:
    """How many bytes all readings take that are still to be delivered to somebody."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class Reading:
    """One reading. `hold` and `release` count the targets that it is still to go to."""

    __slots__ = ("body", "came", "common", "holders", "identity", "memory", "sequence", "source", "time")

    def __init__(
        self, source: Source, body: bytes, came: float, time: float, identity: str, sequence: int, memory: Memory
    ) -> None:
        self.source, self.body, self.identity, self.sequence = source, body, identity, sequence
        self.came = came
        """When it came here: seconds of the monotonic clock."""
        self.time = time
        """When it was taken: seconds since 1970."""
        self.common = b""
        """Headers that are the same for every target."""
        self.memory, self.holders = memory, 0

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return len(self.body) + len(self.common) + 200

    def hold(self) -> Reading:
        """One more target is to get it."""
        if self.holders == 0:
            self.memory.bytes += self.size
        self.holders += 1
        return self

    def release(self) -> None:
        """One target has it, or never will."""
        self.holders -= 1
        if self.holders == 0:
            self.memory.bytes -= self.size
