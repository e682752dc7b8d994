"""`python -m continuo.iot.hub.networks`: the switch without the rest of a hub, for tests and for looking.

FILE is JSON: {network: what `Networks.set` takes}; it is read again at SIGHUP. SIGUSR1 prints the counters.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import ssl
import sys
from pathlib import Path
from typing import Any

from continuo.iot.hub.networks.server import NetworkServer, serve


async def _configure(networks: NetworkServer, told: dict[str, Any], known: set[str]) -> set[str]:
    for gone in known - told.keys():
        await networks.remove(gone)
    for network, config in told.items():
        try:
            await networks.set(network, config)
        except ValueError as error:
            print(f"not changed: {error}", flush=True)
    print(f"{len(told)} networks are configured", flush=True)
    return set(told)


def _told(file: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(file.read_text())
    return told


def _heard(port: str, there: bool) -> None:
    print(f"port {port} {'up' if there else 'down'}", flush=True)


def _counters(networks: NetworkServer) -> None:
    for network, port, counters in networks.all_counters():
        print(json.dumps({"network": network, "port": port, **counters}), flush=True)


def _end(end: asyncio.Event, again: asyncio.Event) -> None:
    end.set()
    again.set()


async def _run(arguments: argparse.Namespace) -> None:
    tls = None
    if arguments.cert:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(arguments.cert, arguments.key)
    again, end = asyncio.Event(), asyncio.Event()
    networks, loop = NetworkServer(), asyncio.get_running_loop()
    networks.on_change(_heard)
    known = await _configure(networks, _told(arguments.config), set())
    loop.add_signal_handler(signal.SIGHUP, again.set)
    loop.add_signal_handler(signal.SIGUSR1, _counters, networks)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _end, end, again)
    host, _, port = arguments.listen.rpartition(":")
    async with serve(host, int(port), tls, networks=networks) as (_, listening):
        print(f"networks at {'https' if tls else 'http'}://{host}:{listening}", flush=True)
        while not end.is_set():
            await again.wait()
            again.clear()
            known = await _configure(networks, _told(arguments.config), known)


def main() -> int:
    """Switch until SIGTERM."""
    import uvloop

    parser = argparse.ArgumentParser(prog="python -m continuo.iot.hub.networks")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--listen", default="127.0.0.1:8443", metavar="HOST:PORT")
    parser.add_argument("--cert", type=Path, help="without it nothing is encrypted: for comparisons only")
    parser.add_argument("--key", type=Path)
    try:
        uvloop.run(_run(parser.parse_args()))
    except (OSError, ValueError) as error:
        print(f"continuo: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
