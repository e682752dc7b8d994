"""Workloads of boards as containers of a real containerd, by its own `ctr`, as root where its programs are."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from continuo.iot.agent.workloads import Containers, Workloads
from continuo.testbed.images import write_archive
from iot.tunnels.bed import Changes
from iot.workloads.bed import UUID, Board
from real.conftest import asked_for

pytestmark = pytest.mark.anyio
IMAGE = "localhost/sleep:1"


@pytest.fixture(scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[None]:
    """A containerd of its own, which `ctr` finds."""
    tools = asked_for()
    if os.geteuid() != 0:
        pytest.skip("containers need root here")
    if missing := tools.missing(("containerd", "ctr", "runc", "busybox", "continuo-images")):
        pytest.skip(f"{', '.join(missing)} missing on this machine: make testbed")
    folder = tmp_path_factory.mktemp("containerd")
    archive, socket = folder / "images.tar", folder / "containerd.sock"
    write_archive(archive, tools.need("continuo-images"), tools.find("busybox"))
    (folder / "config.toml").write_text(
        f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{socket}"\n'
    )
    places = dict.fromkeys(str(tools.need(name).parent) for name in ("containerd", "ctr", "runc"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", ":".join([*places, os.environ["PATH"]]))
        patch.setenv("CONTAINERD_ADDRESS", str(socket))
        patch.setenv("CONTAINERD_SNAPSHOTTER", "native")
        with (folder / "log").open("wb") as log:
            server = await asyncio.create_subprocess_exec(
                "containerd", "--config", str(folder / "config.toml"), stdout=log, stderr=log
            )
        try:
            async with asyncio.timeout(60):
                while not socket.exists() or await ctr("version"):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            assert await ctr("-n", "continuo", "images", "import", str(archive)) == 0
            yield
        finally:
            server.terminate()
            await server.wait()


async def ctr(*arguments: str) -> int:
    process = await asyncio.create_subprocess_exec("ctr", *arguments, stdout=asyncio.subprocess.DEVNULL)
    return await process.wait()


@asynccontextmanager
async def board(home: Path) -> AsyncIterator[Board]:
    changes = Changes()
    find = {"ctr": shutil.which("ctr")}.get
    made = Workloads(changes, home, {"container": Containers(find)}, again=1.0)
    try:
        yield Board(made, changes)
    finally:
        await made.close()


def container(script: str, **more: Any) -> dict[str, Any]:
    wanted = {
        "name": "c",
        "generation": 1,
        "runtime": "container",
        "image": IMAGE,
        "command": ["/bin/sh", "-c", script],
    }
    return {**wanted, "job": True, "restart": "Never", **more}


async def test_a_job_leaves_its_exit_code_its_output_and_its_results(engine: None, tmp_path: Path) -> None:
    async with board(tmp_path / "b") as bed:
        script = 'cat greeting; echo oops >&2; echo "$WHO" > $RESULTS/who; exit 3'
        await bed.set(container(script, env={"WHO": "me"}, files={"greeting": "hello\n"}))
        said = await bed.until("Failed")
        assert (said["exitCode"], said["message"], said["result"]) == (3, "it ended with exit code 3", "me\n")
        printed = (await bed.workloads.logs(UUID)).splitlines()
        assert sorted(printed) == ["hello", "oops"]  # containerd has a pipe for each, so no order between them
        await bed.set(container("echo two", generation=2))
        await bed.until("Succeeded")
        assert await bed.workloads.logs(UUID) == "two\n"
        await bed.set(None)


async def test_a_job_outlives_its_agent(engine: None, tmp_path: Path) -> None:
    go = tmp_path / "b" / UUID / "work" / "results" / "go"
    script = (
        "echo begun; until [ -e $RESULTS/go ]; do sleep 0.2; done; echo done; rm $RESULTS/go; echo 1 >> $RESULTS/times"
    )
    async with board(tmp_path / "b") as bed:
        await bed.set(container(script))
        await bed.until("Running")
        assert (await bed.workloads.follow(UUID, 0))["text"] == "begun\n"
    async with board(tmp_path / "b") as bed:
        await bed.set(container(script))
        await bed.until("Running")
        go.touch()
        said = await bed.until("Succeeded")
        assert (said["exitCode"], said["restarts"], said["result"]) == (0, 0, "1\n")
        assert await bed.workloads.logs(UUID) == "begun\ndone\n"
        await bed.set(None)


async def test_a_service_that_is_no_more_desired_is_ended(engine: None, tmp_path: Path) -> None:
    async with board(tmp_path / "b") as bed:
        await bed.set(container("sleep 1000", job=False, restart="Always"))
        await bed.until("Running")
        await bed.set(None)
    listing = await asyncio.create_subprocess_exec(
        "ctr", "-n", "continuo", "containers", "ls", "-q", stdout=asyncio.subprocess.PIPE
    )
    assert (await listing.communicate())[0].decode().split() == []


async def test_memory_is_bounded(engine: None, tmp_path: Path) -> None:
    async with board(tmp_path / "b") as bed:
        await bed.set(container("tail /dev/zero", resources={"memory": "16Mi"}))
        assert (await bed.until("Failed"))["exitCode"] == 137


async def test_an_image_that_nobody_has_is_said(engine: None, tmp_path: Path) -> None:
    async with board(tmp_path / "b") as bed:
        await bed.set(container("true", image="127.0.0.1:1/nobody/has:1"))
        await bed.changes.until(lambda: "nobody/has" in bed.said()["message"])
        assert bed.said()["phase"] == "Pending"
