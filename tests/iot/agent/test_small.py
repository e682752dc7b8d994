"""The agent is small: what it imports, what it makes of settings, and its plans."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.iot.agent import files, settings
from continuo.iot.agent.confinement.limits import BadAmount, Limits, quantity
from continuo.iot.agent.plugins.diff import Actual, steps
from continuo.iot.agent.plugins.spec import Plugin
from continuo.iot.agent.settings import BadSettings
from continuo.iot.agent.simulated import Crowd
from iot.agent.bed import UUID, hub, source, wanted

pytestmark = pytest.mark.anyio


def test_it_imports_nothing_of_the_hub_nor_what_is_large() -> None:
    code = "import sys, continuo.iot.agent.command; print('\\n'.join(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    loaded = {name.split(".")[0] for name in said} | {".".join(name.split(".")[:2]) for name in said}
    loaded |= {".".join(name.split(".")[:3]) for name in said}
    large = {"fastapi", "starlette", "pydantic", "uvicorn", "aiohttp", "grpc", "rich", "uvloop", "yaml", "psycopg"}
    ours = {
        f"continuo.{name}"
        for name in ("cli", "server", "kube", "runtime", "resources", "storage", "testbed", "embedded")
    }
    ours |= {"continuo.iot.hub", "continuo.iot.provider", "continuo.iot.compose"}
    assert loaded & (large | ours) == set()


BAD: list[tuple[Any, dict[str, Any], str]] = [
    (None, {}, "no hub: give --hub"),
    ({"continuo": {"nonsense": 1}}, {"url": "wss://h:1"}, "nonsense"),
    ({"continuo": {"allow": ["everything"]}}, {"url": "wss://h:1"}, "'everything', which is none of"),
    ({"continuo": {"limits": {"memory": "lots"}}}, {"url": "wss://h:1"}, "memory is 'lots'"),
    ({"continuo": {"limits": {"colour": 1}}}, {"url": "wss://h:1"}, "'colour', which is none of"),
    ({"continuo": {"uids": [0, 5]}}, {"url": "wss://h:1"}, "none of them 0"),
    ({"continuo": {"uids": [9, 5]}}, {"url": "wss://h:1"}, "from low to high"),
    ({"continuo": {"ca": "missing.pem"}}, {"url": "wss://h:1"}, "missing.pem"),
    ([], {"url": "wss://h:1"}, "is no JSON object"),
    (b"{", {"url": "wss://h:1"}, "is no JSON"),
    ({}, {"url": "https://h:1"}, "it is like wss://"),
    ({}, {"url": "ws://h:1"}, "is not encrypted"),
    ({}, {"url": "wss://h:port"}, "it is like wss://"),
    ({}, {"url": "wss://"}, "it is like wss://"),
]


@pytest.mark.parametrize(("said", "options", "sentence"), BAD)
def test_bad_settings_are_told_in_a_sentence(tmp_path: Path, said: Any, options: dict[str, Any], sentence: str) -> None:
    file = tmp_path / "settings.json"
    if said is not None:
        file.write_bytes(said if isinstance(said, bytes) else msgspec.json.encode(said))
    with pytest.raises(BadSettings) as refused:
        settings.load(file if said is not None else None, tmp_path / "home", **options)
    assert sentence in str(refused.value)


def test_the_bootstrap_that_iotronic_gives_is_enough(tmp_path: Path) -> None:
    agent = {"url": "wss://hub:8181/", "realm": "s4t"}
    said = {
        "iotronic": {"board": {"code": "CODE"}, "wamp": {"registration-agent": agent}},
        "continuo": {"allow": ["reboot"]},
    }
    files.write(tmp_path / "settings.json", said)
    told = settings.load(tmp_path / "settings.json", tmp_path / "home")
    assert (told.url, told.code, told.realm, told.allow) == ("wss://hub:8181/", "CODE", "s4t", frozenset({"reboot"}))


@pytest.mark.parametrize(("value", "is_"), [(5, 5), ("64Mi", 64 << 20), ("500m", 0.5), ("0.25", 0.25), ("2G", 2e9)])
def test_amounts(value: Any, is_: float) -> None:
    assert quantity(value, "n") == is_


@pytest.mark.parametrize("value", [0, -1, True, None, "", "x", "1Xi", "-5", [], "1e3"])
def test_other_amounts(value: Any) -> None:
    with pytest.raises(BadAmount, match="n is"):
        quantity(value, "n")


def test_limits_are_the_least_of_all_that_bound_them() -> None:
    asked = Limits.read({"memory": "1Gi", "cpu": 4})
    assert asked.within({"memory": "64Mi"}).within({"cpu": "500m", "time": 5}) == Limits(
        memory=64 << 20, cpu=0.5, time=5.0
    )


PLUGINS = st.builds(
    Plugin, name=st.just("n"), code=st.just(""), hash=st.sampled_from("abc"), state=st.sampled_from(["injected", "running"]),
    parameters=st.sampled_from([None, {"a": 1}]), onboot=st.booleans(),
)  # fmt: skip
NAMES = st.sampled_from(["p", "q", "r"])
ACTUAL = st.builds(Actual, PLUGINS, st.booleans(), st.booleans())


@given(st.dictionaries(NAMES, PLUGINS), st.dictionaries(NAMES, ACTUAL))
def test_the_steps_lead_there_and_then_there_are_none(wanted: dict[str, Plugin], actual: dict[str, Actual]) -> None:
    now = dict(actual)
    for step in steps(wanted, actual):
        if step.do == "remove":
            assert not now.pop(step.uuid).running
        elif step.do == "stop":
            now[step.uuid] = Actual(now[step.uuid].plugin, False, False)
        elif step.do == "inject":
            assert step.plugin is not None
            before = now.get(step.uuid)
            now[step.uuid] = Actual(step.plugin, bool(before and before.running), bool(before and before.over))
        else:
            assert not now[step.uuid].running
            now[step.uuid] = Actual(now[step.uuid].plugin, True)
    assert {uuid: has.plugin for uuid, has in now.items()} == wanted
    assert all(has.plugin.state == "running" for has in now.values() if has.running)
    assert all(has.running or has.over for has in now.values() if has.plugin.state == "running")
    assert steps(wanted, now) == []


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    asyncio.run(_a_file_is_there_whole_or_not_at_all(tmp_path))


async def _a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    store = files.Store(tmp_path / "state")
    await asyncio.gather(*(store.put("plugin-a", {"n": number}) for number in range(3)))
    assert store.get("plugin-a") == {"n": 2}, "who asked last has the last word"
    (tmp_path / "state" / "plugin-b.json").write_text('{"n":')
    (tmp_path / "state" / ".plugin-a.json.1.new").write_text("half")
    again = files.Store(tmp_path / "state")
    assert dict(again.each("plugin-")) == {"a": {"n": 2}}
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["plugin-a.json", "plugin-b.damaged"]
    with pytest.raises(ValueError, match="no name"):
        await store.put("../x", 1)


def test_a_slow_disk_does_not_hold_up_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing, turned = threading.Event(), threading.Event()

    def fsync(_descriptor: int) -> None:
        writing.set()
        assert turned.wait(30), "the loop stood still"

    monkeypatch.setattr(files.os, "fsync", fsync)

    async def main() -> None:
        putting = asyncio.create_task(files.Store(tmp_path / "state").put("a", 1))
        assert await asyncio.to_thread(writing.wait, 30)
        turned.set()
        await putting

    asyncio.run(main())
    assert files.read(tmp_path / "state" / "a.json") == 1


async def test_simulated_boards_have_real_sessions_and_take_what_is_desired(tmp_path: Path) -> None:
    async with hub(tmp_path / "unused") as here:
        here.book.codes = {f"C{n}": f"{UUID}-{n}" for n in range(20)}
        crowd = Crowd(tmp_path / "crowd", f"ws://127.0.0.1:{here.port}", tuple(here.book.codes))
        await crowd.start()
        assert crowd.online() == 20
        assert here.router is not None
        plugin = {"name": "n", "code": source("pass"), "callable": True}
        for number in range(20):
            for _twice in range(2):
                await here.router.call(f"{UUID}-{number}", "Desire", wanted(p=plugin))
            answer = await here.router.call(f"{UUID}-{number}", "PluginCall", "p", {"n": number})
            assert answer.message["parameters"] == {"n": number}
        assert [board.injected for board in crowd.boards] == [1] * 20
        await crowd.stop()
