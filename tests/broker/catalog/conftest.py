from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from broker.catalog import postgres
from broker.catalog.bench import Bench, catalog, cheap_hashes

_numbers = itertools.count()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def quick_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap_hashes(monkeypatch)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """Makes databases of a real PostgreSQL."""
    programs = postgres.find_programs()
    if programs is None:
        pytest.skip("PostgreSQL's programs are not on this machine (Debian: apt-get install postgresql)")
    import psycopg

    with postgres.running(programs) as url, psycopg.connect(url % "postgres", autocommit=True) as connection:

        def make() -> str:
            name = f"catalog{next(_numbers)}"
            connection.execute(f"CREATE DATABASE {name}")
            return url % name

        yield make


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty storage of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "catalog.sqlite")
    made: str = request.getfixturevalue("postgresql")()
    return made


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
