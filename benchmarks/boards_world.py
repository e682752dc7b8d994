"""What the benchmark of boards measures in: cluster, hub, provider and a crowd of boards, each a process of its own."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from continuo.cli.hub_admin import ask
from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server
from continuo.embedded.port import Write
from continuo.iot.agent.simulated import Crowd
from continuo.kube.config import connect
from continuo.resources import kinds
from continuo.resources.boards import CLUSTER_PROVIDER_CONFIG, boards_crds
from continuo.resources.meta import Kind, Object
from continuo.runtime.informer import Informer, Watch

NAMESPACE = "default"
PATIENCE = 600.0
_COUNT = re.compile(r'^continuo_hub_rest_requests_total\{method="(\w+)",route="([^"]+)"\} (\d+)$', re.MULTILINE)


class Process:
    """One process, what it has used, and its end."""

    def __init__(self, *command: str, log: Path, inherited: Sequence[int] = (), talks: bool = False) -> None:
        pipe = subprocess.PIPE if talks else subprocess.DEVNULL
        with log.open("ab") as written:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command], stdin=pipe, stdout=pipe, stderr=written, pass_fds=inherited, text=True,
                cwd=Path(__file__).parents[1],
            )  # fmt: skip
        self.pid = self._process.pid

    @classmethod
    async def ready(cls, *command: str, log: Path) -> Process:
        """One of ours that says when it works; raises RuntimeError with the end of its log where it does not."""
        reading, writing = os.pipe()
        try:
            made = cls(*command, "--ready-fd", str(writing), log=log, inherited=[writing])
        finally:
            os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = await asyncio.to_thread(pipe.read, 5)
        if said != b"ready":
            made.end()
            raise RuntimeError(f"{command[0]} did not start: {_end_of(log)}")
        return made

    def cpu(self) -> float:
        """Seconds of CPU of all its threads, by its own clock."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def resident(self, name: str = "VmHWM") -> float:
        """MB: the most that it had, or what another line of its status says."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        return int(status.partition(f"{name}:")[2].split()[0]) / 1e3

    async def line(self) -> str:
        """What it says next."""
        assert self._process.stdout is not None
        said = await asyncio.to_thread(self._process.stdout.readline)
        if not said:
            raise RuntimeError(f"process {self.pid} ended")
        return said.strip()

    async def tell(self, text: str) -> str:
        """Say a line to it; what it answers."""
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()
        return await self.line()

    def end(self) -> None:
        """At once."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8")[-2000:]


class Followed:
    """Objects of a kind, by name, as they are now."""

    def __init__(self, cluster: Any, kind: Kind, test: Callable[[Object], bool]) -> None:
        self.passed: set[str] = set()
        self._test, self._changed = test, asyncio.Event()
        self._informer = Informer(cluster, Watch(kind, NAMESPACE))
        self._informer.on_change(self._change)
        self._informer.start()

    def _change(self, old: Object | None, new: Object | None) -> None:
        name = (new or old or {})["metadata"]["name"]
        (self.passed.add if new is not None and self._test(new) else self.passed.discard)(name)
        self._changed.set()

    async def until(self, count: int) -> None:
        """Until so many pass the test."""
        try:
            async with asyncio.timeout(PATIENCE):
                while len(self.passed) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            kind = self._informer.watch.kind.kind
            raise RuntimeError(f"{len(self.passed)} of {count} {kind} objects are as they should be") from None
        finally:
            await self._informer.stop()


@dataclass
class World:
    """Everything, running."""

    folder: Path
    processes: dict[str, Process]
    cluster: Any
    http: aiohttp.ClientSession
    rest: str
    metrics: str
    addresses: dict[str, Any]
    token: str
    own: Counter[tuple[str, str]] = field(default_factory=Counter)
    """What this process itself asked of the hub."""

    def cpu(self) -> dict[str, float]:
        """Seconds of each process."""
        return {name: process.cpu() for name, process in self.processes.items()}

    async def asked(self) -> Counter[tuple[str, str]]:
        """How often each route of the hub was asked by the provider."""
        async with self.http.get(f"{self.metrics}/metrics") as answer:
            text = await answer.text()
        counts = Counter({(method, route): int(count) for method, route, count in _COUNT.findall(text)})
        counts.subtract(self.own)
        return +counts

    async def call(self, method: str, path: str, route: str, body: Any = None) -> Any:
        """Ask the hub as a person would; the JSON of its answer."""
        self.own[method, route] += 1
        headers = {"X-Auth-Token": self.token, "Prefer": "respond-async"}
        async with self.http.request(method, f"{self.rest}/v1/{path}", json=body, headers=headers) as answer:
            if answer.status >= 400:
                raise RuntimeError(f"{method} {path}: {answer.status} {await answer.text()}")
            return await answer.json()

    async def make(self, kind: Kind, name: str, fields: Object, **metadata: Any) -> None:
        """An object for the provider."""
        await self.cluster.create(kind.new(name, NAMESPACE, metadata=metadata, spec={"forProvider": fields}))

    async def secrets(self, names: Sequence[str]) -> list[dict[str, str]]:
        """What the provider wrote down for these boards."""
        found = {
            obj["metadata"]["name"]: obj["data"] for obj in (await self.cluster.list(kinds.SECRET, NAMESPACE)).items
        }
        return [
            {key: base64.b64decode(value).decode() for key, value in found[f"{name}-board"].items()} for name in names
        ]


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """All but the boards, which come later."""
    processes: dict[str, Process] = {}
    try:
        kubeconfig, data, metrics = folder / "kubeconfig", folder / "hub", _free_port()
        processes["cluster"] = Process(
            "benchmarks.boards_world", "cluster", str(kubeconfig), log=folder / "cluster.log", talks=True
        )
        await processes["cluster"].line()
        nowhere = [each for name in ("listen", "wamp", "tunnel", "network") for each in (f"--{name}", "127.0.0.1:0")]
        processes["hub"] = await Process.ready(
            "continuo.cli.main", "hub", "--data", str(data), *nowhere, "--insecure", "--allow-unsigned",
            "--metrics", f"127.0.0.1:{metrics}", log=folder / "hub.log",
        )  # fmt: skip
        addresses = json.loads((data / "running.json").read_text(encoding="utf-8"))
        made = await ask(data, None, "token add", project="bench", role="admin_iot_project", user=None)
        cluster = connect(kubeconfig, name="bench")
        await _configured(cluster, addresses["rest"], made["token"])
        processes["provider"] = await Process.ready(
            "continuo.cli.main", "boards", "provider", "--kubeconfig", str(kubeconfig), log=folder / "provider.log"
        )
        async with aiohttp.ClientSession() as http:
            try:
                yield World(
                    folder, processes, cluster, http, addresses["rest"], f"http://127.0.0.1:{metrics}", addresses,
                    made["token"],
                )  # fmt: skip
            finally:
                await cluster.close()
    finally:
        for process in reversed(processes.values()):
            process.end()


async def _configured(cluster: Any, endpoint: str, token: str) -> None:
    held = kinds.SECRET.new("hub", NAMESPACE, data={"credentials": base64.b64encode(token.encode()).decode()})
    await cluster.create(held)
    reference = {"source": "Secret", "secretRef": {"name": "hub", "namespace": NAMESPACE}}
    spec = {"endpoint": endpoint, "authType": "token", "credentials": reference}
    await cluster.create(CLUSTER_PROVIDER_CONFIG.new("default", spec=spec))


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _cluster(kubeconfig: Path) -> None:
    """An embedded cluster that knows the kinds of boards, until killed."""
    engine = EmbeddedEngine()
    engine.start()
    server = Server(engine)
    await server.start()
    engine.base_url, engine.credentials = server.base_url, server
    api = engine.create_cluster("bench")
    for definition in boards_crds():
        api.create(definition, Write(manager="bench", trusted=True))
    await asyncio.to_thread(kubeconfig.write_text, server.kubeconfig(server.url("bench"), "bench"))
    print("ready", flush=True)
    await asyncio.Event().wait()


async def _crowd(home: Path, url: str, ca: str) -> None:
    """Boards: each line is a JSON list of codes for more of them, answered when they are online."""
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        codes = json.loads(line)
        await Crowd(home / codes[0], url, tuple(codes), Path(ca)).start()
        print("online", flush=True)


def main(arguments: Sequence[str]) -> int:
    """One of the processes."""
    import uvloop

    match list(arguments):
        case ["cluster", kubeconfig]:
            uvloop.run(_cluster(Path(kubeconfig)))
        case ["crowd", home, url, ca]:
            uvloop.run(_crowd(Path(home), url, ca))
        case _:
            return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
