"""Which sellers a `continuo sensors` command asks, and as whom: one at a URL, or all that a cluster knows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from continuo.cli.connection import Target, connected
from continuo.cli.failures import BadInput, Failed
from continuo.cli.relay import own_identity
from continuo.cli.sensors_identity import parties, sellers

if TYPE_CHECKING:
    from continuo.edge.node import NodeIdentity
    from continuo.edge.rear.client import RearClient
    from continuo.resources.meta import Object

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Whence:
    """The options by which sellers are chosen."""

    url: str | None
    buyer: str
    target: Target
    namespace: str
    ids: tuple[str, ...]
    domains: tuple[str, ...]
    insecure: bool


@dataclass(frozen=True, slots=True)
class Shop:
    """One seller, and who is asking."""

    address: str
    client: RearClient
    node: NodeIdentity

    async def do(self, asked: Awaitable[T]) -> T:
        """Ask; what goes wrong is a sentence and an exit code."""
        from continuo.edge.rear.refusals import Refusal
        from continuo.resources.errors import ApiError

        try:
            return await asked
        except Refusal as refusal:
            if refusal.status in (400, 404, 408, 413, 422):
                raise BadInput(str(refusal)) from refusal
            raise Failed(str(refusal)) from refusal
        except ApiError as error:
            raise Failed(str(error)) from error

    async def follow(self) -> AsyncIterator[tuple[str, Object | None] | None]:
        """How contracts are doing, as it changes."""
        from continuo.edge.rear.refusals import Refusal
        from continuo.resources.errors import ApiError

        try:
            async for news in self.client.follow(self.node.node_id):
                yield news
        except (Refusal, ApiError) as error:
            raise Failed(str(error)) from error


def sensor_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--url, --buyer, --kubeconfig and the options of identities, handed over as `whence`."""

    @click.option(
        "--url", envvar="CONTINUO_SELLER", help="One seller's gateway; by default all KnownClusters of a cluster."
    )
    @click.option("--buyer", default="continuo-cli", show_default=True, metavar="ID", help="Who buys, with --url.")
    @click.option("--kubeconfig", type=click.Path(dir_okay=False), help="The cluster whose KnownClusters are asked.")
    @click.option("--context", help="The context in it.")
    @click.option("-n", "--namespace", default="fluidos", show_default=True, help="Where its KnownClusters are.")
    @click.option("--allow", "ids", multiple=True, metavar="SPIFFE-ID", help="Sellers with this identity.")
    @click.option("--allow-domain", "domains", multiple=True, metavar="DOMAIN", help="Sellers of this trust domain.")
    @click.option("--insecure", is_flag=True, help="Plain HTTP, without identities.")
    def wrapped(
        url: str | None, buyer: str, kubeconfig: str | None, context: str | None, namespace: str, ids: tuple[str, ...],
        domains: tuple[str, ...], insecure: bool, **kwargs: Any,
    ) -> Any:  # fmt: skip
        from pathlib import Path

        target = Target(Path(kubeconfig) if kubeconfig else None, context, namespace)
        return command(whence=Whence(url, buyer, target, namespace, ids, domains, insecure), **kwargs)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    params = getattr(wrapped, "__click_params__", [])
    wrapped.__click_params__ = getattr(command, "__click_params__", []) + params  # type: ignore[attr-defined]
    return wrapped


@contextlib.asynccontextmanager
async def shops(whence: Whence) -> AsyncIterator[list[Shop]]:
    """The sellers, with connections that are closed at the end."""
    insecure = whence.insecure or bool(whence.url and whence.url.startswith("http://"))
    if whence.url is not None and not whence.url.startswith(("http://", "https://")):
        raise BadInput(f"--url must begin with http:// or https://, not {whence.url!r}")
    allowed = parties(whence.ids, whence.domains, insecure)
    addresses, node = await _addresses(whence)
    async with own_identity(insecure) as identity, sellers(identity, allowed) as made:
        yield [Shop(address, made.at(address), node) for address in addresses]


async def _addresses(whence: Whence) -> tuple[list[str], NodeIdentity]:
    from continuo.edge.node import NodeIdentity, own_identity
    from continuo.resources.kinds import KNOWN_CLUSTER

    if whence.url is not None:
        return [whence.url], NodeIdentity("", whence.buyer, "")
    async with connected(whence.target) as cluster:
        node = await own_identity(cluster, whence.namespace)
        known = (await cluster.list(KNOWN_CLUSTER, whence.namespace)).items
    found = sorted({str(each["spec"]["address"]) for each in known} - {node.address})
    if not found:
        raise Failed(f"namespace {whence.namespace} has no KnownCluster to ask; name a seller with --url")
    return found, node


async def everywhere(found: list[Shop], condition: str | None) -> list[Object]:
    """All sensors that fit, each with the address of its seller; a seller that fails is told on stderr."""
    from continuo.edge.sensors.index import matches_flavor
    from continuo.edge.sensors.model import SENSOR, BadFilter
    from continuo.edge.sensors.query import to_query
    from continuo.edge.sensors.where import from_where

    try:
        criteria = from_where(condition or "true", SENSOR)
    except BadFilter as error:
        raise BadInput(f"--where: {error}") from error
    pairs = to_query(criteria).pairs
    lists = await asyncio.gather(*(_listed(shop, pairs) for shop in found))
    if all(each is None for each in lists):
        raise Failed("no seller answered")
    fitting = [flavor for each in lists if each is not None for flavor in each if matches_flavor(criteria, flavor)]
    return sorted(fitting, key=lambda flavor: str(flavor["metadata"]["name"]))


async def _listed(shop: Shop, pairs: tuple[tuple[str, str], ...]) -> list[Object] | None:
    try:
        offered = await shop.do(shop.client.flavors("Sensor", pairs))
    except click.ClickException as error:
        click.echo(f"continuo: {error.format_message()}", err=True)
        return None
    for why in offered.skipped:
        click.echo(f"continuo: {shop.address}: {why}", err=True)
    told = []
    for flavor in offered.flavors:
        meta = {**flavor["metadata"], "namespace": "remote"}
        told.append({**flavor, "metadata": meta, "seller": shop.address})
    return told
