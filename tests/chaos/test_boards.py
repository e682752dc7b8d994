"""A hub, the provider and boards are killed with SIGKILL while a plugin and a job are spread over twelve boards.

Everything ends as declared: nothing runs twice at once, no job runs twice, and nothing is left when all is deleted. Some of
the hub's deaths are between what it did and its answer. The seed is printed; CONTINUO_SEED repeats a run,
CONTINUO_BOARDS_KILLS makes it longer.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from continuo.resources.boards import (
    BOARD,
    EXPOSED_SERVICE,
    FLEET,
    PLUGIN,
    PLUGIN_INJECTION,
    PORT,
    SERVICE,
    VIRTUAL_NETWORK,
    WORKLOAD,
)
from continuo.resources.errors import ApiError
from continuo.resources.meta import condition

from .boards_world import REAL, SIMULATED, World, boards_kinds, world

pytestmark = [pytest.mark.anyio, pytest.mark.long]
KILLS = int(os.environ.get("CONTINUO_BOARDS_KILLS", "14"))
LOST = 2
"""Answers to writes with which the hub dies, while things are made and while they are deleted."""
PLUGIN_CODE = """import socket

from iotronic_lightningrod.modules.plugins import Plugin
from iotronic_lightningrod.modules.plugins.pluginApis import getBoardID


class Worker(Plugin.Plugin):
    def run(self):
        with socket.create_connection((self.params["host"], self.params["port"])) as witness:
            witness.sendall(f"plugin {getBoardID()}\\n".encode())
            witness.settimeout(0.2)
            while self._is_running:
                try:
                    if not witness.recv(100):
                        return
                    witness.sendall(b"here\\n")
                except TimeoutError:
                    pass
"""
JOB = """import os, socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as witness:
    witness.sendall(f"job {os.environ['WHOSE']}\\n".encode())
    time.sleep(0.5)
open(os.environ["RESULTS"] + "/done", "w").write("done")
"""


def declare(there: World) -> None:
    """A plugin and a job for all; a service, and where it can be a port, for one."""
    told = {"host": there.address, "port": there.witness_port}
    there.make(FLEET, "all", {"memberSelector": {"matchLabels": {"site": "all"}}})
    there.make(PLUGIN, "meter", {"code": PLUGIN_CODE, "parameters": told, "grants": {"network": True}})
    of = {"fleetRef": {"name": "all"}}
    there.make(
        PLUGIN_INJECTION, "meter", {**of, "pluginRef": {"name": "meter"}, "state": "Running", "parameters": told}
    )
    command = ["python3", "job.py", told["host"], str(told["port"])]
    extra = {"grants": {"network": True}}
    job = {"command": command, "files": {"job.py": JOB}, "job": {}, "restart": "Never", "extra": extra}
    there.make(WORKLOAD, "count", {**job, **of, "env": {"WHOSE": "all"}})
    for name in REAL:
        there.make(WORKLOAD, name, {**job, "boardRef": {"name": name}, "env": {"WHOSE": name}})
    there.make(SERVICE, "ssh", {"port": 22})
    there.make(EXPOSED_SERVICE, "ssh", {"boardRef": {"name": REAL[0]}, "serviceRef": {"name": "ssh"}})
    if there.space is not None:
        there.make(VIRTUAL_NETWORK, "lan", {"cidr": "10.77.0.0/29"})
        there.make(PORT, "lan", {"boardRef": {"name": REAL[0]}, "networkRef": {"name": "lan"}})


def ended(there: World, name: str) -> bool:
    """Whether a board's own job is over."""
    told = there.status(WORKLOAD, name)
    return bool(told.get("succeeded", 0) + told.get("failed", 0) == 1)


def ready(there: World, kind: object, name: str) -> bool:
    obj = there.api.get(kind, name, "default")  # type: ignore[arg-type]
    return (condition(obj, "Ready") or {}).get("status") == "True"


def as_declared(there: World) -> bool:
    """By what the objects say."""
    injected, ran = there.status(PLUGIN_INJECTION, "meter"), there.status(WORKLOAD, "count")
    boards = len(REAL) + len(SIMULATED)
    singles = [(EXPOSED_SERVICE, "ssh"), *([(PORT, "lan")] if there.space is not None else [])]
    return (
        injected.get("ready") == boards
        and not injected.get("pending")
        and ran.get("succeeded", 0) + ran.get("failed", 0) == boards
        and all(ready(there, kind, name) for kind, name in singles)
        and all(ended(there, name) for name in REAL)
    )


def running(there: World) -> set[str]:
    return {who for who in there.witness.open if who.startswith("plugin ")}


async def check(there: World, boards: dict[str, str]) -> None:
    """What is so, whatever the objects say."""
    wanted = {f"plugin {boards[name]}" for name in REAL}
    await there.until(lambda: running(there) == wanted, "the plugin runs on each board")
    assert there.witness.twice == []
    jobs = {who: count for who, count in there.witness.begun.items() if who.startswith("job ")}
    assert all(count <= (len(REAL) if who == "job all" else 1) for who, count in jobs.items()), jobs
    ran = {each["name"]: each for each in there.status(WORKLOAD, "count")["boards"]}
    for name in REAL:  # a job whose end nobody saw has failed, since it may have run; no other has
        for said in (ran[name], there.status(WORKLOAD, name)["boards"][0]):
            assert said["phase"] == "Succeeded" or there.mortals[name].kills, said
    assert all(ran[name]["phase"] == "Succeeded" for name in SIMULATED), ran
    if there.space is not None:
        assert len(there.space.taps()) == 1
    assert len(await there.rows("boards")) == len(boards)
    for path, count in (("fleets", 1), ("plugins", 1), ("services", 1), ("networks", int(there.space is not None))):
        assert len(await there.rows(path)) == count, path


async def gone(there: World) -> None:
    """Delete everything, in no order at all, and see that nothing is left anywhere."""
    everything = [(kind, obj["metadata"]["name"]) for kind in boards_kinds() for obj in there.api.list(kind, "default")]
    for name in (*REAL, "crowd"):
        there.mortals[name].ends_with = 1  # the hub knows the board no more
    for kind, name in everything:
        there.api.delete(kind, name, "default")
    for kind, name in everything:
        await there.until(lambda kind=kind, name=name: absent(there, kind, name), f"{kind.kind} {name} is gone")
    there.disarm()
    for path in ("boards", "fleets", "plugins", "services", "networks", "ports"):
        assert await there.rows(path) == [], path
    await there.until(lambda: not there.witness.open, "no program runs")
    assert not there.reachable()
    if there.space is not None:
        await there.space.no_taps()
    assert there.witness.twice == []


def absent(there: World, kind: object, name: str) -> bool:
    try:
        there.api.get(kind, name, "default")  # type: ignore[arg-type]
    except ApiError:
        return True
    return False


async def test_whoever_dies_boards_are_as_declared_and_then_nothing_is_left(tmp_path: Path) -> None:
    seed = int(os.environ.get("CONTINUO_SEED", "20261122"))
    print(f"seed {seed}, {KILLS} kills")
    async with world(tmp_path, random.Random(seed)) as there:
        for name in (*REAL, *SIMULATED):
            there.make(BOARD, name, {}, site="all")
        await there.boards()
        boards = {name: there.secret(f"{name}-board", "uuid") for name in (*REAL, *SIMULATED)}
        there.arm(KILLS)
        there.line.left = LOST
        declare(there)
        await there.until(lambda: as_declared(there), "all is as declared")
        there.disarm()
        for mortal in there.mortals.values():
            await mortal.wait_up()
        await there.until(lambda: as_declared(there), "all is as declared")
        await check(there, boards)
        for mortal in there.mortals.values():
            mortal.allowed = mortal.kills
        there.arm(KILLS // 3)
        there.line.left = LOST
        await gone(there)
        kills = {name: mortal.kills for name, mortal in there.mortals.items()}
        print(f"kills {kills}, {there.line.lost} answers lost")
        assert sum(kills.values()) >= KILLS // 2 and there.line.lost
    assert there.left() == []
