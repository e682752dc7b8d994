"""`GET /scheduler/v1/state`: what a scheduler is told, and the stream of its changes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from scheduling.bench import Bench, find, running

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bench(anyio_backend: str) -> AsyncIterator[Bench]:
    async with running() as made:
        yield made


async def test_everything_that_a_scheduler_needs_is_told(bench: Bench) -> None:
    state = await bench.state()
    rose = find(state, "clusters", "main/rose")
    assert (rose["tier"], rose["datacenter"], rose["phase"]) == ("cloud", "milan", "Ready")
    assert rose["allocatable"] == {"cpuMillis": 4000, "memoryBytes": 8 << 30, "gpus": 0}
    assert rose["labels"] == {"iso27001": "true"} and rose["location"]["city"] == "Milan"
    assert [item["id"] for item in state["datacenters"]] == ["milan", "paris", "turin"]
    link = find(state, "links", "main/green/rose")
    assert (link["phase"], link["latencyMs"], link["measured"]) == ("Connected", 4.0, True)
    web, db = find(state, "workloads", "main/shop/web"), find(state, "workloads", "main/shop/db")
    assert (web["cluster"], web["pinned"]) == ("rose", None) and web["requests"]["cpuMillis"] == 500
    assert (db["cluster"], db["pinned"]) == ("rose", "rose")
    assert [item["id"] for item in state["pending"]] == ["main/shop/late"]
