"""One thread that writes, whatever the database: operations that wait are committed together.

Everything that is read often lives in memory, so the database is for writing and for starting again. Both databases are
spoken to by their plain drivers with the same SQL; the thread is what makes the order of commits the order of revisions.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from continuo.broker.catalog.schema import SCHEMA, VERSION

log = logging.getLogger(__name__)
T = TypeVar("T")

_TOGETHER = 256
_LOCK = 0x636F6E74  # any constant of ours: who holds this advisory lock owns the catalog

_LOCK_PATIENCE = 3
"""Seconds."""


class StorageFailed(Exception):
    """The database cannot be used; `str()` is a sentence."""


class Session:
    """What an operation sees: statements with `?`, inside the transaction of its turn."""

    def __init__(self, connection: Any, postgres: bool) -> None:
        self._connection, self._postgres = connection, postgres

    def run(self, statement: str, *values: Any) -> Any:
        """Execute one statement; the cursor has its rows."""
        return self._connection.execute(statement.replace("?", "%s") if self._postgres else statement, values)

    def one(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row."""
        row = self.run(statement, *values).fetchone()
        return None if row is None else tuple(row)

    def all(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Every row."""
        return [tuple(row) for row in self.run(statement, *values).fetchall()]

    def next_revision(self) -> int:
        """The catalog's next revision; it is taken only if the transaction commits."""
        row = self.one("UPDATE meta SET value = value + 1 WHERE name = 'revision' RETURNING value")
        assert row is not None
        return int(row[0])


@dataclass(slots=True)
class _Job(Generic[T]):
    work: Callable[[Session], T]
    then: Callable[[T], None] | None
    future: asyncio.Future[T]
    result: Any = None
    error: BaseException | None = None


class Database:
    """The catalog's storage: a path or `sqlite:///path`, or `postgresql://...`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._postgres = url.startswith(("postgresql://", "postgres://"))
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.trouble = ""
        """Why changes are not taken now."""

    async def open(self) -> None:
        """Connect, make the tables, and become the only one who writes; raises StorageFailed."""
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._serve, args=(opened,), name="catalog-storage", daemon=True)
        self._thread.start()
        await opened

    async def close(self) -> None:
        """Commit what is waiting, and end."""
        if self._thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    async def do(self, work: Callable[[Session], T], then: Callable[[T], None] | None = None) -> T:
        """Run an operation in a transaction. `then` sees its result in the order of commits, even if the caller is gone."""
        assert self._loop is not None, "open() comes first"
        future: asyncio.Future[T] = self._loop.create_future()
        future.add_done_callback(_heard)
        self._jobs.put(_Job(work, then, future))
        return await asyncio.shield(future)

    async def run(self, statement: str, *values: Any, then: Callable[[], object] | None = None) -> None:
        """Execute one statement that returns nothing."""

        def work(session: Session) -> None:
            session.run(statement, *values)

        await self.do(work, _ignoring(then))

    def _serve(self, opened: asyncio.Future[None]) -> None:
        assert self._loop is not None
        try:
            connection = self._connect()
        except Exception as error:
            failed = error if isinstance(error, StorageFailed) else StorageFailed(f"cannot open the storage: {error}")
            self._loop.call_soon_threadsafe(opened.set_exception, failed)
            return
        self._loop.call_soon_threadsafe(opened.set_result, None)
        session = Session(connection, self._postgres)
        while batch := self._next():
            self._run(connection, session, batch)
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(_deliver, batch)
        connection.close()

    def _next(self) -> list[_Job[Any]]:
        batch: list[_Job[Any]] = []
        job = self._jobs.get()
        while job is not None:
            batch.append(job)
            if len(batch) == _TOGETHER or self._jobs.empty():
                return batch
            job = self._jobs.get()
        if batch:
            self._jobs.put(None)
        return batch

    def _run(self, connection: Any, session: Session, batch: list[_Job[Any]]) -> None:
        """All in one transaction; when one of them fails, each in its own."""
        try:
            self._together(connection, session, batch)
        except Exception as error:
            if len(batch) == 1:
                batch[0].error = self._told(error)
                return
            for job in batch:
                try:
                    self._together(connection, session, [job])
                except Exception as alone:
                    job.error = self._told(alone)

    def _told(self, error: Exception) -> Exception:
        """The driver's errors are one of ours: whoever asks later hears it too."""
        if type(error).__module__.partition(".")[0] not in ("sqlite3", "psycopg"):
            return error
        self.trouble = f"the storage does not take changes: {type(error).__name__}"
        log.error("%s: %s", self.trouble, error)
        return StorageFailed(self.trouble)

    def _together(self, connection: Any, session: Session, batch: list[_Job[Any]]) -> None:
        connection.execute("BEGIN IMMEDIATE" if not self._postgres else "BEGIN")
        try:
            for job in batch:
                job.result = job.work(session)
            connection.execute("COMMIT")
            self.trouble = ""
        except BaseException:
            with contextlib.suppress(Exception):  # a connection that is lost has rolled back
                connection.execute("ROLLBACK")
            raise

    def _connect(self) -> Any:
        connection = self._postgresql() if self._postgres else self._sqlite()
        session = Session(connection, self._postgres)
        connection.execute("BEGIN")
        for statement in SCHEMA:
            session.run(statement.replace("BLOB", "BYTEA") if self._postgres else statement)
        session.run("INSERT INTO meta VALUES ('schema', ?), ('revision', 0) ON CONFLICT DO NOTHING", VERSION)
        found = session.one("SELECT value FROM meta WHERE name = 'schema'")
        connection.execute("COMMIT")
        if found is None or found[0] != VERSION:
            raise StorageFailed(f"the storage was made by another version of Continuo (schema {found and found[0]})")
        return connection

    def _sqlite(self) -> Any:
        import sqlite3

        path = Path(self._url.removeprefix("sqlite:///"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)  # before SQLite: its log takes over who may read
        except OSError as error:
            raise StorageFailed(f"cannot open {path}: {error.strerror}") from error
        try:
            connection = sqlite3.connect(path, isolation_level=None, timeout=0.2)
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            why = "another catalog uses it; stop that one first" if "locked" in str(error) else str(error)
            raise StorageFailed(f"cannot open {path}: {why}") from error
        return connection

    def _postgresql(self) -> Any:
        try:
            import psycopg
        except ModuleNotFoundError as error:
            raise StorageFailed(
                "PostgreSQL needs the Python package psycopg: install Continuo's extra `broker`"
            ) from error
        try:
            connection = psycopg.connect(self._url, autocommit=True, connect_timeout=10)
        except psycopg.Error as error:
            place = self._url.rpartition("@")[2]  # never the password
            raise StorageFailed(f"cannot reach PostgreSQL at {place}: {type(error).__name__}") from error
        connection.execute(f"SET lock_timeout = '{_LOCK_PATIENCE}s'")
        try:  # waits a little: the server may still be ending the session of one that was just stopped
            connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        except psycopg.errors.LockNotAvailable as error:
            connection.close()
            raise StorageFailed("another catalog uses this PostgreSQL database; stop that one first") from error
        connection.execute("SET lock_timeout = DEFAULT")
        return connection


def _ignoring(then: Callable[[], object] | None) -> Callable[[None], None] | None:
    def call(_: None) -> None:
        if then is not None:
            then()

    return None if then is None else call


def _heard(future: asyncio.Future[Any]) -> None:
    """A caller that is gone hears of no failure, which is no fault of the loop's."""
    if not future.cancelled():
        future.exception()


def _deliver(batch: list[_Job[Any]]) -> None:
    for job in batch:
        error = job.error
        if error is None and job.then is not None:
            try:
                job.then(job.result)
            except Exception as failed:
                log.exception("a committed change could not be taken over")
                error = failed
        if job.future.cancelled():
            continue
        if error is None:
            job.future.set_result(job.result)
        else:
            job.future.set_exception(error)
