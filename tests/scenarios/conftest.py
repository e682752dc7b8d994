"""A running engine with the operator beside it, as `continuo up` runs them, at many times the speed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from continuo.cli.host import Host
from continuo.embedded.standins.settings import Settings
from continuo.kube.config import connect
from continuo.kube.transport import Transports
from continuo.orchestrator.settings import Settings as OperatorSettings
from continuo.resources import kinds
from continuo.resources.errors import Expired, NotFound, Unreachable
from continuo.resources.meta import Kind, Object, is_true
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

PATIENCE = float(os.environ.get("CONTINUO_PATIENCE", "60"))
"""Seconds after which something that has to happen counts as never happening: a bound on failure, not an expectation."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Bed:
    """What a scenario works with: a client (to ask), waiting without polling, the engine (to look) where it runs here."""

    def __init__(self, host: Host | None = None, kubeconfig: str = "") -> None:
        self._host = host
        self.transports = Transports()
        text = kubeconfig or self.host.engine.kubeconfig("management")
        self.api = connect(text, name="management", transports=self.transports)
        self._clients: dict[str, Any] = {}

    @property
    def host(self) -> Host:
        assert self._host is not None, "the engine is a process of its own"
        return self._host

    async def close(self) -> None:
        for client in (self.api, *self._clients.values()):
            await client.close()

    async def apply(self, name: str, spec: Object, manager: str = "test", namespace: str = "default") -> Object:
        obj = LOW_LEVEL_ORCHESTRATION.new(name, namespace, spec=spec)
        return await self.api.apply(obj, manager=manager)

    async def credentials(self, namespace: str = "default") -> None:
        secret = kinds.SECRET.new("openstack-cloud-config", namespace, stringData={"clouds.yaml": "clouds: {}"})
        await self.api.apply(secret, manager="test")

    async def until(self, name: str, test: Any, namespace: str = "default") -> Object:
        """The orchestration, as soon as `test(obj)` holds."""
        return await self.wait(self.api, LOW_LEVEL_ORCHESTRATION, name, namespace, test)

    async def ready(self, name: str, namespace: str = "default") -> Object:
        return await self.until(name, is_ready, namespace)

    async def remove(self, name: str, namespace: str = "default") -> None:
        """Delete an orchestration and wait until it is gone."""
        await self.api.delete(LOW_LEVEL_ORCHESTRATION, name, namespace)
        await self.gone(LOW_LEVEL_ORCHESTRATION, name, namespace)

    async def gone(self, kind: Kind, name: str, namespace: str | None, api: Any = None) -> None:
        await self.wait(api or self.api, kind, name, namespace, lambda obj: obj is None)

    async def wait(self, api: Any, kind: Kind, name: str, namespace: str | None, test: Any) -> Any:
        last: Object | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    with contextlib.suppress(Unreachable, Expired):
                        async for last in _states(api, kind, name, namespace):
                            if test(last):
                                return last
                    await asyncio.sleep(0.05)  # the server ended the watch, or is away
        except TimeoutError:
            status = (last or {}).get("status")
            raise AssertionError(f"{kind.kind} {name} never got there; last seen: {status}") from None

    async def workload(self, cluster: str, orchestration: str, namespace: str = "default") -> Any:
        """A client for a workload cluster, from its kubeconfig Secret."""
        return await self.client(f"{orchestration}-{cluster}-kubeconfig", namespace)

    async def client(self, secret: str, namespace: str = "default") -> Any:
        """A client from a kubeconfig Secret."""
        name = f"{namespace}/{secret}"
        if name not in self._clients:
            found = await self.api.get(kinds.SECRET, secret, namespace)
            text = base64.b64decode(found["data"]["value"]).decode()
            self._clients[name] = connect(text, name=name, transports=self.transports)
        return self._clients[name]

    def engine_cluster(self, cluster: str, orchestration: str) -> Any:
        """The embedded cluster behind a declared one; None when it does not exist."""
        wanted = f"{orchestration}-{cluster}"
        return next((api for api in self.host.engine.clusters() if api.name.endswith(wanted)), None)

    async def exists(self, api: Any, kind: Kind, name: str, namespace: str | None = None) -> bool:
        try:
            await api.get(kind, name, namespace)
        except NotFound:
            return False
        return True


async def _states(api: Any, kind: Kind, name: str, namespace: str | None) -> AsyncIterator[Object | None]:
    """The object as it is, and at every change; None when it is not there."""
    listing = await api.list(kind, namespace, fields=f"metadata.name={name}")
    yield listing.items[0] if listing.items else None
    stream = api.watch(kind, namespace, since=listing.resource_version, fields=f"metadata.name={name}")
    async for change in stream:
        if change.type != "BOOKMARK":
            yield None if change.type == "DELETED" else change.object


def is_ready(obj: Object | None) -> bool:
    """Ready, and about the newest declaration."""
    if obj is None:
        return False
    current = (obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"]
    return current and is_true(obj, "Ready")


@pytest.fixture
async def engine() -> AsyncIterator[Host]:
    """The engine without an operator."""
    host = Host(None, standins=Settings(speed=10.0), seed=1)
    await host.start()
    try:
        yield host
    finally:
        await host.stop()


@pytest.fixture
async def bed(engine: Host) -> AsyncIterator[Bed]:
    """The engine with its operator."""
    operator = engine.operator(OperatorSettings(lost_after=0.5, retry_first=0.2))
    task = asyncio.create_task(operator.run())
    bed = Bed(engine)
    await bed.credentials()
    try:
        yield bed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await operator.management.close()
        await bed.close()
