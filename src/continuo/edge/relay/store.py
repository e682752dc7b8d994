"""What a relay keeps on disk: its key, its routes, and what was undelivered when it was stopped. Readable by nobody else."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
from pathlib import Path as File

import msgspec

from continuo.edge.relay.model import Route, Source

log = logging.getLogger(__name__)

SPOOL_READINGS, SPOOL_BYTES = 100_000, 128 * 1024 * 1024
"""How many readings are kept over a restart, and their bytes; the oldest are left out."""


class Kept(msgspec.Struct, frozen=True):
    """A reading as it is kept."""

    source: Source
    body: bytes
    identity: str
    sequence: int
    age: float
    """Seconds since it came, when it was kept."""
    time: float
    common: bytes


class Waiting(msgspec.Struct, frozen=True):
    """That a reading is still to go to a target, or was given up for it."""

    reading: int
    """Its place in the list of readings."""
    route: str
    url: str
    sensor: str
    attempts: int = 0
    dead: str = ""
    """Why it was given up."""
    at: float = 0.0


class Spool(msgspec.Struct, frozen=True):
    """Everything undelivered."""

    written: float
    """Seconds since 1970."""
    readings: list[Kept]
    waiting: list[Waiting]


class Store:
    """A folder. All methods block; only the relay that holds the folder's lock may call them."""

    def __init__(self, folder: File) -> None:
        self._folder, self._routes = folder, folder / "routes"

    def open(self) -> None:
        """Make the folder, and take it; raises BlockingIOError where another process has it."""
        import fcntl

        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._routes.mkdir(mode=0o700, exist_ok=True)
        self._lock = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Give the folder back."""
        os.close(self._lock)

    def key(self) -> bytes:
        """The key of the addresses; made when it is first asked for."""
        return bytes.fromhex(self._text("ingest.key", lambda: secrets.token_hex(32)))

    def name(self) -> str:
        """What this relay is called by MQTT brokers, over its restarts."""
        return self._text("name", lambda: f"continuo-relay-{secrets.token_hex(6)}")

    def routes(self) -> list[Route]:
        """All routes that were kept; what cannot be read is logged and left out."""
        found = []
        for file in sorted(self._routes.glob("*.json")):
            try:
                found.append(msgspec.json.decode(file.read_bytes(), type=Route))
            except (msgspec.MsgspecError, OSError) as error:
                log.error("route file %s is not used: %s", file.name, error)
        return found

    def put(self, route: Route) -> None:
        """Keep a route."""
        self._write(self._file(route.name), msgspec.json.encode(route))

    def delete(self, name: str) -> None:
        """Keep it no longer."""
        self._file(name).unlink(missing_ok=True)

    def save(self, spool: Spool) -> None:
        """Keep what is undelivered."""
        self._write(self._folder / "spool", msgspec.msgpack.encode(spool))

    def spool(self) -> Spool | None:
        """What was undelivered; None: nothing, or it cannot be read."""
        file = self._folder / "spool"
        try:
            return msgspec.msgpack.decode(file.read_bytes(), type=Spool)
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, OSError) as error:
            log.error("what was undelivered cannot be read (%s); it is kept as spool.unreadable", error)
            file.replace(self._folder / "spool.unreadable")
            return None

    def forget_spool(self) -> None:
        """All of it is delivered."""
        (self._folder / "spool").unlink(missing_ok=True)

    def _file(self, name: str) -> File:
        return self._routes / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"

    def _text(self, name: str, make: object) -> str:
        file = self._folder / name
        if not file.exists():
            assert callable(make)
            self._write(file, json.dumps(make()).encode())
        text: str = json.loads(file.read_bytes())
        return text

    def _write(self, file: File, data: bytes) -> None:
        new = file.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        new.replace(file)
