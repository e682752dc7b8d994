"""`continuo edge rear`: a FLUIDOS node's market, both sides, as one long-running process."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from continuo.cli.companions import say_ready
from continuo.cli.edge_rear_identity import identified, parties, sellers
from continuo.cli.failures import BadInput, Failed, run_server

if TYPE_CHECKING:
    from continuo.edge.rear.seller.seller import Seller
    from continuo.trust.identity import Identity
    from continuo.trust.ids import Authorized


@click.command()
@click.option("--kubeconfig", type=click.Path(path_type=Path, dir_okay=False), help="The cluster's kubeconfig.")
@click.option("--context", help="The context in it.")
@click.option("-n", "--namespace", default="fluidos", show_default=True, help="Where FLUIDOS' objects are.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=3004, show_default=True, help="The port; 0: a free one.")
@click.option("--allow", "ids", multiple=True, metavar="SPIFFE-ID", help="Deal with this identity; several times.")
@click.option(
    "--allow-domain", "domains", multiple=True, metavar="DOMAIN", help="Deal with everybody of a trust domain."
)
@click.option("--insecure", is_flag=True, help="No identities and plain HTTP: on this machine only.")
@click.option("--expiry", type=click.FloatRange(1), default=3600.0, show_default=True, metavar="SECONDS",
              help="How long a reservation waits for its purchase.")  # fmt: skip
@click.option("--lifetime", type=click.FloatRange(0, min_open=True), default=365.0, show_default=True, metavar="DAYS",
              help="How long a contract holds.")  # fmt: skip
@click.option("--egress-allow", "networks", multiple=True, metavar="CIDR",
              help="Buyers may also name endpoints here, such as 10.2.0.0/16.")  # fmt: skip
@click.option("--refresh", type=click.FloatRange(1), default=60.0, show_default=True, metavar="SECONDS",
              help="How often sellers are asked again for Discoveries that subscribe.")  # fmt: skip
@click.option("--sell/--no-sell", default=True, show_default=True, help="Serve the REAR gateway.")
@click.option("--buy/--no-buy", default=True, show_default=True, help="Work for the cluster's Solvers.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@click.option("--ready-fd", type=int, hidden=True)
@run_server
async def rear(
    kubeconfig: Path | None, context: str | None, namespace: str, host: str, port: int, ids: tuple[str, ...],
    domains: tuple[str, ...], insecure: bool, expiry: float, lifetime: float, networks: tuple[str, ...],
    refresh: float, sell: bool, buy: bool, verbose: bool, ready_fd: int | None,
) -> None:  # fmt: skip
    """Sell this cluster's flavors over REAR, and bring its Solvers to what they ask for, until stopped.

    Who this node is says the ConfigMap fluidos-node-identity: domain, nodeID, ip, port.
    """
    from continuo.edge.node import own_identity
    from continuo.edge.rear.buyer.buyer import Buyer
    from continuo.edge.rear.seller.seller import Seller
    from continuo.kube.config import connect

    if not sell and not buy:
        raise BadInput("--no-sell and --no-buy together leave nothing to do")
    if insecure and not _loopback(host):
        raise BadInput(f"--insecure is for this machine only, and --host is {host}; use 127.0.0.1")
    allowed, egress = parties(ids, domains, insecure), _egress(networks)
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        cluster = connect(kubeconfig, context=context, name="cluster")
        stack.push_async_callback(cluster.close)
        node = await own_identity(cluster, namespace)
        identity = await stack.enter_async_context(identified(insecure))
        if sell:
            seller = Seller(
                cluster, node, egress=egress, namespace=namespace, expiry=expiry, lifetime=lifetime * 86400.0
            )
            url = await stack.enter_async_context(_selling(seller, host, port, identity, allowed))
            click.echo(f"selling the flavors of {node.domain} on {url}", err=True)
        if buy:
            others = await stack.enter_async_context(sellers(identity, allowed))
            buyer = Buyer(cluster, node, others, namespace=namespace, refresh=refresh)
            stack.push_async_callback(buyer.stop)
            await buyer.start()
            click.echo(f"buying for the Solvers of namespace {namespace}", err=True)
        say_ready(ready_fd)
        await stop.wait()


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _egress(texts: tuple[str, ...]) -> Callable[[str], Awaitable[None]]:
    """The Router Manager's policy, asked before anything is reserved."""
    from continuo.edge.router.egress import Policy, Refused, networks, pin, resolve

    try:
        policy = Policy(allowed=networks(texts))
    except Refused as error:
        raise BadInput(f"--egress-allow: {error}") from None

    async def check(url: str) -> None:
        await pin(url, policy, resolve)

    return check


@contextlib.asynccontextmanager
async def _selling(
    seller: Seller, host: str, port: int, identity: Identity | None, allowed: Authorized | None
) -> AsyncIterator[str]:
    """The gateway; it answers 503 until everything is known."""
    import uvicorn

    from continuo.server.identity import uvicorn_options
    from continuo.server.rear_app import create_rear_app

    options: dict[str, Any] = {"http": "httptools", "ws": "none"}
    if identity is not None and allowed is not None:
        options = uvicorn_options(identity, allowed, sockets="none")
    listener = _listen(host, port)
    config = uvicorn.Config(
        create_rear_app(seller, runs=True), lifespan="off", log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=3, timeout_keep_alive=75, **options,
    )  # fmt: skip
    config.load()
    face = uvicorn.Server(config)
    face.lifespan = config.lifespan_class(config)
    await face.startup([listener])
    loop = asyncio.create_task(face.main_loop())
    try:
        await seller.start()
        shown = f"[{host}]" if ":" in host else host
        yield f"{'https' if identity is not None else 'http'}://{shown}:{listener.getsockname()[1]}"
    finally:
        seller.following.close()
        face.should_exit = True
        await loop
        await face.shutdown([listener])
        await seller.stop()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Failed(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    return listener
