"""What the demo runs on: an engine, a hub, a provider and five agents. Boards are namespaces where they can be."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from continuo.cli import demo_folder, places
from continuo.cli.boards_demo import scene
from continuo.cli.boards_demo.hub import HubClient, asking
from continuo.cli.boards_demo.wires import NotPossible, Wires, impossible, prefix_of, wires
from continuo.cli.boards_demo.wires import end as end_wires
from continuo.cli.companions import Starting, begin_companion, known, remember
from continuo.cli.demo_ending import end, to_the_end
from continuo.cli.failures import Failed
from continuo.cli.hub_admin import ask
from continuo.cli.up import start_detached
from continuo.kube.client import KubeCluster
from continuo.resources import kinds
from continuo.resources.boards import boards_crds

DEMO, MANAGER = "boards", "continuo-demo"
PATIENCE = 8.0
"""Seconds that processes have to end by themselves."""
_AGENT = "agent-"


@dataclass(slots=True)
class Stage:
    """Where everything is."""

    data: Path
    wires: Wires | None = None
    why: str = ""
    """Why boards are no namespaces."""
    agents: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _cluster: KubeCluster | None = None
    _hub: HubClient | None = None

    @property
    def cluster(self) -> KubeCluster:
        assert self._cluster is not None
        return self._cluster

    @property
    def hub(self) -> HubClient:
        assert self._hub is not None
        return self._hub

    @property
    def host(self) -> str:
        """Where boards reach the hub."""
        return self.wires.hub if self.wires is not None else "127.0.0.1"

    @property
    def kubeconfig(self) -> Path:
        return places.kubeconfig_path(self.data)

    @property
    def hub_folder(self) -> Path:
        return self.data / "hub"

    def home(self, board: str) -> Path:
        """An agent's own folder."""
        return self.data / board

    def told(self) -> dict[str, str]:
        """Where the hub listens, as it says itself."""
        found: dict[str, str] = json.loads((self.hub_folder / "running.json").read_text(encoding="utf-8"))
        return found

    def entering(self, board: str) -> list[str]:
        """What a command begins with to be run on that board."""
        return self.wires.entering(scene.number_of(board)) if self.wires is not None else []

    def start_agent(self, board: str) -> None:
        """As its machine's service manager would."""
        told, settings = self.told(), self.data / f"{board}.json"
        command = [
            *self.entering(board), sys.executable, "-m", "continuo.iot.agent", "--home", str(self.home(board)),
            "--settings", str(settings), "--hub", told["wamp"], "--ca", told["ca"],
        ]  # fmt: skip
        with (self.data / f"{_AGENT}{board}.log").open("ab") as log:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )  # fmt: skip
        remember(self.data, f"{_AGENT}{board}", child.pid)
        self.agents[board] = child

    async def bootstrap(self, board: str) -> None:
        """Bring the board what its connection Secret has: its code, and where the hub is."""
        found = await self.cluster.get(kinds.SECRET, f"{board}-board", scene.SPACE)
        settings = self.data / f"{board}.json"
        settings.touch(mode=0o600)
        settings.write_bytes(base64.b64decode(found["data"]["settings.json"]))


@asynccontextmanager
async def staged(data: Path) -> AsyncIterator[Stage]:
    """Everything that runs; nothing does afterwards, also when it is left by an error or by Ctrl-C, which leave the logs."""
    demo_folder.usable(data, DEMO)
    await to_the_end(stop, data)
    await asyncio.to_thread(demo_folder.empty, data)
    stage = Stage(data)
    try:
        await to_the_end(_wire, stage)
        async with AsyncExitStack() as stack:
            await _start(stage, stack)
            yield stage
    finally:
        await to_the_end(stop, data)
    await asyncio.to_thread(demo_folder.empty, data)


def _wire(stage: Stage) -> None:
    """The boards' namespaces, or why there are none."""
    why = impossible()
    if why is not None:
        stage.why = why
        return
    try:
        made = wires(stage.data)
        made.begin(len(scene.BOARDS))
        stage.wires = made
    except NotPossible as error:
        stage.why = str(error)


def stop(data: Path) -> None:
    """End what runs on that folder, and take its namespaces away."""
    ours = {name: pid for name, pid in known(data).items() if places.is_ours(pid)}
    agents = [pid for name, pid in ours.items() if name.startswith(_AGENT)]
    end(agents, PATIENCE)
    running = places.find_running(data)
    others = [pid for pid in ours.values() if pid not in agents]
    end([*others, running.pid] if running is not None else others, PATIENCE)
    if impossible() is None:
        end_wires(prefix_of(data))


async def _start(stage: Stage, stack: AsyncExitStack) -> None:
    hub = asyncio.create_task(_ready(_hub(stage)))
    try:
        await to_the_end(_start_engine, stage.data)
        await _connect(stage, stack)
        await _ready(_provider(stage))
        await hub
    finally:
        hub.cancel()
        await asyncio.gather(hub, return_exceptions=True)
    await _introduce(stage, stack)


async def _connect(stage: Stage, stack: AsyncExitStack) -> None:
    """The cluster knows the kinds of boards."""
    from continuo.kube.config import connect

    text = await asyncio.to_thread(stage.kubeconfig.read_text, "utf-8")
    stage._cluster = connect(text, context=scene.CONTEXT, name=scene.CONTEXT)
    stack.push_async_callback(stage._cluster.close)
    await asyncio.gather(*(stage.cluster.apply(each, manager=MANAGER) for each in boards_crds()))


async def _introduce(stage: Stage, stack: AsyncExitStack) -> None:
    """The provider and the demo may ask the hub."""
    made = await ask(stage.hub_folder, None, "token add", project=scene.PROJECT, role="admin_iot_project", user=None)
    told, token = stage.told(), made["token"]
    stage._hub = await stack.enter_async_context(asking(told["rest"], Path(told["ca"]), token))
    ca = await asyncio.to_thread(Path(told["ca"]).read_text, "utf-8")
    for each in scene.configuration(told["rest"], ca, token):
        await stage.cluster.apply(each, manager=MANAGER)


async def _ready(starting: Starting) -> None:
    waiting = asyncio.create_task(asyncio.to_thread(starting.ready))
    try:
        await asyncio.shield(waiting)
    except BaseException:
        end([starting.pid], PATIENCE)  # so that the thread ends, which reads what it says
        await asyncio.gather(waiting, return_exceptions=True)
        raise


def _start_engine(data: Path) -> None:
    start_detached(data, port=0, operator=False)


def _hub(stage: Stage) -> Starting:
    arguments = [
        "hub", "--data", str(stage.hub_folder), "--listen", "127.0.0.1:0", "--wamp", f"{stage.host}:0",
        "--tunnel", f"{stage.host}:0", "--network", f"{stage.host}:0",
    ]  # fmt: skip
    return begin_companion(stage.data, "hub", arguments)


def _provider(stage: Stage) -> Starting:
    arguments = ["boards", "provider", "--kubeconfig", str(stage.kubeconfig), "--context", scene.CONTEXT]
    return begin_companion(stage.data, "provider", arguments)


def resident(pid: int) -> float:
    """Megabytes that a process has in memory."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise Failed(f"process {pid} has ended")
