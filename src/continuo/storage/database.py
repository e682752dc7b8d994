"""One thread that writes, whatever the database: operations that wait are committed together.

Everything that is read often lives in memory, so the database is for writing and for starting again. Both databases are
spoken to by their plain drivers with the same SQL; the thread is what makes the order of commits the order of revisions.

A connection that is lost is made anew. Whether the commit under way at that moment counted is not guessed: every
transaction has a number that it writes itself, so it is looked up, and taken over late or made again.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from continuo.storage.connection import Session, Storage, StorageFailed, TakenOver
from continuo.storage.schema import Schema

__all__ = ["Database", "Session", "StorageFailed"]

log = logging.getLogger(__name__)
T = TypeVar("T")

_TOGETHER = 256
_SOONEST, _LATEST = 0.2, 5.0
"""Seconds between two attempts to connect again."""


@dataclass(slots=True)
class _Job(Generic[T]):
    work: Callable[[Session], T]
    then: Callable[[T], None] | None
    future: asyncio.Future[T]
    result: Any = None
    error: BaseException | None = None


class Database:
    """One owner's storage: a path or `sqlite:///path`, or `postgresql://...`, with the tables of a schema."""

    def __init__(self, url: str, schema: Schema) -> None:
        self._storage, self._name = Storage(url, schema), schema.owner
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._number = 0
        self._connected, self._wait, self._try_at = True, _SOONEST, 0.0
        self._doubtful: tuple[int, list[_Job[Any]]] | None = None
        """A transaction that was lost with its connection, and its number."""
        self.trouble = ""
        """Why changes are not taken now."""
        self.taken_over = asyncio.Event()
        """Another owner writes here: this one will never take a change again."""

    async def open(self) -> None:
        """Connect, make the tables, and become the only one who writes; raises StorageFailed."""
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._serve, args=(opened,), name=f"{self._name}-storage", daemon=True)
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
            self._storage.open()
            if self._storage.postgres:
                assert self._storage.session is not None
                self._number = self._storage.session.number("transaction")
        except Exception as error:
            failed = error if isinstance(error, StorageFailed) else StorageFailed(f"cannot open the storage: {error}")
            self._storage.close()
            self._loop.call_soon_threadsafe(opened.set_exception, failed)
            return
        self._loop.call_soon_threadsafe(opened.set_result, None)
        while (batch := self._next()) is not None:
            if not self._connected and time.monotonic() >= self._try_at:
                self._reconnect()
            if batch:
                self._run(batch)
                self._tell(_deliver, batch)
        self._storage.close()

    def _tell(self, call: Callable[..., None], *arguments: Any) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    def _next(self) -> list[_Job[Any]] | None:
        """What waits; nothing when it is time to connect again; None at the end."""
        batch: list[_Job[Any]] = []
        try:
            job = self._jobs.get(timeout=self._patience())
        except queue.Empty:
            return batch
        while job is not None:
            batch.append(job)
            if len(batch) == _TOGETHER or self._jobs.empty():
                return batch
            job = self._jobs.get()
        if not batch:
            return None
        self._jobs.put(None)
        return batch

    def _patience(self) -> float | None:
        if self._connected or self.taken_over.is_set():
            return None
        return max(0.0, self._try_at - time.monotonic())

    def _run(self, batch: list[_Job[Any]], again: bool = True) -> None:
        """All in one transaction; when one of them fails, each in its own."""
        if not self._connected:
            for job in batch:
                job.error = StorageFailed(self.trouble)
            return
        try:
            self._together(batch)
        except Exception as error:
            if self._storage.lost():
                self._lost(batch, error, again)
            elif len(batch) == 1:
                batch[0].error = self._told(error)
            else:
                for job in batch:
                    self._run([job], again)

    def _lost(self, batch: list[_Job[Any]], error: Exception, again: bool) -> None:
        """The connection went with this transaction: connect at once, and see what became of it."""
        if self._connected:
            log.error("the connection to the storage is lost: %s", str(error).strip().splitlines()[0])
            self._connected, self._wait, self._try_at = False, _SOONEST, 0.0
        self._doubtful = self._number, batch
        if again and self._reconnect(taking_over=False):
            counted, self._doubtful = self._counted(), None
            if not counted:
                self._run(batch, again=False)
            return
        self.trouble = self.trouble or "the storage does not take changes: its connection is lost"
        for job in batch:
            job.error = StorageFailed(self.trouble)

    def _reconnect(self, *, taking_over: bool = True) -> bool:
        """Try to have a connection; what was committed without our knowing is taken over then."""
        if self.taken_over.is_set():
            return False
        try:
            self._storage.reopen()
        except Exception as error:
            self._try_at = time.monotonic() + self._wait
            self._wait = min(2 * self._wait, _LATEST)
            told = self._told(error)
            self.trouble = str(told)
            if not isinstance(told, StorageFailed):
                log.error("the storage cannot be connected to again", exc_info=error)  # tried again, whatever it is
            if isinstance(error, TakenOver):
                log.critical("%s", error)
                self._tell(self.taken_over.set)
            return False
        log.info("the storage is connected again")
        self._connected, self._wait, self.trouble = True, _SOONEST, ""
        if taking_over and self._doubtful is not None:
            if self._counted():
                self._tell(_deliver_late, self._doubtful[1])
            self._doubtful = None
        return True

    def _counted(self) -> bool:
        """Whether the doubtful transaction was committed."""
        assert self._storage.session is not None and self._doubtful is not None
        return self._storage.session.number("transaction") == self._doubtful[0]

    def _told(self, error: Exception) -> Exception:
        """The driver's errors are one of ours: whoever asks later hears it too. Any other is its caller's to hear."""
        if type(error).__module__.partition(".")[0] not in ("sqlite3", "psycopg"):
            return error
        self.trouble = f"the storage does not take changes: {type(error).__name__}"
        log.error("%s: %s", self.trouble, error)
        return StorageFailed(self.trouble)

    def _together(self, batch: list[_Job[Any]]) -> None:
        connection, session, postgres = self._storage.connection, self._storage.session, self._storage.postgres
        assert session is not None
        self._number += postgres
        connection.execute("BEGIN" if postgres else "BEGIN IMMEDIATE")
        try:
            for job in batch:
                job.result = job.work(session)
            if postgres:
                session.run(
                    "INSERT INTO meta VALUES ('transaction', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    self._number,
                )
            connection.execute("COMMIT")
            self.trouble = ""
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        try:
            self._storage.connection.execute("ROLLBACK")
        except Exception as error:  # of either driver; a connection that is lost has rolled back by itself
            log.debug("nothing was rolled back: %s", error)


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


def _deliver_late(batch: list[_Job[Any]]) -> None:
    """They were committed although their callers heard of a failure: what is in memory follows the storage."""
    for job in batch:
        if job.then is not None:
            try:
                job.then(job.result)
            except Exception:
                log.exception("a committed change could not be taken over")
