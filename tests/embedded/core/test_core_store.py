"""What survives a restart, and what does not: SQLite behind the memory."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from continuo.embedded.apicore.changelog import Bounds
from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.store import RESTART_GAP
from continuo.resources.errors import BadRequest, Expired, InternalError, NotFound
from continuo.resources.kinds import CONFIG_MAP, NAMESPACE, POD, SERVICE
from continuo.resources.meta import Kind, Object

NewEngine = Callable[..., EmbeddedEngine]


def config(name: str, value: str) -> Object:
    return CONFIG_MAP.new(name, "default", data={"v": value})


def test_everything_is_there_after_a_restart(
    new_engine: NewEngine, tmp_path: Path, definition: Callable[..., Object], widget: Kind
) -> None:
    first = new_engine(tmp_path)
    api = first.create_cluster("green", version="v1.33.1")
    api.create(definition())
    made = api.create(widget.new("w", "default", spec={"size": 1}))
    api.create(config("kept", "1"))
    api.create(config("gone", "1"))
    api.delete(CONFIG_MAP, "gone", "default")
    address = api.create(SERVICE.new("s", "default", spec={"ports": [{"port": 80}]}))["spec"]["clusterIP"]
    first.create_cluster("lost")
    first.remove_cluster("lost")
    first.store.close()

    again = new_engine(tmp_path)
    api = again.cluster("green")
    assert {found.name for found in again.clusters()} == {"management", "green"}
    assert api.kubernetes_version == "v1.33.1"
    assert api.get(widget, "w", "default") == made
    assert [obj["metadata"]["name"] for obj in api.list(CONFIG_MAP)] == ["kept"]
    asked = SERVICE.new("t", "default", spec={"ports": [{"port": 80}], "clusterIP": address})
    with pytest.raises(Exception, match=r"provided IP is already allocated"):
        api.create(asked)


def test_versions_jump_and_old_watches_expire(new_engine: NewEngine, tmp_path: Path) -> None:
    first = new_engine(tmp_path)
    before = first.management.version
    first.store.close()
    again = new_engine(tmp_path).management
    assert again.version >= RESTART_GAP > before
    with pytest.raises(Expired, match=f"too old resource version: {before}"):
        list(again.changes(before, POD))
    assert list(again.changes(again.version, POD)) == []
    made = again.create(config("c", "1"))
    assert int(made["metadata"]["resourceVersion"]) > RESTART_GAP


def test_flushed_waits_for_the_commit(new_engine: NewEngine, tmp_path: Path) -> None:
    async def run() -> None:
        engine = new_engine(tmp_path)
        for number in range(50):
            engine.management.create(config(f"c{number}", "1"))
        await engine.management.flushed()
        # A second reader of the file sees it without the first one having closed.
        other = new_engine(tmp_path)
        assert len(other.management.list(CONFIG_MAP)) == 50

    asyncio.run(run())


def test_a_broken_file_is_an_error_not_silence(new_engine: NewEngine, tmp_path: Path) -> None:
    import sqlite3

    async def run() -> None:
        engine = new_engine(tmp_path)
        await engine.management.flushed()
        with sqlite3.connect(tmp_path / "clusters.sqlite") as db:
            db.execute("DROP TABLE objects")
        engine.management.create(config("c", "1"))
        with pytest.raises(InternalError, match=r"cannot be written"):
            await engine.management.flushed()
        with pytest.raises(InternalError, match=r"cannot be written"):
            engine.management.create(config("d", "1"))

    asyncio.run(run())


_WRITER = """
import asyncio, os, signal, sys
from pathlib import Path
from continuo.embedded.engine import EmbeddedEngine
from continuo.resources.kinds import CONFIG_MAP

def perhaps_die(number, moment):
    if sys.argv[2:] == [str(number), moment]:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    engine = EmbeddedEngine(Path(sys.argv[1]))
    api = engine.create_cluster("green")
    for number in range(100000):
        made = api.create(CONFIG_MAP.new(f"c{number}", "default", data={"v": str(number)}))
        if number % 3 == 2:
            api.delete(CONFIG_MAP, f"c{number - 1}", "default")
        perhaps_die(number, "unwritten")
        await api.flushed()
        perhaps_die(number, "untold")
        print(number, made["metadata"]["resourceVersion"], flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("end", [(), ("101", "unwritten"), ("101", "untold"), ("102", "untold")])
def test_what_was_acknowledged_survives_sigkill(new_engine: NewEngine, tmp_path: Path, end: tuple[str, ...]) -> None:
    """At any line, or at a moment of which the writer itself says when it comes."""
    command = [sys.executable, "-c", _WRITER, str(tmp_path), *end]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(100)]
        if not end:
            writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.readlines()
    assert writer.returncode == -signal.SIGKILL
    complete = [line for line in lines if line.endswith("\n")]
    last, version = (int(word) for word in complete[-1].split())
    engine = new_engine(tmp_path)
    found = {obj["metadata"]["name"] for obj in engine.cluster("green").list(CONFIG_MAP)}
    told, next_one = written_by(last), written_by(last + 1)
    assert found in (told, told | {f"c{last + 1}"}, next_one), "what was not acknowledged yet is there or not"
    assert engine.management.version > version


def written_by(number: int) -> set[str]:
    """What is there after that many."""
    return {f"c{each}" for each in range(number + 1)} - {f"c{each - 1}" for each in range(2, number + 1, 3)}


def test_memory_only_engines_write_nothing(new_engine: NewEngine, tmp_path: Path) -> None:
    engine = new_engine()
    engine.management.create(config("c", "1"))
    asyncio.run(engine.management.flushed())
    assert list(tmp_path.iterdir()) == []


# --- clusters ---------------------------------------------------------------------------------------------------------
def test_clusters_come_and_go(new_engine: NewEngine) -> None:
    engine = new_engine()
    seen: list[tuple[str, str]] = []
    engine.on_cluster(lambda what, api: seen.append((what, api.name)))
    green = engine.create_cluster("green")
    assert engine.create_cluster("green") is green
    assert {obj["metadata"]["name"] for obj in green.list(NAMESPACE)} == {
        "default", "kube-system", "kube-public", "kube-node-lease",
    }  # fmt: skip
    engine.remove_cluster("green")
    assert seen == [("added", "management"), ("added", "green"), ("removed", "green")]
    assert green.find(NAMESPACE, "default") is None
    with pytest.raises(NotFound, match=r'cluster "green" not found'):
        engine.cluster("green")
    with pytest.raises(BadRequest, match=r"management"):
        engine.remove_cluster("management")
    assert engine.url("rose").endswith("/clusters/rose")


def test_clusters_do_not_see_each_other(new_engine: NewEngine) -> None:
    engine = new_engine()
    green, rose = engine.create_cluster("green"), engine.create_cluster("rose")
    changes: list[object] = []
    rose.listen(None, changes.append)
    green.create(config("c", "1"))
    assert rose.find(CONFIG_MAP, "c", "default") is None and changes == []


# --- the change log ---------------------------------------------------------------------------------------------------
def test_changes_since_a_version(new_engine: NewEngine) -> None:
    api = new_engine().management
    start = api.version
    api.create(config("c", "1"))
    api.create(NAMESPACE.new("other"))
    api.create(CONFIG_MAP.new("d", "other"))
    middle = api.version
    api.update(config("c", "2"))
    api.delete(CONFIG_MAP, "c", "default")
    told = [(change.type, change.object["metadata"]["name"]) for change in api.changes(start, CONFIG_MAP)]
    assert told == [("ADDED", "c"), ("ADDED", "d"), ("MODIFIED", "c"), ("DELETED", "c")]
    assert [c.type for c in api.changes(start, CONFIG_MAP, "other")] == ["ADDED"]
    later = list(api.changes(middle, CONFIG_MAP))
    assert [change.type for change in later] == ["MODIFIED", "DELETED"]
    assert later[0].previous is not None and later[0].previous["data"] == {"v": "1"}
    assert later[1].object["metadata"]["resourceVersion"] == str(api.version)


BOUNDS = [
    ("entries", Bounds(entries=10), 0.0),
    ("bytes", Bounds(size=20_000), 0.0),
    ("age", Bounds(seconds=5.0), 1.0),
]


@pytest.mark.parametrize(("bounds", "pace"), [row[1:] for row in BOUNDS], ids=[row[0] for row in BOUNDS])
def test_a_trimmed_log_expires(new_engine: NewEngine, hands, bounds: Bounds, pace: float) -> None:  # type: ignore[no-untyped-def]
    api = new_engine(None, bounds).management
    start = api.version
    api.create(config("c", "0"))
    for number in range(1, 40):
        hands.time += pace
        api.update(config("c", str(number) * 1000))
    with pytest.raises(Expired):
        list(api.changes(start, CONFIG_MAP))
    recent = list(api.changes(api.version - 2, CONFIG_MAP))
    assert [change.version for change in recent] == [api.version - 1, api.version]
