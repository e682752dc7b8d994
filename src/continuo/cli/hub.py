"""`continuo hub`: what boards connect to, and what its operator does to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from continuo.cli import places
from continuo.cli.failures import BadInput, run
from continuo.cli.hub_admin import ROLES, ask, public_of
from continuo.cli.hub_serve import Wish, serve_hub

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


def default_folder() -> Path:
    """Where a hub on this machine keeps its things."""
    return places.default_data() / "hub"


@dataclass(frozen=True, slots=True)
class Where:
    """Which hub."""

    data: Path
    database: str | None


@click.group(invoke_without_command=True)
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The hub's own folder.  "
              "[default: hub, in Continuo's data folder]")  # fmt: skip
@click.option("--database", envvar="CONTINUO_HUB_DATABASE", help="postgresql://USER@HOST/DATABASE, or an SQLite file.  "
              "[default: hub.sqlite, in the hub's folder]")  # fmt: skip
@click.option("--listen", default="127.0.0.1:8812", show_default=True, metavar="HOST:PORT", help="REST.")
@click.option("--wamp", default="127.0.0.1:8181", show_default=True, metavar="HOST:PORT", help="Boards' sessions.")
@click.option("--tunnel", metavar="HOST:PORT",
              help="Boards' ends of tunnels; the public ports are on the same host.  [default: 127.0.0.1:8182; with "
              "--allow-lightning-rod 127.0.0.1:8080, where Lightning-rod looks for them, whatever it is told]")  # fmt: skip
@click.option("--network", default="127.0.0.1:8443", show_default=True, metavar="HOST:PORT",
              help="Boards' ends of networks.")  # fmt: skip
@click.option(
    "--public", metavar="HOST", help="How boards and people reach this machine.  [default: the host of --wamp]"
)
@click.option(
    "--ports", default="50000-50100", show_default=True, metavar="FROM-TO", help="Where services are exposed."
)
@click.option(
    "--tls-cert", type=_FILE, help="The certificate chain (PEM).  [default: of an authority of the hub's own]"
)
@click.option("--tls-key", type=_FILE, help="Its private key (PEM).")
@click.option(
    "--insecure", is_flag=True, help="REST over plain HTTP: on this machine, or behind something that encrypts."
)
@click.option("--no-auth", is_flag=True, help="Believe whoever says to be somebody; on this machine only, for tests.")
@click.option("--allow-lightning-rod", is_flag=True, help="Take boards without a key of their own, as Lightning-rod's.")
@click.option("--allow-unsigned", is_flag=True, help="Let agents run code that nobody signed.")
@click.option("--metrics", metavar="HOST:PORT", help="Serve /metrics, /healthz and /readyz there, in plain HTTP.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@click.option("--ready-fd", type=int, hidden=True)
@click.pass_context
def hub(context: click.Context, /, data: Path | None, database: str | None, **options: Any) -> None:
    """Serve boards until stopped: IoTronic's REST API, WAMP sessions, tunnels and networks, in one process."""
    where = Where(data or default_folder(), database)
    context.obj = where
    if context.invoked_subcommand is None:
        serve_hub(Wish(data=where.data, database=database, **options))


def _where(command: Callable[..., Any]) -> Callable[..., Any]:
    """--data and --database, here or before the subcommand, handed over as `where`."""

    @click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The hub's own folder.")
    @click.option("--database", help="Its storage, where that is not in its folder and the hub does not run here.")
    @click.pass_obj
    def wrapped(obj: Where, /, data: Path | None, database: str | None, **kwargs: Any) -> Any:
        return command(where=Where(data or obj.data, database or obj.database), **kwargs)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    params = getattr(wrapped, "__click_params__", [])
    wrapped.__click_params__ = getattr(command, "__click_params__", []) + params  # type: ignore[attr-defined]
    return wrapped


@hub.group()
def token() -> None:
    """Tokens of those who use REST (X-Auth-Token)."""


@token.command("add")
@click.option("--project", required=True, help="Whose boards it is about.")
@click.option("--role", type=click.Choice(ROLES), default="admin_iot_project", show_default=True)
@click.option("--user", help="Who it is, for the owner of what is made with it.")
@_where
@run
async def token_add(where: Where, project: str, role: str, user: str | None) -> None:
    """Make one; it is printed now and never again."""
    made = await ask(where.data, where.database, "token add", project=_name(project, "--project"), role=role, user=user)
    click.echo(f"token {made['id']}", err=True)
    click.echo(made["token"])


@token.command("ls")
@click.option("-o", "output", type=click.Choice(("table", "json", "name")), default="table", show_default=True)
@_where
@run
async def token_ls(where: Where, output: str) -> None:
    """List them, without what they are."""
    _show(await ask(where.data, where.database, "token ls"), output, "id")


@token.command("rm")
@click.argument("id")
@_where
@run
async def token_rm(where: Where, id: str) -> None:
    """Admit it no longer."""
    await ask(where.data, where.database, "token rm", id=id)
    click.echo(f"token {id} is admitted no longer", err=True)


@hub.group()
def board() -> None:
    """Boards, for whoever has no REST client at hand."""


@board.command("add")
@click.argument("name")
@click.option("--project", required=True, help="Whose it is.")
@click.option("--code", help="The registration code.  [default: one is made]")
@click.option("--location", nargs=3, type=float, default=(0.0, 0.0, 0.0), metavar="LONGITUDE LATITUDE ALTITUDE")
@_where
@run
async def board_add(
    where: Where, name: str, project: str, code: str | None, location: tuple[float, float, float]
) -> None:
    """Let there be a board, and print its registration code."""
    made = await ask(
        where.data, where.database, "board add", name=_name(name, "NAME", 255), project=_name(project, "--project"),
        code=_code(code), location=list(location),
    )  # fmt: skip
    _told(made)


@board.command("ls")
@click.option("-o", "output", type=click.Choice(("table", "json", "name")), default="table", show_default=True)
@_where
@run
async def board_ls(where: Where, output: str) -> None:
    """List all boards, and whether they are online."""
    _show(await ask(where.data, where.database, "board ls"), output, "uuid")


@board.command("code")
@click.argument("board")
@click.option("--code", help="The new code.  [default: one is made]")
@_where
@run
async def board_code(where: Where, board: str, code: str | None) -> None:
    """Let a board register once more, as after its storage was lost; its present key is good until then."""
    _told(await ask(where.data, where.database, "board code", board=board, code=_code(code)))


@hub.group()
def keys() -> None:
    """Whose signature lets code run on boards."""


@keys.command("add")
@click.argument("name")
@click.argument("key")
@_where
@run
async def keys_add(where: Where, name: str, key: str) -> None:
    """Admit a key: NAME is what signatures call it, KEY its public half (64 hexadecimal digits) or a key file."""
    await ask(where.data, where.database, "keys add", name=_name(name, "NAME"), public=public_of(key))
    click.echo(f"code that {name} signs may run on boards", err=True)


@keys.command("ls")
@click.option("-o", "output", type=click.Choice(("table", "json", "name")), default="table", show_default=True)
@_where
@run
async def keys_ls(where: Where, output: str) -> None:
    """List them."""
    _show(await ask(where.data, where.database, "keys ls"), output, "name")


@keys.command("rm")
@click.argument("name")
@_where
@run
async def keys_rm(where: Where, name: str) -> None:
    """Admit a key no longer: what it signed is stopped."""
    await ask(where.data, where.database, "keys rm", name=name)
    click.echo(f"code that {name} signed may run no longer", err=True)


def _told(made: dict[str, str]) -> None:
    click.echo(f"board {made['board']}; its registration code is good once", err=True)
    click.echo(made["code"])


def _name(text: str, what: str, most: int = 36) -> str:
    if not text or len(text) > most or not text.isprintable() or text != text.strip():
        raise BadInput(f"{what} is {text[:80]!r}; it has 1 to {most} printable characters")
    return text


def _code(text: str | None) -> str | None:
    return None if text is None else _name(text, "--code")


def _show(rows: list[dict[str, Any]], output: str, name: str) -> None:
    if output == "json":
        click.echo(json.dumps(rows, indent=2))
    elif output == "name":
        for row in rows:
            click.echo(row[name])
    elif not rows:
        click.echo("there are none", err=True)
    else:
        widths = {key: max(len(key), *(len(str(row[key] or "-")) for row in rows)) for key in rows[0]}
        for row in ({key: key.upper() for key in widths}, *rows):
            click.echo("  ".join(str(row[key] or "-").ljust(width) for key, width in widths.items()).rstrip())
