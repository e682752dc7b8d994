"""The catalog's tables."""

from __future__ import annotations

from continuo.storage.schema import Schema

_TABLES = (
    """CREATE TABLE IF NOT EXISTS offers (
        id TEXT PRIMARY KEY, provider TEXT NOT NULL, revision BIGINT NOT NULL, updated DOUBLE PRECISION NOT NULL,
        body BLOB NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS changes (
        revision BIGINT PRIMARY KEY, id TEXT NOT NULL, provider TEXT NOT NULL, updated DOUBLE PRECISION NOT NULL,
        body BLOB)""",
    """CREATE TABLE IF NOT EXISTS accounts (
        id TEXT PRIMARY KEY, role TEXT NOT NULL, secret TEXT NOT NULL, body BLOB NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS families (
        id TEXT PRIMARY KEY, account TEXT NOT NULL, current TEXT NOT NULL, scope TEXT NOT NULL,
        expires DOUBLE PRECISION NOT NULL, revoked BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS signing_keys (
        id TEXT PRIMARY KEY, private BLOB NOT NULL, created DOUBLE PRECISION NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS measured (
        provider TEXT PRIMARY KEY, body BLOB NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS contracts (
        id TEXT PRIMARY KEY, buyer TEXT NOT NULL, provider TEXT NOT NULL, state TEXT NOT NULL, body BLOB NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS usage_records (
        contract TEXT NOT NULL, sequence BIGINT NOT NULL, started DOUBLE PRECISION NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (contract, sequence))""",
    """CREATE TABLE IF NOT EXISTS answered (
        account TEXT NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL, contract TEXT NOT NULL,
        at DOUBLE PRECISION NOT NULL, PRIMARY KEY (account, key))""",
)

SCHEMA = Schema(owner="catalog", extra="broker", lock=0x636F6E74, version=1, tables=_TABLES)
