"""A catalog as `continuo catalog serve` and `continuo server --catalog` both run it: the same options, the same life."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from continuo.cli.catalog_linking import linking
from continuo.cli.catalog_measuring import Asked, measuring, networks
from continuo.cli.failures import BadInput, Failed

if TYPE_CHECKING:
    from continuo.server.catalog_face import CatalogParts, OperatorCheck
    from continuo.storage.database import Database

_DAY = 86400.0
_COLLECT = (5_000, 20, 100)
"""The collector has no offers to walk through, only what requests leave: often and little, so that nobody waits long."""
_FILE = click.Path(path_type=Path, dir_okay=False)
_OWN = ("name", "anonymous", "origins", "link", "link_context", "token_days", "record_days", "measure", "probe_image",
        "probe_service", "allowed")  # fmt: skip
"""The parameters that are about a catalog, but for its storage."""
_DAYS = click.FloatRange(0, min_open=True)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the options say about a catalog."""

    storage: str | None
    name: str
    anonymous: bool
    origins: frozenset[str]
    link: Path | None
    link_context: str | None
    token_days: float
    record_days: float | None
    asked: Asked


def running_options(*storage: str, help: str, beside: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """All options of a catalog, handed over as `wish`; `storage` are the flags that say where its offers are kept.

    `beside`: the command serves something else too, so flags that are too common are named after the catalog, and without
    a storage there is none of them.
    """
    whose = ("--catalog-name", "--anonymous-catalog") if beside else ("--name", "--anonymous")
    options = (
        click.option(*storage, "storage", metavar="STORAGE", help=help),
        click.option(whose[1], "anonymous", is_flag=True, help="Whoever asks may read offers and follow changes."),
        click.option("--origin", "origins", multiple=True,
                     help="A web page's origin that may open sockets; several times."),
        click.option(whose[0], "name", default="catalog", show_default=True, help="The audience of its tokens."),
        click.option("--link", type=_FILE,
                     help="Kubeconfig of the cluster with the broker's objects: purchases link clusters."),
        click.option("--link-context", metavar="NAME", help="The context in it."),
        click.option("--rotate-keys", "token_days", type=_DAYS, default=30.0, show_default=True, metavar="DAYS",
                     help="Sign tokens with a new key after so long."),
        click.option("--rotate-measurement-keys", "record_days", type=_DAYS, metavar="DAYS",
                     help="Sign measurements with a new key after so long; by default only on command."),
        click.option("--measure", type=_FILE, help="Kubeconfig of the cluster with the Provider objects: measure them."),
        click.option("--probe-image", help="The image of probes that are placed there; without it none is placed."),
        click.option("--probe-service", type=click.Choice(("LoadBalancer", "NodePort", "ClusterIP")),
                     default="LoadBalancer", show_default=True, help="How placed probes are reached."),
        click.option("--probe-allow", "allowed", multiple=True, metavar="CIDR",
                     help="Also probe here, such as 127.0.0.0/8."),
    )  # fmt: skip

    def decorate(command: Callable[..., Any]) -> Any:
        def wrapped(**given: Any) -> Any:
            own = {name: given.pop(name) for name in ("storage", *_OWN)}
            if beside and own["storage"] is None:
                _refuse_all(storage[0])
            return command(wish=_wish(own), **given)

        wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
        for option in reversed(options):
            option(wrapped)
        more = getattr(wrapped, "__click_params__", [])
        wrapped.__click_params__ = getattr(command, "__click_params__", []) + more  # type: ignore[attr-defined]
        return wrapped

    return decorate


def _refuse_all(storage: str) -> None:
    """Without a storage there is no catalog that any of its options could be about."""
    context = click.get_current_context()
    for parameter in context.command.params:
        given = parameter.name and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
        if given and parameter.name in _OWN:
            flag = parameter.opts[0]
            raise BadInput(
                f"{flag} is about the catalog, and there is none: say with {storage} where its offers are kept"
            )


def _wish(given: dict[str, Any]) -> Wish:
    asked = Asked(
        given["measure"], given["probe_image"], given["probe_service"], networks(given["allowed"]), given["name"]
    )
    return Wish(
        given["storage"], given["name"], given["anonymous"], frozenset(given["origins"]), given["link"],
        given["link_context"], given["token_days"], given["record_days"], asked,
    )  # fmt: skip


@asynccontextmanager
async def catalog_running(storage: str, operator: OperatorCheck, wish: Wish) -> AsyncIterator[CatalogParts]:
    """The catalog over this storage, with its links and measurements, until the end. Raises Failed with the storage's reason.

    It ends like on SIGTERM when another one has taken the storage over: what this one knows is no longer true then.
    """
    from continuo.server.catalog_app import make_catalog
    from continuo.server.catalog_face import Rotation, running
    from continuo.storage.database import StorageFailed

    forever = float("inf")
    rotation = Rotation(wish.token_days * _DAY, forever if wish.record_days is None else wish.record_days * _DAY)
    try:
        async with linking(wish.link, wish.link_context) as peering:
            parts = make_catalog(
                storage, operator, name=wish.name, anonymous=wish.anonymous, origins=wish.origins, peering=peering,
                rotation=rotation,
            )  # fmt: skip
            async with running(parts), measuring(parts.measured, wish.asked), _ending(parts.database):
                gc.set_threshold(*_COLLECT)
                yield parts
    except StorageFailed as error:
        raise Failed(str(error)) from error


@asynccontextmanager
async def _ending(database: Database) -> AsyncIterator[None]:
    async def watch() -> None:
        await database.taken_over.wait()
        signal.raise_signal(signal.SIGTERM)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
    if database.taken_over.is_set():
        raise Failed(database.trouble)
