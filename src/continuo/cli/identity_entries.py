"""`continuo identity entry`: who gets which identity."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from continuo.cli.failures import BadInput, run
from continuo.cli.identity_options import Life, data_option, sentences, store_of, tell_server
from continuo.cli.output import print_data, print_table


@click.group()
def entry() -> None:
    """Who gets which identity: workloads by user, group and program, devices by their gateway."""


@entry.command("add")
@click.argument("spiffe_id")
@click.option("--uid", type=click.IntRange(0), help="The process runs as this user.")
@click.option("--gid", type=click.IntRange(0), help="The process runs as this group.")
@click.option("--path", help="The process is this program; for a script that is its interpreter.")
@click.option("--ttl", type=Life(), help="How long its SVIDs live, if not as the issuer says.")
@click.option(
    "--dns", "dns_names", multiple=True, metavar="NAME", help="Also a name for TLS software that knows no SPIFFE."
)
@click.option(
    "--federates-with", multiple=True, metavar="DOMAIN", help="Only the bundles of these foreign trust domains."
)
@click.option("--gateway", metavar="ID", help="It is a device, and this workload may speak for it.")
@click.option(
    "--device-key",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The device's public key (PEM): level L1, it answers challenges.",
)
@data_option
@run
@sentences
async def add(
    spiffe_id: str,
    ttl: timedelta | None,
    device_key: Path | None,
    federates_with: tuple[str, ...],
    data: Path | None,
    **said: Any,
) -> None:
    """Register a workload or a device; again with the same conditions, it replaces the entry."""
    from continuo.trust.delegation import Level
    from continuo.trust.ids import parse_domain
    from continuo.trust.issuer.entries import Entry, check

    made = Entry(
        spiffe_id=spiffe_id,
        ttl=None if ttl is None else int(ttl.total_seconds()),
        level=Level.L0 if device_key is None else Level.L1,
        device_key=None if device_key is None else _key(device_key),
        federates_with=federates_with or None,
        **said,
    )
    store = store_of(data)
    domain = parse_domain(json.loads((store.folder / "keys.json").read_text(encoding="utf-8"))["trustDomain"])
    check(made, domain)
    with store.locked():
        others = [one for one in store.entries() if one.id != made.id and not _same_device(one, made)]
        store.save_entries([*others, made])
    click.echo(f"{made.id} {spiffe_id}: {await tell_server(store)}")


def _same_device(one: Any, made: Any) -> bool:
    """A device has one gateway: the new entry moves it."""
    return made.gateway is not None and one.gateway is not None and bool(one.spiffe_id == made.spiffe_id)


def _key(path: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        key = load_pem_public_key(text.encode())
    except ValueError:
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise BadInput(f"{path} is no public key on an elliptic curve, in PEM")
    return text


@entry.command("ls")
@click.option(
    "-o",
    "--output",
    type=click.Choice(("table", "json", "yaml", "name")),
    default="table",
    show_default=True,
    help="How to print.",
)
@data_option
@run
@sentences
async def ls(output: str, data: Path | None) -> None:
    """List the entries."""
    import msgspec

    found = sorted(store_of(data).entries(), key=lambda one: one.spiffe_id)
    if output in ("json", "yaml"):
        print_data([{"id": one.id, **msgspec.to_builtins(one)} for one in found], output)
    elif output == "name":
        for one in found:
            click.echo(f"entries/{one.id}")
    else:
        rows = [[one.id, one.spiffe_id, _who(one), "" if one.ttl is None else f"{one.ttl}s"] for one in found]
        print_table(["ENTRY", "SPIFFE ID", "WHO", "TTL"], rows)


def _who(one: Any) -> str:
    if one.gateway is not None:
        return f"device at {one.gateway}, {one.level.value}"
    asked = {"uid": one.uid, "gid": one.gid, "path": one.path}
    return ", ".join(f"{name} {value}" for name, value in asked.items() if value is not None)


@entry.command("rm")
@click.argument("entry_id")
@data_option
@run
@sentences
async def rm(entry_id: str, data: Path | None) -> None:
    """Remove an entry: whoever it was for gets no identity any more."""
    store = store_of(data)
    with store.locked():
        there = list(store.entries())
        left = [one for one in there if one.id != entry_id]
        if len(left) == len(there):
            raise BadInput(f"there is no entry {entry_id}; `continuo identity entry ls` lists them")
        store.save_entries(left)
    click.echo(f"{entry_id} is removed: {await tell_server(store)}")
