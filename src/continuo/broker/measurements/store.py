"""Records and counted checks in the catalog's database: the newest of each metric in memory, a bounded history behind.

A series (one metric of one provider) is a ring of rows, so its history is bounded by how it is written. Sequences follow
the clock where that is ahead: a database that was restored from an old copy does not hand out numbers a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from continuo.broker.measurements.records import BadRecord, PublicKey, Record, checked, key_id, sign, verify
from continuo.broker.measurements.uptime import BUCKET, LONGEST, Checks
from continuo.storage.database import Database, Session

HISTORY = 200
"""Records that are kept of each metric of each provider."""

_TABLES = (
    """CREATE TABLE IF NOT EXISTS measurements (
        provider TEXT NOT NULL, metric TEXT NOT NULL, slot BIGINT NOT NULL, sequence BIGINT NOT NULL, signed TEXT NOT NULL,
        PRIMARY KEY (provider, metric, slot))""",
    "CREATE INDEX IF NOT EXISTS newest_measurements ON measurements (provider, metric, sequence)",
    """CREATE TABLE IF NOT EXISTS measurement_keys (
        id TEXT PRIMARY KEY, public TEXT NOT NULL, private TEXT, created BIGINT NOT NULL, retired BIGINT)""",
    """CREATE TABLE IF NOT EXISTS measurement_checks (
        provider TEXT NOT NULL, start BIGINT NOT NULL, up BIGINT NOT NULL, down BIGINT NOT NULL,
        PRIMARY KEY (provider, start))""",
)


@dataclass(frozen=True, slots=True)
class Value:
    """What was measured, before it is a record."""

    provider: str
    metric: str
    value: float
    unit: str
    at: float
    """Seconds since 1970."""
    lasts: int
    samples: int = 1
    coverage: float = 1.0


@dataclass(frozen=True, slots=True)
class Signed:
    """A record with the form that proves it."""

    record: Record
    text: str


class Measurements:
    """Signs, keeps, and hands out what one broker measured."""

    def __init__(self, database: Database, by: str, clock: Callable[[], float], *, history: int = HISTORY) -> None:
        self.by, self.clock = by, clock
        self._database, self._history = database, history
        self._newest: dict[str, dict[str, Signed]] = {}
        self._slots: dict[tuple[str, str], int] = {}
        self._checks: dict[str, Checks] = {}
        self._keys: dict[str, PublicKey] = {}
        self._private: Ed25519PrivateKey | None = None
        self.on_rotate: list[Callable[[], None]] = []
        """Called when another key signs: probes know the one that they answer."""

    async def load(self) -> None:
        """Make the tables, take over what they hold, and make the first key where there is none."""
        keys, newest, checks = await self._database.do(_read)
        for raw, private, created, retired in keys:
            key = PublicKey(bytes.fromhex(raw), created, retired)
            self._keys[key.id] = key
            if private is not None:
                self._private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(private))
        for slot, text in newest:
            self._take(Signed(verify(text, self._keys), text), slot)
        rows: dict[str, list[tuple[int, int, int]]] = {}
        for provider, *row in checks:
            rows.setdefault(provider, []).append((row[0], row[1], row[2]))
        self._checks = {provider: Checks(counted) for provider, counted in rows.items()}
        if self._private is None:
            await self.rotate()

    @property
    def keys(self) -> MappingProxyType[str, PublicKey]:
        """Every key that ever signed: old records stay checkable."""
        return MappingProxyType(self._keys)

    @property
    def private(self) -> Ed25519PrivateKey:
        """The key that signs now, for probe tokens as well."""
        assert self._private is not None, "load() comes first"
        return self._private

    async def rotate(self) -> str:
        """Sign with a new key from now on. The old ones check what they signed until now, and nothing later."""
        private, now = Ed25519PrivateKey.generate(), int(self.clock() * 1000)
        raw = private.public_key().public_bytes_raw()
        row = key_id(raw), raw.hex(), private.private_bytes_raw().hex(), now

        def write(session: Session) -> None:
            session.run("UPDATE measurement_keys SET private = NULL, retired = ? WHERE retired IS NULL", now)
            session.run("INSERT INTO measurement_keys VALUES (?, ?, ?, ?, NULL)", *row)

        await self._database.do(write)
        self._keys = {
            id: key if key.retired is not None else replace(key, retired=now) for id, key in self._keys.items()
        }
        self._keys[key_id(raw)] = PublicKey(raw, now)
        self._private = private
        for heard in self.on_rotate:
            heard()
        return key_id(raw)

    async def rotate_after(self, age: float) -> bool:
        """Rotate if the key that signs was made longer ago than this (seconds)."""
        current = max(key.created for key in self._keys.values() if key.retired is None)
        due = current + 1000 * age <= self.clock() * 1000
        if due:
            await self.rotate()
        return due

    async def add(self, values: Iterable[Value]) -> list[Signed]:
        """Sign what was measured, and keep it."""
        rows = [(one, self._take(one)) for one in map(self._signed, values)]

        def write(session: Session) -> None:
            for one, slot in rows:
                _put(session, one, slot)

        await self._database.do(write)
        return [one for one, _ in rows]

    async def accept(self, text: str) -> Record:
        """Take back a record of this broker's, as from a copy of it; raises BadRecord when it is not, or not newer."""
        record = verify(text, self._keys)
        if record.by != self.by:
            raise BadRecord(f"the record was made by {record.by}, not by {self.by}")
        known = self.newest(record.provider).get(record.metric)
        if known is not None and record.sequence <= known.record.sequence:
            raise BadRecord(
                f"{record.metric} of {record.provider} is known up to sequence {known.record.sequence}: "
                f"{record.sequence} is a replay of an older one"
            )
        one = Signed(record, text)
        slot = self._take(one)
        await self._database.do(lambda session: _put(session, one, slot))
        return record

    def newest(self, provider: str) -> MappingProxyType[str, Signed]:
        """The newest record of each metric, fresh or not."""
        return MappingProxyType(self._newest.get(provider, {}))

    def providers(self) -> list[str]:
        """Of whom there are records."""
        return sorted(self._newest)

    async def history(self, provider: str, metric: str, limit: int = HISTORY) -> list[Signed]:
        """The kept records of a series, the newest first."""
        rows = await self._database.do(
            lambda session: session.all(
                "SELECT signed FROM measurements WHERE provider = ? AND metric = ? ORDER BY sequence DESC LIMIT ?",
                provider, metric, limit,
            )
        )  # fmt: skip
        return [Signed(verify(text, self._keys), text) for (text,) in rows]

    def checks(self, provider: str) -> Checks:
        """The counted checks of a provider."""
        return self._checks.setdefault(provider, Checks())

    async def check(self, provider: str, at: float, ok: bool) -> None:
        """Count one check."""
        start, up, down = self.checks(provider).add(at, ok)

        def write(session: Session) -> None:
            session.run(
                "INSERT INTO measurement_checks VALUES (?, ?, ?, ?) ON CONFLICT (provider, start) DO UPDATE SET "
                "up = excluded.up, down = excluded.down", provider, start, up, down,
            )  # fmt: skip
            if up + down == 1:  # the first of its bucket: the one time that others may have become too old
                oldest = start - LONGEST - BUCKET
                session.run("DELETE FROM measurement_checks WHERE provider = ? AND start < ?", provider, oldest)

        await self._database.do(write)

    async def forget(self, provider: str) -> None:
        """Drop everything of a provider that is no longer one."""
        self._newest.pop(provider, None)
        self._checks.pop(provider, None)
        self._slots = {series: slot for series, slot in self._slots.items() if series[0] != provider}

        def write(session: Session) -> None:
            session.run("DELETE FROM measurements WHERE provider = ?", provider)
            session.run("DELETE FROM measurement_checks WHERE provider = ?", provider)

        await self._database.do(write)

    def _signed(self, value: Value) -> Signed:
        known = self.newest(value.provider).get(value.metric)
        sequence = max(int(self.clock() * 1000), 0 if known is None else known.record.sequence + 1)
        record = checked(
            Record(
                value.provider, value.metric, float(value.value), value.unit, int(value.at * 1000), value.lasts, self.by,
                sequence, value.samples, value.coverage,
            )
        )  # fmt: skip
        return Signed(record, sign(record, self.private))

    def _take(self, one: Signed, slot: int | None = None) -> int:
        """Make it the newest of its series; returns its place in the ring."""
        record = one.record
        series = (record.provider, record.metric)
        place = (self._slots.get(series, -1) + 1) % self._history if slot is None else slot
        self._slots[series] = place
        self._newest.setdefault(record.provider, {})[record.metric] = one
        return place


def _put(session: Session, one: Signed, slot: int) -> None:
    record = one.record
    session.run(
        "INSERT INTO measurements VALUES (?, ?, ?, ?, ?) ON CONFLICT (provider, metric, slot) DO UPDATE SET "
        "sequence = excluded.sequence, signed = excluded.signed",
        record.provider, record.metric, slot, record.sequence, one.text,
    )  # fmt: skip


def _read(session: Session) -> tuple[list[Any], list[Any], list[Any]]:
    for table in _TABLES:
        session.run(table)
    return (
        session.all("SELECT public, private, created, retired FROM measurement_keys ORDER BY created, id"),
        session.all(
            "SELECT m.slot, m.signed FROM measurements m JOIN (SELECT provider, metric, MAX(sequence) AS sequence "
            "FROM measurements GROUP BY provider, metric) n ON m.provider = n.provider AND m.metric = n.metric "
            "AND m.sequence = n.sequence"
        ),
        session.all("SELECT provider, start, up, down FROM measurement_checks"),
    )
