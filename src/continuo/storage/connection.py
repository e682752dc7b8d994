"""The databases themselves: connecting, the tables, and being the only one who writes.

Who writes holds a lock for as long as its session lives, and has a number of its own. A session that was lost may go on
only if that number is still the last: in between, another owner may have come and gone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from continuo.storage.schema import META, Schema

_LOCK_PATIENCE = 3
"""Seconds."""
_ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}
"""So that a network that is gone is noticed before those who wait have gone too."""


class StorageFailed(Exception):
    """The database cannot be used; `str()` is a sentence."""


class TakenOver(StorageFailed):
    """Another owner has written here since: what this one knows is no longer true."""


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

    def number(self, name: str) -> int:
        """A number kept beside the tables; 0 where there is none yet."""
        row = self.one("SELECT value FROM meta WHERE name = ?", name)
        return 0 if row is None else int(row[0])

    def set_number(self, name: str, value: int) -> None:
        """Keep a number beside the tables."""
        self.run(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value
        )  # fmt: skip

    def next_number(self, name: str) -> int:
        """The next number of this name; it is taken only if the transaction commits."""
        row = self.one(
            "INSERT INTO meta VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = meta.value + 1 RETURNING value",
            name,
        )
        assert row is not None
        return int(row[0])


class Storage:
    """One database, connected to by one thread."""

    def __init__(self, url: str, schema: Schema) -> None:
        self._url, self._schema = url, schema
        self.postgres = url.startswith(("postgresql://", "postgres://"))
        self.connection: Any = None
        self.session: Session | None = None
        self._owner = 0

    def open(self) -> None:
        """Connect, make the tables, and become the one who writes; raises StorageFailed."""
        self._use(self._postgresql() if self.postgres else self._sqlite())
        session = self._session()
        self.connection.execute("BEGIN")
        for statement in (META, *self._schema.tables):
            session.run(statement.replace("BLOB", "BYTEA") if self.postgres else statement)
        session.run("INSERT INTO meta VALUES ('schema', ?) ON CONFLICT DO NOTHING", self._schema.version)
        found = session.number("schema")
        if found != self._schema.version:
            raise StorageFailed(f"the storage was made by another version of Continuo (schema {found})")
        self._owner = session.next_number("owner")
        self.connection.execute("COMMIT")

    def reopen(self) -> None:
        """Connect again after a loss; raises StorageFailed to try again later, and TakenOver."""
        self.close()
        connection = self._connected(2)
        try:
            self._still_ours(Session(connection, True))
            self._lock(connection)
            self._still_ours(Session(connection, True))
        except BaseException:
            connection.close()
            raise
        self._use(connection)

    def _still_ours(self, session: Session) -> None:
        if session.number("owner") != self._owner:
            raise TakenOver(f"another {self._schema.owner} has taken this storage over; this one must end")

    def lost(self) -> bool:
        """Whether the connection is gone, rather than one statement wrong."""
        return self.postgres and bool(self.connection.closed)

    def close(self) -> None:
        """Disconnect."""
        if self.connection is not None:
            self.connection.close()

    def _use(self, connection: Any) -> None:
        self.connection, self.session = connection, Session(connection, self.postgres)

    def _session(self) -> Session:
        assert self.session is not None, "open() comes first"
        return self.session

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
            why = f"another {self._schema.owner} uses it; stop that one first" if "locked" in str(error) else str(error)
            raise StorageFailed(f"cannot open {path}: {why}") from error
        return connection

    def _postgresql(self) -> Any:
        connection = self._connected(10)
        try:
            self._lock(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connected(self, timeout: int) -> Any:
        try:
            import psycopg
        except ModuleNotFoundError as error:
            raise StorageFailed(
                f"PostgreSQL needs the Python package psycopg: install Continuo's extra `{self._schema.extra}`"
            ) from error
        try:
            return psycopg.connect(self._url, autocommit=True, connect_timeout=timeout, **_ALIVE)  # type: ignore[arg-type]
        except psycopg.Error as error:
            place = self._url.rpartition("@")[2]  # never the password
            raise StorageFailed(f"cannot reach PostgreSQL at {place}: {type(error).__name__}") from error

    def _lock(self, connection: Any) -> None:
        """Waits a little: the server may still be ending the session of one that was just stopped, or lost."""
        import psycopg

        try:
            connection.execute(f"SET lock_timeout = '{_LOCK_PATIENCE}s'")
            connection.execute("SELECT pg_advisory_lock(%s)", (self._schema.lock,))
            connection.execute("SET lock_timeout = DEFAULT")
        except psycopg.errors.LockNotAvailable as error:
            raise StorageFailed(
                f"another {self._schema.owner} uses this PostgreSQL database; stop that one first"
            ) from error
