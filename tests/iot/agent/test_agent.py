"""A whole agent as a process: it registers once, comes back for ever, and has what it should, with or without its hub."""

from __future__ import annotations

import signal
import stat
from pathlib import Path
from typing import Any

import anyio
import pytest

from continuo.iot.agent.files import Store
from continuo.iot.wire import Outcome
from iot.agent.bed import LOOP, UUID, Hub, hub, source, wanted

pytestmark = pytest.mark.anyio


def running(uuid: str) -> Any:
    return lambda report: report["plugins"].get(uuid, {}).get("state") == "running"


async def begun(here: Hub) -> Any:
    process = await here.agent("--code", "CODE")
    await here.online()
    return process


async def test_it_registers_once_and_keeps_its_key_to_itself(tmp_path: Path) -> None:
    async with hub(tmp_path / "home") as here:
        first = await begun(here)
        for name in ("key.pem", "identity.json"):
            assert stat.S_IMODE((tmp_path / "home" / name).stat().st_mode) == 0o600
        key = here.book.keys[UUID]
        await here.kill(first)
        await here.book.until(lambda: here.router.session(UUID) is None)
        await here.agent("--code", "CODE")
        await here.online()
        assert here.book.keys[UUID] == key
        assert here.book.codes == {}


async def test_the_desired_state_is_brought_about_and_reported(tmp_path: Path) -> None:
    async with hub(tmp_path / "home") as here:
        here.book.wanted[UUID] = wanted(
            p1={"name": "loop", "code": source(LOOP), "state": "running", "parameters": {}},
            p2={"name": "answer", "code": source("self.q_result.put(self.params['n'] * 2)"), "callable": True},
            p3={"name": "bad", "code": "cos\nsystem\n(S'true'\ntR."},
        )
        await begun(here)
        report = await here.reported(running("p1"))
        assert report["plugins"]["p2"]["state"] == "injected"
        assert report["plugins"]["p3"]["state"] == "refused"
        assert "neither Python nor a pickled text" in report["plugins"]["p3"]["message"]
        assert (await here.call("PluginCall", "p2", {"n": 21})).message == 42
        assert (await here.call("PluginStatus", "p1")).message == "ALIVE"
        assert (await here.call("Desire", wanted())).result is Outcome.SUCCESS
        await here.reported(lambda report: report["plugins"] == {})
        assert (await here.call("PluginStatus", "p1")).message == "DEAD"


async def test_without_its_hub_a_killed_agent_has_what_was_desired_last(tmp_path: Path) -> None:
    said = tmp_path / "said"
    said.mkdir()
    async with hub(tmp_path / "home") as here:
        plugin = {"name": "loop", "code": source(LOOP), "state": "running", "onboot": True, "parameters": {"a": 1}}
        here.book.wanted[UUID] = wanted(p1=plugin, p2={**plugin, "onboot": False})
        process = await begun(here)
        await here.reported(lambda report: running("p1")(report) and running("p2")(report))
        await here.stop()
        await here.kill(process)
        here.book.heard.clear()
        here.book.wanted[UUID] = {}
        process = await here.agent("-v")
        assert process.stderr is not None
        with anyio.fail_after(20):
            async for line in process.stderr:
                if b"offline" in line:
                    break
        here.book.wanted[UUID] = wanted(p1=plugin, p2={**plugin, "state": "injected"})
        await here.start()
        await here.online()
        report = await here.reported(lambda report: set(report["plugins"]) == {"p1", "p2"})
        assert report["plugins"]["p1"]["state"] == "running"
        assert report["plugins"]["p2"]["state"] == "injected"


async def test_lightning_rods_calls_are_answered_as_it_does_and_can_be_repeated(tmp_path: Path) -> None:
    plugin = {"uuid": "p1", "name": "loop", "code": source(LOOP), "callable": False}
    async with hub(tmp_path / "home") as here:
        here.book.wanted[UUID] = wanted()
        await begun(here)
        await here.reported(lambda report: True)

        async def says(method: str, *arguments: Any) -> tuple[str, Any]:
            message = await here.call(method, *arguments)
            return message.result.value, message.message

        assert await says("PluginInject", plugin, False) == ("SUCCESS", "PluginInject result: INJECTED")
        assert await says("PluginInject", plugin, False) == ("SUCCESS", "PluginInject result: UPDATED")
        assert await says("PluginStart", "p1", {"a": 1}) == ("SUCCESS", "STARTED")
        assert await says("PluginStart", "p1", {"a": 1}) == ("SUCCESS", "STARTED")
        assert (await says("PluginCall", "p1", {}))[0] == "WARNING"
        assert await says("PluginReboot", "p1", {"a": 2}) == ("SUCCESS", "REBOOTED")
        assert await says("PluginStop", "p1", {}) == ("SUCCESS", "STOPPED")
        assert (await says("PluginStop", "p1", {}))[0] == "WARNING"
        assert await says("PluginRemove", "p1") == ("SUCCESS", "PluginRemove result: p1 removed!")
        assert (await says("PluginRemove", "p1"))[0] == "SUCCESS"
        assert (await says("PluginStart", "p1", {}))[0] == "ERROR"
        assert (await says("DeviceEcho", {"say": "hello"}))[1].startswith("hello @ ")
        assert " @ " in (await says("DevicePing", {}))[1]


REFUSED: list[tuple[str, list[Any], str]] = [
    ("DeviceReboot", [{}], '"allow": ["reboot"]'),
    ("DevicePkgOperation", [{"manager": "pip", "command": "install", "package": "x"}], '"allow": ["packages"]'),
    ("DeviceRestSubmit", [{"url": "http://127.0.0.1/"}], '"allow": ["rest"]'),
    ("DeviceMountFs", [{"mnt_cmd": "mount -a"}], '"allow": ["mount"]'),
    ("DeviceUpgradeLR", [{}], "upgrade the agent as it was installed"),
    ("Create_VIF", ["12345"], "with the desired state"),
    ("ServiceEnable", [{"uuid": "s", "name": "ssh", "port": 22}, 50000], "an address and a token"),
    ("PluginInject", ["no plugin", False], "an object with uuid, name and code"),
    ("PluginInject", [{"uuid": "../../etc", "name": "n", "code": "x"}, False], "is no plugin's id"),
    ("PluginInject", [{"uuid": "p", "name": "n", "code": "x = 1"}, False], "not signed"),
    ("PluginInject", [{"uuid": "p", "code": "x = 1"}, False], "name"),
    ("PluginStart", ["nobody", {}], "there is no plugin nobody"),
    ("PluginStart", ["p", "text"], "parameters are an object"),
    ("PluginStart", [], "these are not its arguments"),
    ("Desire", ["text"], "a desired state is an object"),
    ("Desire", [{"plugins": []}], "plugins is an object, not list"),
    ("Desire", [{"policy": {"keys": 1}}], "policy"),
]


async def test_what_is_refused_is_refused_in_a_sentence(tmp_path: Path) -> None:
    async with hub(tmp_path / "home") as here:
        await begun(here)
        await here.reported(lambda report: True)
        for method, arguments, sentence in REFUSED:
            message = await here.call(method, *arguments)
            assert (message.result, sentence in message.message) == (Outcome.ERROR, True), (method, message)


async def test_a_hub_that_restarts_finds_its_boards_again(tmp_path: Path) -> None:
    async with hub(tmp_path / "home") as here:
        await begun(here)
        for _round in range(3):
            await here.stop()
            here.book.heard.clear()
            await here.start()
            await here.online()
        assert (await here.call("DevicePing", {})).result is Outcome.SUCCESS


async def test_it_ends_when_told_and_says_why_when_it_cannot_begin(tmp_path: Path) -> None:
    async with hub(tmp_path / "home") as here:
        process = await begun(here)
        await here.reported(lambda report: True)
        second = await here.agent("--code", "CODE")
        _, said = await second.communicate()
        assert (second.returncode, b"another agent uses the folder" in said) == (2, True)
        process.send_signal(signal.SIGTERM)
        _, said = await process.communicate()
        assert process.returncode == 0, said
        here.home = tmp_path / "other"
        stranger = await here.agent("--code", "WRONG")
        _, said = await stranger.communicate()
        assert (stranger.returncode, b"does not take this code" in said) == (1, True)


async def test_a_board_that_its_hub_removed_ends_and_has_nothing_left(tmp_path: Path) -> None:
    async with hub(tmp_path / "home") as here:
        plugin = {"name": "loop", "code": source(LOOP), "state": "running", "onboot": True}
        here.book.wanted[UUID] = wanted(p1=plugin)
        process = await begun(here)
        await here.reported(running("p1"))
        await here.router.close(UUID)
        with anyio.fail_after(30):
            assert await process.wait() == 1
        kept = Store(tmp_path / "home" / "state")
        assert not list(kept.each("plugin-"))
