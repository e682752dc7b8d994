"""Containers by an engine's command line; the engine is a double here, and a real containerd in `make test-real`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from continuo.iot.agent.workloads import Containers, Workloads
from continuo.iot.agent.workloads.ctr import qualified
from continuo.iot.agent.workloads.record import LOST
from iot.tunnels.bed import Changes
from iot.workloads import engine
from iot.workloads.bed import UUID, Board, job

pytestmark = pytest.mark.anyio


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a double of podman."""
    home = tmp_path / "engine"
    home.mkdir()
    monkeypatch.setenv("ENGINE_HOME", str(home))
    script = tmp_path / "podman"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{engine.__file__}" "$@"\n')
    script.chmod(0o755)
    return home


def calls(podman: Path, verb: str) -> list[str]:
    return [line for line in (podman / "calls").read_text().splitlines() if line.startswith(f"{verb} ")]


def containers(podman: Path) -> list[str]:
    return [path.parent.name for path in podman.glob("*/pid") if path.read_text()]


async def until(holds: Callable[[], bool]) -> None:
    """What an engine does is told to nobody, so one looks."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@asynccontextmanager
async def board(tmp_path: Path, **programs: str) -> AsyncIterator[Board]:
    changes = Changes()
    find = (programs or {"podman": str(tmp_path / "podman")}).get
    made = Workloads(changes, tmp_path / "home", {"container": Containers(find)}, again=0.05)
    try:
        yield Board(made, changes)
    finally:
        await made.close()


def container(script: str, **more: Any) -> dict[str, Any]:
    return job(script, runtime="container", image="busybox", **more)


async def test_a_job(podman: Path, tmp_path: Path) -> None:
    async with board(tmp_path) as bed:
        await bed.set(
            container('echo "$A"; echo it > $RESULTS/r; exit 3', env={"A": "secret"}, resources={"cpu": "500m"})
        )
        said = await bed.until("Failed")
        assert (said["exitCode"], said["result"]) == (3, "it\n")
        assert await bed.workloads.logs(UUID) == "secret\n"
        assert containers(podman) == []
        (begun,) = calls(podman, "run")
        for part in (
            "--network none",
            "--memory 268435456",
            "--cpus 0.5",
            "--security-opt no-new-privileges",
            "-e A busybox",
        ):
            assert part in begun
        assert "secret" not in (podman / "calls").read_text()


async def test_a_job_that_goes_on_while_the_agent_is_away(podman: Path, tmp_path: Path) -> None:
    script = "until [ -e $RESULTS/go ]; do sleep 0.02; done; exit 4"
    for life in range(2):
        async with board(tmp_path) as bed:
            await bed.set(container(script, extra={"grants": {"network": True}}))
            await bed.until("Running")
            await until(lambda: containers(podman) != [])
            if life:
                (tmp_path / "home" / UUID / "work" / "results" / "go").touch()
                assert (await bed.until("Failed"))["exitCode"] == 4
    (begun,) = calls(podman, "run")
    assert "--network host" in begun


async def test_a_job_whose_container_somebody_removed_is_not_repeated(podman: Path, tmp_path: Path) -> None:
    async with board(tmp_path) as bed:
        await bed.set(container("exec sleep 1000"))
        await bed.until("Running")
        await until(lambda: containers(podman) != [])
    (name,) = containers(podman)
    await asyncio.to_thread(engine_remove, podman, name)
    async with board(tmp_path) as bed:
        await bed.set(container("exec sleep 1000"))
        assert (await bed.until("Failed"))["message"] == LOST
    assert len(calls(podman, "run")) == 1


def engine_remove(podman: Path, name: str) -> None:
    subprocess.run([str(podman.parent / "podman"), "rm", name], check=True)


async def test_another_generation_and_removal_leave_no_container(podman: Path, tmp_path: Path) -> None:
    async with board(tmp_path) as bed:
        await bed.set(container("exec sleep 1000"))
        await bed.until("Running")
    async with board(tmp_path) as bed:  # it learns of the new generation only now
        await bed.set(container("exec sleep 1000", generation=2))
        await bed.until("Running")
        await until(lambda: containers(podman) == [f"continuo-{UUID}-2-1"])
    async with board(tmp_path) as bed:
        await bed.set(None)
        assert containers(podman) == []


async def test_an_image_that_nobody_has_is_tried_again(podman: Path, tmp_path: Path) -> None:
    async with board(tmp_path) as bed:
        await bed.set(container("true") | {"image": "absent"})
        await until(lambda: (podman / "calls").exists() and len(calls(podman, "run")) > 1)
        assert (bed.said()["phase"], bed.said()["restarts"]) == ("Pending", 0)
        assert bed.said()["message"] == "Error: initializing source docker://absent: nobody has it"


@pytest.mark.parametrize(
    ("programs", "why"),
    [
        ({"nothing": ""}, "this board cannot run containers; install podman, nerdctl with containerd, or docker"),
        (
            {"runc": "/bin/true"},
            "this board cannot run containers: runc is there, but fetches no images; install podman",
        ),
        (
            {"docker": "/bin/false"},
            "this board cannot run containers: docker does not work: /bin/false ps failed; install",
        ),
        (
            {"podman": "/nowhere/podman"},
            "podman does not work: /nowhere/podman: No such file or directory; install podman",
        ),
    ],
)
async def test_without_an_engine_it_is_refused(tmp_path: Path, programs: dict[str, str], why: str) -> None:
    async with board(tmp_path, **programs) as bed:
        await bed.set(container("true"))
        assert why in (await bed.until("Refused"))["message"]


@pytest.mark.parametrize(
    ("image", "whole"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.37", "docker.io/library/busybox:1.37"),
        ("me/app", "docker.io/me/app:latest"),
        ("localhost/app:1", "localhost/app:1"),
        ("10.0.0.1:5000/a/b", "10.0.0.1:5000/a/b:latest"),
        ("ghcr.io/a/b@sha256:00", "ghcr.io/a/b@sha256:00"),
    ],
)
def test_whole_names_of_images(image: str, whole: str) -> None:
    assert qualified(image) == whole
