"""`continuo broker aggregate`: run the aggregator of a broker's cluster."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from continuo.cli.broker_chain import server_security, serving_options
from continuo.cli.connection import Target, connected, target_options
from continuo.cli.failures import BadInput, run_server
from continuo.cli.naming import slice_class

if TYPE_CHECKING:
    from continuo.kube.port import Cluster

_LOG = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@click.command()
@target_options
@click.option("--class", "class_", default="continuo", show_default=True, callback=slice_class,
              help="Answer ResourceSlices of this class.")  # fmt: skip
@click.option("--listen", metavar="ADDRESS", help="Serve what consumers are shown as a resource reader, too.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@serving_options
@run_server
async def aggregate(
    target: Target, class_: str, listen: str | None, verbose: bool, tls_cert: Path | None,
    tls_key: Path | None, client_ca: Path | None, token_file: Path | None,
) -> None:  # fmt: skip
    """Show each consumer one node with what the providers have together, until stopped.

    Follows Aggregates, Providers and Consumers, the providers' nodes and the pods on them. What is offered goes into
    the Aggregates' status and into ResourceSlices that Liqo consumers sent here.
    """
    from continuo.broker.aggregate.loop import Aggregator
    from continuo.broker.aggregate.slice_loop import SliceController
    from continuo.broker.readers.serve import ReaderServer

    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, format=_LOG)
    security = server_security(tls_cert, tls_key, client_ca, token_file)
    async with connected(target) as cluster, AsyncExitStack() as stack:
        await served(cluster)
        aggregator = Aggregator(cluster)
        server = ReaderServer(aggregator, listen, security) if listen else None
        stack.push_async_callback(aggregator.stop)
        await aggregator.start()
        slices = SliceController(cluster, aggregator, class_=class_)
        stack.push_async_callback(slices.stop)
        await slices.start()
        if server is not None:
            stack.push_async_callback(server.stop)
            await server.start()
        click.echo(f"aggregating for {len(aggregator.offers)} consumers' nodes; slices of class {class_} are answered")
        over = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, over.set)
        await over.wait()


async def served(cluster: Cluster) -> None:
    """Say at once what is missing; followed it would be waited for."""
    from continuo.resources.broker import AGGREGATE, CONSUMER, PROVIDER
    from continuo.resources.errors import NotFound

    for kind in (AGGREGATE, PROVIDER, CONSUMER):
        try:
            await cluster.list(kind)
        except NotFound:
            raise BadInput(
                f"cluster {cluster.name} serves no {kind.plural}.{kind.group}: "
                "continuo install --crds-only | kubectl apply -f - installs them"
            ) from None
