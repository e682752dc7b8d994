"""Real Crossplane with our function, and what the tests ask of it. The provider is played: it only says what is ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from continuo.iot.compose import definition
from continuo.iot.compose.claim import CONTINUUM_SLICE
from continuo.iot.compose.function import run
from continuo.iot.compose.serve import Certificates, FunctionServer
from continuo.kube.client import KubeCluster
from continuo.resources import kinds
from continuo.resources.boards import boards_crds
from continuo.resources.boards_things import BOARD
from continuo.resources.crds import own_crds
from continuo.resources.errors import NotFound
from continuo.resources.meta import Kind, Object, condition, is_true
from continuo.testbed.cluster import RealCluster, Setup
from continuo.testbed.crossplane import Crossplane
from continuo.testbed.definitions import install_definitions
from continuo.testbed.tools import Tools
from continuo.testbed.waiting import until

TIME = "2026-01-01T00:00:00Z"
PATIENCE = 120.0
SECOND = "bench-compose"
"""A function of somebody else."""


class CrossplaneBed:
    """A cluster with Crossplane, our kinds and the function."""

    def __init__(self, crossplane: Crossplane) -> None:
        self.crossplane = crossplane
        self.api: KubeCluster = crossplane.client
        self.servers: dict[str, FunctionServer] = {}

    async def serve(self, meta: Object, function: Callable[[Any], Any]) -> None:
        """Serve a function and install it."""
        name = meta["metadata"]["name"]
        certificates = self.crossplane.certificates(name, "127.0.0.1")
        await self.start(name, function, "127.0.0.1:0")
        await self.crossplane.install_function(meta, f"127.0.0.1:{self.servers[name].port}", certificates)

    async def start(self, name: str, function: Callable[[Any], Any], address: str) -> None:
        folder = self.crossplane.certificates(name, "127.0.0.1")
        self.servers[name] = FunctionServer(function, address, Certificates.read(folder))
        await self.servers[name].start()

    async def board(self, name: str, namespace: str, **labels: str) -> None:
        spec = {"forProvider": {"name": name}}
        await self.api.apply(BOARD.new(name, namespace, metadata={"labels": labels}, spec=spec), manager="test")

    async def claim(self, name: str, namespace: str, **spec: Any) -> Object:
        return await self.api.apply(CONTINUUM_SLICE.new(name, namespace, spec=spec), manager="test")

    async def says(self, kind: Kind, name: str, namespace: str, type_: str, status: str, words: str = "") -> Object:
        """The object, as soon as it has that condition, with these words in its message."""
        found: Object = {}

        async def missing() -> str | None:
            nonlocal found
            found = await self.api.get(kind, name, namespace)
            has = condition(found, type_)
            right = has is not None and has["status"] == status and words in has.get("message", "")
            return None if right else f"its condition is {has}"

        await until(missing, f"{kind.kind} {name}", PATIENCE)
        return found

    async def composed(self, namespace: str, kinds_: Collection[Kind] = definition.COMPOSED) -> dict[str, Object]:
        """What there is of these kinds, by name in the pipeline."""
        found = {}
        for kind in kinds_:
            for item in (await self.api.list(kind, namespace)).items:
                annotations = item["metadata"].get("annotations") or {}
                found[annotations.get("crossplane.io/composition-resource-name", item["metadata"]["name"])] = item
        return found

    async def has(self, namespace: str, names: Collection[str]) -> dict[str, Object]:
        """What there is, as soon as it is exactly this."""
        found: dict[str, Object] = {}

        async def missing() -> str | None:
            nonlocal found
            found = await self.composed(namespace)
            return None if set(found) == set(names) else f"it has {sorted(found)}"

        await until(missing, f"namespace {namespace}", PATIENCE)
        return found

    async def make_ready(self, namespace: str, **provided: Any) -> None:
        """Play the provider and the operator: everything is as wanted."""
        by_kind = {kind.kind: kind for kind in definition.COMPOSED}
        for obj in (await self.composed(namespace)).values():
            ready = {"type": "Ready", "status": "True", "reason": "Available", "lastTransitionTime": TIME}
            status: Object = {"conditions": [ready]}
            kind = by_kind[obj["kind"]]
            if kind.kind in provided:
                status |= provided[kind.kind]
            await self.api.patch(kind, obj["metadata"]["name"], {"status": status}, namespace, subresource="status")

    async def gone(self, kind: Kind, name: str, namespace: str) -> None:
        async def there() -> str | None:
            try:
                await self.api.get(kind, name, namespace)
            except NotFound:
                return None
            return "it is still there"

        await until(there, f"the end of {name}", PATIENCE)


@asynccontextmanager
async def crossplane_bed(folder: Path, tools: Tools) -> AsyncIterator[CrossplaneBed]:
    """Start everything; end it afterwards."""
    cluster = await RealCluster.start("crossplane", folder, tools=tools, setup=Setup(nodes=0, scheduler=False))
    try:
        crossplane = await Crossplane.start(cluster)
        bed = CrossplaneBed(crossplane)
        try:
            await install_definitions(bed.api, [*own_crds(), *boards_crds()])
            await bed.serve(definition.package_meta(), run)
            for obj in definition.slice_objects():
                await bed.api.apply(obj, manager="test")
            await _established(bed.api, CONTINUUM_SLICE.resource)
            yield bed
        finally:
            await asyncio.gather(*(server.stop(0) for server in bed.servers.values()))
            await crossplane.stop()
    finally:
        await cluster.stop()


async def _established(api: KubeCluster, name: str) -> None:
    async def missing() -> str | None:
        try:
            found = await api.get(kinds.CUSTOM_RESOURCE_DEFINITION, name)
        except NotFound as error:
            return str(error)
        return None if is_true(found, "Established") else "it is not served"

    await until(missing, f"definition {name}", PATIENCE)
    for kind in (definition.XRD,):
        await until(lambda k=kind: _offered(api, k, name), f"{kind.kind} {name}", PATIENCE)


async def _offered(api: KubeCluster, kind: Kind, name: str) -> str | None:
    return None if is_true(await api.get(kind, name), "Established") else "Crossplane does not watch it"
