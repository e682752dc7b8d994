"""Layer-2 networks between boards against a plain pump: TAP to TCP to TAP, without a switch and without TLS.

Two boards as network namespaces; every hop is a process of its own. Three ways side by side, round by round: the plain pump
straight from board to board; our switch without TLS; our switch as it is. Each carries one TCP transfer and some echoes.

python -m benchmarks networks [--rounds 5] [--megabytes 60] [--echoes 200]      needs root
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from benchmarks.report import Bar, Report
from continuo.iot.agent.networks import tap
from continuo.iot.agent.networks.connection import BATCH
from continuo.iot.agent.networks.desired import read
from continuo.iot.frames import Decoder, encode

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # the boards are the tests'
from iot.networks.bed import Bed, Board, Process, bed, impossible, network

WAYS = ("plain pump", "switch, no TLS", "switch, TLS")
THROUGHPUT, LATENCY = 0.4, 3.5
CLEAR, PUMP = 8444, 9000
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Way:
    """One way, and what it reached in each round."""

    name: str
    net: str
    hub: Process | None
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    echoes: list[float] = field(default_factory=list)


class Pump(asyncio.Protocol):
    """Frames between a TAP and a TCP connection, and nothing else."""

    def __init__(self, fd: int, gone: asyncio.Event) -> None:
        self._fd, self._gone, self._decoder = fd, gone, Decoder(1400)
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._loop.add_reader(self._fd, self._readable)
        print("pumping", flush=True)

    def _readable(self) -> None:
        frames = []
        try:
            for _ in range(BATCH):
                frames.append(os.read(self._fd, 1500))
        except BlockingIOError:
            pass
        self._transport.write(encode(frames))

    def data_received(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            os.write(self._fd, frame)

    def pause_writing(self) -> None:
        self._loop.remove_reader(self._fd)

    def resume_writing(self) -> None:
        self._loop.add_reader(self._fd, self._readable)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._gone.set()


async def pump(number: int, other: str | None) -> None:
    """One end of the plain pump: `other` is where the other end listens, None where this one does."""
    told = {
        "vif": "plain0",
        "mac": f"fa:16:3e:00:07:{number:02x}",
        "ip": f"10.7.0.{number}/24",
        "mtu": 1400,
        "token": "-",
    }
    device, gone = await tap.make(read("plain", {**told, "url": "http://none"})), asyncio.Event()
    loop = asyncio.get_running_loop()
    if other is None:
        await loop.create_server(lambda: Pump(device.fd, gone), "0.0.0.0", PUMP)
        print("listening", flush=True)
    else:
        await loop.create_connection(lambda: Pump(device.fd, gone), other, PUMP)
    await gone.wait()


@contextmanager
def ways() -> Iterator[tuple[Bed, list[Way]]]:
    """All three, up."""
    with TemporaryDirectory() as folder, bed(Path(folder), 2) as made:
        one, other = made.boards
        made.run(made.hub_space, "-c", "open('/proc/sys/net/ipv4/ip_forward', 'w').write('1')").end()
        for board, via in ((one, other), (other, one)):
            argv = ["ip", "route", "add", f"10.99.{via.number}.0/30", "via", f"10.99.{board.number}.1"]
            made.run(board.space, "-c", f"import subprocess; subprocess.run({argv}, check=True)").end()
        hubs = [clear_hub(made), tls_hub(made)]
        for board in made.boards:
            agent(made, board)
        listener = made.run(other.space, "-m", "benchmarks.networks", "pump", "2")
        listener.wait_for("listening")
        made.run(one.space, "-m", "benchmarks.networks", "pump", "1", "10.99.2.2").wait_for("pumping")
        yield made, [Way(WAYS[0], "10.7.0", None), Way(WAYS[1], "10.6.0", hubs[0]), Way(WAYS[2], "10.5.0", hubs[1])]


def tls_hub(made: Bed) -> Process:
    made.write_networks({"tls": network(made.boards)})
    return made.hub()


def clear_hub(made: Bed) -> Process:
    told = network(made.boards)
    ports = {
        f"clear-{port}": {**said, "ip": said["ip"].replace("10.5.", "10.6.")} for port, said in told["ports"].items()
    }
    file = made.folder / "clear.json"
    file.write_text(json.dumps({"clear": {**told, "ports": ports}}))
    listen = ("--config", str(file), "--listen", f"0.0.0.0:{CLEAR}")
    hub = made.run(made.hub_space, "-m", "continuo.iot.hub.networks", *listen)
    hub.wait_for("networks at")
    return hub


def agent(made: Bed, board: Board) -> None:
    url = f"http://10.99.0.1:{CLEAR}"
    clear = board.desired(vif="clear0", ip=f"10.6.0.{board.number}/24", url=url)
    made.write_board(board, ports={board.port: board.desired(), f"clear-{board.port}": clear})
    process = made.agent(board)
    seen: set[str] = set()
    while len(seen) < 2:
        seen.add(process.wait_for(" up: connected").split()[2])


def measure(made: Bed, way: Way, arguments: argparse.Namespace) -> None:
    """One round of one way."""
    one, other = made.boards
    address = f"{way.net}.{other.number}"
    said = made.inside(one, "ping", address, str(arguments.echoes), "60").end()
    way.echoes += [float(line.split()[-2]) for line in said if line.startswith("answer")]
    receiver = made.inside(other, "receive", "5001")
    receiver.wait_for("listening")
    before = cpu(way.hub)
    size = arguments.megabytes * 1_000_000
    sent = made.inside(one, "send", address, "5001", str(size)).end()[-1].split()
    received = receiver.end()[-1].split()
    if sent[1:3] != received[1:3]:
        raise RuntimeError(f"{way.name}: sent {sent}, received {received}")
    way.rates.append(float(received[3]))
    way.cpu.append((cpu(way.hub) - before) / (size / 1348) * 1e6)


def cpu(process: Process | None) -> float:
    """Seconds that a process has computed."""
    if process is None:
        return 0.0
    fields = Path(f"/proc/{process.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def main(arguments: list[str] | None = None) -> int:
    """Measure, or be one end of the pump."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["pump"]:
        uvloop.run(pump(int(words[1]), words[2] if words[2:] else None))
        return 0
    parser = argparse.ArgumentParser(prog="benchmarks networks")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=60)
    parser.add_argument("--echoes", type=int, default=200)
    wish = parser.parse_args(words)
    report = Report("networks", "frames between two boards: through our switch, and through a plain pump")
    if why := impossible():
        report.note(f"not measured: {why}")
        return 0
    with ways() as (made, all_ways):
        for _ in range(wish.rounds):
            for way in all_ways:
                measure(made, way, wish)
    return tell(report, all_ways)


def tell(report: Report, all_ways: list[Way]) -> int:
    plain, _, ours = all_ways
    report.head("way", "MB/s", "of plain", "echo p50 ms", "echo p99 ms", "of plain", "hub us/frame")
    for way in all_ways:
        rate, echo = median(way.rates), median(way.echoes)
        report.row(
            way.name, f"{rate:.1f}", f"{rate / median(plain.rates):.2f}x", f"{echo:.2f}",
            f"{quantiles(way.echoes, n=100)[98]:.2f}", f"{echo / median(plain.echoes):.2f}x",
            f"{median(way.cpu):.1f}" if way.hub else "-",
        )  # fmt: skip
    ratio = median(ours.rates) / median(plain.rates)
    report.bar(Bar("throughput against a plain pump", ratio, THROUGHPUT, at_least=True))
    report.bar(Bar("latency against a plain pump", median(ours.echoes) / median(plain.echoes), LATENCY))
    return report.end()


if __name__ == "__main__":
    raise SystemExit(main())
