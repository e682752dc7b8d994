"""What the demo runs on: an engine, a broker and a catalog, each a process of its own on one data folder."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from continuo.cli import demo_folder, places
from continuo.cli.brokers_demo import scene
from continuo.cli.catalog_client import Where
from continuo.cli.companions import start_companion, stop_companions
from continuo.cli.up import start_detached, stop_engine
from continuo.kube.client import KubeCluster
from continuo.resources import kinds
from continuo.resources.broker import CONSUMER, PROVIDER, broker_crds
from continuo.resources.meta import Kind, is_true
from continuo.runtime.following import until

MANAGER = "continuo-demo"
SPEED = 50.0
"""Simulated machines and containers come up that much faster, so that what is measured is what the brokers cost."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Clients of all clusters by name."""

    data: Path
    clusters: dict[str, KubeCluster]

    def __getitem__(self, name: str) -> KubeCluster:
        return self.clusters[name]

    def catalog(self, account: str) -> Where:
        """The catalog, as somebody's."""
        import json

        folder = self.data / "catalog"
        url = json.loads((folder / "running.json").read_text(encoding="utf-8"))["url"]
        operator = account == "operator"
        return Where(url, folder if operator else folder / account, operator)


def usable(data: Path) -> Path:
    """The folder that is meant, there and this demo's to use up; raises BadInput where it is somebody else's."""
    return demo_folder.usable(data, "brokers")


def start_engine(data: Path) -> None:
    """A new engine with the clusters; what an earlier demo left goes."""
    stop(data)
    usable(data)
    more = [part for name in scene.clusters() for part in ("--cluster", name)]
    start_detached(data, operator=False, speed=SPEED, more=more)


def stop(data: Path) -> None:
    """End an earlier demo on that folder and forget what it stored; a folder of something else is refused."""
    usable(data)
    stop_companions(data, 20.0)
    running = places.find_running(data)
    if running is not None:
        stop_engine(running.pid, 20.0)
    demo_folder.empty(data)


@asynccontextmanager
async def connected(data: Path) -> AsyncIterator[Stage]:
    """Clients, closed at the end."""
    from continuo.kube.config import connect

    text = places.kubeconfig_path(data).read_text(encoding="utf-8")
    names = [context["name"] for context in yaml.safe_load(text)["contexts"]]
    async with AsyncExitStack() as stack:
        clients = {name: connect(text, context=name, name=name) for name in names}
        for client in clients.values():
            stack.push_async_callback(client.close)
        yield Stage(data, clients)


async def declare(stage: Stage) -> None:
    """Everything that the broker has to be told."""
    broker = stage[scene.BROKER]
    await asyncio.gather(*(broker.apply(definition, manager=MANAGER) for definition in broker_crds()))
    for obj in scene.declared():
        await broker.apply(obj, manager=MANAGER)
    text = places.kubeconfig_path(stage.data).read_text(encoding="utf-8")
    for party in (*scene.PROVIDERS, *scene.CONSUMERS):
        data = {"value": base64.b64encode(_alone(text, party.name).encode()).decode()}
        await broker.apply(kinds.SECRET.new(party.name, scene.SYSTEM, data=data), manager=MANAGER)


def _alone(kubeconfig: str, context: str) -> str:
    """One context of a kubeconfig."""
    whole = yaml.safe_load(kubeconfig)
    kept = {
        part: [each for each in whole[part] if each["name"] == context] for part in ("clusters", "users", "contexts")
    }
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **kept, "current-context": context})


async def start_broker(stage: Stage, timeout: float) -> None:
    """The broker's process; returns when every provider and consumer is connected."""
    kubeconfig = ("--kubeconfig", str(places.kubeconfig_path(stage.data)), "--context", scene.BROKER)
    await asyncio.to_thread(
        start_companion, stage.data, "broker", ["broker", "serve", *kubeconfig, "--gateway-service", "NodePort"]
    )
    await asyncio.gather(
        _all_ready(stage, PROVIDER, len(scene.PROVIDERS), timeout),
        _all_ready(stage, CONSUMER, len(scene.CONSUMERS), timeout),
    )


async def start_catalog(stage: Stage) -> None:
    """The catalog's process; what is bought there is delivered by the broker."""
    link = ("--link", str(places.kubeconfig_path(stage.data)), "--link-context", scene.BROKER)
    await asyncio.to_thread(start_companion, stage.data, "catalog", ["catalog", "serve", "--port", "0", *link])


async def _all_ready(stage: Stage, kind: Kind, count: int, timeout: float) -> None:
    await until(
        stage[scene.BROKER], kind, lambda found: sum(is_true(obj, "Ready") for obj in found) == count,
        timeout=timeout, what=f"all {count} {kind.plural} to be connected",
    )  # fmt: skip
