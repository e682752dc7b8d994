"""IoTronic's routes over HTTP: boards, plugins, services, and what is asked of boards."""

from __future__ import annotations

from pathlib import Path

import pytest

from continuo.iot import pickled
from iot.hub.bench import CODE, hub

pytestmark = pytest.mark.anyio


async def test_a_plugin_is_put_on_a_board_and_run(tmp_path: Path) -> None:
    async with hub(str(tmp_path / "h.sqlite")) as bench:
        lab = await bench.client()
        board, _ = await bench.online(lab)
        plugin = await lab.plugin(parameters={"every": 1})
        put = await lab.ask("PUT", f"/v1/boards/{board['uuid']}/plugins/", {"plugin": "hello", "onboot": True})
        assert (put.status, put.json) == (200, "PluginInject result: INJECTED")
        assert pickled.loads(plugin["code"]) == CODE
