"""The operator's probes."""

from __future__ import annotations

import socket

import aiohttp
import pytest

from continuo.cli.failures import Failed
from continuo.cli.health import health_served
from ports import free_port

pytestmark = pytest.mark.anyio


async def test_readiness_says_what_is_wrong_and_liveness_does_not_care() -> None:
    said = ""
    port = free_port()
    async with health_served(port, lambda: said), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.get("/readyz") as answer:
            assert answer.status == 200
        said = "the management cluster cannot be followed: refused"
        async with session.get("/readyz") as answer:
            assert (answer.status, (await answer.text()).strip()) == (503, said)
        async with session.get("/healthz") as answer:
            assert answer.status == 200


async def test_a_taken_port_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        with pytest.raises(Failed, match="choose another"):
            async with health_served(taken.getsockname()[1], str):
                pass
