"""The storage does not take a change: it is refused, nothing of it stays in memory, and afterwards all goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from continuo.storage.database import StorageFailed
from iot.hub.bench import PLACE, Client, hub, until

pytestmark = pytest.mark.anyio


async def test_a_change_that_was_not_stored_is_not_there(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hub(storage) as bench:
        lab = await bench.client()
        await lab.board("before")
        real, failing = bench.core.database.do, 3

        async def do(work: Any, then: Any = None) -> Any:
            nonlocal failing
            if failing:
                failing -= 1
                raise StorageFailed("the disk is full")
            return await real(work, then)

        monkeypatch.setattr(bench.core.database, "do", do)
        body = {"name": "lost", "code": "code-lost", "location": PLACE}
        refused = await lab.ask("POST", "/v1/boards", body)
        assert refused.status == 503 and refused.fault == "Nothing was changed: the disk is full"
        assert (await lab.get("/readyz")).status == 503
        meanwhile = await lab.ask("POST", "/v1/boards", body)
        assert meanwhile.status == 503 and meanwhile.headers["Retry-After"] == "2"

        async def ready() -> bool:
            return (await lab.get("/readyz")).status == 200

        await until(ready)
        assert [board["name"] for board in (await lab.get("/v1/boards")).json["boards"]] == ["before"]
        again = await lab.ask("POST", "/v1/boards", body)
        assert again.status == 201
        events = bench.core.feed.after(0, None)
        assert [event.kind for event in events] == ["board.updated"] * 2, "what was lost is not told"
    async with hub(storage) as bench:
        lab = Client(bench.http, bench.url, lab.headers)
        boards = (await lab.get("/v1/boards?sort_key=name")).json["boards"]
        assert [board["name"] for board in boards] == ["before", "lost"]


async def test_a_caller_that_leaves_leaves_no_half(storage: str) -> None:
    async with hub(storage) as bench:
        lab = await bench.client()
        _, agent = await bench.online(lab)
        await lab.plugin()
        agent.silent = True
        body = {"plugin": "hello"}
        going = asyncio.create_task(lab.ask("PUT", "/v1/boards/one/plugins", body, Idempotency_Key="k"))

        async def asked() -> bool:
            return any(call[0] == "Desire" and call[1]["plugins"] for call in agent.calls)

        await until(asked)
        going.cancel()
        agent.silent = False
        await bench.core.presence.reported(agent.board, agent.said)
        again = await lab.ask("PUT", "/v1/boards/one/plugins", body, Idempotency_Key="k")
        assert (again.status, again.json) == (200, "PluginInject result: INJECTED")
        assert len((await lab.get("/v1/requests")).json["requests"]) == 1
