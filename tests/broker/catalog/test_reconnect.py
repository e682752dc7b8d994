"""PostgreSQL ends the catalog's session: what was answered stays, nothing is done twice, nobody is written over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from broker.catalog.bench import Bench, catalog, offer
from continuo.broker.catalog.schema import SCHEMA
from continuo.storage.connection import Storage, StorageFailed
from continuo.storage.database import Database

pytestmark = pytest.mark.anyio


class Server:
    """A database of a real PostgreSQL, and what its administrator can do to it."""

    def __init__(self, url: str) -> None:
        import psycopg

        self.url, self._psycopg = url, psycopg
        self.name = url.partition("@/")[2].partition("?")[0]

    def run(self, statement: str) -> None:
        with self._psycopg.connect(self.url.replace(self.name, "postgres", 1), autocommit=True) as connection:
            connection.execute(statement)

    def end_sessions(self) -> None:
        self.run(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{self.name}'")

    def admit(self, yes: bool) -> None:
        self.run(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS {yes}")


@pytest.fixture
def server(postgresql: Callable[[], str]) -> Iterator[Server]:
    made = Server(postgresql())
    yield made
    made.admit(True)


async def until_ready(bench: Bench) -> None:
    async with asyncio.timeout(30):
        while (await bench.anybody.get("/readyz")).status != 200:  # noqa: ASYNC110 - asked as probes ask
            await asyncio.sleep(0.05)


async def test_a_session_that_is_ended_is_begun_again_without_anybody_noticing(server: Server) -> None:
    async with catalog(server.url) as bench:
        green = await bench.provider()
        for cost in ("1", "2", "3"):
            server.end_sessions()
            assert (await green.publish("a", offer(cost=cost))).status in (200, 201)
        assert (await bench.anybody.get("/readyz")).status == 200
    async with catalog(server.url) as bench:
        told = (await bench.anybody.get("/api/v1/offers")).json
        assert (told["revision"], told["items"][0]["plans"][0]["cost"]) == (3, "3")


async def test_while_it_cannot_be_reached_it_refuses_and_afterwards_it_goes_on(server: Server) -> None:
    async with catalog(server.url) as bench:
        green = await bench.provider()
        assert (await green.publish("a", offer())).status == 201
        server.admit(False)
        server.end_sessions()
        refused = await green.publish("a", offer(cost="2"))
        assert refused.status == 503 and refused.json["code"] == "storage-failed"
        assert (await bench.anybody.get("/readyz")).status == 503
        assert (await bench.anybody.get("/offer/a")).json["plans"]["basic"]["cost"] == "1.0", "readers go on"
        server.admit(True)
        await until_ready(bench)
        assert (await green.publish("a", offer(cost="3"))).status == 200
        assert (await bench.anybody.get("/api/v1/offers")).json["revision"] == 2


async def test_a_commit_that_counted_although_nobody_heard_is_taken_over(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks between the commit and its answer: once with a quick return, once with a late one."""
    for late in (False, True):
        async with catalog(server.url) as bench:
            green = await bench.provider("late" if late else "quick")
            revision = (await bench.anybody.get("/api/v1/offers")).json["revision"]
            break_after_commit(bench.parts.database, server, monkeypatch, late=late)
            answer = await green.publish(f"a-{late}", offer())
            assert answer.status == (503 if late else 201)
            server.admit(True)
            await until_ready(bench)
            told = (await bench.anybody.get("/api/v1/offers")).json
            assert told["revision"] == revision + 1, "once"
            assert f"a-{late}" in [each["id"] for each in told["items"]], "what the storage holds is what is told"
            assert (await green.publish(f"a-{late}", offer(cost="2"))).status == 200


def break_after_commit(database: Database, server: Server, monkeypatch: pytest.MonkeyPatch, *, late: bool) -> None:
    storage = database._storage
    real = storage.connection

    class Breaking:
        def execute(self, statement: str, *values: Any) -> Any:
            done = real.execute(statement, *values)
            if statement == "COMMIT":
                if late:
                    server.admit(False)
                server.end_sessions()
                return real.execute("SELECT 1")
            return done

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    monkeypatch.setattr(storage, "connection", Breaking())


async def test_another_catalog_that_came_meanwhile_is_not_written_over(server: Server) -> None:
    async with catalog(server.url) as bench:
        green = await bench.provider()
        assert (await green.publish("a", offer())).status == 201
        server.end_sessions()
        other = Storage(server.url, SCHEMA)
        await asyncio.to_thread(other.open)
        other.close()  # and is gone again
        assert (await green.publish("a", offer(cost="2"))).status == 503
        async with asyncio.timeout(20):
            await bench.parts.database.taken_over.wait()
        assert "taken this storage over" in (await bench.anybody.get("/readyz")).body.decode()
        assert (await green.publish("a", offer(cost="2"))).status == 503


async def test_a_server_that_is_not_there_is_said_without_the_password() -> None:
    with pytest.raises(StorageFailed, match=r"cannot reach PostgreSQL at 127.0.0.1:1/none") as failed:
        await Database("postgresql://me:secret@127.0.0.1:1/none", SCHEMA).open()
    assert "secret" not in str(failed.value)
