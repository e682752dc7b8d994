"""containerd by its own small command line, where neither nerdctl nor docker is there."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from continuo.iot.agent.workloads.commands import PULL, Failed, call
from continuo.iot.agent.workloads.docker import WORK
from continuo.iot.agent.workloads.process import CHUNK, GRACE, RATE
from continuo.iot.agent.workloads.runtime import RESULTS, Task

NAMESPACE = "continuo"
LOOK = 0.5
"""Seconds between two looks at a container: ctr has no way to wait for another one's end."""


class Ctr:
    """Implements Engine."""

    def __init__(self, program: str) -> None:
        self._ctr = [program, "-n", NAMESPACE]

    async def check(self) -> None:
        """Whether containerd answers."""
        await call([*self._ctr, "version"], 20.0)

    async def run(self, task: Task) -> None:
        """Begin it; an image that is not there is fetched. Raises Failed."""
        spec, limits = task.spec, task.limits
        image = qualified(spec.image)
        if image not in (await call([*self._ctr, "images", "ls", "-q"])).split():
            await call([*self._ctr, "images", "pull", image], PULL)
        told = {**spec.env, "RESULTS": f"{WORK}/{RESULTS}"}
        if any("\n" in value for value in told.values()):
            raise Failed("ctr takes no variables of more than one line; nerdctl or podman do")
        variables = task.work.parent / "variables"
        for old in await asyncio.to_thread(_outputs, task.work.parent):
            old.unlink(missing_ok=True)
        await asyncio.to_thread(_private, variables, "".join(f"{name}={value}\n" for name, value in told.items()))
        output = task.work.parent / f"output.{task.log.end()}"
        command = [
            *self._ctr, "run", "-d", "--env-file", str(variables), "--log-uri", f"file://{output}",
            "--memory-limit", str(limits.memory), "--cpu-quota", str(int(limits.cpu * 100_000)), "--cpu-period", "100000",
            "--mount", f"type=bind,src={task.work},dst={WORK},options=rbind:rw",
        ]  # fmt: skip
        command += ["--net-host"] if spec.network else []
        command += ["--cwd", WORK] if spec.files else []
        try:
            await call([*command, image, task.label, *spec.command], PULL)
        finally:
            variables.unlink(missing_ok=True)

    async def state(self, name: str) -> str | None:
        """By the state of its task."""
        if name not in (await call([*self._ctr, "containers", "ls", "-q"])).split():
            return None
        for line in (await call([*self._ctr, "tasks", "ls"])).splitlines()[1:]:
            if line.split()[0] == name:
                return "exited" if line.split()[2] == "STOPPED" else "running"
        return "created"

    async def wait(self, name: str) -> int:
        """Its exit code, which the removal of its task tells; without one, as if killed."""
        while (state := await self.state(name)) == "running":  # noqa: ASYNC110 - ctr tells of no events of one task
            await asyncio.sleep(LOOK)
        if state != "exited":
            return 137
        said = await call([*self._ctr, "tasks", "delete", name], warnings=True)
        found = re.search(r"exit code (\d+)", said)  # a warning says it; ctr's own is 0
        return int(found[1]) if found else 0

    async def printing(self, task: Task, anew: bool) -> None:
        """Read the file that it prints to."""
        base, path = max(
            (int(found.suffix[1:]), found) for found in await asyncio.to_thread(_outputs, task.work.parent)
        )
        place = 0 if anew else max(0, task.log.end() - base)
        while True:
            running = await self.state(task.label) == "running"
            while data := await asyncio.to_thread(_read, path, place):
                await task.log.append(data)
                place += len(data)
                await asyncio.sleep(len(data) / RATE)
            if not running:
                return
            await asyncio.sleep(LOOK)

    async def remove(self, name: str) -> None:
        """Asked to end first."""
        if (state := await self.state(name)) is None:
            return
        try:
            if state == "running":
                await self._end(name)
            if await self.state(name) == "exited":
                await call([*self._ctr, "tasks", "delete", name])
        except Failed as error:
            if await self.state(name) not in ("created", None):
                raise error
        await call([*self._ctr, "containers", "delete", name])

    async def _end(self, name: str) -> None:
        await call([*self._ctr, "tasks", "kill", "-s", "SIGTERM", name])
        for _ in range(int(GRACE / LOOK)):
            if await self.state(name) != "running":
                return
            await asyncio.sleep(LOOK)
        await call([*self._ctr, "tasks", "kill", "-a", "-s", "SIGKILL", name])
        while await self.state(name) == "running":  # noqa: ASYNC110
            await asyncio.sleep(LOOK)

    async def names(self, uuid: str) -> list[str]:
        """By their names."""
        found = (await call([*self._ctr, "containers", "ls", "-q"])).split()
        return [name for name in found if name.startswith(f"continuo-{uuid}-")]


def qualified(image: str) -> str:
    """An image's whole name, as docker completes it: ctr does not."""
    first, _, rest = image.partition("/")
    if not rest:
        image = f"docker.io/library/{image}"
    elif not re.search(r"[.:]", first) and first != "localhost":
        image = f"docker.io/{image}"
    return image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"


def _private(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text)


def _outputs(folder: Path) -> list[Path]:
    return [path for path in folder.glob("output.*") if path.suffix[1:].isdigit()]


def _read(path: Path, place: int) -> bytes:
    with path.open("rb") as file:
        file.seek(place)
        return file.read(CHUNK)
