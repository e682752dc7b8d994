"""`continuo catalog serve`: a catalog alone, without any cluster."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from continuo.cli.catalog_client import catalog_folder, write_secret
from continuo.cli.catalog_linking import linking
from continuo.cli.catalog_measuring import Asked, measuring, networks
from continuo.cli.companions import say_ready
from continuo.cli.failures import Failed, run_server
from continuo.cli.server import serve, tls_context

if TYPE_CHECKING:
    from continuo.broker.catalog.database import Database

_DAY = 86400.0
_COLLECT = (5_000, 20, 100)
"""The collector has no offers to walk through, only what requests leave: often and little, so that nobody waits long."""
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8090, show_default=True, help="The port; 0 takes a free one."
)
@click.option("--tls-cert", type=_FILE, help="The certificate chain (PEM).")
@click.option("--tls-key", type=_FILE, help="Its private key (PEM).")
@click.option(
    "--insecure", is_flag=True, help="Serve plain HTTP beyond this machine: only behind something that encrypts."
)
@click.option("--storage", help="An SQLite file, or postgresql://USER@HOST/DATABASE; by default a file of this user's.")
@click.option("--anonymous", is_flag=True, help="Whoever asks may read offers and follow changes.")
@click.option("--origin", "origins", multiple=True, help="A web page's origin that may open sockets; several times.")
@click.option("--name", default="catalog", show_default=True, help="The audience of its tokens.")
@click.option("--link", type=click.Path(path_type=Path, dir_okay=False),
              help="Kubeconfig of the cluster with the broker's objects: purchases link clusters.")  # fmt: skip
@click.option("--link-context", metavar="NAME", help="The context in it.")
@click.option("--rotate-keys", "token_days", type=click.FloatRange(0, min_open=True), default=30.0, show_default=True,
              metavar="DAYS", help="Sign tokens with a new key after so long.")  # fmt: skip
@click.option("--rotate-measurement-keys", "record_days", type=click.FloatRange(0, min_open=True), metavar="DAYS",
              help="Sign measurements with a new key after so long; by default only on command.")  # fmt: skip
@click.option(
    "--measure",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Kubeconfig of the cluster with the Provider objects: measure them.",
)
@click.option("--probe-image", help="The image of probes that are placed there; without it none is placed.")
@click.option("--probe-service", type=click.Choice(("LoadBalancer", "NodePort", "ClusterIP")), default="LoadBalancer",
              show_default=True, help="How placed probes are reached.")  # fmt: skip
@click.option("--probe-allow", "allowed", multiple=True, metavar="CIDR", help="Also probe here, such as 127.0.0.0/8.")
@click.option("--ready-fd", type=int, hidden=True)
@run_server
async def serve_catalog(
    host: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    insecure: bool,
    storage: str | None,
    anonymous: bool,
    origins: tuple[str, ...],
    name: str,
    link: Path | None,
    link_context: str | None,
    token_days: float,
    record_days: float | None,
    measure: Path | None,
    probe_image: str | None,
    probe_service: Literal["LoadBalancer", "NodePort", "ClusterIP"],
    allowed: tuple[str, ...],
    ready_fd: int | None,
) -> None:
    """Serve a catalog until stopped. The operator's token is in a file that only this user reads."""
    from continuo.broker.catalog.database import StorageFailed
    from continuo.server.catalog_app import create_catalog_app, make_catalog
    from continuo.server.catalog_face import Rotation, running, token_operator
    from continuo.server.sockets import FanOut

    tls = tls_context(host, tls_cert, tls_key, insecure)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    folder = catalog_folder()
    url = storage or str(folder / "catalog.sqlite")
    told = folder / "running.json"
    asked = Asked(measure, probe_image, probe_service, networks(allowed), name)
    operator = token_operator(_operator_token(folder))
    rotation = Rotation(token_days * _DAY, float("inf") if record_days is None else record_days * _DAY)
    try:
        async with linking(link, link_context) as peering:
            parts = make_catalog(
                url,
                operator,
                name=name,
                anonymous=anonymous,
                origins=frozenset(origins),
                peering=peering,
                rotation=rotation,
            )
            async with running(parts), measuring(parts.measured, asked), _ending(parts.database):
                app = create_catalog_app(parts, runs=True)
                what = f"{len(parts.catalog.index)} offers"
                gc.set_threshold(*_COLLECT)
                await serve(app, host, port, tls, what, sockets=FanOut, ready=lambda at: _tell(told, at, ready_fd))
    except StorageFailed as error:
        raise Failed(str(error)) from error
    finally:
        _forget(told)


@asynccontextmanager
async def _ending(database: Database) -> AsyncIterator[None]:
    """End like on SIGTERM when another catalog has taken the storage over: what this one knows is no longer true."""

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


def _operator_token(folder: Path) -> str:
    path = folder / "operator-token"
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(32) + "\n")
    return path.read_text(encoding="utf-8").strip()


def _tell(path: Path, url: str, ready_fd: int | None) -> None:
    write_secret(path, json.dumps({"url": url, "pid": os.getpid()}))
    say_ready(ready_fd)


def _forget(path: Path) -> None:
    try:
        if json.loads(path.read_text(encoding="utf-8")).get("pid") == os.getpid():
            path.unlink()
    except (OSError, ValueError):
        return
