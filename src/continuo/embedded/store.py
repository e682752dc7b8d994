"""Where the embedded engine's clusters survive: one SQLite file, written behind by one thread.

Every object lives in memory; the file exists for the next start. Writers only append to a queue, the thread takes what is
there, keeps the last state of each object and commits it in one transaction. `flushed()` waits until everything queued so
far is committed: the HTTP face awaits it before it answers a write, so that no acknowledged write is lost to SIGKILL.
Without a path nothing is written and nothing waits.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import msgspec

from continuo.resources.errors import InternalError
from continuo.resources.meta import Object

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS clusters (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, version TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS objects (
    cluster INTEGER NOT NULL, resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (cluster, resource, namespace, name)
);
"""
# A table with row ids: bodies of kilobytes inside an index made writes six times slower.
RESTART_GAP: Final = 1_000_000
"""Versions skipped at each start: far more than can be handed out between two commits."""
_GATHER_SECONDS: Final = 0.01

_CHECKPOINT_PAGES: Final = 16_384
"""Pages of 4 KiB: moving the log into the file waits for the disk, and writers wait for that."""

_Row = tuple[int, str, str, str]
_Full = tuple[int, str, str, str, bytes]
_Step = (
    tuple[Literal["put"], _Row, Object | None]
    | tuple[Literal["cluster"], tuple[int, str, str], None]
    | tuple[Literal["drop"], tuple[int], None]
)


@dataclass(frozen=True, slots=True)
class StoredCluster:
    """One cluster as found in the file."""

    id: int
    name: str
    version: str


class Store:
    """The file and its writer. Call from one thread (the loop's)."""

    def __init__(self, path: Path | None) -> None:
        self.version = 1
        """The newest resourceVersion handed out, over all clusters."""
        self.found: list[StoredCluster] = []
        self._path = path
        self._next_cluster = 1
        self._queue: deque[_Step] = deque()
        self._queued = 0
        self._committed = 0
        self._failure: BaseException | None = None
        self._waiters: deque[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._wake = threading.Event()
        self._urgent = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        if path is not None:
            self._open(path)

    def _open(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _connect(path) as db:
            db.executescript(_SCHEMA)
            row = db.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
            if row:
                self.version = (int(row[0]) // RESTART_GAP + 1) * RESTART_GAP
            rows = db.execute("SELECT id, name, version FROM clusters ORDER BY id")
            self.found = [StoredCluster(*row) for row in rows]
            self._next_cluster = max((entry.id for entry in self.found), default=0) + 1
            db.execute("INSERT OR REPLACE INTO meta VALUES ('version', ?)", (self.version,))
        db.close()
        self._thread = threading.Thread(target=self._run, args=(path,), name="embedded-store", daemon=True)
        self._thread.start()

    def load(self, cluster: int) -> Iterator[tuple[str, Object]]:
        """(resource, object) of everything stored for the cluster."""
        if self._path is None:
            return
        decode = msgspec.json.Decoder().decode
        db = _connect(self._path)
        try:
            for resource, body in db.execute(
                "SELECT resource, body FROM objects WHERE cluster = ? ORDER BY resource, namespace, name", (cluster,)
            ):
                yield resource, decode(body)
        finally:
            db.close()

    # --- writes -------------------------------------------------------------------------------------------------------
    def next_version(self) -> int:
        """Hand out one resourceVersion."""
        self.version += 1
        return self.version

    def add_cluster(self, name: str, version: str) -> int:
        """Remember a new cluster; returns its number in the file."""
        number = self._next_cluster
        self._next_cluster += 1
        self._enqueue(("cluster", (number, name, version), None))
        return number

    def upgrade_cluster(self, cluster: int, name: str, version: str) -> None:
        """Remember another version of a known cluster."""
        self._enqueue(("cluster", (cluster, name, version), None))

    def drop_cluster(self, cluster: int) -> None:
        """Forget a cluster and everything in it."""
        self._enqueue(("drop", (cluster,), None))

    def put(self, cluster: int, resource: str, namespace: str, name: str, obj: Object | None) -> None:
        """Write one object behind; None removes it."""
        if self._thread is not None:
            self._enqueue(("put", (cluster, resource, namespace, name), obj))

    def _enqueue(self, step: _Step) -> None:
        if self._thread is None:
            return
        if self._failure is not None:
            raise InternalError(f"the store {self._path} cannot be written: {self._failure}")
        self._queue.append(step)
        self._queued += 1
        if not self._wake.is_set():
            self._wake.set()

    async def flushed(self) -> None:
        """Wait until everything written so far is committed; raises InternalError when it cannot be."""
        if self._thread is None or self._committed >= self._queued:
            return
        if self._failure is None:
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()
            self._waiters.append((self._queued, loop, future))
            self._urgent.set()
            self._wake.set()
            if self._failure is None:  # else the thread may have ended before it could see this waiter
                await future
        if self._failure is not None:
            raise InternalError(f"the store {self._path} cannot be written: {self._failure}")

    def close(self) -> None:
        """Commit what is queued and stop the thread."""
        if self._thread is None:
            return
        self._closing = True
        self._urgent.set()
        self._wake.set()
        self._thread.join()
        self._thread = None

    # --- the writer thread --------------------------------------------------------------------------------------------
    def _run(self, path: Path) -> None:
        db = _connect(path)
        try:
            while not (self._closing and not self._queue):
                self._wake.wait()
                # Nobody waits for an answer: let a batch gather, so that repeated writes of one object cost one.
                self._urgent.wait(_GATHER_SECONDS)
                self._urgent.clear()
                self._wake.clear()
                self._commit(db)
        except Exception as error:  # the thread's boundary: whoever writes or waits next is told
            self._failure = error
        finally:
            db.close()
            self._release(None if self._failure else self._committed)

    def _commit(self, db: sqlite3.Connection) -> None:
        # `version` is read before the queue is drained, thus never behind what this batch carries.
        count, version = len(self._queue), self.version
        if count:
            steps = [self._queue.popleft() for _ in range(count)]
            with db:
                for run in _runs(steps):
                    _write(db, run)
                db.execute("INSERT OR REPLACE INTO meta VALUES ('version', ?)", (version,))
            self._committed += count
        self._release(self._committed)

    def _release(self, upto: int | None) -> None:
        while self._waiters and (upto is None or self._waiters[0][0] <= upto):
            _, loop, future = self._waiters.popleft()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
    return db


def _runs(steps: list[_Step]) -> Iterator[list[_Step]]:
    """Split where a cluster comes or goes: only within a run may the order of writes change."""
    run: list[_Step] = []
    for step in steps:
        if step[0] != "put":
            yield run
            yield [step]
            run = []
        else:
            run.append(step)
    yield run


_PORTIONS: Final = (64, 16, 4, 1)


def _portions(rows: list[_Full]) -> Iterator[list[_Full]]:
    """Rows that go into one statement. Each statement gives the interpreter to the loop's thread, and waits to get it
    back: a statement per row made every commit wait that often.
    """
    start = 0
    for size in _PORTIONS:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size


@lru_cache(maxsize=len(_PORTIONS))
def _insert(rows: int) -> str:
    values = ", ".join(["(?, ?, ?, ?, ?)"] * rows)
    return f"INSERT OR REPLACE INTO objects (cluster, resource, namespace, name, body) VALUES {values}"


def _write(db: sqlite3.Connection, run: list[_Step]) -> None:
    last: dict[_Row, Object | None] = {}
    for step in run:
        if step[0] == "cluster":
            db.execute("INSERT OR REPLACE INTO clusters VALUES (?, ?, ?)", step[1])
        elif step[0] == "drop":
            db.execute("DELETE FROM objects WHERE cluster = ?", step[1])
            db.execute("DELETE FROM clusters WHERE id = ?", step[1])
        else:
            last[step[1]] = step[2]
    encode = msgspec.json.Encoder().encode
    rows = [(*row, encode(obj)) for row, obj in last.items() if obj is not None]
    for some in _portions(rows):
        db.execute(_insert(len(some)), [value for row in some for value in row])
    db.executemany(
        "DELETE FROM objects WHERE cluster = ? AND resource = ? AND namespace = ? AND name = ?",
        [row for row, obj in last.items() if obj is None],
    )
