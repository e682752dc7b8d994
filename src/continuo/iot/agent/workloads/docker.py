"""Engines with docker's command line: podman, nerdctl, docker."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime

from continuo.iot.agent.workloads.commands import PULL, Failed, call
from continuo.iot.agent.workloads.process import GRACE, printed
from continuo.iot.agent.workloads.runtime import RESULTS, Task

WORK = "/run/work"
"""The workload's folder as the container sees it."""
LABEL = "dev.continuo.workload"


class Docker:
    """Implements Engine."""

    def __init__(self, program: str) -> None:
        self._program = program

    async def check(self) -> None:
        """Whether it, and what it talks to, answers."""
        await call([self._program, "ps", "-q"], 20.0)

    async def run(self, task: Task) -> None:
        """Begin it; an image that is not there is fetched. Raises Failed."""
        spec, limits = task.spec, task.limits
        command = [
            self._program, "run", "-d", "--name", task.label, "--label", f"{LABEL}={task.uuid}",
            "--network", "host" if spec.network else "none", "--memory", str(limits.memory), "--cpus", f"{limits.cpu:g}",
            "--pids-limit", str(limits.processes), "--security-opt", "no-new-privileges",
            "-v", f"{task.work}:{WORK}", "-e", f"RESULTS={WORK}/{RESULTS}",
        ]  # fmt: skip
        if spec.files:
            command += ["-w", WORK]
        for name in spec.env:
            command += ["-e", name]  # its value comes from the environment, which nobody else can read
        await call([*command, spec.image, *spec.command], PULL, spec.env)

    async def state(self, name: str) -> str | None:
        """By its name."""
        try:
            said = await call([self._program, "inspect", "--type", "container", "--format", "{{.State.Status}}", name])
        except Failed as error:
            if "no such" in str(error).lower():
                return None
            raise
        return said if said in ("created", "running") else "exited"

    async def wait(self, name: str) -> int:
        """Its exit code; removed from outside, it counts as killed."""
        try:
            return int((await call([self._program, "wait", name], None)).splitlines()[-1])
        except (IndexError, ValueError):
            return 137
        except Failed as error:
            if "no such" in str(error).lower():
                return 137
            raise

    async def printing(self, task: Task, anew: bool) -> None:
        """Follow its output."""
        since = [] if anew else ["--since", await asyncio.to_thread(_last, task)]
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                self._program, "logs", "-f", *since, task.label, stdin=asyncio.subprocess.DEVNULL, stdout=writing,
                stderr=writing, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            os.close(reading)
            raise Failed(f"{self._program}: {error.strerror}") from None
        finally:
            os.close(writing)
        try:
            await printed(reading, task.log)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    async def remove(self, name: str) -> None:
        """Asked to end first."""
        if await self.state(name) is None:
            return
        try:
            await call([self._program, "stop", "-t", f"{GRACE:.0f}", name])
            await call([self._program, "rm", "-f", name])
        except Failed as error:
            if await self.state(name) is not None:
                raise error

    async def names(self, uuid: str) -> list[str]:
        """By their label."""
        said = await call([self._program, "ps", "-a", "--filter", f"label={LABEL}={uuid}", "--format", "{{.Names}}"])
        return said.split()


def _last(task: Task) -> str:
    """When something was printed last, as far as the log has it."""
    times = [path.stat().st_mtime for path in task.log.files()]
    return datetime.fromtimestamp(max(times, default=0.0), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
