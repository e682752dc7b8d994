"""`continuo identity show`: an issuer from outside, or what a workload gets."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from continuo.cli.failures import run
from continuo.cli.identity_options import data_option, sentences, socket_option, store_of
from continuo.cli.output import print_data

if TYPE_CHECKING:
    from continuo.trust.issuer.store import Store


_PATIENCE = 2.0
"""Seconds to wait for an SVID: one that is registered comes at once."""


@click.command()
@click.option("--issuer", "of_issuer", is_flag=True, help="Show the issuer of --data, not what this process gets.")
@click.option(
    "--bundle", is_flag=True, help="Print the issuer's bundle, as `federate --bundle` of another one takes it."
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(("table", "json", "yaml")),
    default="table",
    show_default=True,
    help="How to print.",
)
@data_option
@socket_option
@run
@sentences
async def show(of_issuer: bool, bundle: bool, output: str, data: Path | None, address: str | None) -> None:
    """Show what this process gets from a Workload API; --issuer: keys and federations of an issuer. Never a key or token."""
    if bundle:
        click.echo(_document(store_of(data)).decode())
        return
    found = await _issuer(store_of(data)) if of_issuer or address is None else await _workload(address)
    if output != "table":
        print_data(found, output)
        return
    _print(found)


def _print(found: dict[str, Any], indent: str = "") -> None:
    width = max((len(name) for name in found), default=0)
    for name, value in found.items():
        if isinstance(value, list):
            click.echo(f"{indent}{name}:" + ("" if value else " none"))
            for part in value:
                click.echo(f"{indent}  - {_line(part)}")
        else:
            click.echo(f"{indent}{name.ljust(width)}  {value}")


def _line(part: Any) -> str:
    return (
        ", ".join(f"{name} {value}" for name, value in part.items() if value) if isinstance(part, dict) else str(part)
    )


async def _workload(address: str) -> dict[str, Any]:
    from continuo.trust.workload_api import WorkloadApi

    async with WorkloadApi(address, patience=_PATIENCE) as identity:
        bundles = identity.bundles
        return {
            "spiffeID": str(identity.spiffe_id),
            "validUntil": _when(identity.svid.until),
            "believes": [
                {"trustDomain": domain.name, "authorities": len(ders), "tokenKeys": len(bundles.jwt.get(domain, ()))}
                for domain, ders in sorted(bundles.x509.items(), key=lambda one: one[0].name)
            ],
        }


async def _issuer(store: Store) -> dict[str, Any]:
    from continuo.trust.issuer.serving import ring

    domain, authorities, sequence = _keys(store)
    now = datetime.now(UTC)
    running = await ring(store)
    states = (running or {}).get("federations", {})
    return {
        "trustDomain": domain.name,
        "process": running["pid"] if running else "none: it does not run",
        "sequence": sequence,
        "authorities": [
            {"state": "announced" if one.active_from > now else "believed", "until": _when(one.until)}
            for one in authorities
        ],
        "entries": len(store.entries()),
        "federations": [
            {
                "trustDomain": one.trust_domain,
                "url": one.url,
                "profile": one.profile.value,
                "sequence": getattr(store.bundle(_domain(one.trust_domain)), "sequence", None),
                **states.get(one.trust_domain, {}),
            }
            for one in store.relations()
        ],
    }


def _keys(store: Store) -> Any:
    import json

    from continuo.trust.ids import parse_domain

    domain = parse_domain(json.loads((store.folder / "keys.json").read_text(encoding="utf-8"))["trustDomain"])
    return (domain, *store.load_keys(domain))


def _document(store: Store) -> bytes:
    from continuo.trust.bundle_docs import write_bundle

    _, authorities, sequence = _keys(store)
    return write_bundle((one.der for one in authorities), {one.kid: one.jwk for one in authorities}, sequence, 300)


def _domain(name: str) -> Any:
    from continuo.trust.ids import parse_domain

    return parse_domain(name)


def _when(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
