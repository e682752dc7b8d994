"""Boards, fleets and plugins through the whole provider, over HTTP on both sides."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from continuo.iot import pickled
from continuo.iot.provider.marks import FINALIZER
from continuo.resources import kinds
from continuo.resources.boards import BOARD, FLEET, PLUGIN
from continuo.resources.meta import condition

from .bench import SLOW, external, named, provider_world

pytestmark = pytest.mark.anyio


async def test_a_board_is_registered_ready_when_online_and_leaves_nothing() -> None:
    async with provider_world() as bench:
        await bench.make(BOARD, "pump", {"type": "gateway"}, labels={"site": "north"})
        await bench.until_ready(BOARD, "pump", type_="Synced")
        uuid = bench.external(BOARD, "pump")
        (row,) = bench.fake.rows["boards"].values()
        assert row["uuid"] == uuid and row["extra"]["labels"] == {"site": "north"}
        await bench.until(BOARD, lambda found: "no agent" in str((condition(found[0], "Ready") or {}).get("message")))
        secret = bench.api.get(kinds.SECRET, "pump-board", "default")
        data = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
        assert data["code"] == row["code"] and data["uuid"] == uuid
        assert json.loads(data["settings.json"])["iotronic"]["board"]["code"] == row["code"]
        bench.fake.connect(uuid)
        await bench.until_ready(BOARD, "pump")
        bench.fake.connect(uuid, online=False)
        await bench.until_ready(BOARD, "pump", status="False")
        assert (condition(bench.get(BOARD, "pump"), "Synced") or {})["status"] == "True"
        await bench.cluster.delete(BOARD, "pump", "default")
        await bench.until_gone(BOARD, "pump")
        assert bench.fake.rows["boards"] == {}
        assert {"CreatedExternalResource", "DeletedExternalResource"} <= {reason for reason, _ in bench.events()}


async def test_drift_is_mended_and_what_others_put_there_stays() -> None:
    async with provider_world() as bench:
        uuid = await bench.board("pump")
        await bench.until_ready(BOARD, "pump")
        row = bench.fake.rows["boards"][uuid]
        row["name"], row["extra"]["theirs"] = "hacked", 1
        bench.fake.tell("board.updated", board=uuid)
        await bench.change(BOARD, "pump", spec={"forProvider": {"type": "lamp"}})
        await bench.until(BOARD, lambda _: row["name"] == "pump" and row.get("type") == "lamp")
        assert row["extra"]["theirs"] == 1


async def test_a_fleet_has_the_boards_that_its_selector_finds() -> None:
    async with provider_world() as bench:
        a = await bench.board("a", labels={"site": "north"})
        b = await bench.board("b", labels={"site": "south"})
        await bench.make(FLEET, "north", {"memberSelector": {"matchLabels": {"site": "north"}}})
        await bench.until(FLEET, lambda found: found[0].get("status", {}).get("atProvider", {}).get("online") == 1)
        fleet = bench.external(FLEET, "north")
        assert [bench.fake.rows["boards"][each].get("fleet") for each in (a, b)] == [fleet, None]
        await bench.change(BOARD, "b", metadata={"labels": {"site": "north"}})
        await bench.change(BOARD, "a", metadata={"labels": {"site": "south"}})
        await bench.until(FLEET, lambda _: bench.fake.rows["boards"][b].get("fleet") == fleet)
        await bench.until(FLEET, lambda _: bench.fake.rows["boards"][a].get("fleet") is None)
        await bench.cluster.delete(FLEET, "north", "default")
        await bench.until_gone(FLEET, "north")
        assert bench.fake.rows["fleets"] == {} and bench.fake.rows["boards"][b]["fleet"] is None


@pytest.mark.parametrize("events", [True, False])
async def test_code_comes_from_the_object_or_a_config_map_and_is_kept(events: bool) -> None:
    async with provider_world(events=events) as bench:
        await bench.make(PLUGIN, "inline", {"code": "one = 1\n", "callable": True})
        await bench.make(PLUGIN, "mapped", {"codeFrom": {"configMapKeyRef": {"name": "code", "key": "main.py"}}})
        await bench.until_ready(PLUGIN, "inline")
        await bench.until_ready(PLUGIN, "mapped", type_="Synced", status="False")
        assert "ConfigMap default/code has no key main.py" in str(bench.get(PLUGIN, "mapped")["status"])
        await bench.cluster.create(kinds.CONFIG_MAP.new("code", "default", data={"main.py": "two = 2\n"}))
        await bench.until_ready(PLUGIN, "mapped", "inline")
        rows = {row["name"]: row for row in bench.fake.rows["plugins"].values()}
        assert pickled.loads(rows["mapped"]["code"]) == "two = 2\n"
        rows["inline"]["code"] = pickled.dumps("evil = 1\n")
        await bench.until(PLUGIN, lambda _: pickled.loads(rows["inline"]["code"]) == "one = 1\n")
        before = bench.get(PLUGIN, "inline")["status"]["atProvider"]["codeHash"]
        await bench.change(PLUGIN, "inline", spec={"forProvider": {"code": "three = 3\n"}})
        await bench.until(
            PLUGIN,
            lambda found: any(
                named(each, "inline") and each["status"]["atProvider"]["codeHash"] != before for each in found
            ),
        )
        assert FINALIZER in bench.get(PLUGIN, "inline")["metadata"]["finalizers"]
        assert external(bench.get(PLUGIN, "inline")) == rows["inline"]["uuid"]


async def test_what_changes_while_an_object_is_looked_at_for_the_first_time_is_not_missed() -> None:
    """The fleet takes the board while its first observation waits for something else: only an event tells."""
    async with provider_world(settings=SLOW) as bench:
        await bench.make(FLEET, "north", {"memberSelector": {"matchLabels": {"site": "north"}}})
        names = [f"b{number}" for number in range(12)]
        await asyncio.gather(*(bench.make(BOARD, name, labels={"site": "north"}) for name in names))
        await bench.until(
            BOARD,
            lambda found: (
                [(each.get("status") or {}).get("atProvider", {}).get("fleet") for each in found]
                == [bench.external(FLEET, "north")] * 12
            ),
        )
