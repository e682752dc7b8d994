"""`continuo edge serve`: one site of the market for sensors, whole, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from continuo.cli.companions import say_ready
from continuo.cli.failures import BadInput, Failed
from continuo.cli.relay import is_loopback, own_identity, place

if TYPE_CHECKING:
    from continuo.edge.node import NodeIdentity
    from continuo.edge.site import Partners, Settings, Site
    from continuo.edge.slices.networks import Networks
    from continuo.kube.client import KubeCluster
    from continuo.telemetry.metrics import Metrics
    from continuo.trust.identity import Identity
    from continuo.trust.ids import Authorized


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line."""

    kubeconfig: Path | None
    context: str | None
    namespace: str
    listen: str
    domain: str | None
    node_id: str | None
    advertise: str | None
    relay: str | None
    relay_id: str | None
    buyers: tuple[str, ...]
    sellers: tuple[str, ...]
    allowed: tuple[str, ...]
    denied: tuple[str, ...]
    https_only: bool
    expiry: float
    insecure: bool
    sells: bool
    buys: bool
    finds: bool
    slices: bool
    api_server: str | None
    slice_networks: bool
    gateway_service: str
    health_port: int | None
    ready_fd: int | None


@click.command()
@click.option("--kubeconfig", type=click.Path(path_type=Path, dir_okay=False), help="The kubeconfig of the cluster.")
@click.option("--context", help="The context in it.")
@click.option("--namespace", default="fluidos", show_default=True, help="Where the objects of the trade are.")
@click.option("--listen", default="127.0.0.1:3004", show_default=True, metavar="HOST:PORT",
              help="Where other sites ask what is for sale (REAR).")  # fmt: skip
@click.option("--domain", help="Whose site this is, such as city.example.  [default: as its ConfigMap says]")
@click.option("--node-id", help="What the site is called among FLUIDOS nodes.")
@click.option("--advertise", metavar="HOST:PORT", help="How other sites reach --listen.")
@click.option("--relay", metavar="URL", help="The relay's control API: what is sold flows through it.")
@click.option("--relay-id", metavar="SPIFFE-ID", help="Who the relay must be.")
@click.option("--admit", "buyers", multiple=True, metavar="SPIFFE-ID",
              help="Who may buy; a trust domain (spiffe://b.example) means everybody in it.")  # fmt: skip
@click.option("--seller", "sellers", multiple=True, metavar="SPIFFE-ID", help="From whom is bought, the same way.")
@click.option("--allow-network", "allowed", multiple=True, metavar="CIDR",
              help="A private network that buyers' endpoints may be in.")  # fmt: skip
@click.option("--deny-network", "denied", multiple=True, metavar="CIDR",
              help="A network of our own that nothing is sent to: of pods, of services, of machines.")  # fmt: skip
@click.option("--https-only", is_flag=True, help="Send readings encrypted or not at all.")
@click.option("--expiry", type=click.FloatRange(1), default=3600.0, show_default=True, metavar="SECONDS",
              help="How long a reservation waits for its purchase.")  # fmt: skip
@click.option("--insecure", is_flag=True, help="No identities: for a trial, on this machine only.")
@click.option("--sell/--no-sell", "sells", default=True, show_default=True, help="Sell what is offered here.")
@click.option("--buy/--no-buy", "buys", default=True, show_default=True, help="Let Solvers here buy elsewhere.")
@click.option("--find/--no-find", "finds", default=True, show_default=True, help="Make Flavors of Devices' sensors.")
@click.option("--slices/--no-slices", default=True, show_default=True,
              help="Let buyers of K8Slices run pods here, and make nodes of those that are bought.")  # fmt: skip
@click.option("--api-server", metavar="URL", help="How buyers of K8Slices reach this cluster's API server.  "
              "[default: as we do]")  # fmt: skip
@click.option("--slice-networks/--no-slice-networks", default=True, show_default=True,
              help="Make networks to the clusters of slices' partners, where both have Liqo.")  # fmt: skip
@click.option("--gateway-service", type=click.Choice(["LoadBalancer", "NodePort"]), default="LoadBalancer",
              show_default=True, help="How the tunnels' gateways are reached from there.")  # fmt: skip
@click.option("--health-port", type=click.IntRange(1, 65535), help="Serve /healthz, /readyz and /metrics there.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@click.option("--ready-fd", type=int, hidden=True)
def serve(verbose: bool, **options: Any) -> None:
    """Be one site of the market until stopped.

    Sensors of Devices behind labelled edge nodes become Flavors; other sites find, reserve and buy them; what is bought
    flows through the relay to the endpoints that the buyer named. Solvers of this cluster buy from the KnownClusters.
    """
    import uvloop

    from continuo.cli import tuning
    from continuo.resources.errors import ApiError, BadRequest

    wish = Wish(**options)
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    tuning.settle()
    try:
        uvloop.run(_serve(wish))
    except BadRequest as error:
        raise BadInput(str(error)) from error
    except ApiError as error:
        raise Failed(str(error)) from error


async def _serve(wish: Wish) -> None:
    from continuo.edge.site import Site, introduce
    from continuo.kube.config import connect
    from continuo.kube.transport import Transports
    from continuo.telemetry.calls import Calls
    from continuo.telemetry.process import process_metrics

    settings, node = _settings(wish), _node(wish)
    metrics = process_metrics("edge")
    transports = Transports(Calls(metrics))
    cluster = connect(wish.kubeconfig, context=wish.context, name="site", transports=transports)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(cluster.close)
        identity = await stack.enter_async_context(own_identity(wish.insecure))
        partners = await _partners(stack, wish, identity)
        known = await introduce(cluster, node, wish.namespace)
        if wish.slices:
            partners = _slices(stack, wish, cluster, known, partners)
        site = Site(cluster, known, _of(settings, identity), partners)
        if site.seller is not None:
            await _gateway(stack, site, identity, wish)
        await _work(site, wish, metrics)


async def _gateway(stack: contextlib.AsyncExitStack, site: Site, identity: Identity | None, wish: Wish) -> None:
    """Answer buyers; those who may not buy are refused before they have said anything."""
    from continuo.edge.listening import Face
    from continuo.server.identity import uvicorn_options
    from continuo.server.rear_app import create_rear_app

    assert site.seller is not None
    tls = uvicorn_options(identity, _authorized(wish.buyers, "--admit"), sockets="none") if identity is not None else {}
    face = Face(create_rear_app(site.seller, runs=True), place(wish.listen, "--listen"), tls)
    try:
        await face.start()
    except OSError as error:
        raise Failed(str(error)) from error
    stack.push_async_callback(face.stop)
    stack.callback(site.seller.following.close)  # those who follow their contracts would hold it up
    click.echo(f"selling on {face.url}", err=True)


async def _partners(stack: contextlib.AsyncExitStack, wish: Wish, identity: Identity | None) -> Partners:
    import aiohttp

    from continuo.edge.rear.client import Sellers
    from continuo.edge.relay.client import RelayClient
    from continuo.edge.site import Partners
    from continuo.trust.http import PeerConnector

    relay = sellers = None
    if wish.relay is not None:
        connector = (
            PeerConnector(identity.client_context(_authorized((wish.relay_id or "",), "--relay-id")))
            if identity is not None
            else aiohttp.TCPConnector()
        )
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, trust_env=False))
        relay = RelayClient(wish.relay, http)
    if wish.buys:
        proof = identity
        context = (lambda: proof.client_context(_authorized(wish.sellers, "--seller"))) if proof is not None else None
        sellers = Sellers(context)
        stack.push_async_callback(sellers.close)
    return Partners(relay=relay, sellers=sellers)


def _slices(
    stack: contextlib.AsyncExitStack, wish: Wish, cluster: KubeCluster, node: NodeIdentity, partners: Partners
) -> Partners:
    """K8Slices as well: a namespace for each that is sold, a node for each that is bought."""
    import time

    from continuo.edge.slices.lender import SliceLender
    from continuo.edge.slices.linker import SliceLinker

    lender = linker = None
    networks = _networks(stack, wish, cluster, node) if wish.slice_networks else None
    if wish.sells:
        lender = SliceLender(cluster, cluster.access, clock=time.time, server=wish.api_server, networks=networks)
        stack.push_async_callback(lender.close)
    if wish.buys:
        linker = SliceLinker(cluster, node, trade=wish.namespace, networks=networks)
        stack.push_async_callback(linker.close)
    return replace(partners, lender=lender, linker=linker)


def _networks(stack: contextlib.AsyncExitStack, wish: Wish, cluster: KubeCluster, node: NodeIdentity) -> Networks:
    """Our halves of the networks between partners of slices."""
    from continuo.edge.slices.networks import Networks
    from continuo.federation.model import LinkSettings

    link = LinkSettings(service_type="NodePort" if wish.gateway_service == "NodePort" else "LoadBalancer")
    made = Networks(cluster, node.node_id, trade=wish.namespace, settings=link)
    stack.push_async_callback(made.close)
    made.start()
    return made


async def _work(site: Site, wish: Wish, metrics: Metrics) -> None:
    from continuo.cli.working import replica_name, work_until_stopped

    metrics.collect("the market", site.figures)

    async def tell() -> None:
        await site.ready.wait()
        say_ready(wish.ready_fd)

    telling = asyncio.create_task(tell())
    try:
        await work_until_stopped(site, replica_name(), None, wish.health_port, metrics)
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


def _settings(wish: Wish) -> Settings:
    """What was asked for, checked. Raises BadInput."""
    from continuo.edge.router.desk import Settings as RouterSettings
    from continuo.edge.router.egress import Policy, Refused, networks
    from continuo.edge.site import Settings

    _check(wish)
    try:
        policy = Policy(networks(wish.allowed), networks(wish.denied), tls=wish.https_only)
    except Refused as error:
        raise BadInput(str(error)) from error
    router = RouterSettings(namespace=wish.namespace, policy=policy)
    return Settings(
        wish.namespace, sells=wish.sells, buys=wish.buys, discovers=wish.finds, router=router, expiry=wish.expiry
    )


def _of(settings: Settings, identity: Identity | None) -> Settings:
    """Devices here are of the trust domain that this site is of, so that their gateways can prove who speaks for them."""
    if identity is None:
        return settings
    return replace(settings, discovery=replace(settings.discovery, trust_domain=identity.spiffe_id.trust_domain))


def _check(wish: Wish) -> None:
    if not (wish.sells or wish.buys or wish.finds):
        raise BadInput("nothing is left to do: leave out one of --no-sell, --no-buy and --no-find")
    if wish.relay is not None and not wish.relay.startswith(("http://", "https://")):
        raise BadInput(f"--relay is {wish.relay!r}; it begins with http:// or https://")
    if wish.api_server is not None and not wish.api_server.startswith("https://"):
        raise BadInput(f"--api-server is {wish.api_server!r}; it begins with https://, as buyers' tokens go there")
    listen = place(wish.listen, "--listen")
    if wish.insecure:
        if wish.buyers or wish.sellers or wish.relay_id:
            raise BadInput("--admit, --seller and --relay-id name identities; with --insecure there are none")
        if not is_loopback(listen.host):
            raise BadInput(f"--insecure is for this machine only, and --listen is on {listen.host}; use 127.0.0.1")
        return
    needed = (
        (wish.sells, wish.buyers, "--admit", "who may buy", "--no-sell"),
        (wish.buys, wish.sellers, "--seller", "from whom is bought", "--no-buy"),
        (wish.relay is not None, wish.relay_id, "--relay-id", "who the relay must be", "no --relay"),
    )
    for asked, given, option, what, other in needed:
        if asked and not given:
            raise BadInput(f"say with {option} {what}, or {other}; --insecure is for a trial on this machine")


def _node(wish: Wish) -> NodeIdentity | None:
    """Who the operator says that this site is; None: its ConfigMap knows."""
    from continuo.edge.node import NodeIdentity

    told = (wish.domain, wish.node_id, wish.advertise)
    if not any(told):
        return None
    if wish.domain is None or wish.node_id is None or wish.advertise is None:
        raise BadInput("--domain, --node-id and --advertise belong together: name all of them, or none")
    place(wish.advertise, "--advertise")
    return NodeIdentity(wish.domain, wish.node_id, wish.advertise)


def _authorized(ids: tuple[str, ...], option: str) -> Authorized:
    """Those IDs, and everybody in those trust domains. Raises BadInput."""
    from continuo.trust.ids import Authorized, BadId

    domains = [each.removeprefix("spiffe://") for each in ids if "/" not in each.removeprefix("spiffe://")]
    try:
        return Authorized.of(ids=[each for each in ids if "/" in each.removeprefix("spiffe://")], domains=domains)
    except BadId as error:
        raise BadInput(f"{option}: {error}") from None
