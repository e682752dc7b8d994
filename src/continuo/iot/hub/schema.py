"""The hub's tables: records as JSON under their kind, and the events that readers may resume from."""

from __future__ import annotations

from continuo.storage.schema import Schema

SCHEMA = Schema(
    owner="hub",
    extra="hub",
    lock=0x69546875,
    version=1,
    tables=(
        """CREATE TABLE IF NOT EXISTS records (
            kind TEXT NOT NULL, id TEXT NOT NULL, serial BIGINT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, id))""",
        """CREATE TABLE IF NOT EXISTS events (
            number BIGINT PRIMARY KEY, project TEXT NOT NULL, event TEXT NOT NULL, body BLOB NOT NULL)""",
    ),
)
