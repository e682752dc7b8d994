"""`continuo broker reader`: serve a chain of resource readers over gRPC, ask one, follow one."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from continuo.cli.broker_chain import (
    asking_options,
    chained,
    client_security,
    named,
    server_security,
    serving_options,
)
from continuo.cli.failures import BadInput, run, run_server
from continuo.cli.output import print_data, print_table

if TYPE_CHECKING:
    from continuo.broker.readers.external import External
    from continuo.broker.readers.port import ResourceReader

_FILE = click.Path(path_type=Path, dir_okay=False)
_LOG = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@click.group()
def reader() -> None:
    """What a cluster may use of others: measured, reserved, filtered, capped, summed up, over gRPC."""


@reader.command()
@click.option(
    "--listen", default="127.0.0.1:7400", show_default=True, metavar="ADDRESS", help="host:port or unix:PATH."
)
@click.option("--kubeconfig", type=_FILE, help="The cluster whose nodes and pods are measured.")
@click.option("--context", help="The context in it.")
@click.option("--id", "own_id", default="", help="That cluster's own ID: nobody is offered what is theirs.")
@click.option("--tolerate", multiple=True, metavar="TAINT", help="Count nodes with this taint too; repeatable.")
@click.option("--add", multiple=True, metavar="NAME=ADDRESS", help="Add what another reader says; repeatable.")
@click.option("--add-ca", type=_FILE, help="Ask those over TLS; the authority of their certificates.")
@click.option("--add-token-file", type=_FILE, help="The token to say to those.")
@click.option("--reserve", multiple=True, metavar="SHARE", help="Keep back: 20%, or cpu=50%; repeatable.")
@click.option("--allow", multiple=True, metavar="PATTERN=IDS", help="Who may see it: 'nvidia.com/*=rome,oslo'.")
@click.option(
    "--cap", multiple=True, metavar="ID:AMOUNTS", help="A contract: rome:cpu=4,memory=8Gi. Others get nothing."
)
@serving_options
@run_server
async def serve(
    listen: str, kubeconfig: Path | None, context: str | None, own_id: str, tolerate: tuple[str, ...],
    add: tuple[str, ...], add_ca: Path | None, add_token_file: Path | None, reserve: tuple[str, ...],
    allow: tuple[str, ...], cap: tuple[str, ...], tls_cert: Path | None, tls_key: Path | None,
    client_ca: Path | None, token_file: Path | None,
) -> None:  # fmt: skip
    """Serve a cluster's resources, or the sum of several readers', until stopped."""
    from continuo.broker.readers.serve import ReaderServer

    if kubeconfig is None and not add:
        raise BadInput("there is nothing to serve: give --kubeconfig, or --add, or both")
    logging.basicConfig(level=logging.INFO, format=_LOG)
    security = server_security(tls_cert, tls_key, client_ca, token_file)
    addresses = named("--add", add, "turin=127.0.0.1:7401")
    async with AsyncExitStack() as stack:
        parts: dict[str, ResourceReader] = {}
        if kubeconfig is not None:
            parts[own_id] = await stack.enter_async_context(_measuring(kubeconfig, context, own_id, tolerate))
        for name, at in addresses.items():
            parts[name] = await stack.enter_async_context(_asking(at, add_ca, None, None, add_token_file))
        server = ReaderServer(chained(_together(parts), reserve, allow, cap), listen, security)
        await server.start()
        where = f"{listen.rpartition(':')[0]}:{server.port}" if not listen.startswith("unix:") else listen
        click.echo(f"reader at {where}")
        over = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, over.set)
        await over.wait()
        await server.stop()


def _together(parts: Mapping[str, ResourceReader]) -> ResourceReader:
    from continuo.broker.readers.total import Sum

    return next(iter(parts.values())) if len(parts) == 1 else Sum(parts)


@asynccontextmanager
async def _measuring(
    kubeconfig: Path, context: str | None, own_id: str, tolerate: tuple[str, ...]
) -> AsyncIterator[ResourceReader]:
    from continuo.broker.readers.monitor import ClusterMonitor, real_and_usable
    from continuo.kube.config import connect

    cluster = connect(kubeconfig, context=context, name=own_id or context or "measured")
    monitor = ClusterMonitor(cluster, own_id=own_id, counts=real_and_usable(tolerate))
    try:
        await cluster.raw("/readyz")  # a wrong address or token is told at once, not retried for ever
        await monitor.start()
        yield monitor
    finally:
        await monitor.stop()
        await cluster.close()


@asynccontextmanager
async def _asking(
    at: str, ca: Path | None, cert: Path | None, key: Path | None, token: Path | None, *, follow: bool = True
) -> AsyncIterator[External]:
    from continuo.broker.readers.external import External

    there = External(at, client_security(ca, cert, key, token))
    await (there.start() if follow else there.open())
    try:
        yield there
    finally:
        await there.stop()


@reader.command()
@click.argument("address")
@click.option("--for", "originator", required=True, metavar="ID", help="The cluster that asks.")
@click.option("-o", "--output", type=click.Choice(("table", "json", "yaml")), default="table", show_default=True)
@asking_options
@run
async def read(
    address: str, originator: str, output: str, ca: Path | None, cert: Path | None, key: Path | None,
    token_file: Path | None,
) -> None:  # fmt: skip
    """Ask a reader once what a cluster may use."""
    from continuo.broker.readers.amounts import spell

    async with _asking(address, ca, cert, key, token_file, follow=False) as there:
        found = spell(await there.read(originator))
    if output == "table":
        print_table(("RESOURCE", "AMOUNT"), list(found.items()))
    else:
        print_data(found, output)


@reader.command()
@click.argument("address")
@click.option("--for", "originator", required=True, metavar="ID", help="The cluster that asks.")
@asking_options
@run
async def watch(
    address: str, originator: str, ca: Path | None, cert: Path | None, key: Path | None, token_file: Path | None
) -> None:
    """Print what a cluster may use, and again after every change, until stopped."""
    from continuo.resources.errors import ApiError

    async with _asking(address, ca, cert, key, token_file) as there:
        changes, last = there.subscribe(), None
        while True:
            try:
                said = _line(await there.read(originator))
            except ApiError as error:
                if last is None:
                    raise
                said = str(error)
            if said != last:
                click.echo(said)
            last = said
            await changes.__anext__()


def _line(resources: Any) -> str:
    from continuo.broker.readers.amounts import spell

    return "  ".join(f"{name}={amount}" for name, amount in spell(resources).items()) or "nothing"
