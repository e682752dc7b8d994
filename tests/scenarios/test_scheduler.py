"""An external scheduler at work: it reads the state, follows the stream, decides; and one that is too slow."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from continuo.resources.loop import DECISION
from continuo.resources.meta import Object
from continuo.server.orchestrations import Orchestrations
from continuo.server.scheduler.app import create_scheduler_app
from continuo.server.scheduler.parts import make_scheduler
from continuo.server.subjects import Gate, Policy
from continuo.server.tokens import TokenFile
from server.server_bench import serving

from .beds import PATIENCE, Bed
from .specs import PEER, app, cluster, component, item

pytestmark = [pytest.mark.anyio, pytest.mark.links]
CLUSTERS = [
    cluster("green", packages=["liqo"], cost={"cpu": 3.0}),
    cluster("rose", packages=["liqo"], cost={"cpu": 1.0}),
]
HEADERS = {"Authorization": "Bearer ai-token"}


def asking(name: str, cpu: str = "100m", **more: Any) -> Object:
    return component(name, resources={"requests": {"cpu": cpu}}, placement={}, expose=PEER, **more)


def declaration(within: int, *components: Object) -> Object:
    return {
        "clusters": CLUSTERS,
        "placement": {"scheduler": "external", "decide-within": within},
        "apps": [app("shop", "rose", *components)],
    }


class Scheduler:
    """A small scheduler: everything that waits goes where CPUs cost most, which the built-in one would not do."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session, self._base = session, f"{base}/scheduler/v1"
        self.items: dict[str, dict[str, Object]] = {}
        self.answers: list[tuple[int, Object]] = []
        self._version = ""

    async def work(self) -> None:
        """Follow the stream for good; decide whenever it tells of something that waits for a decision."""
        async with self._session.get(f"{self._base}/state", params={"watch": "true"}, headers=HEADERS) as stream:
            async for line in stream.content:
                if line.startswith(b"data: "):
                    self._take(json.loads(line[6:]))
                    await self._decide()

    def _take(self, told: Object) -> None:
        self._version = told["stateVersion"]
        if "changes" not in told:
            self.items = {name: {item["id"]: item for item in told[name]} for name in ("clusters", "pending")}
        for change in told.get("changes", ()):
            items = self.items.setdefault(change["collection"], {})
            items.pop(change["id"], None)
            if change["item"] is not None:
                items[change["id"]] = change["item"]

    async def _decide(self) -> None:
        for waiting in list(self.items["pending"].values()):
            if waiting["decideBy"] is None:
                continue
            ready = [c for c in self.items["clusters"].values() if c["phase"] == "Ready" and c["allocatable"]]
            best = max(ready, key=lambda c: c["cost"]["cpu"])
            path = f"{waiting['app']}/{waiting['component']}"
            action = {"op": "placeComponent", "component": path, "cluster": best["name"]}
            body = {"decisionId": f"{waiting['id'].replace('/', '.')}:{self._version}", "basedOn": self._version,
                    "reason": "dear is good", "actions": [action]}  # fmt: skip
            async with self._session.post(f"{self._base}/decisions", json=body, headers=HEADERS) as answer:
                self.answers.append((answer.status, await answer.json(content_type=None)))

    async def get(self, path: str) -> Object:
        async with self._session.get(f"{self._base}{path}", headers=HEADERS) as answer:
            found: Object = await answer.json(content_type=None)
            return found


@contextlib.asynccontextmanager
async def scheduling(bed: Bed, *, works: bool = True) -> AsyncIterator[Scheduler]:
    gate = Gate([TokenFile("ai-token,ai,1,continuo:schedulers")], Policy())
    parts = make_scheduler(bed.api, Orchestrations(bed.api, "default"), gate)
    async with serving(create_scheduler_app(parts)) as base, aiohttp.ClientSession() as session:
        async with asyncio.timeout(PATIENCE):
            while (await session.get(f"{base}/readyz")).status != 200:  # noqa: ASYNC110 - it is another process's to say
                await asyncio.sleep(0.01)
        scheduler = Scheduler(session, base)
        task = asyncio.create_task(scheduler.work()) if works else None
        yield scheduler
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def decisions(bed: Bed) -> list[Object]:
    return (await bed.api.list(DECISION, "default")).items


async def test_it_places_what_waits_for_it(bed: Bed) -> None:
    async with scheduling(bed) as scheduler:
        await bed.apply("o", declaration(3600, asking("web"), asking("cache"), component("db", "rose")))
        obj = await bed.ready("o")
        assert item(obj, "component", "shop/web")["cluster"] == "green"
        assert item(obj, "component", "shop/cache")["cluster"] == "green"
        assert all(made["spec"]["source"] == "external/ai" for made in await decisions(bed))
        accepted = [answer for status, answer in scheduler.answers if status == 200]
        assert len(accepted) == 2, scheduler.answers
        async with asyncio.timeout(PATIENCE):
            while True:
                told = await scheduler.get(f"/decisions/{accepted[0]['decisionId']}")
                if told["stage"] == "Verified":
                    break
                await asyncio.sleep(0.02)
        assert told["effect"], "what came of it was measured"


async def test_where_it_is_too_slow_the_built_in_one_decides_and_says_so(bed: Bed) -> None:
    async with scheduling(bed, works=False) as scheduler:
        await bed.apply("o", declaration(1, asking("web")))
        obj = await bed.ready("o")
        assert item(obj, "component", "shop/web")["cluster"] == "rose", "where it costs least"
        (made,) = await decisions(bed)
        assert made["spec"]["source"] == "placement"
        assert "the external scheduler did not decide in time" in made["spec"]["reason"]
        assert (await scheduler.get("/placements/pending"))["components"] == []


async def test_the_operator_refuses_what_the_server_would_have_refused(bed: Bed) -> None:
    await bed.apply("o", declaration(3600, asking("web"), component("db", "rose")))
    await bed.until("o", lambda obj: item(obj, "component", "shop/web").get("reason") == "AwaitingScheduler")
    spec = {"orchestration": "o", "source": "external/ai", "reason": "past the server", "actions": [
        {"op": "migrateComponent", "component": "shop/db", "cluster": "green"}]}  # fmt: skip
    await bed.api.create(DECISION.new("sneaky", "default", spec=spec), manager="test")
    made = await bed.wait(
        bed.api, DECISION, "sneaky", "default", lambda obj: ((obj or {}).get("status") or {}).get("stage") == "Refused"
    )
    assert "its writer pinned shop/db to rose" in made["status"]["message"]
