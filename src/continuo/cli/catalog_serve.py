"""`continuo catalog serve`: a catalog alone, without any cluster."""

from __future__ import annotations

import json
import logging
import os
import secrets
from pathlib import Path

import click

from continuo.cli.catalog_client import catalog_folder, write_secret
from continuo.cli.catalog_running import Wish, catalog_running, running_options
from continuo.cli.companions import say_ready
from continuo.cli.failures import run_server
from continuo.cli.server import serve, tls_context

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
@running_options(
    "--storage", help="An SQLite file, or postgresql://USER@HOST/DATABASE; by default a file of this user's."
)
@click.option("--ready-fd", type=int, hidden=True)
@run_server
async def serve_catalog(
    host: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    insecure: bool,
    wish: Wish,
    ready_fd: int | None,
) -> None:
    """Serve a catalog until stopped. The operator's token is in a file that only this user reads."""
    from continuo.server.catalog_app import create_catalog_app
    from continuo.server.catalog_face import token_operator
    from continuo.server.sockets import FanOut

    tls = tls_context(host, tls_cert, tls_key, insecure)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    folder = catalog_folder()
    storage, told = wish.storage or str(folder / "catalog.sqlite"), folder / "running.json"
    try:
        async with catalog_running(storage, token_operator(_operator_token(folder)), wish) as parts:
            app = create_catalog_app(parts, runs=True)
            what = f"{len(parts.catalog.index)} offers"
            await serve(app, host, port, tls, what, sockets=FanOut, ready=lambda at: _tell(told, at, ready_fd))
    finally:
        _forget(told)


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
