"""The relay against a plain loop from MQTT to HTTP: what a reading costs for 1, 10 and 100 targets, and what a dead one does.

Broker (mosquitto where it is installed), receivers, and what is measured are processes of their own. Cost is the CPU of the
measured process; throughput is from the first reading published until the last one is at its last target.

python -m benchmarks relay [--readings 4000] [--rate 150] [--seconds 8] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import aiomqtt
import uvloop

from benchmarks.report import Bar, Report
from continuo.edge.mqtt.address import Address
from continuo.edge.mqtt.embedded import EmbeddedBroker
from continuo.edge.relay.client import RelayClient
from continuo.edge.relay.model import Flow, Route, Source, Target
from continuo.edge.relay.path import Limits
from continuo.edge.relay.relay import Settings
from continuo.edge.relay.service import Options, RelayService

NAMESPACE, SENSORS, PER_ROUTE = "bench", 10, 10
PATIENCE = 60.0
COST, DEAD = 4.0, 1.2
FACTS = "x" * 80
"""So that a reading has about 150 bytes, as a sensor's JSON has."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one measurement found."""

    readings: int
    seconds: float
    cpu: float
    latencies: list[float]

    @property
    def cost(self) -> float:
        """Microseconds of CPU for a reading."""
        return self.cpu / self.readings * 1e6

    def latency(self, share: float) -> float:
        """Milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


class Receiver(asyncio.Protocol):
    """The least that can be said of HTTP, so that receiving costs little."""

    def __init__(self, latencies: list[float], dead: bool, news: asyncio.Event) -> None:
        self._latencies, self._dead, self._news = latencies, dead, news
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        if self._dead:
            return
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            head = self._rest[:end].lower()
            at = head.index(b"content-length:") + 15
            length = int(head[at : head.find(b"\r", at) if b"\r" in head[at:] else None])
            if len(self._rest) < end + 4 + length:
                return
            body, self._rest = self._rest[end + 4 : end + 4 + length], self._rest[end + 4 + length :]
            self._latencies.append((time.time() - json.loads(body)["time"]) * 1000)
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            self._news.set()


async def receive(targets: int, dead: int) -> None:
    """Listen on that many ports; say them; for each line that is read, a number, say what came as soon as so many have."""
    loop, latencies, news = asyncio.get_running_loop(), list[float](), asyncio.Event()
    ports = []
    for number in range(targets):
        silent = number >= targets - dead
        server = await loop.create_server(lambda silent=silent: Receiver(latencies, silent, news), "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
    print(json.dumps(ports), flush=True)
    while wanted := int((await asyncio.to_thread(sys.stdin.readline)) or 0):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while len(latencies) < wanted:
                    news.clear()
                    await news.wait()
        print(json.dumps({"at": time.time(), "latencies": latencies}), flush=True)
        latencies.clear()


async def plain(broker: Address, port: int) -> None:
    """What somebody writes first: each message is posted, then the next one is looked at."""
    async with (
        aiohttp.ClientSession() as http,
        aiomqtt.Client(broker.host, broker.port) as client,
    ):
        await client.subscribe(f"{NAMESPACE}/#", qos=1)
        asking = asyncio.create_task(_tell_cpu())
        async for message in client.messages:
            async with http.post(f"http://127.0.0.1:{port}/in", data=message.payload) as answer:
                await answer.read()
        await asking


async def relay(broker: Address, ports: Sequence[int], folder: Path) -> None:
    """The relay, that many targets, ten in a route."""
    settings = Settings(
        limits=Limits(readings=1_000_000, bytes=2**30)
    )  # a burst is measured, so nothing may be dropped
    options = Options(folder, mqtt=[(None, broker)], settings=settings)
    async with RelayService(options) as service, aiohttp.ClientSession() as http:
        flows = tuple(
            Flow(sensor=f"s{number}", source=Source(namespace=NAMESPACE, node="edge", topic=f"sensor/{number}"))
            for number in range(SENSORS)
        )
        targets = [Target(url=f"http://127.0.0.1:{port}/in") for port in ports]
        client = RelayClient(service.control_url, http)
        for start in range(0, len(targets), PER_ROUTE):
            some = tuple(targets[start : start + PER_ROUTE])
            await client.put_route(Route(name=f"bench-{start}", buyer="bench", flows=flows, targets=some))
        await service.subscriptions[0].settled.wait()
        await _tell_cpu()


async def _tell_cpu() -> None:
    print("ready", flush=True)
    while (await asyncio.to_thread(sys.stdin.readline)).strip():
        print(time.process_time(), flush=True)


class Child:
    """A process of this module that answers lines."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.relay", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
        )  # fmt: skip

    async def line(self) -> str:
        assert self._process.stdout is not None
        return (await asyncio.to_thread(self._process.stdout.readline)).strip()

    async def ask(self, text: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()
        return await self.line()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


async def publish(broker: Address, count: int, rate: float | None) -> float:
    """Publish that many readings, at a rate or as fast as the broker takes them; when the first one went."""
    async with aiomqtt.Client(broker.host, broker.port, max_inflight_messages=200) as client:
        begun = time.time()
        for number in range(count):
            if rate is not None and (wait := begun + number / rate - time.time()) > 0:
                await asyncio.sleep(wait)
            body = json.dumps({"time": time.time(), "sequence": number, "value": 21.5, "facts": FACTS})
            await client.publish(f"{NAMESPACE}/sensor/{number % SENSORS}", body, qos=1)
        return begun


async def measure(
    broker: Address, what: str, targets: int, count: int, rate: float | None = None, dead: int = 0
) -> Run:
    """Start receivers and what is measured, publish, and wait until everything is there."""
    receivers = Child("receive", str(targets), str(dead))
    subject = None
    try:
        ports = await receivers.line()
        with TemporaryDirectory() as folder:
            subject = Child(what, str(broker.port), ports, folder)
            await subject.line()
            live = targets - dead
            await publish(broker, SENSORS * 2, None)  # connections are made, code is warm
            await receivers.ask(str(SENSORS * 2 * live))
            before = float(await subject.ask("cpu"))
            begun = await publish(broker, count, rate)
            found = json.loads(await receivers.ask(str(count * live)))
            cpu = float(await subject.ask("cpu")) - before
            if len(found["latencies"]) < count * live:
                raise RuntimeError(f"{what}: {len(found['latencies'])} of {count * live} readings came")
            subject.end()
            subject = None
        return Run(count, found["at"] - begun, cpu, found["latencies"])
    finally:
        receivers.end()
        if subject is not None:
            subject.end()


@contextlib.asynccontextmanager
async def a_broker() -> AsyncIterator[tuple[Address, str]]:
    """mosquitto, or the embedded broker in a process of its own. It drops nothing, however much comes at once."""
    stack = contextlib.ExitStack()
    port = (await _free_port())[0]
    folder = stack.enter_context(TemporaryDirectory())
    config = Path(folder) / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n", encoding="utf-8")
    mosquitto = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    command = (
        [mosquitto, "-c", str(config)] if mosquitto else [sys.executable, "-m", "benchmarks.relay", "broker", str(port)]
    )
    process = subprocess.Popen(  # noqa: ASYNC220 - once, before anything is measured
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[1]
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    with stack:
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(aiomqtt.MqttError):
                    async with aiomqtt.Client("127.0.0.1", port, timeout=2):
                        break
                await asyncio.sleep(0.1)
        yield Address("127.0.0.1", port), "mosquitto" if mosquitto else "the embedded broker"


async def _free_port() -> list[int]:
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    async with server:
        return [each.getsockname()[1] for each in server.sockets]


async def compare(report: Report, options: argparse.Namespace) -> None:
    """All measurements."""
    async with a_broker() as (broker, name):
        report.note(f"broker: {name}; {SENSORS} sensors\n")
        report.head("", "targets", "readings/s", "posts/s", "CPU us/reading", "us/post")
        single, costs = 0.0, {}
        for what, targets, count in (
            ("plain", 1, options.readings), ("relay", 1, options.readings),
            ("relay", 10, options.readings // 2), ("relay", 100, options.readings // 10),
        ):  # fmt: skip
            runs = [await measure(broker, what, targets, count) for _ in range(options.rounds)]
            cost = median(run.cost for run in runs)
            speed = median(run.readings / run.seconds for run in runs)
            report.row(
                what, str(targets), f"{speed:.0f}", f"{speed * targets:.0f}", f"{cost:.0f}", f"{cost / targets:.0f}"
            )
            single = cost if what == "plain" else single
            costs[what, targets] = cost
        report.note(f"\nlatency from publishing to the target, {options.rate}/s, milliseconds\n")
        report.head("", "targets", "dead", "p50", "p99")
        count = int(options.rate * options.seconds)
        with_dead, without = [], []
        for _ in range(options.rounds):
            without.append(await measure(broker, "relay", 10, count, options.rate))
            with_dead.append(await measure(broker, "relay", 10, count, options.rate, dead=1))
        first = await measure(broker, "plain", 1, count, options.rate)
        report.row("plain", "1", "0", f"{first.latency(0.5):.2f}", f"{first.latency(0.99):.2f}")
        for dead, runs in ((0, without), (1, with_dead)):
            p50, p99 = (median(run.latency(share) for run in runs) for share in (0.5, 0.99))
            report.row("relay", "10", str(dead), f"{p50:.2f}", f"{p99:.2f}")
        report.bar(Bar("cost of a reading to 10 targets, to the plain loop's to 1", costs["relay", 10] / single, COST))
        p99s = [median(run.latency(0.99) for run in runs) for runs in (with_dead, without)]
        report.bar(Bar("p99 with one dead target of 10, to none", p99s[0] / p99s[1], DEAD))


async def _embedded(port: int) -> None:
    async with EmbeddedBroker(port=port):
        await asyncio.Event().wait()


def main(arguments: Sequence[str]) -> int:
    """Run it, or be one of its processes."""
    match list(arguments):
        case ["receive", targets, dead]:
            uvloop.run(receive(int(targets), int(dead)))
        case ["plain", port, ports, _]:
            uvloop.run(plain(Address("127.0.0.1", int(port)), json.loads(ports)[0]))
        case ["relay", port, ports, folder]:
            uvloop.run(relay(Address("127.0.0.1", int(port)), json.loads(ports), Path(folder)))
        case ["broker", port]:
            uvloop.run(_embedded(int(port)))
        case _:
            return _run(arguments)
    return 0


def _run(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks relay")
    parser.add_argument("--readings", type=int, default=4000)
    parser.add_argument("--rate", type=float, default=150.0)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    report = Report("relay", "readings from MQTT to many buyers over HTTP")
    uvloop.run(compare(report, options))
    return report.end()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
