"""A call is made once for each generation, whatever is lost on the way."""

from __future__ import annotations

import pytest

from continuo.resources.boards import PLUGIN, PLUGIN_CALL, PLUGIN_INJECTION

from .bench import Bench, provider_world

pytestmark = pytest.mark.anyio


async def prepared(bench: Bench) -> None:
    await bench.board("pump")
    await bench.make(PLUGIN, "meter", {"code": "one = 1\n", "callable": True})
    await bench.make(PLUGIN_INJECTION, "meter", {"boardRef": {"name": "pump"}, "pluginRef": {"name": "meter"}})
    await bench.until_ready(PLUGIN_INJECTION, "meter")


FIELDS = {"boardRef": {"name": "pump"}, "pluginRef": {"name": "meter"}, "parameters": {"n": 1}}


@pytest.mark.parametrize("events", [True, False])
async def test_a_call_brings_its_result_once_for_each_generation(events: bool) -> None:
    async with provider_world(events=events) as bench:
        await prepared(bench)
        await bench.make(PLUGIN_CALL, "now", FIELDS)
        await bench.until_ready(PLUGIN_CALL, "now")
        told = bench.get(PLUGIN_CALL, "now")["status"]["atProvider"]
        assert (told["result"], told["message"]) == ("SUCCESS", "42") and told["finishedAt"]
        await bench.kill()
        await bench.start()
        await bench.change(PLUGIN_CALL, "now", metadata={"annotations": {"crossplane.io/reconcile-requested-at": "1"}})
        await bench.until(PLUGIN_CALL, lambda found: found[0]["status"].get("lastHandledReconcileAt") == "1")
        assert len(bench.fake.calls) == 1
        bench.fake.answer = lambda board, plugin, said: ("ERROR", f"n is {said['n']}")
        await bench.change(PLUGIN_CALL, "now", spec={"forProvider": {"parameters": {"n": 2}}})
        await bench.until(PLUGIN_CALL, lambda found: found[0]["status"]["atProvider"]["result"] == "ERROR")
        assert "n is 2" in bench.get(PLUGIN_CALL, "now")["status"]["atProvider"]["message"]
        assert len(bench.fake.calls) == 2


@pytest.mark.parametrize("fault", ["lost", "500-done"])
@pytest.mark.parametrize("events", [True, False])
async def test_a_call_whose_answer_is_lost_is_not_made_twice(fault: str, events: bool) -> None:
    async with provider_world(events=events) as bench:
        await prepared(bench)
        bench.fake.fault("POST", "boards/.*/plugins/.*", fault)  # type: ignore[arg-type]
        await bench.make(PLUGIN_CALL, "now", FIELDS)
        await bench.until(
            PLUGIN_CALL, lambda found: found[0].get("status", {}).get("atProvider", {}).get("finishedAt") is not None
        )
        told = bench.get(PLUGIN_CALL, "now")["status"]["atProvider"]
        assert len(bench.fake.calls) == 1
        assert told["result"] == ("SUCCESS" if events else "UNKNOWN")
