"""`python -m continuo.iot.agent.networks --config FILE`: ports without the rest of an agent, for tests and for looking.

FILE is JSON: {"ca": "ca.pem", "ports": {uuid: {vif, mac, ip, mtu, url, token, routes}}}; it is read again at SIGHUP.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from continuo.iot.agent.networks.ports import Ports, trusting


def _print(ports: Mapping[str, Mapping[str, Any]]) -> None:
    for uuid, port in ports.items():
        print(f"port {uuid} {port['vif']} {'up' if port['up'] else 'down'}: {port['message']}", flush=True)


def _told(config: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(config.read_text())
    return told


def _end(end: asyncio.Event, again: asyncio.Event) -> None:
    end.set()
    again.set()


async def _run(config: Path) -> None:
    again, end = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, again.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _end, end, again)
    ports = Ports(_print, trusting(_told(config).get("ca")))
    while not end.is_set():
        again.clear()
        await ports.set(_told(config).get("ports") or {})
        await again.wait()
    await ports.close()


def main() -> int:
    """Keep the ports until SIGTERM."""
    import uvloop

    parser = argparse.ArgumentParser(prog="python -m continuo.iot.agent.networks")
    parser.add_argument("--config", type=Path, required=True)
    try:
        uvloop.run(_run(parser.parse_args().config))
    except (OSError, ValueError) as error:
        print(f"continuo: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
