from __future__ import annotations

from collections.abc import AsyncIterator

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
async def closed(storage: str, anyio_backend: str) -> AsyncIterator[Bench]:
    """A catalog without anonymous readers, over each kind of storage."""
    async with catalog(storage, anonymous=False) as made:
        yield made
