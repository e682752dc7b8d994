"""`continuo prober`: what the operator places on linked clusters where an application bounds bandwidth."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from continuo.cli.failures import BadInput, run

if TYPE_CHECKING:
    from continuo.probing.links import Here, LinkProber

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--probe", required=True, help="Its name: tokens for others open nothing.")
@click.option("--namespace", required=True, help="Where its ConfigMaps are: `peers` is read, `measured` is written.")
@click.option("--address", required=True, envvar="CONTINUO_PROBER_ADDRESS", help="Of its pod: what peers are told.")
@click.option("--host", default="0.0.0.0", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8099, show_default=True)
@click.option(
    "--every", type=click.FloatRange(1.0), default=600.0, show_default=True, help="Seconds between two measurements."
)
@click.option("--kubeconfig", type=_FILE, help="Of its cluster; by default the pod's own account.")
@run
async def prober(
    probe: str, namespace: str, address: str, host: str, port: int, every: float, kubeconfig: Path | None
) -> None:  # fmt: skip
    """Measure a cluster's links until stopped: by transfers from the probers at their other ends."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from continuo.kube.config import connect
    from continuo.probing.client import Prober, session
    from continuo.probing.links import Here, LinkProber

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    cluster, private = connect(kubeconfig), Ed25519PrivateKey.generate()
    try:
        async with session() as http:
            asks = Prober(http, lambda: private, time.time, time.perf_counter)
            here = Here(namespace, probe, address, port)
            await _work(LinkProber(cluster, here, asks, private, time.time, random.Random(), every=every), here, host)
    finally:
        await cluster.close()


async def _work(links: LinkProber, here: Here, host: str) -> None:
    """The agent and the measuring, until a signal, or until either ends."""
    from continuo.probing.agent import Agent, start

    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    try:
        runner, at = await start(Agent(here.probe, links.keys), host, here.port)
    except OSError as error:
        raise BadInput(f"cannot listen on {host}:{here.port}: {error.strerror or error}") from error
    click.echo(f"prober {here.probe} at http://{here.address}:{at}")
    measuring, waiting = asyncio.create_task(links.run()), asyncio.create_task(over.wait())
    try:
        await asyncio.wait({measuring, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if measuring.done():
            measuring.result()
    finally:
        measuring.cancel()
        waiting.cancel()
        await asyncio.gather(measuring, waiting, return_exceptions=True)
        await runner.cleanup()
