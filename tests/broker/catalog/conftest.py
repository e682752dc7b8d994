from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.catalog.bench import Bench, catalog, cheap_hashes


@pytest.fixture(autouse=True)
def quick_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap_hashes(monkeypatch)


@pytest.fixture
async def bench(storage: str, anyio_backend: str) -> AsyncIterator[Bench]:
    """A catalog that anybody may read, over each kind of storage."""
    async with catalog(storage) as made:
        yield made


@pytest.fixture
async def closed(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Bench]:
    """A catalog without anonymous readers."""
    async with catalog(str(tmp_path / "catalog.sqlite"), anonymous=False) as made:
        yield made


@pytest.fixture
async def small(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Bench]:
    """A catalog over SQLite that anybody may read."""
    async with catalog(str(tmp_path / "catalog.sqlite")) as made:
        yield made
