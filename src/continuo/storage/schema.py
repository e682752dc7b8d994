"""What an owner of a storage brings: its tables, and the names by which it is told apart from others."""

from __future__ import annotations

from dataclasses import dataclass

META = "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BIGINT NOT NULL)"
"""The numbers of a storage: its version, its owner's, and what the owner counts."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The same text for SQLite and PostgreSQL, but for the name of the bytes type, which is written BLOB."""

    owner: str
    """What the owner is called in sentences: `another catalog uses it`."""
    extra: str
    """The extra of Continuo's package that brings PostgreSQL's driver."""
    lock: int
    """The advisory lock that the one who writes holds: one constant for each kind of owner."""
    version: int
    tables: tuple[str, ...]
    """`CREATE TABLE IF NOT EXISTS` and the like, in this order; `meta` is made before them."""
