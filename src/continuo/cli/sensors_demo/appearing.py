"""How long it takes from a Device to its Flavors."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from continuo.cli.failures import Failed
from continuo.cli.sensors_demo import scene
from continuo.edge.mapper.manifests import devices_of, models_of
from continuo.edge.mapper.model import MapperFile, parse
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.meta import Object, labels_of
from continuo.runtime.informer import Informer, Watch

MANAGER = "continuo-demo"


@dataclass(slots=True)
class Appeared:
    """One board."""

    device: str
    node: str
    sensors: int
    flavors: list[float] = field(default_factory=list)
    """Milliseconds from the request that makes the Device until a watch told of each of its Flavors."""


async def appear(provider: Cluster, timeout: float) -> list[Appeared]:
    """Make the Devices of both edge nodes, one after the other."""
    files = [parse(scene.boards(edge), edge) for edge in scene.EDGES]
    models = {model["metadata"]["name"]: model for file in files for model in models_of(file)}
    for model in models.values():
        await provider.apply(model, manager=MANAGER)
    flavors = Informer(provider, Watch(kinds.FLAVOR, scene.SPACE))
    flavors.start()
    try:
        async with asyncio.timeout(timeout):
            await flavors.synced.wait()
            return [await _one(provider, flavors, device) for device in _devices(files)]
    except TimeoutError:
        raise Failed(f"not all sensors are Flavors after {timeout:g} s") from None
    finally:
        await flavors.stop()


def _devices(files: list[MapperFile]) -> list[Object]:
    return [device for file in files for device in devices_of(file)]


async def _one(provider: Cluster, flavors: Informer, device: Object) -> Appeared:
    name, changed = device["metadata"]["name"], asyncio.Event()
    made = Appeared(name, device["spec"]["nodeName"], _count(device))

    def see(old: Object | None, new: Object | None) -> None:
        if old is None and new is not None and labels_of(new).get("continuo.dev/device") == name:
            made.flavors.append((time.perf_counter() - began) * 1000)
            changed.set()

    flavors.on_change(see)
    began = time.perf_counter()
    await provider.apply(device, manager=MANAGER)
    while len(made.flavors) < made.sensors:
        changed.clear()
        await changed.wait()
    return made


def _count(device: Object) -> int:
    from continuo.edge.discovery.boards import board_of
    from continuo.edge.sensors.annotation import decode

    annotation = board_of(device).annotation
    return len(decode(annotation or "", device=device["metadata"]["name"]).sensors)
