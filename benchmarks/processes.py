"""The engine and the operator, each in a process of its own, so that the CPU of each is known.

A child speaks JSON lines: it prints what it has to say, and answers the commands that it reads. The parent is the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used since it started."""

    cpu: float
    """Seconds, user and system."""
    rss: float
    """Resident MiB, now."""
    requests: dict[str, int]
    """Requests sent, by verb; of the operator."""

    def __sub__(self, before: Usage) -> Usage:
        verbs = {verb: count - before.requests.get(verb, 0) for verb, count in self.requests.items()}
        return Usage(self.cpu - before.cpu, self.rss, {verb: count for verb, count in sorted(verbs.items()) if count})

    @property
    def calls(self) -> int:
        """All requests together."""
        return sum(self.requests.values())


class Child:
    """A process of this module, and the conversation with it."""

    def __init__(self, role: str, *arguments: str) -> None:
        self._role = role
        command = [sys.executable, "-m", "benchmarks.processes", role, *arguments]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.pid = self._process.pid
        self.hello = self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the benchmark's process {self._role} ended")
        return json.loads(line)

    def ask(self, command: str) -> Any:
        """Send a command and wait for its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        return self._read()

    def usage(self) -> Usage:
        """What it has used until now."""
        return Usage(**self.ask("usage"))

    def stop(self) -> None:
        """End it and wait for its end."""
        with contextlib.suppress(OSError):
            self._process.communicate(timeout=60)  # closes its input, which is the sign
        if self._process.returncode is None:
            self._process.kill()


@contextlib.contextmanager
def engine(**settings: Any) -> Iterator[Child]:
    """An engine with its stand-ins on a disk; `hello["kubeconfig"]` is the management cluster's."""
    with TemporaryDirectory(prefix="continuo-benchmark-") as data:
        child = Child("engine", data, json.dumps(settings))
        try:
            yield child
        finally:
            child.stop()


@contextlib.contextmanager
def operator(of: Child, **settings: Any) -> Iterator[Child]:
    """The operator of an engine, as `continuo operator` runs it."""
    with operator_of(of.hello["kubeconfig"], **settings) as child:
        yield child


@contextlib.contextmanager
def operator_of(kubeconfig: str, **settings: Any) -> Iterator[Child]:
    """The operator of any management cluster."""
    child = Child("operator", kubeconfig, json.dumps(settings))
    try:
        yield child
    finally:
        child.stop()


@contextlib.contextmanager
def reflector(home: Path, remote: Path, **settings: Any) -> Iterator[Child]:
    """Our own reflection engine, as `continuo reflect` runs it."""
    child = Child("reflector", str(home), json.dumps({"remote": str(remote), **settings}))
    try:
        yield child
    finally:
        child.stop()


@contextlib.contextmanager
def clusters(names: list[str], nodes: int, *, seed: int = 1, **settings: Any) -> Iterator[Child]:
    """An engine with bare clusters of so many nodes, in memory; `hello` has the kubeconfig of each by name.

    A disk that others write to would hide what is measured: in a chain each write waits for the one before.
    """
    child = Child("clusters", json.dumps(names), json.dumps({"nodes": nodes, "seed": seed, "settings": settings}))
    try:
        yield child
    finally:
        child.stop()


@contextlib.contextmanager
def fleet(kubeconfigs: dict[str, str], nodes: list[dict[str, Any]], **settings: Any) -> Iterator[Child]:
    """A fleet of reflections, as `continuo reflect --file` runs it. `broker` names a cluster whose selector is in it,
    too; with `at_creation` it places pods while they are created.
    """
    child = Child("fleet", json.dumps(kubeconfigs), json.dumps({"nodes": nodes, **settings}))
    try:
        yield child
    finally:
        child.stop()


# --- the children ---


def _usage(requests: Callable[[], Counter[str]]) -> dict[str, Any]:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    rss = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return {"cpu": spent.ru_utime + spent.ru_stime, "rss": rss, "requests": dict(requests())}


async def _converse(hello: Any, requests: Callable[[], Counter[str]]) -> None:
    """Answer commands until the input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps(hello), flush=True)
    while line := await reader.readline():
        command = line.decode().strip()
        if command != "usage":
            raise SystemExit(f"no such command: {command}")
        print(json.dumps(_usage(requests)), flush=True)


async def _engine(data: str, settings: dict[str, Any]) -> None:
    from continuo.cli import tuning
    from continuo.cli.host import Host
    from continuo.embedded.standins.settings import Settings

    tuning.settle()
    host = Host(Path(data), port=0, standins=Settings(**settings), seed=1)
    await host.start()
    try:
        await _converse({"kubeconfig": host.engine.kubeconfig("management")}, Counter)
    finally:
        await host.stop()


async def _clusters(names: str, wanted: dict[str, Any]) -> None:
    from continuo.cli import tuning
    from continuo.cli.host import Host
    from continuo.embedded.standins.settings import Settings
    from continuo.embedded.standins.workload import NewNode, register
    from continuo.embedded.standins.workload.nodes import BUILTIN_NETWORK

    tuning.settle()
    # The seed makes UIDs, too, by which clusters are told apart: engines side by side need different ones.
    host = Host(None, port=0, standins=Settings(**wanted["settings"]), seed=wanted["seed"])
    await host.start()
    for name in json.loads(names):
        api = host.engine.create_cluster(name)
        for number in range(wanted["nodes"]):
            labels = {BUILTIN_NETWORK: "builtin"}
            register(api, NewNode(f"{name}-{number}", "v1.34.0", f"192.0.2.{number}", labels=labels))
    try:
        await _converse({name: host.engine.kubeconfig(name) for name in json.loads(names)}, Counter)
    finally:
        await host.stop()


async def _fleet(kubeconfigs: str, settings: dict[str, Any]) -> None:
    from continuo.broker.selector.desk import PODS
    from continuo.broker.selector.selector import Selector
    from continuo.cli import tuning
    from continuo.federation.reflection.engine import Settings
    from continuo.federation.reflection.fleet import Fleet, Peer
    from continuo.federation.reflection.hub import POD_INDEXERS
    from continuo.kube.config import connect
    from continuo.kube.transport import Transports
    from continuo.resources.kinds import POD
    from continuo.runtime.informer import Watch
    from continuo.runtime.sharing import SharedInformer

    tuning.settle()
    transports = Transports()
    ends = {name: connect(text, name=name, transports=transports) for name, text in json.loads(kubeconfigs).items()}
    work = Fleet()
    broker: str | None = settings.get("broker")
    shared = SharedInformer(ends[broker], Watch(POD, indexers={**PODS, **POD_INDEXERS})) if broker is not None else None
    for name, end in ends.items():
        work.add_cluster(end, shared if name == broker else None)
    selector = Selector(ends[broker], pods=shared) if broker is not None else None
    if broker is not None and selector is not None and settings["at_creation"]:
        work.placed_by(broker, selector.placement)
    deciding = asyncio.create_task(selector.run()) if selector is not None else None
    if selector is not None and deciding is not None:
        ready = asyncio.create_task(selector.ready.wait())
        await asyncio.wait({ready, deciding}, return_when=asyncio.FIRST_COMPLETED)
        if deciding.done():
            deciding.result()
    peers = [
        Peer(node.pop("home"), node.pop("remote"), Settings(**{**node, "namespaces": frozenset(node["namespaces"])}))
        for node in settings["nodes"]
    ]
    await work.declare(peers)
    for peer in peers:
        await work.ready(*peer.key)
    try:
        await _converse({}, lambda: sum((end.requests for end in ends.values()), Counter()))
    finally:
        await work.close()
        if deciding is not None:
            deciding.cancel()
            await asyncio.gather(deciding, return_exceptions=True)
        await asyncio.gather(*(end.close() for end in ends.values()))


async def _operator(kubeconfig: str, settings: dict[str, Any]) -> None:
    from continuo.cli import tuning
    from continuo.cli.host import local_operator
    from continuo.orchestrator.settings import Settings

    tuning.settle()
    controllers = local_operator(kubeconfig, Settings(**settings))

    def requests() -> Counter[str]:
        clusters: list[Any] = [controllers.management, *(member.cluster for member in controllers.fleet)]
        return sum((cluster.requests for cluster in clusters), Counter())

    work = asyncio.create_task(controllers.run())
    try:
        await _converse({}, requests)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await controllers.management.close()


async def _reflector(home: str, settings: dict[str, Any]) -> None:
    from continuo.cli import tuning
    from continuo.federation.reflection.engine import Reflection, Settings
    from continuo.kube.config import connect

    tuning.settle()
    ends = connect(Path(home), name="home"), connect(Path(settings["remote"]), name="remote")
    reflection = Reflection(*ends, Settings(settings["node"], frozenset(settings["namespaces"])))
    work = asyncio.create_task(reflection.run())
    ready = asyncio.create_task(reflection.ready.wait())
    await asyncio.wait({work, ready}, return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        work.result()
    try:
        await _converse({}, lambda: sum((end.requests for end in ends), Counter()))
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await asyncio.gather(*(end.close() for end in ends))


def main() -> None:
    """The entry of a child."""
    import logging

    import uvloop

    logging.basicConfig(level=logging.ERROR)
    role, subject, settings = sys.argv[1:]
    roles = {
        "engine": _engine, "operator": _operator, "reflector": _reflector, "clusters": _clusters, "fleet": _fleet,
    }  # fmt: skip
    uvloop.run(roles[role](subject, json.loads(settings)))


if __name__ == "__main__":
    main()
