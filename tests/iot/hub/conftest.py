"""The hub keeps its records in what the catalog does: SQLite, and PostgreSQL where that is installed."""

from __future__ import annotations

from broker.conftest import postgresql, schemas, storage, storages

__all__ = ["postgresql", "schemas", "storage", "storages"]
