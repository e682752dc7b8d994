"""Sensors discovered behind devices, and filters over many flavors.

python -m benchmarks sensors [--sensors 10000] [--per-device 20]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import uvloop

from benchmarks.report import Bar, Report
from continuo.cli import tuning
from continuo.edge.discovery.manager import EdgeResourceManager
from continuo.edge.discovery.settings import NODE_LABEL
from continuo.edge.sensors.index import Index
from continuo.edge.sensors.where import from_where
from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.http.server import Server
from continuo.embedded.port import Write
from continuo.kube.config import connect
from continuo.kube.port import Cluster
from continuo.resources import kinds
from continuo.resources.crds import edge_crds
from continuo.resources.meta import Object
from continuo.runtime.informer import Informer, Watch

MODELS = ("hts221", "lps22hh", "shtc3", "bme280")
QUERIES = (
    'type == "Humidity" && manufacturer == "STMicroelectronics" && latency < 16ms',
    'type == "Humidity" && accuracy < 3 && samplingRate >= 0.2Hz && consumption <= 1mW && latency < 16ms',
    'model.matches("^(hts|sht).*[0-9]$") && latency < 25ms',
    'uid.matches("7$") || !(latency > 5ms)',
)
LINEAR, QUERY = 1.5, 10.0


@dataclass(frozen=True, slots=True)
class Phase:
    """What it cost to discover so many sensors."""

    sensors: int
    seconds: float
    cpu: float
    """Of everything: the engine, its HTTP face and the manager are one process."""
    reconciles: int
    idle_requests: int
    flavors: list[Object]


def sensor(number: int) -> dict[str, Any]:
    """One of several makes."""
    return {
        "uid": f"sensor-{number}", "name": f"Sensor {number}", "model": MODELS[number % 4],
        "manufacturer": "STMicroelecronics" if number % 4 < 2 else "ExampleSense", "market": "Industrial",
        "type": {"sensorCategory": "Environmental", "sensorType": ["Temperature", "Humidity"]},
        "samplingRate": "1", "accuracy": ["0.5", str(1 + number % 5)], "consumption": f"0.{1 + number % 9}",
        "latency": str(5 + number % 40),
        "properties": {"unit": {"measurement": ["C", "%"], "consumption": "mW", "samplingRate": "Hz", "latency": "ms"}},
        "access": {"type": "MQTT", "source": "eventbus-fluidos", "resource": {"topic": "", "node": ""}},
    }  # fmt: skip


def device(number: int, per_device: int) -> Object:
    """A board with its annotation."""
    sensors = [sensor(number * per_device + at) for at in range(per_device)]
    notes = {"sensors": base64.b64encode(json.dumps(sensors).encode()).decode()}
    return kinds.DEVICE.new(
        f"board-{number}", "default", metadata={"annotations": notes}, spec={"nodeName": f"edge-{number % 10}"}
    )


async def discover(sensors: int, per_device: int) -> Phase:
    """A cluster with devices, and a manager that finds them."""
    engine = EmbeddedEngine()
    engine.start()
    server = Server(engine)
    await server.start()
    engine.base_url, engine.credentials = server.base_url, server
    api = engine.create_cluster("provider")
    write = Write(manager="kubectl", trusted=True)
    identity = {"domain": "provider.eu", "nodeID": "node-1", "ip": "192.0.2.1:30001"}
    objects = [
        kinds.NAMESPACE.new("fluidos"), kinds.CONFIG_MAP.new("fluidos-node-identity", "fluidos", data=identity),
        *(kinds.NODE.new(f"edge-{number}", metadata={"labels": {NODE_LABEL: "true"}}) for number in range(10)),
        *(device(number, per_device) for number in range(sensors // per_device)),
    ]  # fmt: skip
    for obj in [*edge_crds(), *objects]:
        api.create(obj, write)
    cluster = connect(server.kubeconfig(server.url("provider"), "provider"), name="provider")
    manager = EdgeResourceManager(cluster, rng=random.Random(1))
    gc.collect()
    started, cpu = time.perf_counter(), time.process_time()
    task = asyncio.create_task(manager.run())
    flavors = await _found(cluster, sensors)
    seconds, used = time.perf_counter() - started, time.process_time() - cpu
    await asyncio.sleep(1.0)  # what is left of it, and then a while in which nothing happens
    before = lists(manager), manager.controller.stats.reconciles
    await asyncio.sleep(3.0)
    idle = sum(lists(manager)) - sum(before[0]) + manager.controller.stats.reconciles - before[1]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await cluster.close()
    await server.stop()
    await engine.stop()
    return Phase(sensors, seconds, used, before[1], idle, flavors)


async def _found(cluster: Cluster, sensors: int) -> list[Object]:
    """All Flavors once there are so many: counted, since whoever lists them at each change measures himself."""
    informer, complete = Informer(cluster, Watch(kinds.FLAVOR)), asyncio.Event()
    informer.on_change(lambda _old, _new: complete.set() if len(informer.cache) >= sensors else None)
    informer.start()
    try:
        async with asyncio.timeout(600):
            await complete.wait()
        return list(informer.cache)
    finally:
        await informer.stop()


def lists(manager: EdgeResourceManager) -> list[int]:
    """How often each kind was listed."""
    return [informer.lists for informer in manager.followed.informers]


def queries(flavors: Sequence[Object]) -> tuple[float, list[tuple[str, int, float, float]]]:
    """Seconds to take all flavors in, and for each query what it finds, its median and its 99th percentile in ms."""
    index, started = Index(), time.perf_counter()
    for flavor in flavors:
        index.put(flavor)
    filled, rows = time.perf_counter() - started, []
    for text in QUERIES:
        found = len(index.find(from_where(text)))
        times = []
        for _ in range(100):
            begun = time.perf_counter()
            index.find(from_where(text))
            times.append((time.perf_counter() - begun) * 1e3)
        times.sort()
        rows.append((text, found, statistics.median(times), times[98]))
    return filled, rows


async def measure(sensors: int, per_device: int) -> int:
    report = Report("sensors", f"{sensors} sensors of {sensors // per_device} devices discovered, and asked for")
    report.head("sensors", "devices", "seconds", "CPU s", "CPU ms/sensor", "reconciles", "idle work")
    phases = []
    for number in (sensors // 10, sensors):
        phase = await discover(number, per_device)
        phases.append(phase)
        report.row(
            str(number), str(number // per_device), f"{phase.seconds:.2f}", f"{phase.cpu:.2f}",
            f"{phase.cpu / number * 1e3:.2f}", str(phase.reconciles), str(phase.idle_requests),
        )  # fmt: skip
    small, large = phases
    filled, rows = queries(large.flavors)
    report.note(f"\n{len(large.flavors)} flavors taken into the index in {filled:.2f} s")
    for text, found, median, p99 in rows:
        report.note(f"{median:8.2f} ms (p99 {p99:.2f}), {found} found: {text}")
    report.bar(Bar("CPU for each sensor, ten times as many against", (large.cpu / small.cpu) / 10, LINEAR))
    report.bar(Bar("lists and reconciles while nothing happens", float(large.idle_requests), 0, ""))
    report.bar(
        Bar(f"slowest query over {len(large.flavors)} flavors, median", max(row[2] for row in rows), QUERY, " ms")
    )
    return report.end()


def main(arguments: Sequence[str]) -> int:
    """Measure; the exit code says whether the bars are met."""
    parser = argparse.ArgumentParser(prog="benchmarks sensors")
    parser.add_argument("--sensors", type=int, default=10_000)
    parser.add_argument("--per-device", type=int, default=20)
    given = parser.parse_args(arguments)
    if given.per_device < 1 or given.sensors < 10 * given.per_device:
        print("benchmarks sensors: there must be at least ten devices, each with a sensor")
        return 2
    tuning.settle()  # as the process does whose work it is
    return uvloop.run(measure(given.sensors, given.per_device))
