"""Storage for tests, of each kind that Continuo keeps things in."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.catalog import postgres

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """Makes databases of a real PostgreSQL."""
    programs = postgres.find_programs()
    if programs is None:
        pytest.skip("PostgreSQL's programs are not on this machine (Debian: apt-get install postgresql)")
    import psycopg

    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(postgres.running(programs))
        except (subprocess.CalledProcessError, OSError) as error:
            pytest.skip(f"PostgreSQL's programs in {programs} do not start here: {error}")
        connection = stack.enter_context(psycopg.connect(url % "postgres", autocommit=True))

        def make() -> str:
            name = f"catalog{next(_numbers)}"
            connection.execute(f"CREATE DATABASE {name}")
            return url % name

        yield make


@pytest.fixture(scope="session")
def schemas(postgresql: Callable[[], str]) -> Callable[[], str]:
    """Makes empty schemas in one database of it, which is much less work than databases."""
    import psycopg

    url = postgresql()

    def make() -> str:
        name = f"catalog{next(_numbers)}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{url}&options=-csearch_path%3D{name}"

    return make


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def storages(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Makes empty storages, of each kind."""
    if request.param == "sqlite":
        return lambda: str(tmp_path / f"catalog{next(_numbers)}.sqlite")
    made: Callable[[], str] = request.getfixturevalue("schemas")
    return made


@pytest.fixture
def storage(storages: Callable[[], str]) -> str:
    """An empty storage of each kind."""
    return storages()
