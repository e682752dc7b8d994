"""The embedded engine with everything that `continuo up` runs in one process: API server, stand-ins, and the operator."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from continuo.cli import places
from continuo.cli.failures import Failed
from continuo.cli.health import listening, traced
from continuo.cli.outside import Outside
from continuo.cli.together import Together
from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server
from continuo.embedded.standins import all_standins, bare, prepare_management
from continuo.embedded.standins.bare import Bare
from continuo.embedded.standins.settings import Settings as StandInSettings
from continuo.events.publisher import Publisher
from continuo.kube.config import connect
from continuo.kube.transport import Transports
from continuo.orchestrator.loops.figures import Figures
from continuo.orchestrator.operator import Operator
from continuo.orchestrator.settings import Settings
from continuo.orchestrator.telling import Telling
from continuo.resources.meta import Object
from continuo.telemetry.calls import Calls
from continuo.telemetry.process import process_metrics
from continuo.telemetry.tracing import Tracing

log = logging.getLogger(__name__)

DEFAULT_PORT = 16443
Beside = Sequence[Callable[[], Awaitable[None]]]


class Host:
    """One engine. `start` and `stop` are called in the same event loop."""

    def __init__(
        self,
        data: Path | None,
        *,
        port: int | None = None,
        host: str = "127.0.0.1",
        standins: StandInSettings | None = None,
        seed: int | None = None,
        clusters: Sequence[Bare] = (),
        tls: bool = True,
    ) -> None:
        """Without `tls` it speaks plain HTTP: for use within one machine that is not about certificates."""
        self.data = data
        if data is not None:
            data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.engine = EmbeddedEngine(data)
        remembered = _remembered_port(data)
        number = port if port is not None else remembered or 0
        self.server = Server(self.engine, host, number, data_dir=data, tls=tls)
        self._rng = random.Random(seed)
        self._standins = all_standins(self.engine, rng=self._rng, settings=standins or StandInSettings())
        self._bare = tuple(clusters)
        self._stopping = False

    async def start(self) -> None:
        """Serve the management cluster and every cluster of an earlier run."""
        await self.server.start()
        self.engine.base_url = self.server.base_url
        self.engine.credentials = self.server
        self.engine.start()
        prepare_management(self.engine.management)
        for standin in self._standins:
            standin.start()
        if self.data is not None:
            (self.data / "port.json").write_text(json.dumps({"port": self.server.port}), encoding="utf-8")
            self.engine.on_cluster(lambda *_: self._write_kubeconfig())
        for wanted in self._bare:
            bare.make(self.engine, wanted, self._rng)

    async def stop(self) -> None:
        """Stop serving; everything is on disk afterwards."""
        self._stopping = True
        await self.server.stop()
        for standin in self._standins:
            standin.stop()
        await self.engine.stop()

    def kubeconfig(self) -> str:
        """One context per cluster; `management` is the current one."""
        documents = [self.engine.kubeconfig(api.name) for api in self.engine.clusters()]
        return merge_kubeconfigs(documents, [api.name for api in self.engine.clusters()])

    def _write_kubeconfig(self) -> None:
        if self.data is None or self._stopping:
            return
        path = places.kubeconfig_path(self.data)
        temporary = path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(self.kubeconfig())
        temporary.replace(path)

    def operator(self, settings: Settings | None = None, tracing: Tracing | None = None) -> Operator:
        """The orchestrator of this engine's management cluster, speaking to it as to any other."""
        return local_operator(self.engine.kubeconfig("management"), settings, tracing)

    def worker(self, tracing: Tracing | None, outside: Outside, stack: AsyncExitStack) -> tuple[Operator, Beside]:
        """The same, with what it speaks to beside the engine, closed with the stack, and what runs beside it for that."""
        return local_worker(self.engine.kubeconfig("management"), None, tracing, outside, stack)


def local_operator(kubeconfig: str, settings: Settings | None = None, tracing: Tracing | None = None) -> Operator:
    """An operator for the management cluster of that kubeconfig (text); its metrics are in `telling.metrics`."""
    return local_worker(kubeconfig, settings, tracing, Outside(), AsyncExitStack())[0]  # nothing is there to be closed


def local_worker(
    kubeconfig: str, settings: Settings | None, tracing: Tracing | None, outside: Outside, stack: AsyncExitStack
) -> tuple[Operator, Beside]:
    """The same, with what it speaks to beside its clusters."""
    metrics = process_metrics("operator")
    calls = Calls(metrics)
    transports = Transports(calls)
    management = connect(kubeconfig, name="management", transports=transports)

    def workload(text: str, *, name: str) -> object:
        return connect(text, name=name, transports=transports)

    telling, parts, prometheus = (
        Telling(metrics, tracing=tracing, calls=calls),
        outside.parts(management),
        outside.figures(),
    )
    for opened in (parts, prometheus):
        if opened is not None:
            stack.push_async_callback(opened.close)
    operator = Operator(
        management, workload, settings, telling=telling,  # type: ignore[arg-type]
        figures=Figures(prometheus), publisher=Publisher(parts.sinks) if parts is not None else None,
    )  # fmt: skip
    return operator, parts.beside if parts is not None else ()


def _remembered_port(data: Path | None) -> int | None:
    """The port of the last run: kubeconfigs that were handed out name it. A new engine takes the usual one if free."""
    if data is None:
        return None
    try:
        return int(json.loads((data / "port.json").read_text(encoding="utf-8"))["port"])
    except (OSError, ValueError, KeyError):
        return DEFAULT_PORT if _free(DEFAULT_PORT) else None


def _free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def merge_kubeconfigs(documents: list[str], names: list[str]) -> str:
    """Several kubeconfigs (YAML, one cluster each) as one; the first is current."""
    import yaml

    merged: Object = {
        "apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": [], "current-context": names[0],
    }  # fmt: skip
    for name, text in zip(names, documents, strict=True):
        document = yaml.load(text, Loader=yaml.CSafeLoader)
        merged["clusters"].append({"name": name, "cluster": document["clusters"][0]["cluster"]})
        merged["users"].append({"name": name, "user": document["users"][0]["user"]})
        context = {**document["contexts"][0]["context"], "cluster": name, "user": name}
        merged["contexts"].append({"name": name, "context": context})
    return yaml.dump(merged, Dumper=yaml.CSafeDumper, sort_keys=False)


async def serve(
    host: Host, *, with_operator: bool, ready: Callable[[], None], stop: asyncio.Event,
    metrics_port: int | None = None, outside: Outside | None = None,
) -> None:  # fmt: skip
    """Run the engine until told to stop. Metrics and probes are the operator's, on this machine alone."""
    async with AsyncExitStack() as stack:
        tracing = await stack.enter_async_context(traced("continuo-operator"))
        await host.start()
        operator, beside = host.worker(tracing, outside or Outside(), stack) if with_operator else (None, ())
        try:
            if operator is not None and metrics_port is not None:
                told = listening(
                    "--metrics-port", "127.0.0.1", metrics_port, operator.trouble, operator.telling.metrics
                )
                await stack.enter_async_context(told)
        except Failed:
            await host.stop()
            raise
        await _run(host, operator, beside, ready, stop)


async def _run(
    host: Host, operator: Operator | None, beside: Beside, ready: Callable[[], None], stop: asyncio.Event
) -> None:  # fmt: skip
    task = asyncio.create_task(Together(operator, beside).run(), name="operator") if operator is not None else None
    waiting = asyncio.create_task(stop.wait())
    try:
        ready()
        running = {waiting} if task is None else {waiting, task}
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        if task is not None and task.done() and not stop.is_set():
            task.result()
    finally:
        waiting.cancel()
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if operator is not None:
            await operator.management.close()
        await host.stop()
