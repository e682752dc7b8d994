"""What the demo runs on: an engine, and beside it brokers, mappers, a relay and three sites, each a process of its own."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from continuo.cli import demo_folder, places
from continuo.cli.companions import Starting, begin_companion, known
from continuo.cli.demo_ending import end, to_the_end
from continuo.cli.sensors_demo import mosquitto, scene
from continuo.cli.sensors_demo.trust import PREFIX, Trust
from continuo.cli.up import start_detached
from continuo.kube.client import KubeCluster
from continuo.resources import kinds
from continuo.resources.crds import edge_crds

DEMO, MANAGER = "sensors", "continuo-demo"
PATIENCE = 8.0
"""Seconds that processes have to end by themselves."""


@dataclass(slots=True)
class Stage:
    """Clients of all clusters by name, and where everything listens."""

    data: Path
    trust: Trust
    clusters: dict[str, KubeCluster] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    broker: str = ""
    """Whose MQTT brokers they are."""
    consumers: asyncio.Task[None] | None = None

    def __getitem__(self, name: str) -> KubeCluster:
        return self.clusters[name]

    async def begin_consumers(self) -> None:
        """Start the consumers' sites, which is waited for when they are needed."""
        started = [await _buyer(self, party) for party in (scene.FIRST, scene.SECOND)]
        self.consumers = asyncio.create_task(_all_ready(started))

    def address(self, what: str) -> str:
        """`host:port` of a listener."""
        return f"127.0.0.1:{self.ports[what]}"


@asynccontextmanager
async def staged(data: Path, trust: Trust) -> AsyncIterator[Stage]:
    """Everything that runs; nothing does afterwards, also when it is left by an error or by Ctrl-C, which leave the logs."""
    demo_folder.usable(data, DEMO)
    await to_the_end(stop, data)
    await asyncio.to_thread(_renew, data, trust)
    stage = Stage(data, trust)
    try:
        async with AsyncExitStack() as stack:
            await _start(stage, stack)
            yield stage
    finally:
        await to_the_end(stop, data)
        if stage.consumers is not None:
            await asyncio.gather(stage.consumers, return_exceptions=True)  # they have ended
    demo_folder.empty(data)


def _renew(data: Path, trust: Trust) -> None:
    """Nothing of an earlier demo is left, also not of one that was killed."""
    link = data / "sockets"
    if link.is_symlink() and (folder := link.resolve()).name.startswith(PREFIX):
        shutil.rmtree(folder, ignore_errors=True)
    demo_folder.empty(data)
    link.symlink_to(trust.folder)


def stop(data: Path) -> None:
    """End what runs on that folder."""
    ours = {name: pid for name, pid in known(data).items() if places.is_ours(pid)}
    running = places.find_running(data)
    end([pid for name, pid in ours.items() if not mosquitto.is_one(name)], PATIENCE)
    last = [pid for name, pid in ours.items() if mosquitto.is_one(name)]  # clients want to say goodbye to it
    end([*last, running.pid] if running is not None else last, PATIENCE)


async def _start(stage: Stage, stack: AsyncExitStack) -> None:
    names = [*scene.EDGES, "ingest", "control", "monitor", scene.PROVIDER]
    stage.broker = mosquitto.where() or "the embedded one, since no mosquitto is installed"
    with ExitStack() as held:
        _hold(stage, names, held)
        engine = asyncio.create_task(to_the_end(_start_engine, stage.data))
        try:
            await _all_ready([await _relay(stage), *[await _edge(stage, edge) for edge in scene.EDGES]])
        finally:
            await asyncio.wait([engine])
        await engine
        await _connect(stage, stack)
        await _prepare(stage)
        await _all_ready([await _seller(stage)])


def _hold(stage: Stage, names: list[str], held: ExitStack) -> None:
    """Free ports, kept by sockets that do not listen: others may on the same ports, if they know them."""
    for name in names:
        made = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("127.0.0.1", 0))
        stage.ports[name] = made.getsockname()[1]


async def _all_ready(started: list[Starting]) -> None:
    waiting = [asyncio.create_task(asyncio.to_thread(each.ready)) for each in started]
    try:
        await asyncio.gather(*waiting)
    except BaseException:
        end([each.pid for each in started], PATIENCE)  # so that the threads end, which read what they say
        raise
    finally:
        await asyncio.gather(*waiting, return_exceptions=True)


def _start_engine(data: Path) -> None:
    more = [part for name in scene.CLUSTERS for part in ("--cluster", name)]
    start_detached(data, port=0, operator=False, speed=100.0, more=more)


async def _edge(stage: Stage, edge: str) -> Starting:
    """A broker and a mapper, the gateway of its boards; without mosquitto the mapper is the broker, too."""
    port = stage.ports[edge]
    file = stage.data / f"{edge}.yaml"
    file.write_text(yaml.safe_dump(scene.boards(edge), sort_keys=False), encoding="utf-8")
    more = [] if mosquitto.where() else ["--embedded-broker"]
    if not more:
        mosquitto.start(stage.data, edge, port)
    folder = stage.data / f"mapper-{edge}"
    identity = await stage.trust.door(scene.gateway_id(edge), scene.board_ids(edge).values())
    arguments = [
        "mapper", "-f", str(file), "--mqtt", f"mqtt://127.0.0.1:{port}", "--data", str(folder), *more,
        "--delegations", f"https://{stage.address('control')}", "--relay-id", scene.RELAY_ID,
    ]  # fmt: skip
    return begin_companion(stage.data, f"mapper-{edge}", arguments, identity)


async def _relay(stage: Stage) -> Starting:
    brokers = [part for edge in scene.EDGES for part in ("--mqtt", f"{edge}=mqtt://{stage.address(edge)}")]
    faces = [part for face in ("ingest", "control", "monitor") for part in (f"--{face}", stage.address(face))]
    identity = await stage.trust.door(scene.RELAY_ID)
    arguments = [
        "relay", *faces, *brokers, "--allow", scene.site_id(scene.PROVIDER), "--require-delegation", "--drain", "1",
        "--data", str(stage.data / "relay"),
    ]  # fmt: skip
    return begin_companion(stage.data, "relay", arguments, identity)


async def _connect(stage: Stage, stack: AsyncExitStack) -> None:
    from continuo.kube.config import connect

    text = places.kubeconfig_path(stage.data).read_text(encoding="utf-8")
    for party in (scene.PROVIDER, scene.FIRST, scene.SECOND):
        client = stage.clusters[party] = connect(text, context=party, name=party)
        stack.push_async_callback(client.close)


async def _prepare(stage: Stage) -> None:
    """The kinds of the market everywhere, and the provider's edge nodes."""
    crds = edge_crds()
    for cluster in stage.clusters.values():
        await asyncio.gather(*(cluster.apply(definition, manager=MANAGER) for definition in crds))
        await cluster.apply(kinds.NAMESPACE.new(scene.SPACE), manager=MANAGER)
    for edge in scene.EDGES:
        await stage[scene.PROVIDER].patch(kinds.NODE, edge, {"metadata": {"labels": scene.SENSING}}, manager=MANAGER)
    for party in (scene.FIRST, scene.SECOND):
        await stage[party].apply(scene.known_cluster(stage.address(scene.PROVIDER)), manager=MANAGER)


async def _seller(stage: Stage) -> Starting:
    """The provider: finds sensors, sells them, makes their paths."""
    buyers = [part for party in (scene.FIRST, scene.SECOND) for part in ("--admit", f"spiffe://{scene.domain(party)}")]
    arguments = [
        "edge", "serve", *_context(stage, scene.PROVIDER), "--no-buy", "--listen", stage.address(scene.PROVIDER),
        "--advertise", stage.address(scene.PROVIDER), *buyers, "--relay", f"https://{stage.address('control')}",
        "--relay-id", scene.RELAY_ID, "--allow-network", "127.0.0.1/32",
    ]  # fmt: skip
    return begin_companion(stage.data, scene.PROVIDER, arguments, await stage.trust.door(scene.site_id(scene.PROVIDER)))


async def _buyer(stage: Stage, party: str) -> Starting:
    """A consumer: lets the Solvers of its cluster buy."""
    arguments = [
        "edge", "serve", *_context(stage, party), "--no-sell", "--no-find", "--seller", scene.site_id(scene.PROVIDER),
        "--advertise", "127.0.0.1:9",
    ]  # fmt: skip
    return begin_companion(stage.data, party, arguments, await stage.trust.door(scene.site_id(party)))


def _context(stage: Stage, party: str) -> list[str]:
    kubeconfig = str(places.kubeconfig_path(stage.data))
    return ["--kubeconfig", kubeconfig, "--context", party, "--domain", scene.domain(party), "--node-id", party]
