"""A reverse tunnel over TLS against a plain TCP proxy: bytes in a second, and the time to the first answer.

Hub, board, proxy and service are processes of their own; the proxy is as simple as one in asyncio can be, and encrypts
nothing. Each connection through a tunnel costs a TLS handshake of its own, as wstun has it: that is its first answer.

python -m benchmarks tunnels [--megabytes 256] [--connections 200] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.report import Bar, Report

CHUNK = 64 * 1024
SLOWER, LATER = 8.0, 8.0
"""How much less may go through, and how much later the first answer may be, than with the proxy."""


async def service() -> None:
    """`d<bytes>\\n`: so many bytes; anything else comes back."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        left = int(line[1:]) if line.startswith(b"d") else 0
        while left > 0:
            writer.write(bytes(min(left, CHUNK)))
            left -= CHUNK
            await writer.drain()
        if not line.startswith(b"d"):
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    say(port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def proxy(target: int) -> None:
    """Plain bytes, both ways."""

    async def one_way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(one_way(reader, outer), one_way(inner, writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    say(port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def hub(certificate: str) -> None:
    """A tunnel server with one reserved port."""
    from continuo.iot.hub.tunnels import TunnelServer, serve

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    tunnels = TunnelServer(range(52000, 52100), public="127.0.0.1")
    async with serve(tunnels, "127.0.0.1", 0, tls):
        port, token = await tunnels.open("bench")
        say(port=port, token=token, listens=tunnels.address[1])
        await asyncio.Event().wait()


async def board(told: str) -> None:
    """The board's end, until killed."""
    from continuo.iot.tunnels.client import Reverse

    said = json.loads(told)
    tls = ssl.create_default_context(cafile=said["ca"])
    target = ("127.0.0.1", int(said["service"]))
    tunnel = Reverse(f"wss://localhost:{said['listens']}", said["port"], target, said["token"], tls=tls)
    await tunnel.run(lambda: say(open=True))


def say(**what: Any) -> None:
    """Tell the process that measures."""
    print(json.dumps(what), flush=True)


async def started(role: str, *arguments: str) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    """One of these as a process, and what it said first."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.tunnels", "--role", role, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    return process, json.loads(await asyncio.wait_for(process.stdout.readline(), 30))


async def throughput(port: int, size: int) -> float:
    """Bytes in a second of one download."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4 * CHUNK)
    begin, left = time.perf_counter(), size
    writer.write(b"d%d\n" % size)
    while data := await reader.read(4 * CHUNK):
        left -= len(data)
    writer.close()
    if left > 0:
        raise RuntimeError(f"{left} bytes are missing")
    return size / (time.perf_counter() - begin)


async def first_answer(port: int, connections: int) -> float:
    """Median seconds from connecting until one line is back, one after the other."""
    took = []
    for _ in range(connections):
        begin = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello\n")
        await reader.readline()
        took.append(time.perf_counter() - begin)
        writer.close()
    return median(took)


async def measure(options: argparse.Namespace) -> int:
    """Both, in turns, so that a busy machine is busy for both."""
    report = Report("tunnels", "a service of a board through the hub (TLS), against a plain TCP proxy")
    processes = []
    with TemporaryDirectory() as folder:
        ca, server = certificates(Path(folder))
        try:
            for role, arguments in (("service", ()), ("hub", (str(server),))):
                processes.append(await started(role, *arguments))
            (_, behind), (_, tunnel) = processes
            told = {**tunnel, "ca": str(ca), "service": behind["port"]}
            processes.append(await started("board", json.dumps(told)))
            processes.append(await started("proxy", str(behind["port"])))
            ports = {"proxy": processes[-1][1]["port"], "tunnel": tunnel["port"]}
            report.head("round", "path", "MB/s", "first answer ms")
            rates, waits = {name: [] for name in ports}, {name: [] for name in ports}
            for turn in range(options.rounds):
                for name, port in ports.items():
                    rates[name].append(await throughput(port, options.megabytes << 20))
                    waits[name].append(await first_answer(port, options.connections))
                    report.row(str(turn + 1), name, f"{rates[name][-1] / 1e6:.0f}", f"{waits[name][-1] * 1e3:.2f}")
        finally:
            for process, _ in processes:
                process.kill()
                await process.wait()
    slower = median(rates["proxy"]) / median(rates["tunnel"])
    later = median(waits["tunnel"]) / median(waits["proxy"])
    report.bar(Bar("the proxy's throughput, in tunnels'", slower, SLOWER))
    report.bar(Bar("a tunnel's first answer, in the proxy's", later, LATER))
    return report.end()


def certificates(folder: Path) -> tuple[Path, Path]:
    """An authority's certificate; key and certificate of localhost."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from iot.tunnels.certificates import Authority

    authority = Authority(folder)
    return authority.ca, authority.server


ROLES = {"service": service, "proxy": lambda port: proxy(int(port)), "hub": hub, "board": board}


def main(arguments: Sequence[str]) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="benchmarks tunnels", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--role", choices=sorted(ROLES), help=argparse.SUPPRESS)
    parser.add_argument("told", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.role:
        asyncio.run(ROLES[options.role](*options.told))
        return 0
    return asyncio.run(measure(options))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
