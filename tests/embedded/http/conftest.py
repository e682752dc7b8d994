from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from http_client import Client, Clock, new_engine, widget_definition

from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def engine(clock: Clock, anyio_backend: str) -> AsyncIterator[EmbeddedEngine]:
    engine = new_engine(clock)
    yield engine
    await engine.stop()


@pytest.fixture
def server(engine: EmbeddedEngine) -> Server:
    server = Server(engine)
    server.attach()
    return server


@pytest.fixture
def admin(server: Server) -> Client:
    return Client(server)


@pytest.fixture
async def widgets(admin: Client) -> Client:
    """The administrator of a cluster that serves widgets."""
    reply = await admin.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", widget_definition())
    assert reply.status == 201, reply.body
    return admin
