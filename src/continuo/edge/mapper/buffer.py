"""Readings that nobody has taken yet: on disk, in order, bounded. The oldest go first, and are counted.

A reading is in the file before it is published, and out of it when the broker has confirmed it. So what is published before
the mapper is killed may be published again, and nothing else is lost but what was read in the last moment.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

READINGS, BYTES = 100_000, 64 * 1024 * 1024
_TABLES = """
CREATE TABLE IF NOT EXISTS kept (number INTEGER PRIMARY KEY, topic TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS sequences (topic TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


class BufferFailed(Exception):
    """The file cannot be read or written now; what is in it stays."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A reading that waits."""

    number: int
    topic: str
    body: bytes


class Buffer:
    """One file, one thread that works on it. At most `readings` of them and `most_bytes` of payload."""

    def __init__(self, file: Path, *, readings: int = READINGS, most_bytes: int = BYTES) -> None:
        self._file, self._readings, self._most_bytes = file, readings, most_bytes
        self._thread = ThreadPoolExecutor(1, "buffer")
        self._count = self._bytes = self._next = 0
        self._dropped = 0

    @property
    def count(self) -> int:
        """Readings that wait."""
        return self._count

    @property
    def dropped(self) -> int:
        """Readings that there was no room for, since the file was made."""
        return self._dropped

    async def open(self) -> None:
        """Open the file, or make it."""
        await self._do(self._open)

    async def sequences(self) -> dict[str, int]:
        """The last number of each topic that was given with a reading, also before a restart."""
        return await self._do(lambda: dict(self._db.execute("SELECT topic, value FROM sequences")))

    async def add(self, readings: list[tuple[str, int, bytes]]) -> None:
        """Keep these, in their order: topic, the number in its topic, body."""
        if readings:
            await self._do(lambda: self._add(readings))

    async def oldest(self, most: int, after: int = 0) -> list[Kept]:
        """The oldest ones behind that number."""
        return await self._do(lambda: [
            Kept(*row) for row in self._db.execute(
                "SELECT number, topic, body FROM kept WHERE number > ? ORDER BY number LIMIT ?", (after, most)
            )
        ])  # fmt: skip

    async def delivered(self, until: int) -> None:
        """Everything up to that number is where it should be."""
        await self._do(lambda: self._delete(until))

    async def close(self) -> None:
        """Close the file."""
        await self._do(self._db.close)
        self._thread.shutdown(wait=False)

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise BufferFailed(f"the buffer {self._file} cannot be used: {error}") from error

    def _open(self) -> None:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_TABLES)
        self._measure()
        # A number is never used twice, also when everything was delivered: "up to that number" would mean new ones.
        self._next = max(
            self._advance("number", 0), self._db.execute("SELECT coalesce(max(number), 0) FROM kept").fetchone()[0]
        )
        self._dropped = self._advance("dropped", 0)

    def _measure(self) -> None:
        self._count, self._bytes = self._db.execute(
            "SELECT count(*), coalesce(sum(length(body)), 0) FROM kept"
        ).fetchone()

    def _add(self, readings: list[tuple[str, int, bytes]]) -> None:
        rows = [(self._next + place, topic, body) for place, (topic, _, body) in enumerate(readings, 1)]
        self._db.execute("BEGIN")
        try:
            self._db.executemany("INSERT INTO kept VALUES (?, ?, ?)", rows)
            self._db.executemany(
                "INSERT INTO sequences VALUES (?, ?) ON CONFLICT (topic) DO UPDATE SET value = excluded.value",
                [(topic, sequence) for topic, sequence, _ in readings],
            )
            self._advance("number", len(rows))
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk has rolled it back already
                self._db.execute("ROLLBACK")
            raise
        self._next += len(rows)
        self._count += len(rows)
        self._bytes += sum(len(body) for _, _, body in readings)
        self._bound()

    def _bound(self) -> None:
        """Drop the oldest where there are too many."""
        if self._count <= self._readings and self._bytes <= self._most_bytes:
            return
        count, size, until = self._count, self._bytes, 0
        for number, length in self._db.execute("SELECT number, length(body) FROM kept ORDER BY number"):
            if count <= self._readings and size <= self._most_bytes:
                break
            count, size, until = count - 1, size - length, number
        self._db.execute("DELETE FROM kept WHERE number <= ?", (until,))
        self._dropped = self._advance("dropped", self._count - count)
        self._count, self._bytes = count, size

    def _delete(self, until: int) -> None:
        gone = self._db.execute(
            "SELECT count(*), coalesce(sum(length(body)), 0) FROM kept WHERE number <= ?", (until,)
        ).fetchone()
        self._db.execute("DELETE FROM kept WHERE number <= ?", (until,))
        self._count -= gone[0]
        self._bytes -= gone[1]

    def _advance(self, name: str, by: int) -> int:
        row = self._db.execute(
            "INSERT INTO counts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + ? RETURNING value",
            (name, by, by),
        ).fetchone()
        value: int = row[0]
        return value
