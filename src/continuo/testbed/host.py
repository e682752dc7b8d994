"""What nodes with real containers have in common: a first process, a container runtime, and our images.

A host's programs have a mount namespace and a process namespace of their own. When its first process ends, so do all the
others, containers too, and all its mounts are gone: nothing has to be found and removed one by one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from continuo.testbed.commands import run
from continuo.testbed.errors import TestbedError
from continuo.testbed.images import IMAGES, Image, write_archive
from continuo.testbed.network import Leg
from continuo.testbed.nodefiles import PROGRAMS, SOCKET, SPEC, NodeFacts
from continuo.testbed.processes import CLIENTS, SERVERS, Crew, Process
from continuo.testbed.registry import Registered
from continuo.testbed.tools import Tools
from continuo.testbed.waiting import until

BOOT_SECONDS, RUNTIME_SECONDS = 30.0, 60.0


@dataclass(slots=True)
class Host:
    """One host in the network namespace of its leg. `boot` makes it; needs no API server."""

    title: str
    """How messages and processes name it."""
    leg: Leg
    place: Registered
    crew: Crew
    tools: Tools
    logs: Path
    facts: NodeFacts
    _enter: tuple[str, ...] = ()

    async def boot(self, files: Mapping[str, str]) -> None:
        """Write the files, start the first process and the container runtime, and load our images."""
        self._write(files)
        await self._start_first()
        await self._start_runtime()

    async def command(self, *argv: str, timeout: float = 60.0) -> str:
        """Run a short command among the host's processes and return what it printed."""
        return await run(*self._enter, *argv, timeout=timeout)

    async def run(
        self, program: str, argv: Sequence[str], *, ready: Callable[[], Awaitable[None]] | None = None,
        rank: int = CLIENTS, environment: Mapping[str, str] | None = None,
    ) -> Process:  # fmt: skip
        """Keep a program running among the host's processes."""
        return await self.crew.start(
            f"{program} of {self.title}", [*self._enter, *argv], log_file=self.logs / f"{program}.log",
            environment={"PATH": self.tools.path, **(environment or {})}, ready=ready, rank=rank,
        )  # fmt: skip

    async def end(self, program: str) -> None:
        """End one of the programs that `run` started."""
        await self.crew.end(f"{program} of {self.title}")

    def _write(self, files: Mapping[str, str]) -> None:
        folder = self.facts.folder
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("over", "containerd", "kubelet", "net.d"):
            folder.joinpath(name).mkdir(parents=True, mode=0o755)
        for name, text in files.items():
            folder.joinpath(name).write_text(text, encoding="utf-8")

    async def _start_first(self) -> None:
        folder, init = self.facts.folder, str(self.tools.need("continuo-images"))
        unshare = [str(self.tools.need("unshare")), "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        boot = ["sh", str(folder / "node.sh"), str(folder), init, *self.facts.private]
        process = await self.crew.start(
            f"node of {self.title}", [*self.leg.enter, *unshare, *boot],
            log_file=self.logs / "node.log", rank=SERVERS, restart=False,
            ready=lambda: until(self._booted, f"the node of {self.title}", BOOT_SECONDS),
        )  # fmt: skip
        first = _only_child(process.pid)
        self._enter = (
            str(self.tools.need("nsenter")), f"--target={first}", "--net", "--mount", "--pid", "--wd=/", "--",
        )  # fmt: skip

    async def _booted(self) -> str | None:
        return None if self.facts.folder.joinpath("booted").exists() else "its directories are not there yet"

    async def _start_runtime(self) -> None:
        await self._write_spec()
        argv = [str(self.tools.need("containerd")), f"--config={self.facts.folder / 'containerd.toml'}"]
        await self.run("containerd", argv, ready=lambda: until(
            self._runtime_answers, f"containerd of {self.title}", RUNTIME_SECONDS
        ), rank=SERVERS)  # fmt: skip
        archive = self.place.scratch / "images.tar"
        await self._ctr("-n", "k8s.io", "images", "import", "--snapshotter", self.facts.snapshotter, str(archive))

    async def _write_spec(self) -> None:
        """The runtime's own beginning of every container's specification, and the mount of the shared programs."""
        if self.facts.programs is None:
            return
        spec = json.loads(await self.command(str(self.tools.need("ctr")), "oci", "spec"))
        options = ["rbind", "ro", "nosuid", "nodev"]
        source = str(self.facts.programs)
        spec["mounts"].append({"destination": PROGRAMS, "type": "bind", "source": source, "options": options})
        self.facts.folder.joinpath(SPEC).write_text(json.dumps(spec), encoding="utf-8")

    async def _runtime_answers(self) -> str | None:
        try:
            await self._ctr("version")
        except TestbedError as error:
            return str(error)
        return None

    async def _ctr(self, *argv: str) -> str:
        return await self.command(str(self.tools.need("ctr")), "--address", SOCKET, *argv)


def prepare_images(
    place: Registered, tools: Tools, more: Sequence[Image] = (), links: Mapping[str, str] | None = None
) -> Path:
    """The archive of our images, for all hosts of a bed."""
    shutil.rmtree(place.scratch, ignore_errors=True)
    place.scratch.mkdir(mode=0o755)  # fails when somebody else makes it meanwhile, in a directory of everybody
    archive = place.scratch / "images.tar"
    write_archive(archive, tools.need("continuo-images"), tools.find("busybox"), (*IMAGES, *more), links)
    return archive


def plugins(tools: Tools) -> Path:
    """The one folder with all network plugins that we use."""
    folder = tools.need("ptp").parent
    lacking = [name for name in ("host-local", "loopback") if not folder.joinpath(name).exists()]
    if lacking:
        raise TestbedError(f"the network plugins {', '.join(lacking)} are not in {folder}, where ptp is")
    return folder


def _only_child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    if len(children) != 1:
        raise TestbedError(f"process {pid} should have started one process, and has {len(children)}")
    return int(children[0])
