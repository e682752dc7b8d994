"""What takes long is done beside the loop: others are answered meanwhile, and what is said is of the moment of asking."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from continuo.resources.loop import DECISION
from continuo.server.scheduler import decisions, judging, pending
from scheduling.bench import Bench, places, running
from scheduling.test_bad_decisions import DECISIONS, place

pytestmark = pytest.mark.anyio
PENDING = "/scheduler/v1/placements/pending"


@pytest.fixture
async def bench(anyio_backend: str) -> AsyncIterator[Bench]:
    async with running() as made:
        yield made


class Held:
    """A function that goes on only once the loop says so: in the loop it could never end."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function, self._loop = function, asyncio.get_running_loop()
        self.entered, self.go = asyncio.Event(), threading.Event()

    def __call__(self, *given: Any) -> Any:
        self._loop.call_soon_threadsafe(self.entered.set)
        assert self.go.wait(10), "the loop stood still"
        return self._function(*given)


async def test_a_verdict_holds_nobody_up_and_is_of_the_moment_of_asking(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(judging.judged)
    monkeypatch.setattr(decisions, "judged", held)
    version = bench.parts.infrastructure.log.current
    body = {"decisionId": "d-1", "basedOn": version, "reason": "it is near", "actions": [place("shop/late", "green")]}
    asked = asyncio.create_task(bench.ai.call("POST", DECISIONS, json=body))
    await held.entered.wait()
    await bench.adjust({"places": places(web="green", cache="green")})
    later = await bench.until(lambda state: state["stateVersion"] != version)
    assert len(later["pending"]) == 1, "others are answered while one is judged"
    held.go.set()
    code, answer, _ = await asked
    assert (code, answer["stateVersion"]) == (200, version)
    (made,) = (await bench.cluster.list(DECISION, "default")).items
    assert made["metadata"]["name"] == answer["decision"]


async def test_two_about_the_same_are_judged_one_after_the_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(judging.judged)
    monkeypatch.setattr(decisions, "judged", held)
    body = {"basedOn": bench.parts.infrastructure.log.current, "reason": "it is near"}
    asked = [
        asyncio.create_task(
            client.call("POST", DECISIONS, json={**body, "decisionId": "d", "actions": [place("shop/late", to)]})
        )
        for client, to in ((bench.ai, "green"), (bench.other, "blue"))
    ]
    await held.entered.wait()
    held.go.set()
    answers = await asyncio.gather(*asked)
    assert sorted(code for code, *_ in answers) == [200, 409]
    assert [a["actions"][0]["code"] for code, a, _ in answers if code == 409] == ["being-decided"]


async def test_what_waits_is_told_beside_the_loop(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(pending._answer)
    monkeypatch.setattr(pending, "_answer", held)
    asked = asyncio.create_task(bench.ai.call("GET", PENDING))
    await held.entered.wait()
    assert (await bench.state())["stateVersion"]
    held.go.set()
    code, body, _ = await asked
    assert (code, [entry["id"] for entry in body["components"]]) == (200, ["main/shop/late"])
