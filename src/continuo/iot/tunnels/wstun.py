"""`python -m continuo.iot.tunnels.wstun -r<public>:<host>:<port> ws[s]://host:port [-u uuid]`: wstun's reverse client.

For Lightning-rod on boards without Node.js: it calls `/usr/bin/wstun` by exactly these arguments, so a two-line script there
that runs this module is enough. `--ca FILE` or the variable WSTUN_CA names the certificates by which the server is checked;
`--insecure` (WSTUN_INSECURE=1) checks nothing, as wstun does.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import signal
import ssl
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from continuo.iot.tunnels.client import NotOpen, Reverse

log = logging.getLogger("wstun")

FIRST, LONGEST = 1.0, 30.0


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    command = argparse.ArgumentParser(prog="wstun", description="The board's end of a reverse tunnel over WebSocket.")
    command.add_argument(
        "-r", "--reverse", metavar="PUBLIC:HOST:PORT", required=True, help="public port, and where it ends here"
    )
    command.add_argument("-u", "--uuid", help="the board, where the server asks for it")
    command.add_argument("--ca", metavar="FILE", default=os.environ.get("WSTUN_CA"), help="certificates to trust")
    command.add_argument("--insecure", action="store_true", default=os.environ.get("WSTUN_INSECURE") == "1")
    command.add_argument("url", metavar="URL", help="ws://HOST:PORT or wss://HOST:PORT")
    return command


def reverse(arguments: Sequence[str]) -> Reverse:
    """The tunnel that the arguments name; exits with code 2 and a sentence where they make no sense."""
    command = parser()
    said = command.parse_args(arguments)
    public, _, target = said.reverse.partition(":")
    host, _, port = target.rpartition(":")
    if not host or not all(each.isascii() and each.isdigit() and 0 < int(each) < 65536 for each in (public, port)):
        command.error(f"-r {said.reverse}: it is PUBLIC:HOST:PORT, with ports from 1 to 65535")
    if urlsplit(said.url).scheme not in ("ws", "wss") or not urlsplit(said.url).hostname:
        command.error(f"{said.url}: the server is ws://HOST:PORT or wss://HOST:PORT")
    try:
        tls = context(said.ca, said.insecure)
    except (OSError, ssl.SSLError) as error:
        command.error(f"{said.ca}: no readable certificates: {error}")
    return Reverse(said.url, int(public), (host.strip("[]"), int(port)), board=said.uuid, tls=tls)


def context(ca: str | None, insecure: bool) -> ssl.SSLContext:
    """How the server's certificate is checked."""
    made = ssl.create_default_context(cafile=ca)
    if insecure:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


async def keep(tunnel: Reverse, rng: random.Random) -> None:
    """Be the board's end for ever."""
    pause = FIRST
    opened = asyncio.Event()
    while True:
        opened.clear()
        try:
            await tunnel.run(opened.set)
        except NotOpen as error:
            pause = FIRST if opened.is_set() else min(LONGEST, pause * 2)
            log.warning("%s; trying again", error)
        await asyncio.sleep(pause * (0.5 + rng.random() / 2))


async def _main(tunnel: Reverse) -> None:
    task = asyncio.create_task(keep(tunnel, random.Random()))
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, task.cancel)
    await asyncio.gather(task, return_exceptions=True)


def main(arguments: Sequence[str]) -> int:
    """Run until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("websockets").setLevel(logging.WARNING)
    asyncio.run(_main(reverse(arguments)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
