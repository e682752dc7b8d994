"""Storage for tests, of each kind that Continuo keeps things in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.catalog import postgres

_numbers = itertools.count()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


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
