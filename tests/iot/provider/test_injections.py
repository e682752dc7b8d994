"""Plugins on boards and fleets, at a hub that tells of changes and at an IoTronic that does not."""

from __future__ import annotations

import asyncio

import pytest

from continuo.iot import pickled
from continuo.iot.provider.kinds.injecting import Wanted, judge
from continuo.iot.provider.kinds.reach import Target
from continuo.iot.signing import code_hash
from continuo.resources.boards import BOARD, FLEET, PLUGIN, PLUGIN_INJECTION, PluginInjectionParameters
from continuo.resources.meta import condition

from .bench import SLOW, Bench, provider_world

pytestmark = pytest.mark.anyio
CODE = "one = 1\n"


def state_of(bench: Bench, name: str) -> dict[str, object]:
    found: dict[str, object] = bench.get(PLUGIN_INJECTION, name).get("status", {}).get("atProvider", {})
    return found


@pytest.mark.parametrize("events", [True, False])
async def test_a_plugin_comes_to_a_board_runs_is_renewed_and_goes(events: bool) -> None:
    async with provider_world(events=events) as bench:
        board = await bench.board("pump")
        await bench.make(PLUGIN, "meter", {"code": CODE})
        fields = {
            "boardRef": {"name": "pump"},
            "pluginRef": {"name": "meter"},
            "state": "Running",
            "parameters": {"n": 1},
        }
        await bench.make(PLUGIN_INJECTION, "meter", fields)
        await bench.until_ready(PLUGIN_INJECTION, "meter")
        plugin = bench.external(PLUGIN, "meter")
        assert bench.external(PLUGIN_INJECTION, "meter") == f"{board}/{plugin}"
        has = bench.fake.boards_plugins[board]
        assert has[plugin].running and has[plugin].parameters == {"n": 1} and has[plugin].hash == code_hash(CODE)
        puts = bench.fake.count("PUT", ".*")
        assert puts == 1
        await bench.change(PLUGIN, "meter", spec={"forProvider": {"code": "two = 2\n"}})
        await bench.until(PLUGIN_INJECTION, lambda _: has[plugin].hash == code_hash("two = 2\n"))
        await bench.change(PLUGIN_INJECTION, "meter", spec={"forProvider": {"state": "Stopped"}})
        await bench.until(PLUGIN_INJECTION, lambda _: not has[plugin].running)
        await bench.until_ready(PLUGIN_INJECTION, "meter")
        # what it depends on goes last, in whatever order it is deleted
        for kind, name in ((BOARD, "pump"), (PLUGIN, "meter"), (PLUGIN_INJECTION, "meter")):
            await bench.cluster.delete(kind, name, "default")
        await bench.until_gone(PLUGIN, "meter")
        await bench.until_gone(BOARD, "pump")
        assert bench.fake.rows["plugins"] == {} == bench.fake.rows["boards"]
        deleted = [path for method, path in bench.fake.log if method == "DELETE"]
        assert deleted[0] == f"boards/{board}/plugins/{plugin}" and len(deleted) == 3


@pytest.mark.parametrize("events", [True, False])
async def test_offline_is_a_state_and_no_error(events: bool) -> None:
    async with provider_world(events=events) as bench:
        board = await bench.board("pump", online=False)
        await bench.make(PLUGIN, "meter", {"code": CODE})
        await bench.make(PLUGIN_INJECTION, "meter", {"boardRef": {"name": "pump"}, "pluginRef": {"name": "meter"}})
        await bench.until_ready(PLUGIN_INJECTION, "meter", type_="Synced")
        await bench.until_ready(PLUGIN_INJECTION, "meter", status="False")
        bench.fake.connect(board)
        await bench.until_ready(PLUGIN_INJECTION, "meter")
        bench.fake.connect(board, online=False)
        await bench.until_ready(PLUGIN_INJECTION, "meter", status="False")
        (ready,) = [condition(bench.get(PLUGIN_INJECTION, "meter"), "Ready")]
        assert ready is not None and "offline" in ready["message"]
        assert (condition(bench.get(PLUGIN_INJECTION, "meter"), "Synced") or {})["status"] == "True"


async def fleet_of(bench: Bench, number: int) -> list[str]:
    names = [f"b{each:02}" for each in range(number)]
    for name in names:
        await bench.make(BOARD, name, labels={"site": "north"})
    await bench.until_ready(BOARD, *names, type_="Synced")
    boards = [bench.external(BOARD, name) for name in names]
    for board in boards:
        bench.fake.connect(board)
    await bench.make(FLEET, "north", {"memberSelector": {"matchLabels": {"site": "north"}}})
    await bench.until(FLEET, lambda found: found[0].get("status", {}).get("atProvider", {}).get("members") == number)
    return boards


@pytest.mark.parametrize("events", [True, False])
async def test_a_fleet_gets_it_with_one_request_who_joins_too_and_who_leaves_loses_it(events: bool) -> None:
    async with provider_world(events=events) as bench:
        boards = await fleet_of(bench, 12)
        bench.fake.connect(boards[3], online=False)
        await bench.make(PLUGIN, "meter", {"code": CODE})
        await bench.make(PLUGIN_INJECTION, "all", {"fleetRef": {"name": "north"}, "pluginRef": {"name": "meter"}})
        await bench.until_ready(PLUGIN_INJECTION, "all")
        told = state_of(bench, "all")
        assert (told["desired"], told["ready"], told["offline"]) == (12, 11, 1)
        if events:
            assert bench.fake.count("PUT", "fleets/.*") == 1 and bench.fake.count("PUT", "boards/.*") == 0
        bench.fake.connect(boards[3])
        await bench.until(PLUGIN_INJECTION, lambda _: state_of(bench, "all")["ready"] == 12)
        await bench.change(BOARD, "b00", metadata={"labels": {"site": "south"}})
        await bench.until(PLUGIN_INJECTION, lambda _: not bench.fake.boards_plugins[boards[0]])
        await bench.until(PLUGIN_INJECTION, lambda _: state_of(bench, "all")["desired"] == 11)
        late = await bench.board("late", labels={"site": "north"})
        await bench.until(PLUGIN_INJECTION, lambda _: late in bench.fake.boards_plugins)
        await bench.cluster.delete(PLUGIN_INJECTION, "all", "default")
        await bench.until_gone(PLUGIN_INJECTION, "all")
        assert not any(bench.fake.boards_plugins.values())


async def test_a_board_that_refuses_says_why() -> None:
    async with provider_world() as bench:
        boards = await fleet_of(bench, 3)
        bench.fake.failing.add(boards[1])
        await bench.make(PLUGIN, "meter", {"code": CODE})
        await bench.make(PLUGIN_INJECTION, "all", {"fleetRef": {"name": "north"}, "pluginRef": {"name": "meter"}})
        await bench.until(PLUGIN_INJECTION, lambda _: state_of(bench, "all").get("failed") == 1)
        ready = condition(bench.get(PLUGIN_INJECTION, "all"), "Ready") or {}
        assert ready["status"] == "False" and "b01 says 'no key of the policy signed it'" in ready["message"]


async def test_where_events_tell_nothing_is_asked_at_intervals() -> None:
    async with provider_world(settings=SLOW) as bench:
        board = await bench.board("pump")
        await bench.make(PLUGIN, "meter", {"code": CODE})
        await bench.make(PLUGIN_INJECTION, "meter", {"boardRef": {"name": "pump"}, "pluginRef": {"name": "meter"}})
        await bench.until_ready(PLUGIN_INJECTION, "meter")
        await bench.until_ready(BOARD, "pump")
        provider = bench.provider
        assert provider is not None
        before = len(bench.fake.log)
        bench.fake.connect(board, online=False)
        await bench.until_ready(PLUGIN_INJECTION, "meter", status="False")
        await bench.until_ready(BOARD, "pump", status="False")
        asked = bench.fake.log[before:]
        assert asked == [("GET", f"boards/{board}")], asked
        code = pickled.loads(next(iter(bench.fake.rows["plugins"].values()))["code"])
        assert code == CODE
        await asyncio.sleep(0)


@pytest.mark.parametrize(("update", "pinned", "state", "again"), [
    (False, "old", "Ready", False), (True, "old", "Pending", True), (False, None, "Pending", True),
])  # fmt: skip
def test_the_code_of_another_project_is_taken_anew_only_where_that_is_wanted(
    update: bool, pinned: str | None, state: str, again: bool
) -> None:
    board = Target("b", "b", online=True, reports=True)
    row = {"hash": "old", "state": "injected", "onboot": False, "running": False, "pinned": pinned}
    wanted = Wanted("new", PluginInjectionParameters(board_id="b", plugin_id="p", update=update), ours=True)
    seen = judge(board, row, wanted, "", alive=None)
    assert (seen.state, seen.inject) == (state, again)
