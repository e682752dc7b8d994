"""`continuo broker probe`: what runs at a provider, so that a broker can measure it; and placing it by hand."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import os
import signal
from pathlib import Path

import click

from continuo.cli.failures import BadInput, run

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_VARIABLE = "CONTINUO_PROBE_KEY"


@click.group()
def probe() -> None:
    """The probe at a provider, which answers one broker's measurements."""


def _key(value: str | None) -> bytes:
    text = value or os.environ.get(_VARIABLE, "")
    try:
        plain = text.replace("-", "+").replace("_", "/")
        raw = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32:
        raise BadInput(f"--key, or ${_VARIABLE}, must be the broker's public key: 32 bytes in base64")
    return raw


@probe.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8099, show_default=True, help="0 takes a free one.")
@click.option("--provider", required=True, help="The provider's name at the broker: tokens for others open nothing.")
@click.option("--key", metavar="BASE64", help=f"The broker's public key; by default ${_VARIABLE}.")
@run
async def serve_probe(host: str, port: int, provider: str, key: str | None) -> None:
    """Answer a broker's probes until stopped."""
    from continuo.probing.agent import Agent, start

    agent = Agent(provider, _key(key))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    try:
        runner, at = await start(agent, host, port)
    except OSError as error:
        raise BadInput(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    click.echo(f"probe of {provider} at http://{host}:{at}")
    try:
        await over.wait()
    finally:
        await runner.cleanup()


@probe.command("remove")
@click.option("--kubeconfig", type=_FILE, required=True, help="Of the provider's cluster.")
@click.option("--context", metavar="NAME", help="The context in it.")
@click.option("--broker", default="catalog", show_default=True, help="The broker's name.")
@run
async def remove_probe(kubeconfig: Path, context: str | None, broker: str) -> None:
    """Take a broker's probe away from a cluster, where the broker itself cannot any more."""
    from continuo.broker.measurements.placement import Placement, remove
    from continuo.kube.config import connect

    cluster = connect(kubeconfig, context=context)
    placement = Placement(broker, "")
    try:
        found = await remove(cluster, placement)
    finally:
        await cluster.close()
    said = "is being deleted" if found else "is not there"
    click.echo(f"namespace {placement.namespace} {said}")
