"""The same provider against the hub itself: its REST interface, storage and events; only boards' sessions are doubles."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from continuo.iot.wire import Message, Outcome
from continuo.resources import kinds
from continuo.resources.boards import BOARD, CLUSTER_PROVIDER_CONFIG, FLEET, PLUGIN, PLUGIN_CALL, PLUGIN_INJECTION
from continuo.resources.meta import condition
from iot.hub.bench import Bench as HubBench
from iot.hub.bench import hub

from .bench import SLOW, Bench, provider_world

pytestmark = pytest.mark.anyio
CODE = "class Worker:\n    pass\n"
NUMBER = 20


async def connected(bench: Bench, there: HubBench) -> None:
    """The cluster's default configuration leads to the hub, with a token of its own."""
    _, token = await there.core.registry.add_token("p", "admin_iot_project")
    await bench.secret("hub", credentials=token)
    spec = {
        "endpoint": there.url, "authType": "token",
        "credentials": {"source": "Secret", "secretRef": {"name": "hub", "namespace": "default"}},
    }  # fmt: skip
    await bench.cluster.apply(CLUSTER_PROVIDER_CONFIG.new("default", spec=spec), manager="test")


async def come(bench: Bench, there: HubBench, name: str) -> str:
    """A board's agent registers with the code that is in the connection Secret."""
    data = bench.api.get(kinds.SECRET, f"{name}-board", "default")["data"]
    code, uuid = (base64.b64decode(data[key]).decode() for key in ("code", "uuid"))
    await there.core.presence.register(code, 1, "ab" * 32)
    await there.boards.come(uuid, "desire", "process")
    return uuid


async def test_a_fleet_at_the_hub_from_its_registration_to_nothing(tmp_path: Path) -> None:
    async with (
        hub(str(tmp_path / "hub.sqlite"), unsigned=True) as there,
        provider_world(settings=SLOW, started=False) as bench,
    ):
        await connected(bench, there)
        await bench.start()
        names = [f"b{number:02}" for number in range(NUMBER)]
        for name in names:
            await bench.make(BOARD, name, labels={"site": "north"})
        await bench.make(FLEET, "north", {"memberSelector": {"matchLabels": {"site": "north"}}})
        await bench.make(PLUGIN, "meter", {"code": CODE, "callable": True})
        fields = {"fleetRef": {"name": "north"}, "pluginRef": {"name": "meter"}}
        await bench.make(PLUGIN_INJECTION, "all", fields)
        await bench.until_ready(BOARD, *names, type_="Synced")
        boards = {name: await come(bench, there, name) for name in names}
        await bench.until_ready(BOARD, *names)
        await bench.until(
            PLUGIN_INJECTION, lambda found: found[0].get("status", {}).get("atProvider", {}).get("ready") == NUMBER
        )
        await bench.until_ready(PLUGIN_INJECTION, "all")
        plugin = bench.external(PLUGIN, "meter")
        agents = there.boards.agents
        assert {agents[board].said["plugins"][plugin]["state"] for board in boards.values()} == {"injected"}
        # a call of each board, with its results
        for board in boards.values():
            agents[board].answers["PluginCall"] = lambda _uuid, said: Message(said["n"] * 2, Outcome.SUCCESS)
        await bench.make(PLUGIN_CALL, "twice", {**fields, "parameters": {"n": 21}})
        await bench.until_ready(PLUGIN_CALL, "twice")
        told = bench.get(PLUGIN_CALL, "twice")["status"]["atProvider"]
        assert len(told["boards"]) == NUMBER and {each["message"] for each in told["boards"]} == {"42"}
        # a board goes and comes: only events tell of it, since the next poll is far away
        await there.boards.leave(boards["b00"])
        await bench.until_ready(BOARD, "b00", status="False")
        await there.boards.come(boards["b00"], "desire", "process")
        await bench.until_ready(BOARD, "b00")
        await bench.change(PLUGIN, "meter", spec={"forProvider": {"code": CODE + "# new\n"}})
        wanted = bench.get(PLUGIN, "meter")["metadata"]["generation"]
        await bench.until(PLUGIN, lambda found: found[0]["status"].get("observedGeneration") == wanted)
        await bench.until(
            PLUGIN_INJECTION,
            lambda _: (
                len({agents[board].said["plugins"][plugin]["hash"] for board in boards.values()}) == 1
                and bench.get(PLUGIN, "meter")["status"]["atProvider"]["codeHash"]
                == agents[boards["b00"]].said["plugins"][plugin]["hash"]
            ),
        )
        for kind in (BOARD, FLEET, PLUGIN, PLUGIN_INJECTION, PLUGIN_CALL):
            for obj in bench.api.list(kind, "default"):
                await bench.cluster.delete(kind, obj["metadata"]["name"], "default")
        for kind in (PLUGIN_CALL, PLUGIN_INJECTION, FLEET, PLUGIN, BOARD):
            await bench.until(kind, lambda found: not found, timeout=30)
        assert {len(there.core.registry.table(table)) for table in _tables()} == {0}


async def test_a_board_of_a_hub_that_was_killed_is_what_it_was(tmp_path: Path) -> None:
    storage = str(tmp_path / "hub.sqlite")
    async with provider_world(started=False) as bench:
        async with hub(storage, unsigned=True) as there:
            await connected(bench, there)
            await bench.start()
            await bench.make(BOARD, "pump")
            await bench.make(PLUGIN, "meter", {"code": CODE})
            await bench.make(PLUGIN_INJECTION, "meter", {"boardRef": {"name": "pump"}, "pluginRef": {"name": "meter"}})
            await bench.until_ready(BOARD, "pump", type_="Synced")
            board = await come(bench, there, "pump")
            await bench.until_ready(PLUGIN_INJECTION, "meter")
        await bench.until_ready(BOARD, "pump", type_="Synced", status="False")
        assert "cannot be reached" in str(condition(bench.get(BOARD, "pump"), "Synced"))
        async with hub(storage, unsigned=True) as there:
            await bench.cluster.patch(CLUSTER_PROVIDER_CONFIG, "default", {"spec": {"endpoint": there.url}})
            await bench.until_ready(BOARD, "pump", type_="Synced")
            await bench.until_ready(BOARD, "pump", status="False")
            await there.boards.come(board, "desire")
            await bench.until_ready(PLUGIN_INJECTION, "meter")
            assert bench.external(BOARD, "pump") == board


def _tables() -> list[type]:
    from continuo.iot.hub import model

    return [model.Board, model.Fleet, model.Plugin, model.Injection]
