"""`continuo catalog keys`: the keys that a catalog signs with, and how they are changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from continuo.cli.catalog_client import Where, catalog_options, client
from continuo.cli.catalog_measured import KEYS_PATH
from continuo.cli.failures import BadInput, run
from continuo.cli.output import output_option, print_data, print_table

_OF = click.Choice(("tokens", "measurements"))


@click.group()
def keys() -> None:
    """The operator's: the keys that tokens and measurements are signed with."""


@keys.command("list")
@output_option()
@catalog_options
@run
async def list_keys(output: str, where: Where) -> None:
    """List the keys, those that sign now first."""
    async with client(where) as catalog:
        tokens = (await catalog.ask("GET", "/api/v1/keys"))["keys"]
        records = (await catalog.ask("GET", KEYS_PATH))["keys"]
    found = [_told("tokens", key, key is tokens[-1]) for key in tokens]
    found += [_told("measurements", key, key.get("retired") is None) for key in records]
    found.sort(key=lambda key: (key["of"] != "tokens", not key["signs"], key["created"]))
    if output in ("json", "yaml"):
        print_data(found, output)
    elif output == "name":
        for key in found:
            click.echo(f"keys/{key['kid']}")
    else:
        rows = [[key["kid"], key["of"], "signs" if key["signs"] else "verifies", key["created"]] for key in found]
        print_table(["KEY", "OF", "STATE", "CREATED"], rows)


def _told(of: str, key: dict[str, Any], signs: bool) -> dict[str, Any]:
    created = datetime.fromtimestamp(key["created"] / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"kid": key["kid"], "of": of, "signs": signs, "created": created}


@keys.command("rotate")
@click.option("--of", type=_OF, default="tokens", show_default=True, help="What the key signs.")
@click.option("--drop", is_flag=True, help="Also end every access token of older keys, as after a theft; logins stay.")
@catalog_options
@run
async def rotate_keys(of: str, drop: bool, where: Where) -> None:
    """Sign with a new key from now on. What older keys have signed stays good: tokens for their minutes, records forever."""
    if drop and of == "measurements":
        raise BadInput("--drop is for tokens: records of an older key prove what was measured while it was in use")
    path = "/api/v1/keys:rotate" if of == "tokens" else "/api/v1/measurement-keys:rotate"
    async with client(Where(where.url, where.folder, operator=True)) as catalog:
        made = await catalog.ask("POST", path, params={"drop": "true"} if drop else {})
    click.echo(f"{of} are signed with key {made['kid']} from now on")
